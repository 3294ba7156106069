"""Run dbkit's own SQL with fixed settings: search path, formats, row security.

With the project's search path, any role that may create a function or an operator in one of its schemas could run code
as the role that migrates (CVE-2018-1058); DateStyle and the like change the form of results. A session of dbkit has
SETTINGS from its beginning. A session that migrations use keeps the project's settings, and each statement of dbkit is
sent together with those that apply and restore SETTINGS, in one round trip: a rollback or a commit in between cannot
leave them behind.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.sql import Composable

from dbkit.database_url import DEFAULT_HISTORY, History
from dbkit.errors import InputError
from dbkit.postgres.bounded_connection import BoundedConnection
from dbkit.postgres.pooler import MARK
from dbkit.postgres.row_hash import FORMAT
from dbkit.postgres.sql_quote import quote_ident, quote_literal

PATH = "pg_catalog, pg_temp"
SETTINGS = {
    # a path without pg_temp is searched in pg_temp first
    "search_path": PATH,
    **FORMAT,
    # an error instead of a part of the rows, where a policy applies
    "row_security": "off",
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
}
"""Settings that change the meaning or the result of a statement; any role may set them."""
TEXT_FORMATS = {name: value for name, value in SETTINGS.items() if name not in ("search_path", "row_security")}
"""The settings for how text is read and written: not where names are looked up, nor which rows are visible."""
NO_TIMEOUTS = {
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
"""Timeouts of the project that would end sessions of dbkit."""

TEXT, INT8, NAME = "pg_catalog.text", "pg_catalog.int8", "pg_catalog.name"


def _text(value: str) -> str:
    return f"{quote_literal(value)}::{TEXT}"


def _set(name: str, value: str) -> str:
    return f"pg_catalog.set_config({_text(name)}, {value}, true)"


def _current(name: str) -> str:
    return f"pg_catalog.current_setting({_text(name)})"


# All names are qualified and all arguments have the exact type: the project's search path is in force here.
# `true` limits a setting to the transaction; in autocommit that is the transaction of the statements sent together.
ENTER = "SELECT " + ", ".join(
    call
    for name, value in SETTINGS.items()
    for call in (_set(f"dbkit.{name}", _current(name)), _set(name, _text(value)))
)
LEAVE = "SELECT " + ", ".join(_set(name, _current(f"dbkit.{name}")) for name in reversed(SETTINGS))
# Statements in which PostgreSQL looks up functions, operators, types and tables by name
LOOKS_UP = re.compile(r"\s*(?:select|with|insert|update|delete|do|lock|comment|create\s+table)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Place:
    """The schemas of the project's search path, and that of the version table."""

    search_path: str
    current_schema: str
    """The first existing schema of the path, in which tables are created; "" where there is none."""
    schema: str
    """The schema of the version table where the project names one, or that is visible, else the current one."""
    has_history: bool
    """Whether the version table exists."""
    others: tuple[str, ...]
    """Other schemas with a table of this name; none where the project itself sets the schema or the path."""
    visible: tuple[str, ...] = ()
    """The existing schemas of the path."""
    history: History = DEFAULT_HISTORY

    @property
    def version_table(self) -> str:
        """The name of the version table, without its schema."""
        return self.history.table

    @property
    def version_table_sql(self) -> sql.Identifier:
        """The version table, as SQL. Raises InputError where there is no schema for it."""
        return self.table(self.history.table)

    @property
    def tables_schema(self) -> str:
        """The schema in which tables without a schema are created."""
        return self.current_schema if self.history.schema else self.schema

    def own_table(self, name: str) -> sql.Identifier:
        """A table of dbkit beside the version table, as SQL. Raises InputError where there is no schema for it."""
        return self.table(self.history.name_beside(name))

    def table(self, name: str) -> sql.Identifier:
        """A table in the schema of the version table, as SQL. Raises InputError where there is no schema for it."""
        if not self.schema:
            raise InputError(
                f"search_path is {self.search_path!r}, and none of these schemas exists (or may be used by this role).",
                "Create one, or set another path: ALTER ROLE … SET search_path = …",
            )
        return sql.Identifier(self.schema, name)


