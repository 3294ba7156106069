"""The migration connection of a project's own env.py: dbkit's statements run on it through the project's driver.

It has the interface of `OwnConnection` as far as the gate and the hooks use it. Its errors are psycopg's, with the
SQLSTATE and the message of the server, whatever the driver is.
"""

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.sql import Composable

from dbkit.database_url import History, Target
from dbkit.errors import sqlstate_of
from dbkit.gate.drivers import Write, open_driver, target_of
from dbkit.postgres import engines, pooler
from dbkit.postgres.connect import connection_keywords
from dbkit.postgres.own_statements import ENTER, LEAVE, LOOKS_UP, Place, read_place
from dbkit.postgres.sql_quote import as_text

PLACEHOLDER = re.compile(r"%(?:%|s|\((\w+)\)s)")
FOR_SESSION = ", false)"
SAVEPOINT = "dbkit_own"
CHAR = 18  # the OID of "char", which asyncpg returns as bytes
# The role and the search path are NULL where env.py has not set them
SESSION = """
SELECT pg_catalog.pg_backend_pid(), pg_catalog.current_setting('server_version_num'),
    current_user::pg_catalog.text,
    CASE WHEN pg_catalog.current_setting('role') OPERATOR(pg_catalog.<>) 'none'::pg_catalog.text
        THEN pg_catalog.current_setting('role') END,
    (SELECT s.setting FROM pg_catalog.pg_settings AS s
        WHERE s.name OPERATOR(pg_catalog.=) 'search_path'::pg_catalog.text
        AND s.source OPERATOR(pg_catalog.=) 'session'::pg_catalog.text),
    pg_catalog.version(), pg_catalog.inet_client_port()"""


@dataclass(frozen=True)
class Rows:
    """The result of a statement, with the interface of a cursor."""

    rows: Sequence[tuple[Any, ...]]
    rowcount: int

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the first row."""
        return self.rows[0] if self.rows else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows."""
        return list(self.rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.rows)


class _Info:
    """The part of psycopg's `connection.info` that the gate uses."""

    def __init__(self, connection: "ProjectConnection") -> None:
        self._connection = connection

    @property
    def transaction_status(self) -> TransactionStatus:
        return self._connection.driver.status

    @property
    def backend_pid(self) -> int:
        return self._connection.driver.pid

    @property
    def server_version(self) -> int:
        return self._connection.server_version

    @property
    def user(self) -> str:
        return self._connection.user

    def parameter_status(self, name: str) -> str:
        """Only server_encoding is known for every driver."""
        if name != "server_encoding":
            raise KeyError(name)
        return self._connection.driver.server_encoding


