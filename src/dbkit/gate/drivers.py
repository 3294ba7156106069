"""The drivers through which a project's own engine connects: psycopg (both kinds), psycopg2 and asyncpg.

What SQLAlchemy does not show is read from the driver here: the state of its transaction, the backend, the login.
"""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from psycopg.pq import Conninfo, TransactionStatus
from psycopg.rows import tuple_row
from sqlalchemy.util import await_only

from dbkit.errors import InputError
from dbkit.postgres.sql_text import plain_statements
from dbkit.settings import Target

Write = Callable[[bytes], object]
LEFT_OUT = ("fallback_application_name", "application_name", "client_encoding", "replication", "connect_timeout")
"""Parameters of a login that another session does not take over."""


class Driver:
    """A connection of one driver. `dbapi` is as SQLAlchemy uses it, `raw` the driver's own object."""

    def __init__(self, dbapi: Any, raw: Any) -> None:
        self.dbapi = dbapi
        self.raw = raw

    @property
    def status(self) -> TransactionStatus:
        """The state of the session's transaction, as the server has reported it last."""
        raise NotImplementedError

    @property
    def pid(self) -> int:
        """The pid of the backend, as the server has reported it at the login: a pooler reports another one."""
        raise NotImplementedError

    @property
    def closed(self) -> bool:
        """Whether the connection is closed, or was lost."""
        return bool(self.raw.closed)

    @property
    def server_encoding(self) -> str:
        """The encoding of the database."""
        return self.parameter("server_encoding") or ""

    @property
    def descriptor(self) -> int:
        """The file descriptor of its socket."""
        return int(self.raw.fileno())

    def parameter(self, name: str) -> str | None:
        """A parameter that the server has reported; None without one."""
        raise NotImplementedError

    def cursor(self) -> Any:
        """A DBAPI cursor that returns rows as tuples, whatever the project has set for its own."""
        return self.dbapi.cursor()

    def execute_several(self, text: str) -> bool:
        """Execute several statements without a result. Returns False where the cursor can do that itself."""
        return False

    def cancel(self) -> None:
        """Cancel the running statement, from any thread."""
        raise NotImplementedError

    def cancel_at_signal(self) -> None:
        """Cancel the running statement where the driver's wait for it does not end at a signal. From any thread."""

    def copy_out(self, query: str, write: Write) -> int:
        """Write the rows of a query in the format of COPY. Returns their number. Raises the driver's errors."""
        raise NotImplementedError

    def login(self) -> dict[str, Any]:
        """Return libpq's keywords for another session like this one, the password included."""
        raise NotImplementedError


class Libpq(Driver):
    """A driver on libpq, with the `info` that psycopg2 and psycopg share."""

    @property
    def status(self) -> TransactionStatus:
        return TransactionStatus(self.raw.info.transaction_status)

    @property
    def pid(self) -> int:
        return int(self.raw.info.backend_pid)

    def parameter(self, name: str) -> str | None:
        value = self.raw.info.parameter_status(name)
        return None if value is None else str(value)

    def cancel(self) -> None:
        self.raw.cancel()


class Psycopg(Libpq):
    """psycopg 3, through either of its SQLAlchemy dialects."""

    def cursor(self) -> Any:
        cursor = self.dbapi.cursor()
        getattr(cursor, "_cursor", cursor).row_factory = tuple_row
        return cursor

    def copy_out(self, query: str, write: Write) -> int:
        statement = f"COPY ({query}) TO STDOUT"
        if self.dbapi is not self.raw:
            return int(await_only(self._copy_async(statement, write)))
        with self.raw.cursor() as cursor:
            with cursor.copy(statement) as copy:
                for chunk in copy:
                    write(bytes(chunk))
            return int(cursor.rowcount)

    async def _copy_async(self, statement: str, write: Write) -> int:
        async with self.raw.cursor() as cursor:
            async with cursor.copy(statement) as copy:
                async for chunk in copy:
                    write(bytes(chunk))
            return int(cursor.rowcount)

    def login(self) -> dict[str, Any]:
        info = self.raw.info
        place = {"host": info.host, "port": str(info.port), "user": info.user, "dbname": info.dbname}
        return {**info.get_parameters(), **place, "password": info.password or None}