# {name} and {regclass} are literals
PLACE = f"""
SELECT {_current("search_path")}, v.nspname::{TEXT}, pg_catalog.current_schema()::{TEXT},
    pg_catalog.current_schemas(false)::{TEXT}[],
    ARRAY(SELECT n.nspname::{TEXT} FROM pg_catalog.pg_class AS c
          JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
          WHERE c.relname OPERATOR(pg_catalog.=) {{name}}::{NAME}
              AND c.relkind OPERATOR(pg_catalog.=) ANY ('{{{{r,p}}}}'::pg_catalog."char"[])
              AND c.relpersistence OPERATOR(pg_catalog.<>) 't'::pg_catalog."char"
          ORDER BY 1)
FROM (VALUES (true)) AS here
LEFT JOIN (
    SELECT n.nspname FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass({{regclass}}::{TEXT})::pg_catalog.oid
        AND c.relkind OPERATOR(pg_catalog.=) ANY ('{{{{r,p}}}}'::pg_catalog."char"[])
) AS v ON true"""  # noqa: S608  # constants


SERVER = f"""
pg_catalog.version(), pg_catalog.pg_backend_pid(), pg_catalog.current_setting('{MARK}'::{TEXT}, true),
pg_catalog.inet_client_port()"""
"""Columns that show which server executes the statement, and for whom."""
TRIES = 20  # of a session's first statements, under the project's statement_timeout


class Session(Enum):
    """The settings of a session."""

    OWN = "own"
    SHARED = "shared"
    """The project's; each statement of dbkit brings SETTINGS."""
    PROJECT = "project"
    """The project's, also for statements of dbkit: in a scratch database, to which no other role can connect."""


class OwnConnection(BoundedConnection):
    """A connection whose `execute` runs a statement with dbkit's SETTINGS, in every kind of session.

    `cursor().execute` runs it with the settings of the session.
    """

    wraps = False
    """Whether each statement of dbkit is sent with SETTINGS, because the session has the project's."""
    version_text = ""
    """The text of version()."""
    mark = ""
    """The value of `dbkit.session` that the session has, and no other one."""
    has_session_settings = False
    """Whether a pooler would pass settings of this session to its next client."""
    client_port: int | None = None
    """The port from which the server sees this connection coming; None for a unix socket."""
    place: Place | None = None
    """The schemas of the project's search path when the session began."""
    history = DEFAULT_HISTORY
    """Where the project has its history: of the target that was logged in to."""

    def execute(self, query: Any, params: Any = None, **keywords: Any) -> psycopg.Cursor[Any]:
        """Run a statement of dbkit."""
        if not (self.wraps and self.is_own()):
            return super().execute(query, params, **keywords)
        text = _as_text(query, self)
        if not LOOKS_UP.match(text):
            return super().execute(query, params, **keywords)
        cursor = psycopg.ClientCursor(self)
        cursor.execute(f"{ENTER};{text}\n;{LEAVE}", params)
        cursor.nextset()
        return cursor

    def execute_qualified(self, query: str, params: Any = None) -> psycopg.Cursor[Any]:
        """Run a statement of dbkit that means the same with any settings, in the shortest way."""
        return super().execute(query.encode(), params)

    def is_own(self) -> bool:
        """Whether the statement that is executed now is dbkit's, and not a migration's."""
        return True

    def begin_session(self, session: Session) -> None:
        """Apply the settings of the session, directly after the login.

        A session through a pooler is a shared one: its settings would stay there for the next client. A statement that
        the project's statement_timeout ends is tried again: on a busy server it may be over before any work is done.
        """
        was, self.autocommit = self.autocommit, True
        for number in range(TRIES):
            try:
                self._apply_settings(session)
                break
            except psycopg.errors.QueryCanceled:
                if number == TRIES - 1:
                    raise
        self.autocommit = was

    def _apply_settings(self, session: Session) -> None:
        self.place = read_place(self._query_without_timeout, self.history)
        # where its settings would stay for the next client, a session has them only when it is known to be one
        is_pooled = session is not Session.PROJECT and self.is_pooled
        self.wraps = session is Session.SHARED or is_pooled
        project = project_session(self.history)
        if project and not is_pooled:
            self._set_session(project)
        if session is Session.OWN and not self.wraps:
            changes = timeouts_off(self) | SETTINGS  # the timeouts first: they end the other changes, too
            super().execute("; ".join(f"SET {name} = {_setting_value(name, value)}" for name, value in changes.items()))

    def set_in_session(self, settings: Mapping[str, str]) -> None:
        """Set what a pooler did not take at the login; at the end it is taken back. With the project's own settings."""
        self.has_session_settings = True
        self._set_session({**project_session(self.history), **settings})

    def ask(self, query: str) -> tuple[Any, ...]:
        """Execute a query that means the same with any settings, in a transaction to itself, and return its row."""
        row = super().execute(query.encode()).fetchone()
        if not self.autocommit:
            super().commit()
        return row or ()

    def close(self) -> None:
        """Close the connection; of a pooler's session, take back first what was set in it, and release its locks."""
        if self.has_session_settings and not self.closed:
            self.has_session_settings = False
            with suppress(psycopg.Error):
                # not by `execute`, which a monitor observes
                if self.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
                    self.pgconn.exec_(b"ROLLBACK")
                if self.info.transaction_status == TransactionStatus.IDLE:
                    self.pgconn.exec_(b"DISCARD ALL")
        super().close()

    def _set_session(self, values: Mapping[str, str]) -> None:
        calls = ", ".join(
            f"pg_catalog.set_config({_text(name)}, {_text(value)}, false)" for name, value in values.items()
        )
        super().execute(f"SELECT {calls}".encode())

    def _query_without_timeout(self, query: str) -> list[Any]:
        """Run a query with the project's settings, without its statement_timeout; the settings are not changed.

        In the same round trip, find out what the server is, and whether there is a pooler before it.
        """
        values = {"statement_timeout": "0"} | project_session(self.history)
        calls = ", ".join(_set(name, _text(value)) for name, value in values.items())
        cursor = super().execute(f"SELECT {SERVER}, {calls};{query}".encode())
        version, pid, mark, self.client_port = (cursor.fetchone() or ("", 0, None, None))[:4]
        self.version_text = str(version)
        # a pooler reports another pid to its client, or none, or it has left out the startup options
        if int(pid) != self.info.backend_pid or (self.mark and mark != self.mark):
            self.is_pooled = True
        self.server_pid = 0 if self.is_pooled else int(pid)
        cursor.nextset()
        return cursor.fetchall()


