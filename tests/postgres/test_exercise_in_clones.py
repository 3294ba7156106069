"""A revision that leaves its transaction is proven with rows that its statements meet, as any other is."""

from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.script import Script

from dbkit.postgres.cluster import Cluster
from dbkit.postgres.connect import connect
from dbkit.roundtrip import walker
from dbkit.roundtrip.outcome import Outcome, RevisionOutcome
from dbkit.roundtrip.prove import Request, prove
from dbkit.roundtrip.results import ProofResult
from dbkit.roundtrip.workspace import Workspace
from dbkit.settings import Settings
from support.battery import NOTHING
from support.plain import ENV, Revision, write_project
from support.running import others_slow

TABLE: Revision = (
    "a1",
    None,
    "CREATE TABLE mail (id serial PRIMARY KEY, status text NOT NULL, number int NOT NULL)",
    "DROP TABLE mail",
)
OUTSIDE = "python:with op.get_context().autocommit_block():\n        op.execute({!r})"
LOSES = "UPDATE mail SET status = 'done' WHERE status = 'sent'"
KEEPS = "UPDATE mail SET number = -1 - number WHERE status = 'sent'"
FAILS = "UPDATE mail SET number = 1 / (number - number) WHERE status = 'dead'"
BACKFILL = "python:from dbkit.backfill import backfill\n    backfill(op, 'mail', {!r}, where={!r})"
SELECT = "op.get_bind().exec_driver_sql(\"SELECT id FROM mail WHERE status = 'sent'\").all()"
LOOP = "UPDATE mail SET number = 0 WHERE md5(status) = 'x'"
DO = "DO $$ BEGIN UPDATE mail SET status = 'done' WHERE status = 'sent'; END $$"
CURSOR = "python:op.execute('COMMIT')\n    op.get_bind().connection.cursor().execute({!r})"
BLOCK = "with op.get_context().autocommit_block():\n        "
# A revision that leaves its transaction: up, down, its verdict, and of each statement whether it met rows
CASES = {
    "an UPDATE loses values": (OUTSIDE.format(LOSES), NOTHING, "lossy", [True]),
    "an UPDATE is undone": (OUTSIDE.format(KEEPS), OUTSIDE.format(KEEPS), "proven", [True, True]),
    "a failure hides no loss": (f"{OUTSIDE.format(LOSES)}\n        op.execute({FAILS!r})", NOTHING, "fails on rows and lossy", [True, False]),
    "a backfill loses values": (BACKFILL.format("status = 'done'", "status = 'sent'"), NOTHING, "lossy", [True]),
    "a backfill is undone": (BACKFILL.format("number = -1 - number", "status = 'sent'"), OUTSIDE.format(KEEPS), "proven", [True, True]),
    "a cursor of the driver": (CURSOR.format(LOSES), NOTHING, "lossy", [True]),
    "a block whose rows are not counted": (OUTSIDE.format(DO), NOTHING, "lossy", []),
    "a loop in Python": (f"python:{BLOCK}for row in {SELECT}:\n            op.execute(f\"UPDATE mail SET status = 'done' WHERE id = {{row.id}}\")", NOTHING, "lossy", [True, True, True]),
}  # fmt: skip
ASYNC_ENV = """
import asyncio, os

from alembic import context
from sqlalchemy import pool
from sqlalchemy.ext.asyncio import create_async_engine

def migrate(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()

async def main():
    engine = create_async_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)

asyncio.run(main())
"""
TWO_DATABASES = """
from alembic import context
from sqlalchemy import create_engine, pool

for name in ("first", "second"):
    url = context.config.get_section(name)["sqlalchemy.url"]
    with create_engine(url, poolclass=pool.NullPool).connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
"""
TWO_SECTIONS = (
    "databases = first, second\n[first]\nsqlalchemy.url = postgresql://\n[second]\nsqlalchemy.url = postgresql://\n"
)
ENVS = {"sync": ENV, "async": ASYNC_ENV}


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """By revision, the rows in the databases after its proof in a clone that only the pass with further rows plants."""
    found: dict[str, int] = {}
    prove_in_clone = walker.prove_in_clone

    def observed(work: Workspace, script: Script) -> ProofResult:
        result = prove_in_clone(work, script)
        found[script.revision] = 0
        query = "SELECT count(*) FROM public.mail WHERE status = ANY ('{sent,done,dead,SENT}')"
        for target in work.databases.databases.values():
            with connect(target, autocommit=True) as connection:
                found[script.revision] += connection.execute(query).fetchall()[0][0]
        return result

    monkeypatch.setattr(walker, "prove_in_clone", observed)
    return found


