"""This package's own SQL runs with settings that nobody else chose: search path, formats, row security.

Whoever may create a function or an operator in a schema of the search path could otherwise run code as the role that
migrates (CVE-2018-1058), and DateStyle and the like change what the server answers. A session of ours has SETTINGS from
its beginning. In one that migrations use, the project's settings stay in force, and each statement of ours is sent
together with what sets and restores them, in one round trip: what a rollback or a commit does to the transaction
changes nothing then.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any

import psycopg
from psycopg import sql
from psycopg.sql import Composable

from dbkit.errors import InputError
from dbkit.postgres.bounded_connection import BoundedConnection
from dbkit.postgres.locks import VERSION_TABLE
from dbkit.postgres.row_hash import FORMAT
from dbkit.postgres.sql_quote import quote_literal

PATH = "pg_catalog, pg_temp"
SETTINGS = {
    # pg_temp comes first where it is not named
    "search_path": PATH,
    **FORMAT,
    # an error instead of the rows that a policy lets through
    "row_security": "off",
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
}
"""What changes the meaning or the answer of a statement; any role may set them."""
OF_A_SESSION = {
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
"""What would end our own sessions, in which nothing runs for long."""

TEXT, INT8, NAME = "pg_catalog.text", "pg_catalog.int8", "pg_catalog.name"


def _text(value: str) -> str:
    return f"{quote_literal(value)}::{TEXT}"


def _set(name: str, value: str) -> str:
    return f"pg_catalog.set_config({_text(name)}, {value}, true)"


def _current(name: str) -> str:
    return f"pg_catalog.current_setting({_text(name)})"


# Everything is qualified, with arguments of the exact type: the project's search path is still in force here.
# `true` is a transaction's, and in autocommit that of the statements that are sent together.
ENTER = "SELECT " + ", ".join(
    call
    for name, value in SETTINGS.items()
    for call in (_set(f"dbkit.{name}", _current(name)), _set(name, _text(value)))
)
LEAVE = "SELECT " + ", ".join(_set(name, _current(f"dbkit.{name}")) for name in reversed(SETTINGS))
# Of these, PostgreSQL looks up functions, operators, types and tables by name
LOOKS_UP = re.compile(r"\s*(?:select|with|insert|update|delete|do|lock|comment|create\s+table)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Place:
    """Where the project's search path leads."""

    search_path: str
    current_schema: str
    """The first schema of the path that exists, in which tables are made; "" where there is none."""
    schema: str
    """That of the version table where it is visible, else the current one."""
    has_history: bool
    """Whether the version table is there."""
    others: tuple[str, ...]
    """Other schemas that have a table of this name."""
    visible: tuple[str, ...] = ()
    """The schemas of the path that exist."""

    def table(self, name: str) -> sql.Identifier:
        """A table beside the version table, as SQL. Raises InputError where there is no schema for it."""
        if not self.schema:
            raise InputError(
                f"search_path is {self.search_path!r}, and none of these schemas exists (or may be used by this role).",
                "Create one, or set another path: ALTER ROLE … SET search_path = …",
            )
        return sql.Identifier(self.schema, name)


PLACE = f"""
SELECT {_current("search_path")}, v.nspname::{TEXT}, pg_catalog.current_schema()::{TEXT},
    pg_catalog.current_schemas(false)::{TEXT}[],
    ARRAY(SELECT n.nspname::{TEXT} FROM pg_catalog.pg_class AS c
          JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
          WHERE c.relname OPERATOR(pg_catalog.=) '{VERSION_TABLE}'::{NAME}
              AND c.relkind OPERATOR(pg_catalog.=) ANY ('{{r,p}}'::pg_catalog."char"[])
              AND c.relpersistence OPERATOR(pg_catalog.<>) 't'::pg_catalog."char"
          ORDER BY 1)
FROM (VALUES (true)) AS here
LEFT JOIN (
    SELECT n.nspname FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass({_text(VERSION_TABLE)})::pg_catalog.oid
        AND c.relkind OPERATOR(pg_catalog.=) ANY ('{{r,p}}'::pg_catalog."char"[])
) AS v ON true"""  # noqa: S608  # constants


