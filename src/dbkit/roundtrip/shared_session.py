"""Share the session of another driver: a psycopg connection on the socket of a connection of psycopg2 or asyncpg.

Savepoints, fingerprints and sample rows have to be in the very transaction that the migration runs in, whatever its
driver is. libpq opens a session only by itself. So it logs in to a socket of this process, which answers as a server
would; then its file descriptor is replaced by that of the driver. From there on two clients use one session in turns:
the driver has read its last reply when its call returns, and so has libpq.

What one of them does, the other does not see: `SharedProofConnection` keeps them in step.
"""

import contextlib
import json
import os
import selectors
import socket
import struct
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import pq
from psycopg.conninfo import make_conninfo

from dbkit.errors import describe_error
from dbkit.roundtrip.results import Unsupported

ENCRYPTED = "the connection of env.py is encrypted: each revision is proven in a clone of its database, which is slower"
NOT_SHARED = (
    "psycopg cannot share the connection of env.py ({error}): each revision is proven in a clone of its "
    "database, which is slower"
)
# what libpq and psycopg know of a session from the messages at its start
SESSION = """\
SELECT pg_catalog.pg_backend_pid()::pg_catalog.text,
    (EXISTS (SELECT FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid() AND ssl)
     OR EXISTS (SELECT FROM pg_catalog.pg_stat_gssapi WHERE pid = pg_catalog.pg_backend_pid() AND encrypted)
    )::pg_catalog.text,
    (SELECT pg_catalog.json_object_agg(name, pg_catalog.current_setting(name))::pg_catalog.text
     FROM pg_catalog.pg_settings WHERE name IN (
         'server_version', 'server_encoding', 'client_encoding', 'DateStyle', 'TimeZone', 'IntervalStyle',
         'integer_datetimes', 'standard_conforming_strings'))"""
PORT = 5432
PROTOCOL = 3 << 16
PATIENCE = 5.0  # seconds; both ends are in this process
LONGEST_STARTUP = 10_000  # bytes, as of the server


class SharedSession:
    """A psycopg connection, in autocommit, on the session of another driver's connection."""

    def __init__(self, driver: int, pid: int, parameters: Mapping[str, str]) -> None:
        """`driver` is the file descriptor of the driver's socket, which must not be blocking: libpq reads on."""
        pgconn = _log_in(pid, parameters)
        os.dup2(driver, pgconn.socket, inheritable=False)
        self.connection: psycopg.Connection[Any] = psycopg.Connection(pgconn)
        self.connection.autocommit = True
        self.connection.prepare_threshold = None

    def close(self) -> None:
        """Leave the session to the driver: the last message of libpq goes to a socket that is closed with it."""
        if self.connection.closed:
            return
        ours, theirs = socket.socketpair()
        with ours, theirs:
            os.dup2(ours.fileno(), self.connection.pgconn.socket, inheritable=False)
        self.connection.close()


def share_session(connection: sa.Connection) -> "SharedSession | Unsupported":
    """Share the session of a SQLAlchemy connection; Unsupported where its socket cannot be had, or is encrypted.

    Runs a query through the driver, whose transaction the caller commits.
    """
    descriptor = find_socket(connection.connection.driver_connection)
    if descriptor is None or os.get_blocking(descriptor):
        return Unsupported()
    pid, encrypted, parameters = connection.exec_driver_sql(SESSION).one()
    if encrypted == "true":
        return Unsupported(ENCRYPTED)
    try:
        return SharedSession(descriptor, int(pid), json.loads(parameters))
    except (OSError, psycopg.Error) as error:  # no directory for the socket, or a libpq that asks for more
        return Unsupported(NOT_SHARED.format(error=describe_error(error)))


def find_socket(driver: Any) -> int | None:
    """Return the file descriptor of a driver's connection: of psycopg2 and asyncpg; None for any other."""
    if is_of(driver, "psycopg2"):
        return int(driver.fileno())
    transport = getattr(driver, "_transport", None) if is_of(driver, "asyncpg") else None
    found = transport.get_extra_info("socket") if transport is not None else None
    return None if found is None else int(found.fileno())