@pytest.fixture
def proven(local_settings: Settings, server: Cluster, tmp_path: Path) -> Callable[..., Outcome]:
    def run(*revisions: Revision, env: str = ENV, sections: str = "", trace: bool = False) -> Outcome:
        ini = write_project(tmp_path, revisions, env)
        ini.write_text(ini.read_text() + sections)
        return prove(local_settings, ini, Request(server=server.target("postgres"), jobs=1, trace=trace))

    return run


def verdicts(outcome: Outcome) -> list[str]:
    return [" and ".join((each.verdict, *each.also)) for each in outcome.revisions]


def chain(*changes: tuple[str, str]) -> list[Revision]:
    """Return revisions on the table, one for each change."""
    return [TABLE, *((f"b{n}", f"b{n - 1}" if n else "a1", up, down) for n, (up, down) in enumerate(changes))]


def met(outcome: RevisionOutcome) -> list[bool]:
    return [each.rows > 0 for each in outcome.coverage]


@pytest.mark.slow
@pytest.mark.parametrize("env", others_slow(1, list(ENVS)))
def test_statements_meet_rows_as_in_a_transaction(
    proven: Callable[..., Outcome], planted: dict[str, int], env: str
) -> None:
    cases = CASES if env == "sync" else {name: case for name, case in CASES.items() if "cursor" not in name}
    outcome = proven(*chain(*((up, down) for up, down, _, _ in cases.values())), env=ENVS[env])
    found = dict(zip(cases, outcome.revisions[1:], strict=True))
    assert {name: " and ".join((each.verdict, *each.also)) for name, each in found.items()} == {
        name: verdict for name, (_, _, verdict, _) in cases.items()
    }
    assert {name: met(each) for name, each in found.items()} == {
        name: coverage for name, (_, _, _, coverage) in cases.items()
    }
    assert not any(each.transactional for each in found.values())
    assert planted == {each.revision: 0 for each in found.values()}
    assert outcome.chain == "the whole chain"
    assert [(each.sql, each.line) for each in found["an UPDATE loses values"].coverage] == [(LOSES, 14)]
    assert found["a backfill is undone"].coverage[0].sql == KEEPS.replace("mail", "public.mail")
    assert "division by zero" in found["a failure hides no loss"].findings[0].words


@pytest.mark.slow
def test_what_cannot_be_met_is_unproven(proven: Callable[..., Outcome]) -> None:
    """A revision that may create a role runs once on a server: nothing is planted for it, and its statements count."""
    role = f"-- CREATE ROLE\n{LOSES}"
    outcome = proven(*chain((OUTSIDE.format(role), NOTHING), (OUTSIDE.format(LOOP), NOTHING)))
    assert verdicts(outcome) == ["proven", "unproven", "unproven"]
    assert [met(each) for each in outcome.revisions[1:]] == [[False], [False]]


@pytest.mark.slow
@pytest.mark.parametrize("traced", [False, True])
def test_an_asynchronous_connection_is_observed_in_its_transaction(
    proven: Callable[..., Outcome], traced: bool
) -> None:
    insert = "INSERT INTO mail (status, number) SELECT 'done', 1 FROM mail WHERE status = 'sent'"
    ups = [LOSES, DO, f"SELECT 1; {LOSES}", insert]
    outcome = proven(*chain(*((up, NOTHING) for up in ups)), env=ASYNC_ENV, trace=traced)
    assert verdicts(outcome) == ["proven", *["lossy"] * len(ups)]
    assert all(each.transactional for each in outcome.revisions)
    assert [met(each) for each in outcome.revisions[1:]] == [[True]] * len(ups)


@pytest.mark.slow
def test_of_several_databases_the_first_gets_the_rows(proven: Callable[..., Outcome], planted: dict[str, int]) -> None:
    outcome = proven(*chain((LOSES, NOTHING), ("SELECT 1", NOTHING)), env=TWO_DATABASES, sections=TWO_SECTIONS)
    assert verdicts(outcome) == ["proven", "lossy", "proven"]
    assert [each.rows.table for each in outcome.revisions[1].findings if each.rows] == ["first: mail"]
    assert met(outcome.revisions[1]) == [True]
    assert planted == {"a1": 0, "b0": 0, "b1": 0}
