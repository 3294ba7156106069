"""Record what a migration's function executes on a connection of psycopg2, through SQLAlchemy or its own cursors."""

import importlib
from typing import Any

from dbkit.coverage.recorder import COUNT_WRITES, StatementRecorder
from dbkit.postgres.sql_text import ends_transaction, statements


class Psycopg2Recorder(StatementRecorder):
    """Collects the statements that go through the cursors of a psycopg2 connection.

    Of several statements in one string psycopg2 reports the number of rows of the last one only: within a transaction,
    where that makes no other difference, they are executed one by one.
    """

    connection: Any

    def __init__(self, connection: Any) -> None:
        self._module = importlib.import_module("psycopg2")
        super().__init__(connection)

    def divide(self, query: str) -> list[str]:
        """Return the statements to execute one by one."""
        parts = [] if self.connection.autocommit else statements(query)
        return parts if len(parts) > 1 and not any(map(ends_transaction, parts)) else [query]

    def _make_cursor_class(self) -> type[Any]:
        return _recording_class(self.connection.cursor_factory or self._module.extensions.cursor, self)

    def _row_counts(self, cursor: Any) -> list[int | None]:
        return [cursor.rowcount if cursor.rowcount >= 0 else None]

    def _render(self, query: str, parameters: Any) -> str:
        if not parameters:
            return query if parameters is None else query.replace("%%", "%")
        try:
            rendered: bytes = self._plain_cursor().mogrify(query, parameters)
        except (self._module.Error, ValueError, TypeError, LookupError):
            return query
        return rendered.decode(errors="replace")

    def _begin_count(self) -> int | None:
        return None if self.connection.autocommit else self._count_writes()

    def _count_writes(self) -> int | None:
        cursor = self._plain_cursor()
        try:
            cursor.execute(COUNT_WRITES)
        except self._module.Error:  # the transaction is aborted: the migration's statement fails, too
            return None
        (value,) = cursor.fetchone()
        return int(value) if value is not None else None

    def _plain_cursor(self) -> Any:
        return self._module.extensions.cursor(self.connection)


def _recording_class(base: type[Any], recorder: Psycopg2Recorder) -> type[Any]:
    class RecordingCursor(base):  # type: ignore[misc]
        """A cursor that tells the recorder what it has executed."""

        def execute(self, query: Any, vars: Any = None) -> Any:  # noqa: A002  # the name is psycopg2's
            if not recorder.is_active:
                return super().execute(query, vars)
            text = _as_text(query, self)
            result = None
            for part in [text] if vars else recorder.divide(text):
                recorder.before(part)
                result = super().execute(part, vars)
                recorder.record(self, part, [vars])
            return result

        def executemany(self, query: Any, vars_list: Any) -> None:
            if not recorder.is_active:
                super().executemany(query, vars_list)
                return
            several = list(vars_list)
            super().executemany(query, several)
            if several:
                recorder.record(self, _as_text(query, self), several)

    return RecordingCursor


def _as_text(query: Any, cursor: Any) -> str:
    if isinstance(query, bytes):
        return query.decode(errors="replace")
    return query if isinstance(query, str) else str(query.as_string(cursor))
