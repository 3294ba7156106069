"""What the trace says of locks, held against the documentation and against a second session that really waits or not."""

from collections.abc import Iterator
from threading import Thread

import psycopg
import pytest
import sqlalchemy as sa
from lock_table import ALONE, CASES, PAGE, SETUP, page

from dbkit.postgres.cluster import Cluster
from dbkit.settings import Target
from dbkit.trace.lock_probe import WAITS_FOR
from dbkit.trace.recorder import Recorder
from dbkit.trace.records import ExecutedStatement, Lock
from support import dangers
from support.dangers import DANGERS, SAFE
from support.running import until
from support.sessions import connect_as_project as connect

PATIENCE = "1ms"
"""How long to wait for a lock: one that is free is had without waiting, however busy the machine is."""


@pytest.fixture(scope="session")
def tables(server: Cluster) -> Target:
    """The tables of the cases, with rows."""
    target = server.create_database("lock_table")
    with connect(target, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA other")
        connection.execute(SETUP)  # type: ignore[call-overload]  # a constant
    return target


@pytest.fixture(scope="session")
def migrated(server: Cluster) -> Target:
    """A database for the tables of one migration after the other."""
    return server.create_database("lock_battery")


@pytest.fixture
def session(tables: Target) -> Iterator[sa.Connection]:
    """The migration's connection, in a transaction."""
    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: connect(tables), poolclass=sa.NullPool)
    with engine.connect() as connection:
        yield connection
        connection.rollback()


def passes(second: psycopg.Connection, statement: str) -> bool:
    """Whether a statement of another session gets its locks."""
    try:
        second.execute(statement)  # type: ignore[call-overload]
    except psycopg.errors.LockNotAvailable:
        return False
    finally:
        second.rollback()
    return True


def blocked(target: Target, relation: str) -> str:
    """What really waits while the transaction is open, in the words of `Lock.blocks`."""
    with connect(target, options=f"-c lock_timeout={PATIENCE}") as second:
        only = "" if relation in ("m", "v") else "ONLY"
        reads = not passes(second, f"SELECT FROM {only} {relation} LIMIT 1")
        # LOCK TABLE is what INSERT begins with, whatever the columns; nobody writes to a materialized view
        writes = relation != "m" and not passes(second, f"LOCK TABLE {only} {relation} IN ROW EXCLUSIVE MODE")
    return "reads and writes" if reads else "writes" if writes else ""


def recorded(connection: sa.Connection, target: Target, statement: str) -> ExecutedStatement:
    recorder = Recorder(__file__, "upgrade", {"": target})
    with recorder.recording(connection):
        connection.exec_driver_sql(statement)
    (found,) = recorder.trace()
    return found


def locks(found: ExecutedStatement) -> dict[str, Lock]:
    return {each.relation: each.lock for each in found.touched if each.existed and each.lock is not None}


def test_there_are_enough_and_the_page_has_them() -> None:
    assert len({statement for statement, *_ in CASES}) == len(CASES) >= 60
    assert PAGE.read_text(encoding="utf-8") == page(), "python scripts/lock_table.py"


@pytest.mark.spread(3)
@pytest.mark.parametrize(("statement", "documented", "does", "_source"), CASES, ids=[each[0][:60] for each in CASES])
def test_a_lock_is_the_documented_one_and_blocks_what_it_says(
    session: sa.Connection, tables: Target, statement: str, documented: dict[str, Lock], does: str, _source: str
) -> None:
    found = recorded(session, tables, statement)
    told = locks(found)
    assert {name: told.get(name) for name in documented} == documented
    # no other table is locked more than a reader does
    others = {
        each.relation
        for each in found.touched
        if each.existed and each.kind in ("r", "p", "m") and (each.lock or 0) > Lock.ROW_SHARE
    }
    assert others <= documented.keys()
    of_tables = [each for each in found.touched if each.existed and each.kind in ("r", "p", "m")]
    assert any(each.rewritten and each.scanned for each in of_tables) == (does == "rewrites")
    assert any(each.scanned for each in of_tables) == bool(does)
    for name in documented.keys() - {"ix", "m"}:  # an index cannot be selected from
        assert blocked(tables, name) == found.blocks(name), name
        assert found.blocks(name) == documented[name].blocks or statement.startswith("REINDEX")
    assert (blocked(tables, "m") != "") == (documented.get("m") == Lock.ACCESS_EXCLUSIVE)


