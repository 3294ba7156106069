"""Refuse connections to any database but the intended one, before their first statement.

While env.py runs, a `ConnectionGuard` checks each connection of this process: of SQLAlchemy with any driver, and of
psycopg, psycopg2, asyncpg and pg8000 directly. It does not see the connections of programs that env.py starts.
"""

import importlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NoReturn
from weakref import WeakSet

import psycopg
from psycopg.conninfo import conninfo_to_dict

from dbkit.errors import DbkitError, InputError
from dbkit.settings import Target

# The database and its server: the name alone is often the same on two servers. Any role may run it, and settings of
# the session, such as the search path, do not change the result.
IDENTITY = """\
SELECT pg_catalog.current_database()::pg_catalog.text,
    pg_catalog.concat(pg_catalog.encode(pg_catalog.timestamptz_send(pg_catalog.pg_postmaster_start_time()), 'hex'), '/',
        (SELECT d.oid FROM pg_catalog.pg_database AS d
         WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())),
    pg_catalog.pg_backend_pid()"""


class ConnectionRefused(InputError):
    """env.py or a migration opens a connection that this run does not allow, or bypasses the gate."""


@dataclass(frozen=True)
class Identity:
    """The database of a connection, as the server reports it, and the pid of the backend."""

    dbname: str
    server: str = ""
    """The start time of the server and the OID of the database; empty for other than PostgreSQL."""
    pid: int = 0

    def is_same_database(self, other: "Identity") -> bool:
        """Whether both are sessions on one database of one server."""
        return bool(self.server) and (self.dbname, self.server) == (other.dbname, other.server)


class ConnectionGuard:
    """Checks the connections that are opened within `guarding`. A method refuses one with `refuse`."""

    refusal: DbkitError | None = None
    """The first refusal, also when env.py caught the exception."""

    def refuse(self, error: DbkitError) -> NoReturn:
        """Raise the error, and record it."""
        self.refusal = self.refusal or error
        raise error

    def require_none_refused(self) -> None:
        """Raise the recorded refusal, if there is one."""
        if self.refusal is not None:
            raise self.refusal

    def before(self, dbname: str | None) -> None:
        """Called before a connection is opened; `dbname` as the caller gives it, if it does."""

    def check(self, identity: Identity) -> None:
        """Called when a connection is open, before its first statement."""

    def check_own(self, target: Target) -> None:
        """Called before dbkit itself opens a connection, which is not checked otherwise."""

    def pooled(self, connection: Any, _entry: Any) -> None:
        """Called when a SQLAlchemy pool has opened a connection, with its pool entry, before its first statement."""
        if connection not in _known:
            self.check(identify(connection))


_guards: list[ConnectionGuard] = []
_known: WeakSet[Any] = WeakSet()
"""The connections of dbkit, and those that were checked when their driver had opened them."""
_is_own = ContextVar("is_own", default=False)


@contextmanager
def guarding(guard: ConnectionGuard) -> Iterator[None]:
    """Check all connections with `guard`. Raises its refusal at the end, also when env.py caught the exception."""
    import sqlalchemy as sa

    _guards.append(guard)
    sa.event.listen(sa.Pool, "connect", _pooled := lambda connection, entry: guard.pooled(connection, entry))
    try:
        with ExitStack() as stack:
            for place, name, replacement in _replacements(guard):
                stack.enter_context(_replaced(place, name, replacement))
            yield
    except DbkitError as error:
        if error.__cause__ is not guard.refusal:
            guard.require_none_refused()
        raise
    except BaseException:
        guard.require_none_refused()
        raise
    else:
        guard.require_none_refused()
    finally:
        sa.event.remove(sa.Pool, "connect", _pooled)
        _guards.remove(guard)


def require_none_refused() -> None:
    """Raise the refusal of a connection that env.py or a migration has caught."""
    for guard in _guards:
        guard.require_none_refused()


@contextmanager
def own(target: Target) -> Iterator[None]:
    """Open a connection of dbkit within this context. Raises where a guard allows none to `target`."""
    for guard in () if _is_own.get() else _guards:
        guard.check_own(target)
    with unguarded():
        yield


@contextmanager
def unguarded() -> Iterator[None]:
    """Open connections of dbkit within this context: to the server of another one that was checked, or to a new one."""
    token = _is_own.set(True)
    try:
        yield
    finally:
        _is_own.reset(token)


def remember(connection: psycopg.Connection[Any]) -> None:
    """Register a connection of dbkit, so that it is not checked in a pool."""
    _known.add(connection)