class Session(Enum):
    """Whose settings a session has."""

    OWN = "ours"
    SHARED = "the project's, with statements of ours that bring their own"
    PROJECT = "the project's, for whatever is executed: in a scratch database, to which nobody else can connect"


class OwnConnection(BoundedConnection):
    """A connection whose `execute` runs a statement of this package, whatever the project has set.

    `cursor().execute` runs it as the session is.
    """

    wraps = False
    """Whether the session keeps the project's settings, so that each statement of ours brings its own."""
    place: Place | None = None
    """Where the project's search path led when the session began."""

    def execute(self, query: Any, params: Any = None, **keywords: Any) -> psycopg.Cursor[Any]:
        """Run a statement of ours."""
        if not (self.wraps and self.is_own()):
            return super().execute(query, params, **keywords)
        text = _as_text(query, self)
        if not LOOKS_UP.match(text):
            return super().execute(query, params, **keywords)
        cursor = psycopg.ClientCursor(self)
        cursor.execute(f"{ENTER};{text}\n;{LEAVE}", params)
        cursor.nextset()
        return cursor

    def is_own(self) -> bool:
        """Whether what is executed now is this package's, and not a migration's."""
        return True

    def begin_own(self, session: Session) -> None:
        """Take the session over. Called at once after the login.

        What goes through a pooler is shared, too: a setting of the session would be left there for the next client.
        """
        was, self.autocommit = self.autocommit, True
        self.wraps = session is Session.SHARED or (session is Session.OWN and self._is_pooled())
        self.place = find_place(lambda query: super(OwnConnection, self).execute(query).fetchall())
        if session is Session.OWN and not self.wraps:
            changes = {**SETTINGS, **OF_A_SESSION, **({"transaction_timeout": "0"} if self._has(17) else {})}
            super().execute("; ".join(f"SET {name} = {_literal(name, value)}" for name, value in changes.items()))
        self.autocommit = was

    def _is_pooled(self) -> bool:
        row = super().execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
        return row is None or row[0] != self.info.backend_pid

    def _has(self, major: int) -> bool:
        return self.info.server_version >= major * 10000


def _literal(name: str, value: str) -> str:
    return value if name == "search_path" else f"'{value}'"


def _as_text(query: Any, connection: psycopg.Connection) -> str:
    if isinstance(query, bytes):
        return query.decode()
    return query.as_string(connection) if isinstance(query, Composable) else str(query)


def find_place(execute: Callable[[str], Sequence[Any]]) -> Place:
    """Read where the search path leads; `execute` runs a query in a session that has the project's path."""
    ((path, found, first, visible, having),) = execute(PLACE)
    others = tuple(each for each in having if each != found)
    return Place(path, first or "", found or first or "", found is not None, others, tuple(visible))


def place_of(connection: psycopg.Connection) -> Place:
    """Where the project's version table is, or would be made."""
    place = connection.place if isinstance(connection, OwnConnection) else None
    if place is None:
        raise TypeError("the connection was not opened by dbkit.postgres.connect")
    return place


def change_settings(connection: psycopg.Connection, values: Mapping[str, str], *, local: bool) -> None:
    """Set what a session, or with `local` its transaction, goes on with. A statement of ours would take it back."""
    calls = (f"pg_catalog.set_config({_text(name)}, {_text(value)}, {local})" for name, value in values.items())
    connection.cursor().execute(f"SELECT {', '.join(calls)}".encode())


@contextmanager
def own_settings(execute: Callable[[str], Any]) -> Iterator[None]:
    """In a session that commits each statement by itself: run statements of ours, then restore the project's settings.

    For drivers that take one statement at a time.
    """
    execute(ENTER.replace(", true)", ", false)"))
    try:
        yield
    finally:
        execute(LEAVE.replace(", true)", ", false)"))
