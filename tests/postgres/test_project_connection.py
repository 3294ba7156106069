"""dbkit's statements on a project's own connection have the same results with every driver."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg.pq import TransactionStatus
from sqlalchemy.ext.asyncio import create_async_engine

from dbkit import journal
from dbkit.gate import diagnosis, protection
from dbkit.gate.project_connection import ProjectConnection
from dbkit.postgres import locks
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.connect import connect, current_revisions
from dbkit.postgres.own_statements import Session
from dbkit.preconditions import ask
from dbkit.project import revision_ids
from dbkit.roundtrip.access import Access
from dbkit.settings import Target
from dbkit.stash import copy_file, identity, live_losses, obstacles, sequences, tables

DRIVERS = ("psycopg", "psycopg_async", "psycopg2", "asyncpg")
DATABASE = """
CREATE TYPE mood AS ENUM ('calm', 'it''s "bad"');
CREATE TABLE "Order" (id serial PRIMARY KEY, a text, b bytea, c numeric, e int[], f char(4), g boolean, h mood);
INSERT INTO "Order" (a, b, c, e, f, g, h)
    VALUES (E'x\\ty\\\\', '\\x0102', 1.50, '{1,2}', 'ab', true, 'calm'), (NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE alembic_version (version_num varchar(32));
INSERT INTO alembic_version VALUES ('abcd');
COMMENT ON TABLE alembic_version IS 'dbkit environment: test';
"""


@pytest.fixture(scope="module")
def target(server: Cluster) -> Iterator[Target]:
    """A database with values of several types."""
    target = server.create_database("project_connection")
    with connect(target, autocommit=True, session=Session.PROJECT) as connection:
        connection.cursor().execute(DATABASE)
        journal.ensure_table(connection)
    yield target
    server.drop_database("project_connection")


def run(target: Target, driver: str, use: Callable[[ProjectConnection], Any]) -> Any:
    """Call a function with a project's connection through this driver."""

    def begin(connection: sa.Connection) -> Any:
        opened = ProjectConnection(connection, is_external=False, is_held=False)
        opened.begin_session("alembic_version", None)
        opened.rollback()
        return use(opened)

    async def begin_async() -> Any:
        engine = create_async_engine(url, poolclass=sa.pool.NullPool)
        async with engine.connect() as connection:
            found = await connection.run_sync(begin)
        await engine.dispose()
        return found

    url = Access(driver=driver).url(target)
    if driver in ("asyncpg", "psycopg_async"):
        return asyncio.run(begin_async())
    with sa.create_engine(url, poolclass=sa.pool.NullPool).connect() as connection:
        return begin(connection)


def read_everything(connection: Any) -> dict[str, object]:
    """Call what the gate and the stash read with, each in a transaction of its own."""
    found: dict[str, object] = {}

    def read(name: str, function: Callable[[Any], object]) -> None:
        found[name] = function(connection)
        connection.rollback()

    def read_table(driver: Any) -> object:
        [table] = [each for each in tables.read_tables(driver).values() if each.name == "Order"]
        columns = [column.name for column in table.columns.values()]
        with live_losses.exact_session(driver):
            position = [each.position(driver) for each in sequences.SequenceIndex(driver).owned_by(table)]
            hidden = obstacles.find_hidden_tables(driver, [table])
            return table, tables.hash_table(driver, table.source, columns), position, hidden

    def read_only(driver: Any) -> object:
        driver.execute("SELECT 1")
        with ask.reading(driver, 5.0):
            return driver.execute('SELECT count(*) FROM public."Order"').fetchall()

    def write_journal(driver: Any) -> object:
        entry = journal.JournalEntry(journal.UPGRADE, "it's 100 %", "test")
        journal.record_step(driver, entry, ["it's 100 %"])
        return {key: row.revision for key, row in journal.read_latest(driver).items()}

    read("revisions", current_revisions)
    read("mark", protection.read_mark)
    read("tables", protection.has_tables)
    read("invalid", diagnosis.read_invalid_indexes)
    read("limit", lambda driver: revision_ids.read_limit(driver, "public.alembic_version"))
    read("holder", lambda driver: locks.find_holder(driver, Target("project_connection")))
    read("identity", lambda driver: vars(identity.read_identity(driver)) | {"log": 0})
    read("shadows", protection.require_no_shadows)
    read("table", read_table)
    read("read only", read_only)
    read("journal", write_journal)
    read(
        "copy",
        lambda driver: copy_file.read_rows(driver, 'SELECT id, a, b, c, e, f, g, h FROM public."Order" ORDER BY id'),
    )
    return found


@pytest.mark.parametrize("driver", DRIVERS)
def test_statements_of_dbkit_have_the_same_results(target: Target, driver: str) -> None:
    with connect(target) as own:
        expected = read_everything(own)
    assert expected["revisions"] == ("abcd",)
    assert run(target, driver, read_everything) == expected


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_connection_knows_its_transaction_and_its_backend(target: Target, driver: str) -> None:
    def use(connection: ProjectConnection) -> None:
        assert connection.server_pid == connection.driver.pid
        assert connection.info.transaction_status == TransactionStatus.IDLE
        connection.execute("SELECT 1")
        assert connection.info.transaction_status == TransactionStatus.INTRANS
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM nothing")
        connection.rollback()
        assert connection.info.transaction_status == TransactionStatus.IDLE
        assert not connection.closed

    run(target, driver, use)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_file_holds_what_was_copied(target: Target, driver: str, tmp_path: Path) -> None:
    query = """SELECT n, 'row' || n FROM pg_catalog.generate_series(1, 50000) AS n"""
    saved = run(target, driver, lambda connection: copy_file.write_copy_file(connection, query, tmp_path / "rows"))
    assert saved.rows == 50_000
    assert (tmp_path / "rows").read_bytes() == b"".join(b"%d\trow%d\n" % (n, n) for n in range(1, 50_001))


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_login_of_a_connection_is_found(target: Target, driver: str) -> None:
    found = run(target, driver, lambda connection: connection.begin_session("alembic_version", None))
    with connect(found) as own:
        assert current_revisions(own) == ("abcd",)
    assert (found.dbname, found.host, found.port) == (target.dbname, target.host, target.port)
