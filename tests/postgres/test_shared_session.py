"""A psycopg connection on the session of another driver: one transaction, two clients."""

import asyncio
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg.pq import TransactionStatus
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from dbkit.postgres.connect import connect
from dbkit.roundtrip import shared_session
from dbkit.roundtrip.access import Access
from dbkit.roundtrip.results import Unsupported
from dbkit.roundtrip.shared_session import SharedSession, share_session
from dbkit.settings import Target

DRIVERS = ("psycopg2", "asyncpg")
Body = Callable[[sa.Connection, "psycopg.Connection[Any]"], None]


@contextmanager
def shared(connection: sa.Connection) -> Iterator["psycopg.Connection[Any]"]:
    session = share_session(connection)
    assert isinstance(session, SharedSession)
    connection.commit()
    try:
        yield session.connection
    finally:
        session.close()


def run(driver: str, target: Target, body: Body) -> None:
    """Run a function with a connection of the driver, and a psycopg connection on its session."""

    def with_both(connection: sa.Connection) -> None:
        with shared(connection) as other:
            body(connection, other)

    url = Access(driver=driver).url(target)
    if driver == "asyncpg":
        asyncio.run(run_asynchronously(url, with_both))
    else:
        with sa.create_engine(url, poolclass=NullPool).connect() as connection:
            with_both(connection)


async def run_asynchronously(url: str, function: Callable[[sa.Connection], None]) -> None:
    async with create_async_engine(url, poolclass=NullPool).connect() as connection:
        await connection.run_sync(function)


@pytest.mark.parametrize("driver", DRIVERS)
def test_both_are_in_one_transaction(driver: str, database: Target) -> None:
    def body(connection: sa.Connection, other: "psycopg.Connection[Any]") -> None:
        connection.exec_driver_sql("CREATE TABLE t (id int)")
        other.execute("SAVEPOINT before")
        connection.exec_driver_sql("INSERT INTO t VALUES (1)")
        assert other.execute("SELECT id FROM t").fetchall() == [(1,)]
        assert other.info.transaction_status == TransactionStatus.INTRANS
        other.execute("ROLLBACK TO SAVEPOINT before")
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar() == 0
        connection.rollback()
        assert other.execute("SELECT to_regclass('t')").fetchone() == (None,)
        assert other.info.transaction_status == TransactionStatus.IDLE
        assert other.info.backend_pid == connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()

    run(driver, database, body)


@pytest.mark.parametrize("driver", DRIVERS)
def test_large_messages_in_both_directions(driver: str, database: Target) -> None:
    size = 5_000_000

    def body(connection: sa.Connection, other: "psycopg.Connection[Any]") -> None:
        for _ in range(2):
            assert other.execute("SELECT length(%s), repeat('x', %s)", ["y" * size, size]).fetchone() == (
                size,
                "x" * size,
            )
            text = connection.execute(sa.text("SELECT length(:x) || repeat('z', :n)"), {"x": "y" * size, "n": size})
            assert len(text.scalar_one()) == size + len(str(size))
        with other.cursor().copy("COPY (SELECT * FROM generate_series(1, 100000)) TO STDOUT") as copy:
            assert sum(1 for _ in copy.rows()) == 100_000
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1

    run(driver, database, body)


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_driver_goes_on_alone(driver: str, database: Target) -> None:
    def body(connection: sa.Connection, other: "psycopg.Connection[Any]") -> None:
        session = share_session(connection)  # a second one, which is left while the driver is in a transaction
        assert isinstance(session, SharedSession)
        session.connection.execute("CREATE TABLE kept (id int)")
        session.close()
        session.close()
        connection.exec_driver_sql("INSERT INTO kept VALUES (1)")
        connection.commit()
        assert other.execute("SELECT count(*) FROM kept").fetchone() == (1,)

    run(driver, database, body)


@pytest.mark.parametrize("driver", DRIVERS)
def test_errors_and_notices_go_to_the_client_that_caused_them(driver: str, database: Target) -> None:
    def body(connection: sa.Connection, other: "psycopg.Connection[Any]") -> None:
        notices: list[str | None] = []
        other.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        other.execute("DO $$ BEGIN RAISE NOTICE 'ours'; END $$")
        connection.exec_driver_sql("DO $$ BEGIN RAISE NOTICE 'of the driver'; END $$")
        other.execute("SAVEPOINT before")
        with pytest.raises(sa.exc.DBAPIError, match="division by zero"):
            connection.exec_driver_sql("SELECT 1 / 0")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            other.execute("SELECT 1")
        other.execute("ROLLBACK TO SAVEPOINT before")
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
        assert notices == ["ours"]

    run(driver, database, body)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_session_that_ends_is_an_error_for_both(driver: str, database: Target) -> None:
    def body(connection: sa.Connection, other: "psycopg.Connection[Any]") -> None:
        with connect(database, autocommit=True) as killer:
            killer.execute("SELECT pg_terminate_backend(%s, 5000)", [other.info.backend_pid])
        with pytest.raises(psycopg.OperationalError):
            other.execute("SELECT 1")
        with pytest.raises(sa.exc.DBAPIError) as error:
            connection.exec_driver_sql("SELECT 1")
        assert error.value.connection_invalidated
        connection.rollback()

    run(driver, database, body)


