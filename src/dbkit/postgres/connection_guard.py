"""Stop every connection to a database other than the one meant, before its first statement.

While an env.py runs, a `ConnectionGuard` decides on each connection that this process opens: by SQLAlchemy with any
driver, and by psycopg, psycopg2, asyncpg or pg8000 directly. Programs that env.py starts are out of its sight.
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

# Which database of which server it is: the name alone is often the same on two servers. Any role may ask for it, and
# what the session has set, such as its search path, changes no answer.
IDENTITY = """\
SELECT pg_catalog.current_database()::pg_catalog.text,
    pg_catalog.concat(pg_catalog.encode(pg_catalog.timestamptz_send(pg_catalog.pg_postmaster_start_time()), 'hex'), '/',
        (SELECT d.oid FROM pg_catalog.pg_database AS d
         WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())),
    pg_catalog.pg_backend_pid()"""


class ConnectionRefused(InputError):
    """env.py, or a migration, opens a connection that this run does not allow, or goes past the gate."""


@dataclass(frozen=True)
class Identity:
    """The database that a connection is to, as the server says, and the server process."""

    dbname: str
    server: str = ""
    """When the server was started, and the OID of the database; empty for what is no PostgreSQL database."""
    pid: int = 0

    def is_same_database(self, other: "Identity") -> bool:
        """Whether both are sessions on one database of one server."""
        return bool(self.server) and (self.dbname, self.server) == (other.dbname, other.server)


class ConnectionGuard:
    """Decides on the connections that are opened while `guarding` lasts. Each method may raise through `refuse`."""

    refusal: DbkitError | None = None
    """Why the first connection was refused, whatever env.py made of the error."""

    def refuse(self, error: DbkitError) -> NoReturn:
        """Raise the error, and keep it."""
        self.refusal = self.refusal or error
        raise error

    def require_none_refused(self) -> None:
        """Raise the refusal, if there was one."""
        if self.refusal is not None:
            raise self.refusal

    def before(self, dbname: str | None) -> None:
        """Called before a connection is opened; `dbname` is what the caller names, if it names one."""

    def check(self, identity: Identity) -> None:
        """Called when it is open, before its first statement."""

    def check_own(self, target: Target) -> None:
        """Called before this package opens a connection of its own, which then passes unseen."""

    def pooled(self, connection: Any, _entry: Any) -> None:
        """Called when a SQLAlchemy pool has opened `connection`, with its entry there, before its first statement."""
        if connection not in _known:
            self.check(identify(connection))


_guards: list[ConnectionGuard] = []
_known: WeakSet[Any] = WeakSet()
"""Connections that are this package's own, or that were checked when their driver had opened them."""
_is_own = ContextVar("is_own", default=False)


@contextmanager
def guarding(guard: ConnectionGuard) -> Iterator[None]:
    """Let `guard` decide on all connections. Raises its refusal at the end, also where env.py has caught the error."""
    import sqlalchemy as sa

    _guards.append(guard)
    sa.event.listen(sa.Pool, "connect", _pooled := lambda connection, entry: guard.pooled(connection, entry))
    try:
        with ExitStack() as stack:
            for place, name, replacement in _hooks(guard):
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
    """Raise the refusal of a connection, where env.py or a migration has caught it."""
    for guard in _guards:
        guard.require_none_refused()


@contextmanager
def own(target: Target) -> Iterator[None]:
    """Surrounds the opening of a connection of this package's own. Raises where a guard allows none to `target`."""
    for guard in _guards:
        guard.check_own(target)
    token = _is_own.set(True)
    try:
        yield
    finally:
        _is_own.reset(token)


def remember(connection: psycopg.Connection[Any]) -> None:
    """Know a connection as this package's own when a pool shows it."""
    _known.add(connection)


def require_meant(dbname: str) -> None:
    """Raise where a guard allows no connection to `dbname`: a gate within a gate has read settings of its own."""
    for guard in _guards:
        guard.before(dbname)


def identify(connection: Any) -> Identity:
    """Ask through a DBAPI connection, and end the transaction. What cannot answer is no PostgreSQL database."""
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


def _hooks(guard: ConnectionGuard) -> Iterator[tuple[Any, str, object]]:
    """Where each driver opens its connections, whatever is called for it: the place, the name there, and what to put
    in its stead. A driver that is not installed has none."""
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
    """Without a transaction, and in the same way for a connection of asyncio's."""
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
            guard.check(Identity(*await connection.fetchrow(IDENTITY)))
        return connection

    return driver, "_connect", connect


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
    """Surrounds the check of a connection that its driver has just opened: it is known afterwards, or closed."""
    try:
        yield
    except BaseException:
        close()
        raise
    _known.add(connection)


def _text(dbname: Any) -> str | None:
    return dbname.decode() if isinstance(dbname, bytes) else dbname