def require_meant(dbname: str) -> None:
    """Raise where a guard allows no connection to `dbname`: a nested gate may have other settings."""
    for guard in _guards:
        guard.before(dbname)


def identify(connection: Any) -> Identity:
    """Read the identity through a DBAPI connection, and end the transaction. An error means other than PostgreSQL."""
    cursor = connection.cursor()
    try:
        cursor.execute(IDENTITY)
        return Identity(*cursor.fetchone())
    except Exception as error:  # each driver has its own
        return Identity(f"{type(connection).__module__} ({type(error).__name__})")
    finally:
        cursor.close()
        connection.rollback()


@contextmanager
def _replaced(place: Any, name: str, replacement: object) -> Iterator[None]:
    former = vars(place)[name]
    setattr(place, name, replacement)
    try:
        yield
    finally:
        setattr(place, name, former)


def _replacements(guard: ConnectionGuard) -> Iterator[tuple[Any, str, object]]:
    """The functions with which the installed drivers open connections: object, attribute, and the replacement."""
    yield psycopg.BaseConnection, "_connect_gen", _psycopg(guard)
    for module, hook in (("psycopg2", _psycopg2), ("asyncpg.connect_utils", _asyncpg), ("pg8000.core", _pg8000)):
        try:
            driver = importlib.import_module(module)
        except ImportError:
            continue
        yield hook(guard, driver)


def _psycopg(guard: ConnectionGuard) -> object:
    original = vars(psycopg.BaseConnection)["_connect_gen"].__func__

    def connect(cls: Any, conninfo: str = "", *arguments: Any, **keywords: Any) -> Any:
        if _is_own.get():
            return (yield from original(cls, conninfo, *arguments, **keywords))
        guard.before(_text(conninfo_to_dict(conninfo).get("dbname")))
        connection = yield from original(cls, conninfo, *arguments, **keywords)
        with _checked(connection, connection.pgconn.finish):
            guard.check(_identify_psycopg(connection.pgconn))
        return connection

    return classmethod(connect)


def _identify_psycopg(pgconn: psycopg.pq.abc.PGconn) -> Identity:
    """Read the identity without a transaction, also for a connection of asyncio."""
    result = pgconn.exec_(IDENTITY.encode())
    if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
        return Identity(result.get_error_message())
    dbname, server, pid = (result.get_value(0, column) or b"" for column in range(3))
    return Identity(dbname.decode(errors="replace"), server.decode(), int(pid))


def _psycopg2(guard: ConnectionGuard, driver: Any) -> tuple[Any, str, object]:
    original = driver._connect

    def connect(dsn: str, *arguments: Any, **keywords: Any) -> Any:
        guard.before(_text(conninfo_to_dict(dsn).get("dbname")))
        connection = original(dsn, *arguments, **keywords)
        with _checked(connection, connection.close):
            guard.check(identify(connection))
        return connection

    return driver, "_connect", connect


def _asyncpg(guard: ConnectionGuard, driver: Any) -> tuple[Any, str, object]:
    original = driver._connect

    async def connect(**keywords: Any) -> Any:
        guard.before(_text(keywords.get("database")))
        connection = await original(**keywords)
        with _checked(connection, connection.terminate):
            guard.check(await _identify_asyncpg(connection))
        return connection

    return driver, "_connect", connect


async def _identify_asyncpg(connection: Any) -> Identity:
    """Read the identity; an error means other than PostgreSQL, which is refused later."""
    try:
        return Identity(*await connection.fetchrow(IDENTITY))
    except Exception as error:
        return Identity(f"asyncpg ({type(error).__name__})")


def _pg8000(guard: ConnectionGuard, driver: Any) -> tuple[Any, str, object]:
    original = driver.CoreConnection.__init__

    def connect(
        self: Any, user: Any, host: Any = "localhost", database: Any = None, *rest: Any, **keywords: Any
    ) -> None:
        guard.before(_text(database))
        original(self, user, host, database, *rest, **keywords)
        with _checked(self, self.close):
            guard.check(Identity(*self.execute_simple(IDENTITY).rows[0]))

    return driver.CoreConnection, "__init__", connect


@contextmanager
def _checked(connection: Any, close: Callable[[], object]) -> Iterator[None]:
    """Check a new connection within this context: it is registered at the end, or closed after an exception."""
    try:
        yield
    except BaseException:
        close()
        raise
    _known.add(connection)


def _text(dbname: Any) -> str | None:
    return dbname.decode() if isinstance(dbname, bytes) else dbname