@pytest.mark.parametrize(("statement", "documented"), ALONE, ids=[each[0] for each in ALONE])
def test_what_ends_its_own_transactions_is_held_up_and_looked_at(
    server: Cluster, tables: Target, statement: str, documented: dict[str, Lock]
) -> None:
    target = server.create_database("lock_alone", tables.dbname)
    engine = sa.create_engine(
        "postgresql+psycopg://", creator=lambda: connect(target, autocommit=True), poolclass=sa.NullPool
    )
    with engine.connect() as connection:
        found = recorded(connection, target, statement)
    server.drop_database(target.dbname)
    assert {name: locks(found).get(name) for name in documented} == documented
    assert not found.in_transaction


@pytest.mark.parametrize(("statement", "documented"), ALONE, ids=[each[0] for each in ALONE])
def test_a_second_session_waits_for_it_as_it_should(
    server: Cluster, tables: Target, statement: str, documented: dict[str, Lock]
) -> None:
    """Somebody who uses the table keeps the statement from its end, and what waits for it meanwhile is tried."""
    target = server.create_database("lock_alone_blocks", tables.dbname)
    *_, last = documented
    mode = "ACCESS SHARE" if last == "p1" else "ROW EXCLUSIVE"
    with connect(target, autocommit=True) as runs, connect(target) as holds, connect(target, autocommit=True) as looks:
        holds.execute(f"LOCK TABLE ONLY {last} IN {mode} MODE".encode())
        thread = Thread(target=lambda: runs.execute(statement.encode()))
        thread.start()
        until(lambda: looks.execute(WAITS_FOR, [holds.info.backend_pid, runs.info.backend_pid]).fetchone() == (True,))
        found = {name: blocked(target, name) for name in documented}
        holds.rollback()
        thread.join()
    server.drop_database(target.dbname)
    assert found == {name: lock.blocks for name, lock in documented.items()}


IN_A_TRANSACTION = {name: case for name, case in {**DANGERS, **SAFE}.items() if not case.block}


@pytest.mark.spread(6)
@pytest.mark.parametrize("name", IN_A_TRANSACTION)
def test_what_is_said_to_wait_for_a_migration_does(migrated: Target, name: str) -> None:
    case = IN_A_TRANSACTION[name]
    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: connect(migrated), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(dangers.tables(case, 1))
    with engine.connect() as connection:
        for sql in case.sql:
            last = recorded(connection, migrated, dangers.numbered(sql, 1))
        met = {each.relation for each in last.touched} | {name for name, _ in last.inherited_locks}
        met &= set(sa.inspect(engine).get_table_names())  # what was there before
        assert {name: blocked(migrated, name) for name in met} == {name: last.blocks(name) for name in met}
        connection.rollback()


# What a failure leaves


@pytest.mark.parametrize(
    "statement",
    ["SELECT 1 / 0", "CREATE TABLE x (); SELECT 1 / 0", "SELECT 1 / 0; SELECT 1"],
    ids=["one", "last", "first"],
)
@pytest.mark.parametrize("autocommit", [False, True], ids=["transaction", "autocommit"])
def test_a_failure_is_that_of_the_statement_and_the_connection_stays_usable(
    tables: Target, statement: str, autocommit: bool
) -> None:
    engine = sa.create_engine(
        "postgresql+psycopg://", creator=lambda: connect(tables, autocommit=autocommit), poolclass=sa.NullPool
    )
    with engine.connect() as connection, Recorder(__file__, "upgrade", {"": tables}).recording(connection):
        with pytest.raises(sa.exc.DataError, match="division by zero"):
            connection.exec_driver_sql(statement)
        connection.rollback()
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar() == 9
        connection.exec_driver_sql("DROP TABLE IF EXISTS x")


def test_a_savepoint_that_is_rolled_back_gives_its_locks_back(session: sa.Connection, tables: Target) -> None:
    recorder = Recorder(__file__, "upgrade", {"": tables})
    with recorder.recording(session):
        session.exec_driver_sql("SAVEPOINT s")
        session.exec_driver_sql("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        session.exec_driver_sql("ROLLBACK TO SAVEPOINT s")
        session.exec_driver_sql("SELECT 1")
    assert dict(recorder.trace().statements[-1].inherited_locks).get("t") is None


def test_parameters_are_literals(session: sa.Connection, tables: Target) -> None:
    recorder = Recorder(__file__, "upgrade", {"": tables})
    with recorder.recording(session):
        session.execute(sa.text("SELECT :a, :b, '100%', :c"), {"a": "O'Brien", "b": None, "c": [1, 2]})
    (found,) = recorder.trace()
    assert found.sql == "SELECT 'O''Brien', NULL, '100%', '{1,2}'::int2[]"