def timeouts_off(connection: psycopg.Connection) -> dict[str, str]:
    """Return the settings with which the server ends neither a statement nor an idle transaction."""
    is_new = connection.info.server_version >= 17_00_00
    return NO_TIMEOUTS | ({"transaction_timeout": "0"} if is_new else {})


def _setting_value(name: str, value: str) -> str:
    return value if name == "search_path" else f"'{value}'"


def _as_text(query: Any, connection: psycopg.Connection) -> str:
    if isinstance(query, bytes):
        return query.decode()
    return query.as_string(connection) if isinstance(query, Composable) else str(query)


def project_session(history: History) -> dict[str, str]:
    """Return the settings that env.py makes for its session, in the order in which they are to be made."""
    settings = {"role": history.role, "search_path": history.search_path}
    return {name: value for name, value in settings.items() if value is not None}


def read_place(execute: Callable[[str], Sequence[Any]], history: History = DEFAULT_HISTORY) -> Place:
    """Read the schemas of the search path; `execute` runs a query in a session with the project's path and role."""
    names = [name for name in (history.schema, history.table) if name]
    regclass = history.table if history == DEFAULT_HISTORY else quote_ident(*names)
    ((path, found, first, visible, having),) = execute(
        PLACE.format(name=quote_literal(history.table), regclass=quote_literal(regclass))
    )
    is_chosen = history.schema is not None or history.search_path is not None
    others = () if is_chosen else tuple(each for each in having if each != found)
    schema = history.schema or found or first or ""
    return Place(path, first or "", schema, found is not None, others, tuple(visible), history)


def place_of(connection: psycopg.Connection) -> Place:
    """The place of the project's version table, or in which it would be created."""
    place: Place | None = getattr(connection, "place", None)
    if place is None:
        raise TypeError("the connection was not opened by dbkit.postgres.connect")
    return place


def change_settings(connection: psycopg.Connection, values: Mapping[str, str], *, local: bool) -> None:
    """Change settings of a session, or with `local` of its transaction, which a statement of dbkit would restore."""
    calls = (f"pg_catalog.set_config({_text(name)}, {_text(value)}, {local})" for name, value in values.items())
    connection.cursor().execute(f"SELECT {', '.join(calls)}".encode())


@contextmanager
def project_settings(connection: psycopg.Connection) -> Iterator[None]:
    """Run statements of dbkit with the project's settings meanwhile: only in a scratch database."""
    if not isinstance(connection, OwnConnection):
        yield
        return
    wraps, connection.wraps = connection.wraps, False
    try:
        yield
    finally:
        connection.wraps = wraps


@contextmanager
def own_settings(execute: Callable[[str], Any]) -> Iterator[None]:
    """Apply SETTINGS for statements of dbkit in a session in autocommit, and restore the project's settings.

    For drivers that execute one statement at a time.
    """
    execute(ENTER.replace(", true)", ", false)"))
    try:
        yield
    finally:
        execute(LEAVE.replace(", true)", ", false)"))