class ProjectConnection:
    """A connection of a project's engine, for dbkit's statements between those of its migrations.

    With `is_external` env.py holds the transaction, and commits it. With `is_held` env.py has executed something in the
    transaction that the migrations will end. In both cases `commit` and `rollback` leave it alone, and a statement of
    dbkit that fails is undone by itself.
    """

    def __init__(self, connection: sa.Connection, *, is_external: bool, is_held: bool) -> None:
        self.dbapi: Any = connection.connection.dbapi_connection
        self.driver = open_driver(self.dbapi)
        self.is_external = is_external
        self.is_held = is_held
        self.info = _Info(self)
        self.monitor: Any = None
        self.lock_timeout = 0.0
        self.is_pooled = self.is_alone = False
        self.mark = secrets.token_hex(8)
        self.client_port: int | None = None
        self.place: Place | None = None
        self.server_pid = self.server_version = 0
        self.user = self.address = ""

    def begin_session(self, version_table: str, schema: str | None) -> Target:
        """Read where the session is. Returns the database, with the project's history. Raises psycopg's errors.

        Raises InputError for another engine than PostgreSQL.
        """
        target = target_of(self.driver)
        self.address = target.server()
        try:
            ((pid, version, user, role, path, words, self.client_port),) = self._run(SESSION).rows
        except (psycopg.Error, ValueError) as error:
            engines.require_postgres(self.address, self._ask_version())
            raise error from None
        engines.require_postgres(self.address, str(words))
        # a pooler reports another pid to its client, or none
        self.is_pooled = int(pid) != self.driver.pid
        self.server_pid, self.server_version, self.user = int(pid), int(version), str(user)
        history = History(version_table, schema, search_path=path, role=role)
        self.place = read_place(lambda text: self._run(text).rows, history)
        return replace(target, history=history)

    def _ask_version(self) -> str:
        """Ask for version() in the plainest way; "" where that fails, too."""
        for query in engines.ASK:
            with suppress(psycopg.Error):
                self._call(self.dbapi.rollback)
                return str(self._run(query).rows[0][0])
        return ""

    def require_session(self, target: Target) -> None:
        """Find out whether a pooler keeps the session. Raises InputError where it does not, or that cannot be seen."""
        login = connection_keywords(target)
        if self.is_external or self.is_held:
            verdict = pooler.examine_beside(login)
        else:
            verdict = pooler.examine(pooler.Questions(self.ask), login, self.mark)
            # some poolers keep a session from the first setting on, and that may be in another process
            self.server_pid = int(self.ask(pooler.ASK)[0])
        if not verdict.is_stable:
            raise pooler.pooler_error(target, verdict.reason)
        self.is_alone = verdict.is_alone

    def ask(self, query: str) -> tuple[Any, ...]:
        """Execute a query in a transaction to itself, and return its row. Raises psycopg's errors."""
        row = self._run(query).fetchone()
        self._call(self.dbapi.commit)
        return row or ()

    @property
    def autocommit(self) -> bool:
        """Whether each statement is a transaction to itself."""
        return bool(self.dbapi.autocommit)

    @property
    def closed(self) -> bool:
        """Whether the connection is closed, or was lost."""
        return self.driver.closed

    def execute(self, query: Any, params: Any = None, **_keywords: Any) -> Rows:
        """Run a statement of dbkit with its settings, in the session's transaction. Raises psycopg's errors."""
        text = render(query, params)
        if not LOOKS_UP.match(text):
            return self._run(text)
        with self._undone():
            if self.autocommit:
                return self._run_in_autocommit(text)
            self._run(ENTER)
            found = self._run(text)
            self._run(LEAVE)
            return found

    def execute_qualified(self, query: str, params: Any = None) -> Rows:
        """Run a statement that means the same with any settings, in one round trip. Raises psycopg's errors."""
        return self._run(render(query, params))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run statements within a savepoint. Raises psycopg's errors, after a rollback to the savepoint."""
        with _Savepoint(self, is_set=True):
            yield

    def cursor(self) -> "_WithSessionSettings":
        """Return what executes statements with the settings of the session."""
        return _WithSessionSettings(self)

    def copy_out(self, query: str, write: Write) -> int:
        """Write the rows of a query in the format of COPY. Returns their number. Raises psycopg's errors."""
        try:
            return self.driver.copy_out(query, write)
        except OSError:
            raise  # what `write` raises
        except Exception as error:
            raise translate(error, self.closed) from error

    def commit(self) -> None:
        """Commit, unless env.py holds the transaction. Raises psycopg's errors."""
        if not (self.is_external or self.is_held):
            self._call(self.dbapi.commit)

    def begin_again(self) -> None:
        """Let the next statement begin a transaction: a COMMIT by hand has ended that of env.py, too."""
        self._call(self.dbapi.commit)

    def rollback(self) -> None:
        """Roll back, unless env.py holds the transaction. Raises psycopg's errors."""
        if not (self.is_external or self.is_held):
            self._call(self.dbapi.rollback)

    def cancel_safe(self, timeout: float = 0.0) -> None:
        """Cancel the running statement."""
        self.driver.cancel()

    def _call(self, function: Any) -> None:
        try:
            function()
        except Exception as error:
            raise translate(error, self.closed) from error

    def _run(self, text: str) -> Rows:
        try:
            if ";" in text and self.driver.execute_several(text):
                return Rows([], -1)
            cursor = self.driver.cursor()
            try:
                cursor.execute(text)
                types = [column[1] for column in cursor.description or ()]
                rows = cursor.fetchall() if types else []
                return Rows([tuple(map(_plain, row, types)) for row in rows], cursor.rowcount)
            finally:
                cursor.close()
        except Exception as error:
            raise translate(error, self.closed) from error

    def _run_in_autocommit(self, text: str) -> Rows:
        self._run(ENTER.replace(", true)", FOR_SESSION))
        try:
            return self._run(text)
        finally:
            self._run(LEAVE.replace(", true)", FOR_SESSION))

    def _undone(self) -> "_Savepoint":
        """Undo what fails within the context, in a transaction that env.py holds."""
        is_kept = self.is_external or self.is_held
        return _Savepoint(self, is_set=is_kept and self.driver.status == TransactionStatus.INTRANS)


class _WithSessionSettings:
    """Executes statements with the settings of the session."""

    def __init__(self, connection: ProjectConnection) -> None:
        self._connection = connection

    def execute(self, query: Any, params: Any = None) -> Rows:
        """Run a statement. Raises psycopg's errors."""
        return self._connection.execute_qualified(query, params)


class _Savepoint:
    def __init__(self, connection: ProjectConnection, *, is_set: bool) -> None:
        self.connection = connection
        self.is_set = is_set

    def __enter__(self) -> None:
        if self.is_set:
            self.connection.execute_qualified(f"SAVEPOINT {SAVEPOINT}")

    def __exit__(self, kind: object, error: BaseException | None, _traceback: object) -> None:
        if self.is_set and (error is None or isinstance(error, psycopg.Error)) and not self.connection.closed:
            if error is not None:
                self.connection.execute_qualified(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")
            self.connection.execute_qualified(f"RELEASE SAVEPOINT {SAVEPOINT}")


def _plain(value: Any, type_code: object) -> Any:
    """Return a value as psycopg does."""
    if type_code == CHAR and isinstance(value, bytes):
        return value.decode()
    return bytes(value) if isinstance(value, memoryview) else value


def render(query: Any, params: Mapping[str, Any] | Sequence[Any] | None = None) -> str:
    """Return a statement with its parameters, in psycopg's notation, as literals."""
    if isinstance(query, bytes):
        text = query.decode()
    else:
        text = as_text(query) if isinstance(query, Composable) else str(query)
    if params is None:
        return text
    values = iter(params.values() if isinstance(params, Mapping) else params)

    def literal(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        value = params[match[1]] if isinstance(params, Mapping) else next(values)
        return as_text(sql.Literal(value))

    return PLACEHOLDER.sub(literal, text)


def translate(error: Exception, is_lost: bool) -> psycopg.Error:
    """Return psycopg's error for the error of any driver."""
    if isinstance(error, psycopg.Error):
        return error
    state = sqlstate_of(error)
    text = " ".join(str(error).split())
    if state:
        try:
            return psycopg.errors.lookup(state)(text)
        except KeyError:
            return psycopg.DatabaseError(text)
    return psycopg.OperationalError(text) if is_lost or isinstance(error, OSError) else psycopg.DatabaseError(text)
