"""Record what a migration's function executes on its connection, with the number of rows of each statement."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import psycopg
from psycopg import pq

from dbkit.postgres.sql_text import statements, without_comments

CALLS = re.compile(r"(?:^|;)\s*(?:do|call|select|with)\b", re.IGNORECASE)
PASSED = ("sqlalchemy.", "psycopg.", "dbkit.coverage.", "dbkit.roundtrip.event_recorder")
"""Modules between a statement and the code that executes it."""
MOST_PARAMETER_SETS = 50
"""How many sets of parameters of one executemany() are rendered."""
COUNT_WRITES = """
SELECT CASE WHEN pg_catalog.current_setting('track_counts')::pg_catalog.bool THEN
    coalesce(pg_catalog.sum(n_tup_ins OPERATOR(pg_catalog.+) n_tup_upd OPERATOR(pg_catalog.+) n_tup_del), 0) END
FROM pg_catalog.pg_stat_xact_user_tables
"""
"""How many rows the transaction has written in tables of users, as the server counts them; NULL where it does not."""


@dataclass(frozen=True)
class StatementRun:
    """One execution of a single statement."""

    sql: str
    """With its parameters as literals, and without comments."""
    template: str
    """As the migration has it, with placeholders where it is the only statement of a string, and without comments."""
    rows: int | None
    """The number of rows that it returned or changed; None where that is not known."""
    writes: int | None
    """The number of rows that functions in it have written; None where it cannot have any."""
    line: int | None
    """The line of the revision file that executed it."""


class StatementRecorder:
    """Collects the statements that go through the cursors of a psycopg connection.

    A cursor of the driver is the one place that the ORM, `op.execute()` and a raw cursor have in common.
    """

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self.connection = connection
        self.runs: list[StatementRun] = []
        self._path: str | None = None
        """The revision file whose function runs; None while none does."""
        self._before: int | None = None
        self._cursor_class = self._make_cursor_class()

    @contextmanager
    def recording(self, path: str) -> Iterator[list[StatementRun]]:
        """Record meanwhile; yields the list that is filled. `path` is the revision file."""
        self.runs, self._path = [], path
        factory, self.connection.cursor_factory = self.connection.cursor_factory, self._cursor_class
        try:
            yield self.runs
        finally:
            self._path = None
            self.connection.cursor_factory = factory

    @property
    def is_active(self) -> bool:
        """Whether a migration's function runs, and it, not dbkit, is about to use a cursor."""
        return self._path is not None and is_of_migration()

    def before(self, sql: str) -> None:
        """Read the counters of the server, where a statement's own count does not tell what it writes."""
        self._before = self._begin_count() if hides_rows(sql) else None

    def record(self, cursor: "psycopg.Cursor[Any]", query: str, parameters: Sequence[Any]) -> None:
        """Record a query that has succeeded; `parameters`: one set, or several for executemany()."""
        now = self._count_writes() if self._before is not None else None
        writes = now - self._before if now is not None and self._before is not None else None
        is_many = len(parameters) > 1
        counts = [cursor.rowcount if cursor.rowcount >= 0 else None] if is_many else self._row_counts(cursor)
        rendered = [self._render(query, each) for each in parameters[:MOST_PARAMETER_SETS]]
        self.runs += make_runs(query, rendered, counts, writes, find_line(self._path or ""))

    def _make_cursor_class(self) -> type[Any]:
        return _recording_class(self.connection.cursor_factory, self)

    def _row_counts(self, cursor: Any) -> list[int | None]:
        return _row_counts(cursor)

    def _render(self, query: str, parameters: Any) -> str:
        if not parameters:
            return query if parameters is None else query.replace("%%", "%")
        try:
            return psycopg.ClientCursor(self.connection).mogrify(query, parameters)
        except (psycopg.Error, ValueError, TypeError):
            return query

    def _begin_count(self) -> int | None:
        """Return the number of rows that were written so far; None where each statement has a transaction to itself."""
        if self.connection.pgconn.transaction_status == pq.TransactionStatus.IDLE:
            if self.connection.autocommit:
                return None
            psycopg.Cursor(self.connection).execute("SELECT")  # begins the transaction as the project has set it
        return self._count_writes()

    def _count_writes(self) -> int | None:
        result = self.connection.pgconn.exec_(COUNT_WRITES.encode())
        value = result.get_value(0, 0) if result.status == pq.ExecStatus.TUPLES_OK else None
        return int(value) if value is not None else None


def make_runs(
    query: str, rendered: Sequence[str], counts: Sequence[int | None], writes: int | None, line: int | None
) -> list[StatementRun]:
    """Return the runs of a query: of each of its statements, with each set of parameters that it was `rendered` with.

    `counts`: by statement, how many rows it met. Comments are left out: the statement begins with its verb.
    """
    runs = []
    template = _split(query)
    for text in rendered:
        parts = _split(text)
        rows = counts if len(counts) == len(parts) else [None] * len(parts)
        templates = template if len(parts) == len(template) == 1 else parts
        runs += [
            StatementRun(part, template, number, writes, line)
            for part, template, number in zip(parts, templates, rows, strict=True)
        ]
    return runs


def _split(text: str) -> list[str]:
    """Return the statements of a string, without comments: the same ones where the tracer has executed each alone."""
    return [without_comments(part).strip() for part in statements(text)]


def is_of_migration() -> bool:
    """Whether a migration executes a statement now, and not dbkit: its tracer, or a backfill."""
    frame: FrameType | None = sys._getframe(1)
    while frame and _module(frame).startswith(PASSED):
        frame = frame.f_back
    caller = _module(frame) if frame else ""
    return not caller.startswith("dbkit.") or caller == "dbkit.trace.recorder"


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def find_line(path: str) -> int | None:
    """Return the line of the revision file that runs now."""
    frame: FrameType | None = sys._getframe(1)
    while frame and frame.f_code.co_filename != path:
        frame = frame.f_back
    return frame.f_lineno if frame else None


def hides_rows(sql: str) -> bool:
    """Whether a statement may write rows that its own count does not include: DO, CALL, or a function in a SELECT."""
    return bool(CALLS.search(without_comments(sql)))


def _row_counts(cursor: "psycopg.Cursor[Any]") -> list[int | None]:
    """Return the count of each statement of the last query."""
    # not by moving from result to result: psycopg before 3.3 has no public way back to the first
    results = cursor._results
    return [each.ntuples if each.status == pq.ExecStatus.TUPLES_OK else each.command_tuples for each in results]


def _recording_class(base: "type[psycopg.Cursor[Any]]", recorder: StatementRecorder) -> "type[psycopg.Cursor[Any]]":
    class RecordingCursor(base):  # type: ignore[valid-type,misc]
        """A cursor that tells the recorder what it has executed."""

        def execute(self, query: Any, params: Any = None, **keywords: Any) -> Any:
            if not recorder.is_active:
                return super().execute(query, params, **keywords)
            text = _as_text(query, self.connection)
            recorder.before(text)
            result = super().execute(query, params, **keywords)
            recorder.record(self, text, [params])
            return result

        def executemany(self, query: Any, params_seq: Any, **keywords: Any) -> None:
            if not recorder.is_active:
                super().executemany(query, params_seq, **keywords)
                return
            several = list(params_seq)
            super().executemany(query, several, **keywords)
            if several:
                recorder.record(self, _as_text(query, self.connection), several)

    return RecordingCursor


def _as_text(query: Any, connection: Any) -> str:
    if isinstance(query, bytes):
        return query.decode(errors="replace")
    return query if isinstance(query, str) else str(query.as_string(connection))
