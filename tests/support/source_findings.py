"""What is found in the text of a migration, without running it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dbkit import project
from dbkit.findings.finding import LintFinding
from dbkit.lint import source_rules
from dbkit.project.revision_source import read_source

INI = "[alembic]\nscript_location = %(here)s/migrations\n"


HEAD = "import sqlalchemy as sa\nfrom alembic import op\nfrom sqlalchemy import text\nrevision = 'aaaa'\ndown_revision = None\n"


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    """Where the migrations of a project are."""
    (tmp_path / "alembic.ini").write_text(INI)
    directory = tmp_path / "migrations/versions"
    directory.mkdir(parents=True)
    return directory


@pytest.fixture
def found(versions: Path) -> Callable[..., list[LintFinding]]:
    """What is found in a migration whose upgrade(), and downgrade(), have these lines."""

    def run(up: str = "op.execute('SELECT 1')", down: str = "op.execute('SELECT 2')") -> list[LintFinding]:
        read_source.cache_clear()  # a process reads a file once
        body = "".join(f"\n\ndef {name}():\n    {text}\n" for name, text in (("upgrade", up), ("downgrade", down)))
        (versions / "aaaa.py").write_text(HEAD + body)
        return list(source_rules.find_in_project(project.load(versions.parents[1] / "alembic.ini")))

    return run


def ids(found: list[LintFinding]) -> list[str]:
    return [each.id for each in found]