def test_text_is_read_in_the_encoding_of_the_session(database: Target) -> None:
    def body(connection: sa.Connection, other: "psycopg.Connection[Any]") -> None:
        assert other.info.encoding == "iso8859-1"
        assert other.info.parameter_status("DateStyle") == "ISO, DMY"  # psycopg2 sets the first
        assert other.execute("SELECT 'größe', date '2026-12-31'").fetchone() is not None
        assert other.execute("SELECT 'größe'").fetchone() == ("größe",)
        assert other.info.server_version == int(connection.exec_driver_sql("SHOW server_version_num").scalar_one())

    options = (("options", "-c client_encoding=latin1 -c datestyle=sql,dmy"),)
    target = Target(**{**vars(database), "query": (*database.query, *options)})
    run("psycopg2", target, body)


def test_variables_of_libpq_are_for_other_servers(database: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "PGTARGETSESSIONATTRS": "standby",
        "PGSSLMODE": "verify-full",
        "PGREQUIREPEER": "somebody",
        "PGSERVICE": "not_there",
        "PGCHANNELBINDING": "require",
        "PGREQUIREAUTH": "scram-sha-256",
    }
    with sa.create_engine(Access(driver="psycopg2").url(database), poolclass=NullPool).connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            with shared(connection) as other:
                assert other.execute("SELECT 1").fetchone() == (1,)
            assert variables.items() <= os.environ.items()


def test_it_works_over_tcp(password_server: Target) -> None:
    def body(connection: sa.Connection, other: "psycopg.Connection[Any]") -> None:
        connection.exec_driver_sql("CREATE TEMPORARY TABLE t (id int)")
        assert other.execute("SELECT count(*) FROM t").fetchone() == (0,)
        connection.rollback()

    for driver in DRIVERS:
        run(driver, password_server, body)


def test_an_encrypted_session_is_not_shared(database: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_session, "SESSION", "SELECT '1', 'true', '{}'")
    with sa.create_engine(Access(driver="psycopg2").url(database), poolclass=NullPool).connect() as connection:
        assert share_session(connection) == Unsupported(shared_session.ENCRYPTED)


def test_a_blocking_socket_is_not_shared(database: Target) -> None:
    """For libpq reads until nothing is left."""
    with sa.create_engine(Access(driver="psycopg2").url(database), poolclass=NullPool).connect() as connection:
        driver: Any = connection.connection.driver_connection
        os.set_blocking(driver.fileno(), True)
        assert share_session(connection) == Unsupported()
        os.set_blocking(driver.fileno(), False)


def test_where_no_socket_can_be_made_nothing_is_shared(database: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_keywords: object) -> None:
        raise PermissionError("no room in /tmp")

    monkeypatch.setattr(shared_session.tempfile, "TemporaryDirectory", refuse)
    with sa.create_engine(Access(driver="psycopg2").url(database), poolclass=NullPool).connect() as connection:
        assert share_session(connection) == Unsupported(shared_session.NOT_SHARED.format(error="no room in /tmp"))


def test_a_driver_without_a_known_socket_is_not_shared(database: Target) -> None:
    with psycopg.connect(**database.parameters()) as connection:  # type: ignore[arg-type]
        assert shared_session.find_socket(connection) is None


def test_classes_derived_from_the_drivers_are_known(database: Target) -> None:
    psycopg2 = pytest.importorskip("psycopg2")

    class Connection(psycopg2.extensions.connection):  # type: ignore[misc]
        """As an application has it."""

    engine = sa.create_engine(
        Access(driver="psycopg2").url(database), poolclass=NullPool, connect_args={"connection_factory": Connection}
    )
    with engine.connect() as connection, shared(connection) as other:
        assert other.execute("SELECT 1").fetchone() == (1,)


def test_a_newer_libpq_is_offered_the_old_protocol() -> None:
    startup = struct.pack("!iHH", 8, 3, 2)
    assert shared_session._answer(startup, 1, {}).startswith(b"v" + struct.pack("!iii", 12, 3 << 16, 0))
    assert shared_session._answer(struct.pack("!iHH", 8, 3, 0), 1, {}).startswith(b"R")


def test_it_leaves_no_file_descriptor_and_no_file(database: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    make = shared_session.tempfile.TemporaryDirectory

    def record(**keywords: Any) -> Any:
        directory = make(**keywords)
        made.append(directory.name)
        assert Path(directory.name).stat().st_mode & 0o777 == 0o700
        return directory

    monkeypatch.setattr(shared_session.tempfile, "TemporaryDirectory", record)
    with sa.create_engine(Access(driver="psycopg2").url(database), poolclass=NullPool).connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        before = open_files()
        with shared(connection):
            assert open_files() == before + 1
        assert open_files() == before
    assert len(made) == 1
    assert not Path(made[0]).exists()


def open_files() -> int:
    return len([*Path("/proc/self/fd").iterdir()])
