"""`dbkit lint` on a project, and what it found."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dbkit.__main__ import main
from dbkit.postgres.cluster import Cluster
from dbkit.project.revision_source import read_source

TABLES = "CREATE TABLE t (id int PRIMARY KEY, note text); CREATE TABLE u (id int PRIMARY KEY)"


REVISIONS = [
    ("aaaa", None, TABLES, "DROP TABLE t; DROP TABLE u"),
    ("bbbb", "aaaa", "CREATE INDEX ix ON t (note)", "DROP INDEX ix"),
    ("cccc", "bbbb", "ALTER TABLE t ADD more int", "ALTER TABLE t DROP more"),
]


@pytest.fixture
def lint(
    server: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Run a verb on a project, on the run's server. Returns its exit code and what it printed."""
    target = server.target("postgres")
    url = f"postgresql://{target.user}@/{target.dbname}?host={target.host}&port={target.port}"

    def run(ini: Path, *options: str, verb: str = "lint") -> tuple[int, str]:
        read_source.cache_clear()  # a process reads a file once, and a test changes it
        monkeypatch.chdir(ini.parent)
        code = main([verb, "-c", str(ini), "--server", url, *options])
        return code, capsys.readouterr().out

    return run


def findings(document: str, identifier: str) -> list[dict[str, Any]]:
    return [each for each in json.loads(document)["findings"] if each["id"] == identifier]
