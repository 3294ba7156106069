"""Releases of SQLAlchemy, Alembic and psycopg that are too old, and features that only newer ones have."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dbkit import backports, supported_versions
from dbkit.errors import InputError
from dbkit.project import alembic_features
from support.kit import REPOSITORY
from support.plain import write_project

OLD = [
    ("SQLAlchemy", "1.4.54", "2.0"),
    ("alembic", "1.8.1", "1.9"),
    ("psycopg", "3.0.18", "3.1.4"),
]
GATED = """
from pathlib import Path

import sqlalchemy
from alembic import context
from dbkit import gate

sqlalchemy.__version__ = "1.4.54"
"""
CALLS = ("gate.run(context, Path(__file__).parents[1], lambda: None)", "gate.install(context)")


def run(directory: Path, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    search = f"{path}:{REPOSITORY / 'src'}" if path else str(REPOSITORY / "src")
    environment = {
        "PYTHONPATH": search,
        "PATH": "/usr/bin:/bin",
        "APP_ENV": "test",
        "DATABASE_URL": "postgresql://x@[::1]/x",
    }
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("name", "found", "oldest"), OLD)
def test_an_old_release_is_one_sentence_and_exit_code_2(tmp_path: Path, name: str, found: str, oldest: str) -> None:
    """The release is read from the metadata of the package, which is first on the path here."""
    write_project(tmp_path, [])
    metadata = tmp_path / "site" / f"{name}-{found}.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {found}\n")
    if name == "psycopg":  # it is imported, and says its version itself
        (tmp_path / "site/psycopg.py").write_text(f"__version__ = {found!r}\n")
    for verb in ("roundtrip", "lint"):
        refused = run(tmp_path, "dbkit", verb, "-c", "alembic.ini", path=tmp_path / "site")
        title = "Alembic" if name == "alembic" else name
        assert refused.stderr == (
            f"dbkit: {title} {found} is installed, and dbkit needs {oldest} or newer.\n"
            f"  pip install '{name.lower()}>={oldest}'\n"
        )
        assert refused.returncode == 2


@pytest.mark.parametrize("call", CALLS)
def test_the_gate_refuses_it_before_anything_else(tmp_path: Path, call: str) -> None:
    write_project(tmp_path, [], GATED + call)
    refused = run(tmp_path, "alembic", "upgrade", "head")
    assert "dbkit: SQLAlchemy 1.4.54 is installed, and dbkit needs 2.0 or newer." in refused.stderr
    assert "Traceback" not in refused.stderr
    assert refused.returncode == 2


def test_the_oldest_releases_are_those_of_the_matrix() -> None:
    _, _, releases = (REPOSITORY / "noxfile.py").read_text().partition('"lowest": (')
    tested = dict(re.findall(r'"([a-z]+)(?:\[[a-z]+\])?==([\d.]+)"', releases.partition('"2024"')[0]))
    for name, oldest in supported_versions.OLDEST.items():
        assert tested[name.lower()] == oldest


def test_the_package_lifts_nothing_that_a_project_has() -> None:
    """pip would do it without a question, and the project's own code may need the older release."""
    project, _, _ = (REPOSITORY / "pyproject.toml").read_text().partition("[dependency-groups]")
    for name in (*supported_versions.OLDEST, "python-dotenv"):
        assert re.search(rf'^  "{name.lower()}(\[[a-z]+\])?<\d+",$', project, re.MULTILINE), name


def test_alembic_before_1_16_reads_no_pyproject_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.alembic]\nscript_location = "migrations"\n')
    monkeypatch.setattr(alembic_features, "READS_TOML", False)
    with pytest.raises(InputError, match=r"Alembic \S+ does not read pyproject\.toml: 1\.16 and newer do\."):
        alembic_features.open_config(tmp_path / "pyproject.toml", "alembic")


def test_members_of_an_enumeration_of_strings_are_printed_as_their_values() -> None:
    class Colour(backports.StrEnum):
        RED = "red"

    assert f"{Colour.RED} {Colour.RED:>4}" == "red  red"
    assert str(Colour.RED) == "red"


def test_no_statement_is_rendered_without_a_connection_by_psycopg_itself() -> None:
    """`as_text` does it for every release of psycopg."""
    calls = [
        f"{path.name}: {line.strip()}"
        for path in sorted((REPOSITORY / "src/dbkit").rglob("*.py"))
        for line in path.read_text().splitlines()
        if re.search(r"\.as_(string|bytes)\((None)?\)", line) and path.name != "sql_quote.py"
    ]
    assert calls == []


def test_what_older_alembics_lack_is_called_in_one_place() -> None:
    calls = [
        f"{path.name}: {line.strip()}"
        for path in sorted((REPOSITORY / "src/dbkit").rglob("*.py"))
        for line in path.read_text().splitlines()
        if re.search(r"\.get_alembic_\w*option\(", line) and path.name != "alembic_features.py"
    ]
    assert calls == []
