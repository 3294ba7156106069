"""Record what a migration's function executes with any driver, through SQLAlchemy's events."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa

from dbkit.coverage.psycopg2_recorder import Psycopg2Recorder
from dbkit.coverage.recorder import (
    COUNT_WRITES,
    MOST_PARAMETER_SETS,
    StatementRecorder,
    StatementRun,
    find_line,
    hides_rows,
    is_of_migration,
    make_runs,
)
from dbkit.project.step_hooks import RECORD_BACKFILL
from dbkit.roundtrip.shared_session import is_of
from dbkit.trace.statement_text import render_statement


class EventRecorder:
    """Collects the statements of all connections of SQLAlchemy; what goes past SQLAlchemy is not seen."""

    def __init__(self, ignored: object = None) -> None:
        """`ignored`: the driver's connection that another recorder observes."""
        self.ignored = ignored
        self.runs: list[StatementRun] = []
        self._path = ""
        self._query = ""
        """The statement that runs, before another listener has divided it."""
        self._before: int | None = None

    @contextmanager
    def recording(self, path: str) -> Iterator[list[StatementRun]]:
        """Record meanwhile; yields the list that is filled. `path` is the revision file."""
        self.runs, self._path = [], path
        listeners: dict[str, Callable[..., None]] = {
            "before_cursor_execute": self._before_execute,
            "after_cursor_execute": self._after_execute,
        }
        for name, listener in listeners.items():
            sa.event.listen(sa.Engine, name, listener)
        try:
            yield self.runs
        finally:
            for name, listener in listeners.items():
                sa.event.remove(sa.Engine, name, listener)

    def record_backfill(self, statement: str, rows: int) -> None:
        """Record a backfill as the one statement that its batches are parts of."""
        self.runs.append(StatementRun(statement, statement, rows, None, find_line(self._path)))

    def _before_execute(
        self,
        connection: sa.Connection,
        _cursor: object,
        statement: str,
        _parameters: object,
        _context: object,
        _many: bool,
    ) -> None:
        if self._is_recorded(connection):
            self._query = statement
            self._before = _count_writes(connection) if hides_rows(statement) else None

    def _after_execute(
        self, connection: sa.Connection, cursor: Any, statement: str, parameters: Any, _context: object, many: bool
    ) -> None:
        if not self._is_recorded(connection):
            return
        query = statement if parameters else self._query
        now = _count_writes(connection) if self._before is not None else None
        writes = now - self._before if now is not None and self._before is not None else None
        sets = list(parameters)[:MOST_PARAMETER_SETS] if many else [parameters]
        rendered = [_render(query, each, connection.dialect.paramstyle) for each in sets]
        self.runs += make_runs(query, rendered, _row_counts(cursor), writes, find_line(self._path))

    def _is_recorded(self, connection: sa.Connection) -> bool:
        return connection.connection.driver_connection is not self.ignored and is_of_migration()


def find_cursor_recorder(driver: Any) -> StatementRecorder | None:
    """Return a recorder for the cursors of a driver's connection; None where it has none that can be observed."""
    if isinstance(driver, psycopg.Connection):
        return StatementRecorder(driver)
    return Psycopg2Recorder(driver) if is_of(driver, "psycopg2") else None


@contextmanager
def record_statements(connection: sa.Connection, path: str, runs: list[StatementRun]) -> Iterator[None]:
    """Add to `runs` what a function of a revision file executes meanwhile, on this connection and others.

    The cursors of psycopg and psycopg2 are observed themselves, since a migration may use them directly.
    """
    driver = connection.connection.driver_connection
    cursors = find_cursor_recorder(driver)
    events = EventRecorder(driver if cursors else None)
    info = connection.info
    recorders: list[EventRecorder | StatementRecorder] = [events, *([cursors] if cursors else [])]
    with ExitStack() as stack:
        for recorder in recorders:
            stack.enter_context(recorder.recording(path))
        info[RECORD_BACKFILL] = events.record_backfill
        try:
            yield
        finally:
            info.pop(RECORD_BACKFILL, None)
            runs += [run for recorder in recorders for run in recorder.runs]


def _count_writes(connection: sa.Connection) -> int | None:
    """Return how many rows the transaction has written; None where each statement has a transaction to itself."""
    pooled: Any = connection.connection.dbapi_connection
    if getattr(pooled, "autocommit", False):
        return None
    try:
        cursor = pooled.cursor()
        cursor.execute(COUNT_WRITES)
        value = cursor.fetchall()[0][0]
        cursor.close()
    except connection.dialect.loaded_dbapi.Error:  # the transaction is aborted: the migration's statement fails, too
        return None
    return int(value) if value is not None else None


def _render(query: str, parameters: Any, style: str) -> str:
    try:
        return render_statement(query, parameters, style)
    except (TypeError, ValueError, LookupError):
        return query


def _row_counts(cursor: Any) -> list[int | None]:
    """Return the count of each statement of the last query, as far as the driver has it."""
    results = getattr(getattr(cursor, "_cursor", None), "_results", None)  # of psycopg's asynchronous cursor
    if results and all(hasattr(each, "command_tuples") for each in results):
        return [each.command_tuples for each in results]
    return [cursor.rowcount if cursor.rowcount >= 0 else None]
