"""The tracer's own queries on the connection of a migration, prepared where no driver forgets that.

They are read after each statement, and the server takes longer to parse and plan them than to run them. psycopg sends
DEALLOCATE ALL for statements that it has prepared itself, so there they are prepared only where it does not.
"""

import re
from collections.abc import Sequence
from typing import Any, Protocol

import psycopg

PREFIX = "dbkit_trace_"
FORGETS = re.compile(r"\b(?:discard|deallocate)\b", re.IGNORECASE)
PREPARED = f"SELECT name FROM pg_prepared_statements WHERE name LIKE '{PREFIX}%'"  # noqa: S608
Rows = Sequence[Sequence[Any]]


class Cursor(Protocol):
    """A DBAPI cursor."""

    def execute(self, operation: str, /) -> object: ...

    def fetchall(self) -> Rows: ...


class PreparedQueries:
    """The queries on one connection."""

    def __init__(self, cursor: Cursor, driver: object) -> None:
        """`driver` is the driver's own connection."""
        self.cursor = cursor
        self.is_usable = keeps_prepared(driver)
        self._names = {name for (name,) in self.read_unprepared(PREPARED)} if self.is_usable else set()

    def read(self, name: str, query: str) -> Rows:
        """Return the rows of a query, which always has the same name."""
        if not self.is_usable:
            return self.read_unprepared(query)
        self._prepare(name, query)
        return self.read_unprepared(f"EXECUTE {PREFIX}{name}")

    def read_of(self, name: str, query: str, oids: str) -> Rows:
        """Return the rows of a query with a list of OIDs, separated by commas, as its parameter $1."""
        if not self.is_usable:
            return self.read_unprepared(query.replace("$1", f"'{{{oids}}}'"))
        self._prepare(name, query, "(oid[])")
        return self.read_unprepared(f"EXECUTE {PREFIX}{name} ('{{{oids}}}')")

    def read_unprepared(self, query: str) -> Rows:
        """Return the rows of any query."""
        self.cursor.execute(query)
        return self.cursor.fetchall()

    def note_statement(self, text: str) -> None:
        """Prepare nothing any more once a statement of the migration may have removed what is prepared."""
        if FORGETS.search(text):
            self.is_usable = False

    def _prepare(self, name: str, query: str, types: str = "") -> None:
        if PREFIX + name not in self._names:
            self.cursor.execute(f"PREPARE {PREFIX}{name} {types} AS {query}")
            self._names.add(PREFIX + name)


def keeps_prepared(driver: object) -> bool:
    """Whether a driver leaves prepared statements alone: psycopg where it prepares none, and psycopg2."""
    if isinstance(driver, psycopg.Connection):
        return driver.prepare_threshold is None
    return any(each.__module__.startswith("psycopg2") for each in type(driver).__mro__)