def is_of(driver: Any, package: str) -> bool:
    """Whether a driver's connection is of a package, or of a class derived from one there."""
    return any(each.__module__.partition(".")[0] == package for each in type(driver).__mro__)


def begin_transaction(connection: sa.Connection) -> None:
    """Begin a transaction as the driver does before its first statement."""
    pooled: Any = connection.connection.dbapi_connection
    # of SQLAlchemy's adapter for asyncpg, which would prepare, execute and close a statement
    begin = getattr(pooled, "_start_transaction", None)
    if begin and getattr(pooled, "_transaction", None) is None:
        sa.util.await_only(begin())
        return
    execute_as_driver(connection, "SELECT 1")


def execute_as_driver(connection: sa.Connection, statement: str) -> None:
    """Execute a statement through the driver, past SQLAlchemy's events."""
    cursor = connection.connection.cursor()
    cursor.execute(statement)
    cursor.close()


def forget_statements(connection: sa.Connection) -> None:
    """Make the driver forget its prepared statements, and what it knows of types.

    A savepoint that is rolled back takes tables and types along, which asyncpg and SQLAlchemy's dialect would go on
    using.
    """
    invalidate = getattr(connection.dialect, "_invalidate_schema_cache", None)
    if invalidate:
        invalidate()
    statements = getattr(connection.connection.dbapi_connection, "_prepared_statement_cache", None)
    if statements:  # also for the driver's own cursor, which does not ask the dialect
        statements.clear()


def _log_in(pid: int, parameters: Mapping[str, str]) -> pq.abc.PGconn:
    """Return libpq's connection to a socket of this process that answers as the backend `pid` would."""
    # of mode 0700, with a path without a comma, which would end the host for libpq, and short enough for a socket
    with tempfile.TemporaryDirectory(prefix="dbkit-", dir="/tmp") as name, socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(PATIENCE)
        listener.bind(str(Path(name) / f".s.PGSQL.{PORT}"))
        listener.listen(1)
        with _without_variables():
            conninfo = make_conninfo(host=name, port=PORT, user="dbkit", dbname="dbkit")
            pgconn = pq.PGconn.connect_start(conninfo.encode())
        with listener.accept()[0] as server:
            server.settimeout(PATIENCE)
            _poll(pgconn, selectors.EVENT_WRITE, pq.PollingStatus.READING)
            server.sendall(_answer(server.recv(LONGEST_STARTUP), pid, parameters))
            _poll(pgconn, selectors.EVENT_READ, pq.PollingStatus.OK)
    if pgconn.status != pq.ConnStatus.OK:
        raise psycopg.OperationalError(pgconn.get_error_message())
    return pgconn


def _poll(pgconn: pq.abc.PGconn, event: int, until: pq.PollingStatus) -> None:
    """Let libpq go on with its login, each time that the event has come, until it wants something else."""
    status = None
    while status not in (until, pq.PollingStatus.FAILED):
        with selectors.DefaultSelector() as selector:
            selector.register(pgconn.socket, event)
            if not selector.select(PATIENCE):
                raise TimeoutError
        status = pq.PollingStatus(pgconn.connect_poll())


def _answer(startup: bytes, pid: int, parameters: Mapping[str, str]) -> bytes:
    """Return the server's messages from the startup packet to the first query."""
    wanted = struct.unpack_from("!i", startup, 4)[0]
    messages = [_message(b"v", struct.pack("!ii", PROTOCOL, 0))] if wanted > PROTOCOL else []
    messages.append(_message(b"R", struct.pack("!i", 0)))
    messages += [_message(b"S", f"{name}\0{value}\0".encode()) for name, value in parameters.items()]
    messages.append(_message(b"K", struct.pack("!ii", pid, 0)))
    messages.append(_message(b"Z", b"I"))
    return b"".join(messages)


def _message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!i", len(content) + 4) + content


@contextlib.contextmanager
def _without_variables() -> Iterator[None]:
    """Hide libpq's variables, which are meant for real servers: PGTARGETSESSIONATTRS would have it run queries."""
    former = {name: value for name, value in os.environ.items() if name.startswith("PG")}
    for name in former:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(former)
