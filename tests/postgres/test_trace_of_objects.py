"""A trace of objects that are no tables: a change is found at its own statement."""

from pathlib import Path

import pytest

from dbkit.postgres.cluster import Cluster
from dbkit.roundtrip.prove import Request, prove
from dbkit.settings import Settings
from support.plain import write_project

SCRIPT = "python:op.execute({!r})\n    op.execute({!r})"


@pytest.mark.parametrize(
    ("made", "changed"),
    [
        ("CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'", "ALTER FUNCTION g() RENAME TO h"),
        ("CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'", "ALTER FUNCTION g() SECURITY DEFINER"),
        ("CREATE TYPE mood AS ENUM ('well')", "ALTER TYPE mood RENAME VALUE 'well' TO 'ill'"),
        ("CREATE DOMAIN number AS int", "ALTER DOMAIN number RENAME TO figure"),
        ("CREATE SCHEMA shelf", "ALTER SCHEMA shelf RENAME TO store"),
    ],
)
def test_what_the_next_revision_changes_first_is_seen_there(
    made: str, changed: str, local_settings: Settings, server: Cluster, tmp_path: Path
) -> None:
    """The row is written by a command with a number that is as much lower as that of the transaction is higher."""
    first = SCRIPT.format("CREATE SCHEMA before_it", made)
    ini = write_project(tmp_path / "project", [("a1", None, first, "SELECT 1"), ("a2", "a1", changed, "SELECT 1")])
    outcome = prove(local_settings, ini, Request(server=server.target("postgres"), trace=True))
    (trace,) = [each for each in outcome.revisions[1].traces if each.direction == "upgrade"]
    assert [change.kind for statement in trace.statements for change in statement.changes]
