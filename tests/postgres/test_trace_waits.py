"""A revision that is watched works as it does unwatched, and what cannot be watched costs no finding of another one."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from dbkit.findings.verdict import Verdict
from dbkit.lint.rules import find_in_traces
from dbkit.postgres.cluster import Cluster
from dbkit.roundtrip.outcome import RevisionOutcome
from dbkit.trace.recorder import Recorder
from support.alembic_templates import plain
from support.lint_runs import findings
from support.running import others_slow
from support.sessions import connect_as_project as connect

TABLES = "CREATE TABLE t (id int PRIMARY KEY, since date DEFAULT now(), note text CHECK (note <> '')); CREATE TABLE u (id int)"
BLOCK = "with op.get_context().autocommit_block():\n        "
OTHER = "engine = op.get_bind().engine.execution_options(isolation_level='AUTOCOMMIT')\n    "
WATCHED = {
    "its own transaction in a block": f"{BLOCK}op.execute('BEGIN')\n        op.execute('ALTER TABLE t ADD x int')\n        op.execute('COMMIT')",
    "one string in a block": f"{BLOCK}op.execute('BEGIN; SET LOCAL lock_timeout = 2000; ALTER TABLE t ADD x int; COMMIT')",
    "its own, with an isolation level": f"{BLOCK}op.execute('BEGIN')\n        op.execute('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE')\n"
    "        op.execute('SET TRANSACTION READ WRITE')\n        op.execute('ALTER TABLE t ADD x int')\n        op.execute('END')",
    "a level after a block": f"{BLOCK}op.execute('SELECT 1')\n    op.execute('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE')\n    op.execute('ALTER TABLE t ADD x int')",
    "a string that is one transaction": f"{BLOCK}op.execute('LOCK TABLE u; DECLARE c CURSOR FOR SELECT 1; FETCH c; ALTER TABLE t ADD x int')",
    "rolled back": f"{BLOCK}op.execute('BEGIN')\n        op.execute('ALTER TABLE t ADD x int')\n        op.execute('ROLLBACK')\n        op.execute('ALTER TABLE t ADD x int')",
    "another connection": f"op.execute('ALTER TABLE t ADD x int')\n    {OTHER}with engine.connect() as other:\n        other.exec_driver_sql('CREATE TABLE v ()')",
    "another connection that builds an index": f"op.execute('ALTER TABLE t ADD x int')\n    {OTHER}with engine.connect() as other:\n"
    "        other.exec_driver_sql('CREATE INDEX CONCURRENTLY iu ON u (id)')",
    "a block while another one has a lock": f"{OTHER}with engine.connect() as other:\n        other.exec_driver_sql('BEGIN; ALTER TABLE t ADD x int')\n"
    f"        with op.get_context().autocommit_block():\n            op.execute('CREATE INDEX CONCURRENTLY iu ON u (id)')\n        other.exec_driver_sql('COMMIT')",
    "a call in the transaction": "op.execute('CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN ALTER TABLE t ADD x int; END $$')\n    op.execute('CALL p()')",
}  # fmt: skip
DOWN = "ALTER TABLE t DROP COLUMN x; DROP TABLE IF EXISTS v; DROP INDEX IF EXISTS iu; DROP PROCEDURE IF EXISTS p"


@pytest.fixture
def told(init: Callable[..., Path], lint: Callable[..., tuple[int, str]]) -> Callable[..., tuple[Any, str]]:
    """For a second revision: what lint finds, and the verdicts of the round trip with a trace.

    The first one makes the tables, the third an index.
    """

    def run(second: str, down: str, first: str = TABLES) -> tuple[Any, str]:
        revisions = [
            ("aaaa", None, first, "DROP TABLE t, u"),
            ("bbbb", "aaaa", f"python:{second}", down),
            ("cccc", "bbbb", "CREATE INDEX ix ON t (note)", "DROP INDEX ix"),
        ]
        ini = init(online=plain(), revisions=revisions)
        found = lint(ini, "--format", "json", "--level", "note")[1]
        proven = json.loads(lint(ini, "--format", "json", "--trace", verb="roundtrip")[1])
        assert [each["verdict"] for each in proven["revisions"]] == ["proven"] * 3, proven["revisions"][1]["findings"]
        assert [each["revision"] for each in findings(found, "index-without-concurrently")] == ["cccc"]
        return proven["revisions"][1].get("traces", []), found

    return run


@pytest.mark.slow
@pytest.mark.parametrize("name", others_slow(1, list(WATCHED)))
def test_what_holds_locks_of_its_own_is_watched(told: Callable[..., tuple[Any, str]], name: str) -> None:
    (up, _down), found = told(WATCHED[name], DOWN)
    assert findings(found, "not-traced") + findings(found, "commit-by-hand") == []
    changes = [(each["what"], each["name"]) for statement in up["statements"] for each in statement["changes"]]
    assert ("column added", "x") in changes
    assert not any("dropped" in what for what, _name in changes)


@pytest.mark.slow
def test_a_revision_that_cannot_be_watched_is_proven_and_the_next_one_is_watched(
    told: Callable[..., tuple[Any, str]],
) -> None:
    """As a role that may not see who holds which locks."""
    second = f"{BLOCK}op.execute('SET ROLE pg_signal_backend')\n        op.execute('SELECT 1')\n        op.execute('RESET ROLE')"
    traces, found = told(second, "SELECT 1", f"{TABLES}; REVOKE SELECT ON pg_catalog.pg_locks FROM PUBLIC")
    (warning,) = findings(found, "not-traced")
    assert (warning["revision"], warning["level"]) == ("bbbb", "warning")
    assert "it works, but not while it is traced" in warning["message"]
    assert "permission denied for view pg_locks" in warning["message"]
    assert "behind it" not in warning["message"]
    assert traces == []


@pytest.fixture
def alone(server: Cluster) -> Iterator[Callable[..., RevisionOutcome]]:
    """What is recorded of a concurrent index, with a second session that does something first."""
    target = server.create_database("unseen")
    engine = sa.create_engine(
        "postgresql+psycopg://", creator=lambda: connect(target, autocommit=True), poolclass=sa.NullPool
    )

    def run(first: str, where: str = "unseen") -> RevisionOutcome:
        recorder = Recorder(__file__, "upgrade", {"": target})
        with engine.connect() as connection, connect(server.target(where), autocommit=True) as other:
            connection.exec_driver_sql(TABLES)
            other.execute(first.encode())
            with recorder.recording(connection):
                connection.exec_driver_sql("CREATE INDEX CONCURRENTLY ix ON t (note)")
        return RevisionOutcome("r", (), "", Path(__file__), Verdict.PROVEN, 0.0, traces=(recorder.trace(),))

    yield run
    server.drop_database("unseen")


def test_a_statement_that_cannot_be_looked_at_runs_and_is_said_to_be_unknown(
    alone: Callable[..., RevisionOutcome],
) -> None:
    outcome = alone("ALTER DATABASE unseen ALLOW_CONNECTIONS false", "postgres")
    assert "not currently accepting connections" in outcome.traces[0].statements[0].unseen
    (found,) = (each for each in find_in_traces(outcome) if each.id == "not-traced")
    assert found.message.startswith("its locks could not be read, so its effect is unknown: ")


@pytest.mark.parametrize("lock", ["ACCESS EXCLUSIVE", "SHARE"])
def test_a_table_that_another_session_has_locked_is_left_alone(
    alone: Callable[..., RevisionOutcome], lock: str
) -> None:
    (statement,) = alone(f"BEGIN; LOCK TABLE u IN {lock} MODE").traces[0].statements
    assert statement.unseen == ""
    assert {each.relation: str(each.lock) for each in statement.touched if each.kind == "r"} == {
        "t": "SHARE UPDATE EXCLUSIVE"
    }
