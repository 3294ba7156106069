"""What a migration does to the transaction that it runs in, seen while it runs."""

import re
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.pq import TransactionStatus

from dbkit import journal
from dbkit.errors import CheckFailed

# Outside of a transaction, these can be run again after they were interrupted: they change no rows, or do it whole
RERUNNABLE = re.compile(
    r"(?:create\s+(?:unique\s+)?index\s+concurrently|drop\s+index\s+concurrently|reindex|vacuum|analyze|set|reset|show"
    r"|comment\s+on|alter\s+type\s+\S+\s+add\s+value\s+if\s+not\s+exists|alter\s+table\s+\S+\s+validate\s+constraint)\b",
    re.IGNORECASE,
)
ROLLBACK = re.compile(r"(?:^|;)\s*(?:rollback|abort)\b", re.IGNORECASE)
LEADING_COMMENTS = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*", re.DOTALL)
CONCURRENTLY = re.compile(r"\bindex\b.*\bconcurrently\b", re.IGNORECASE | re.DOTALL)
DECLARED_RERUNNABLE = re.compile(rb"^#\s*dbkit:\s*rerunnable\s*,\s*\S", re.MULTILINE)


def driver_of(connection: sa.Connection) -> psycopg.Connection:
    """psycopg's connection below SQLAlchemy's, for what is none of SQLAlchemy's business."""
    driver: psycopg.Connection = connection.connection.driver_connection  # type: ignore[assignment]  # the gate's own
    return driver


class Watch:
    """Sees on a connection when a step leaves its transaction, and keeps a row in the journal of one that does.

    The row is written in the transaction that the step is about to commit. So whatever ends the step afterwards, even
    kill -9, the next run knows that a part of it may have stayed.
    """

    def __init__(self, connection: sa.Connection, *, writes_journal: bool, lock_budget: float) -> None:
        self.driver = driver_of(connection)
        self.writes_journal = writes_journal
        self.lock_budget = lock_budget
        self.step: journal.Step | None = None
        """The step that is running."""
        self.rolled_back = False
        """Whether it has rolled back by hand what it had done."""
        self.left = False
        """Whether it has left its transaction."""
        self.half_applied = False
        """Whether something that it did stays when it fails, and cannot simply be done again."""
        self.index_statements: list[str] = []
        """What was executed, in all steps, that speaks of an index."""
        self._row = 0
        self._move: journal.Move | None = None
        self._rerunnable = False
        self._lock_timeout: str | None = None
        sa.event.listen(connection, "before_cursor_execute", self._before)
        sa.event.listen(connection, "after_cursor_execute", self._after)
        sa.event.listen(connection, "commit", self._before_commit)
        sa.event.listen(connection, "rollback", self._on_rollback)

    def begin(self, step: journal.Step) -> None:
        """A step is about to run."""
        self.step = step
        self.left = self.half_applied = self.rolled_back = False
        self._row, self._move = 0, None
        self._rerunnable = step.path is not None and bool(DECLARED_RERUNNABLE.search(Path(step.path).read_bytes()))

    def move(self, move: journal.Move) -> None:
        """A step is done, and the version table is to be changed: all but the last change now, that one at the end."""
        self._run_move()
        self._move = move

    def end(self, heads: set[str]) -> None:
        """A step's transaction is about to be committed; the version table then says `heads`.

        Raises CheckFailed when there is nothing left to commit.
        """
        if self.rolled_back:
            raise CheckFailed("it has rolled back by hand what it had done, and so is not recorded.")
        step, self.step = self.step, None
        if self.writes_journal and step is not None and not self._row:
            move, self._move = self._move, None
            self._require_one(journal.write(self.driver, step, sorted(heads), move))
            return
        self._run_move()
        if self._row:
            journal.end(self.driver, self._row, sorted(heads))

    def _run_move(self) -> None:
        move, self._move = self._move, None
        if move is not None:
            self._require_one(self.driver.execute(move.statement.encode(), move.values).rowcount)

    def _require_one(self, rows: int) -> None:
        if rows != 1:
            raise CheckFailed("the version table changed while the migration ran: somebody else writes to it.")

    def _before(self, _connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if self.step is None:
            return
        if "index" in statement.lower():
            self.index_statements.append(statement)
        if not self.driver.autocommit:
            return
        if CONCURRENTLY.search(statement):
            # nobody waits behind it while it waits, and when it gives up, it leaves an invalid index
            self._lock_timeout = self._setting("lock_timeout")
            self.driver.execute("SELECT set_config('lock_timeout', %s, false)", [f"{round(self.lock_budget * 1000)}"])
        if not self._rerunnable and not RERUNNABLE.match(LEADING_COMMENTS.sub("", statement, count=1)):
            self._has_done_something()

    def _after(self, _connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if self._lock_timeout is not None:
            self.driver.execute("SELECT set_config('lock_timeout', %s, false)", [self._lock_timeout])
            self._lock_timeout = None
        idle = self.driver.info.transaction_status == TransactionStatus.IDLE
        if self.step is not None and idle and not self.driver.autocommit:
            # a COMMIT or ROLLBACK was executed as a statement
            self.left = True
            self.rolled_back = self.rolled_back or bool(ROLLBACK.search(statement))
            self._has_done_something()
            self.driver.commit()

    def _before_commit(self, _connection: Any) -> None:
        """The migration is about to commit: through autocommit_block(), or by hand."""
        if self.step is None or self.driver.autocommit:
            return
        self.left = True
        if self.driver.info.transaction_status == TransactionStatus.INERROR:
            return
        row = self.driver.execute("SELECT pg_current_xact_id_if_assigned() IS NOT NULL").fetchone()
        if row == (True,):
            self._has_done_something()
        self._ensure_row()

    def _on_rollback(self, _connection: Any) -> None:
        self.rolled_back = self.step is not None

    def _has_done_something(self) -> None:
        if self.half_applied:
            return
        self.half_applied = True
        if self._row:
            journal.mark_half_applied(self.driver, self._row)
        self._ensure_row()

    def _ensure_row(self) -> None:
        if self.writes_journal and self.step is not None and not self._row:
            self._row = journal.begin(self.driver, self.step, half_applied=self.half_applied)

    def _setting(self, name: str) -> str:
        row = self.driver.execute("SELECT current_setting(%s)", [name]).fetchone()
        return str(row[0]) if row else "0"