class Psycopg2(Libpq):
    """psycopg2."""

    def cursor(self) -> Any:
        extensions: Any = importlib.import_module("psycopg2.extensions")
        return self.raw.cursor(cursor_factory=extensions.cursor)

    def cancel_at_signal(self) -> None:
        self.raw.cancel()

    def copy_out(self, query: str, write: Write) -> int:
        extensions: Any = importlib.import_module("psycopg2.extensions")
        codec = extensions.encodings[self.raw.encoding]

        class Sink:
            def write(self, data: bytes | str) -> int:
                write(data if isinstance(data, bytes) else data.encode(codec))
                return len(data)

        with self.cursor() as cursor:
            cursor.copy_expert(f"COPY ({query}) TO STDOUT", Sink())
            return int(cursor.rowcount)

    def login(self) -> dict[str, Any]:
        info = self.raw.info
        return {**info.dsn_parameters, "password": info.password or None}


class Asyncpg(Driver):
    """asyncpg, through SQLAlchemy's adapter: to be called within the adapter's greenlet only."""

    @property
    def status(self) -> TransactionStatus:
        if self.closed:
            return TransactionStatus.UNKNOWN
        return TransactionStatus.INTRANS if self.raw.is_in_transaction() else TransactionStatus.IDLE

    @property
    def pid(self) -> int:
        return int(self.raw.get_server_pid())

    @property
    def closed(self) -> bool:
        return bool(self.raw.is_closed())

    @property
    def descriptor(self) -> int:
        return int(self.raw._transport.get_extra_info("socket").fileno())

    def parameter(self, name: str) -> str | None:
        value = getattr(self.raw.get_settings(), name, None)
        return None if value is None else str(value)

    def execute_several(self, text: str) -> bool:
        if len(list(plain_statements(text))) < 2:
            return False
        await_only(self.raw.execute(text))
        return True

    def cancel(self) -> None:
        """Do nothing: a signal cancels the task, and so asyncpg the statement."""

    def copy_out(self, query: str, write: Write) -> int:
        async def output(chunk: bytes) -> None:
            write(bytes(chunk))

        reply = await_only(self.raw.copy_from_query(query, output=output))
        return int(str(reply).rpartition(" ")[2])

    def login(self) -> dict[str, Any]:
        # asyncpg has no public way to what it was connected with: https://github.com/MagicStack/asyncpg/issues/1022
        address, given = self.raw._addr, self.raw._params
        host, port = address if isinstance(address, tuple) else _split_socket(address)
        password = given.password
        mode = getattr(getattr(given, "sslmode", None), "name", "")
        settings = given.server_settings or {}
        return {
            "host": host,
            "port": str(port),
            "user": given.user,
            "password": password if isinstance(password, str) else None,
            "dbname": given.database,
            "sslmode": mode.replace("_", "-") or None,
            "options": " ".join(f"-c {_escape(name)}={_escape(value)}" for name, value in settings.items()) or None,
        }


DRIVERS: dict[str, type[Driver]] = {"psycopg": Psycopg, "psycopg2": Psycopg2, "asyncpg": Asyncpg}


def open_driver(dbapi: Any) -> Driver:
    """Return the driver of a DBAPI connection. Raises InputError for a driver that the gate does not know."""
    raw = getattr(dbapi, "driver_connection", dbapi)
    module = type(raw).__module__.partition(".")[0]
    for base in type(raw).__mro__:
        kind = DRIVERS.get(base.__module__.partition(".")[0])
        if kind is not None:
            return kind(dbapi, raw)
    raise InputError(
        f"env.py connects with the driver {module}, which the gate does not know.",
        f"It knows {', '.join(DRIVERS)}: for instance, postgresql+psycopg://… in the URL.",
    )


def target_of(driver: Driver) -> Target:
    """Return the database that a connection is connected to, with its login."""
    given = {name: value for name, value in driver.login().items() if value not in (None, "")}
    known = {name: given.pop(name, None) for name in ("dbname", "user", "password", "host", "port")}
    port = str(known["port"] or "").partition(",")[0]
    # psycopg2 lists all parameters of its libpq, of which psycopg's may be an older one
    defaults = {each.keyword.decode(): each.compiled for each in Conninfo.get_defaults()}
    query = tuple(
        sorted(
            (name, str(value))
            for name, value in given.items()
            if name in defaults and name not in LEFT_OUT and str(value).encode() != defaults[name]
        )
    )
    return Target(
        dbname=str(known["dbname"]),
        user=known["user"],
        password=known["password"],
        host=known["host"],
        port=int(port) if port else None,
        query=query,
    )


def _split_socket(path: str) -> Sequence[str]:
    directory, _, name = path.rpartition("/")
    return directory, name.rpartition(".")[2]


def _escape(text: object) -> str:
    return str(text).replace("\\", "\\\\").replace(" ", "\\ ")
