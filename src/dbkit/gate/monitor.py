"""What a migration does to the transaction that it runs in, seen while it runs.

At the driver, where SQLAlchemy's statements, raw cursors and commits by hand all come by.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, cast

import psycopg
import sqlalchemy as sa
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.sql import Composable

from dbkit import journal
from dbkit.errors import CheckFailed
from dbkit.findings.comments import is_declared_rerunnable
from dbkit.postgres.locks import VERSION_TABLE
from dbkit.postgres.own_statements import OwnConnection, place_of
from dbkit.postgres.sql_text import ends_transaction, plain_statements, rolls_back, without_comments

# Outside of a transaction, these can be run again after they were interrupted: they change no rows, or do it whole
RERUNNABLE = re.compile(
    r"(?:create (?:unique )?index concurrently|drop index concurrently|reindex|vacuum|analyze|set|reset|show|comment on"
    r"|alter type \S+ add value if not exists|alter table \S+ validate constraint)\b"
)
CONCURRENTLY = re.compile(r"\bindex\b.*\bconcurrently\b", re.DOTALL)
MAY_SET = re.compile(r"\b(?:set|reset|discard)\b", re.IGNORECASE)
SETS = re.compile(r"(?:set|reset|discard)\b")
CALLS_SETTER = re.compile(r"\bset_config\s*\(|pg_advisory_unlock", re.IGNORECASE)
# asked when an autocommit_block() begins, and rolled back
SQLALCHEMYS_QUESTION = "show transaction isolation level"


class MonitoredCursor(psycopg.Cursor[Any]):
    """psycopg's, which tells the monitor of its connection what it executes."""

    def execute(self, query: Any, *arguments: Any, **keywords: Any) -> "MonitoredCursor":
        """As psycopg's."""
        with self._watched(query):
            return super().execute(query, *arguments, **keywords)

    def executemany(self, query: Any, *arguments: Any, **keywords: Any) -> None:
        """As psycopg's."""
        with self._watched(query):
            super().executemany(query, *arguments, **keywords)

    @contextmanager
    def copy(self, statement: Any, *arguments: Any, **keywords: Any) -> Iterator[psycopg.Copy]:
        """As psycopg's."""
        with self._watched(statement), super().copy(statement, *arguments, **keywords) as copy:
            yield copy

    @contextmanager
    def _watched(self, query: Any) -> Iterator[None]:
        monitor = cast("MonitoredConnection", self.connection).monitor
        if monitor is None or not monitor.is_watching:
            yield
            return
        if isinstance(query, bytes):
            text = query.decode()
        else:
            text = query.as_string(self) if isinstance(query, Composable) else str(query)
        monitor.before(text)
        try:
            yield
        finally:
            monitor.after()


class MonitoredConnection(OwnConnection):
    """psycopg's, with somebody who watches it."""

    monitor: "Monitor | None" = None

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.cursor_factory = MonitoredCursor

    @property
    def reports_lock_holders(self) -> bool:
        """Not while a step runs: who does not get its locks is told when it is tried again."""
        return self.monitor is None or self.monitor.step is None

    def is_own(self) -> bool:
        """Whether no migration runs just now, or what is executed is the gate's."""
        return self.monitor is None or not self.monitor.is_watching

    def commit(self) -> None:
        """As psycopg's."""
        if self.monitor is not None and self.monitor.is_watching:
            self.monitor.before_commit()
        super().commit()

    def rollback(self) -> None:
        """As psycopg's."""
        if self.monitor is not None and self.monitor.is_watching:
            self.monitor.before_rollback()
        super().rollback()


def driver_of(connection: sa.Connection) -> MonitoredConnection:
    """psycopg's connection below SQLAlchemy's, for what is none of SQLAlchemy's business."""
    return cast("MonitoredConnection", connection.connection.driver_connection)


def purge(connection: OwnConnection) -> sql.Composed:
    """The statement that forgets where the database is."""
    return sql.SQL("DELETE FROM {}").format(place_of(connection).table(VERSION_TABLE))


class Monitor:
    """Sees when a step leaves its transaction, and keeps a row in the journal of one that does.

    The row is written in the transaction that the step is about to commit. So whatever ends the step afterwards, even
    kill -9, the next run knows that a part of it may have stayed.
    """

    def __init__(
        self,
        driver: MonitoredConnection,
        *,
        writes_journal: bool,
        lock_budget: float,
        restore_session: Callable[[], None],
        purges: bool = False,
    ) -> None:
        driver.monitor = self
        self.driver = driver
        self.writes_journal = writes_journal
        self.lock_budget = lock_budget
        self.restore_session = restore_session
        self.purges = purges
        """Whether the version table is to be emptied with the next step's change of it."""
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
        self._has_run = False
        self._session_changed = False
        self._waits_longer = False
        self._busy = False

    @property
    def is_watching(self) -> bool:
        """Whether what comes by is a migration's, and not the gate's own."""
        return self.step is not None and not self._busy

    def begin(self, step: journal.Step) -> None:
        """A step is about to run."""
        self.step = step
        self.left = self.half_applied = self.rolled_back = self._session_changed = False
        self._row, self._move = 0, None
        self._has_run = False
        self._rerunnable = step.path is not None and is_declared_rerunnable(Path(step.path).read_bytes())

    def move(self, move: journal.Move) -> None:
        """A step is done, and the version table is to be changed: all but the last change now, that one at the end."""
        with self._own():
            self._restore_session()
            if self.purges and self._move is None:
                self.driver.execute(purge(self.driver))
            self._run_move()
            self._move = move

    def end(self, heads: set[str]) -> None:
        """A step's transaction is about to be committed; the version table then says `heads`.

        Raises CheckFailed when there is nothing left to commit.
        """
        if self.rolled_back:
            raise CheckFailed("it has rolled back by hand what it had done, and so is not recorded.")
        step = self.step
        with self._own():
            if self.writes_journal and step is not None and not self._row:
                move, self._move = self._move, None
                self._require_one(journal.write(self.driver, step, sorted(heads), move))
            else:
                self._run_move()
                if self._row:
                    journal.end(self.driver, self._row, sorted(heads))
        self.step = None

    def rest(self) -> None:
        """The step has failed: what is done on the connection from now on is the gate's own."""
        self.step = None

    def before(self, statement: str) -> None:
        """A statement is about to be executed."""
        self._has_run = self._has_run or statement != SQLALCHEMYS_QUESTION
        if "index" in statement.lower():
            self.index_statements.append(" ".join(without_comments(statement).split()))
        if CALLS_SETTER.search(statement) or _sets(statement):
            self._session_changed = True
        with self._own():
            if self.driver.autocommit:
                self._before_outside(plain_statements(statement))
            elif ends_transaction(statement):
                self.left = True
                self.rolled_back = self.rolled_back or rolls_back(statement)
                if self.driver.info.transaction_status != TransactionStatus.INERROR:
                    self._has_done_something()

    def after(self) -> None:
        """It was executed, or has failed."""
        if self.driver.info.transaction_status != TransactionStatus.IDLE:
            return
        with self._own():
            if self._waits_longer:
                self._waits_longer = False
                self.driver.execute("RESET lock_timeout")
            if not self.driver.autocommit and not self.left:
                # it has ended the transaction, in words that we do not know
                self.left = True
                self._has_done_something()
                self.driver.commit()

    def before_commit(self) -> None:
        """The migration is about to commit: through autocommit_block(), or by hand."""
        self._has_run = False
        if self.driver.autocommit:
            return
        self.left = True
        if self.driver.info.transaction_status == TransactionStatus.INERROR:
            return
        with self._own():
            row = self.driver.execute("SELECT pg_current_xact_id_if_assigned() IS NOT NULL").fetchone()
            if row == (True,):
                self._has_done_something()
            self._ensure_row()

    def before_rollback(self) -> None:
        """Somebody rolls back: the migration by hand, or SQLAlchemy after a question of its own."""
        if not self.driver.autocommit:
            self.rolled_back = self.rolled_back or self._has_run

    @contextmanager
    def resumable(self) -> Iterator[None]:
        """What is executed in here goes on where it was, when it was interrupted: a backfill with its progress."""
        with self._own():
            yield

    def _before_outside(self, statements: Sequence[str]) -> None:
        """`statements` are without comments and without what is in quotes."""
        if any(map(CONCURRENTLY.search, statements)):
            # nobody waits behind it while it waits, and when it gives up, it leaves an invalid index
            self._waits_longer = True
            self.driver.execute("SELECT set_config('lock_timeout', %s, false)", [f"{round(self.lock_budget * 1000)}"])
        can_be_done_again = not statements or (len(statements) == 1 and RERUNNABLE.match(statements[0]))
        if not self._rerunnable and not can_be_done_again:
            self._has_done_something()

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

    def _restore_session(self) -> None:
        """End with the migration what it has set: who comes next has limits, a lock, and a search path of its own."""
        if self._session_changed:
            self._session_changed = False
            self.restore_session()

    def _run_move(self) -> None:
        move, self._move = self._move, None
        if move is not None:
            self._require_one(self.driver.execute(move.statement.encode(), move.values).rowcount)

    def _require_one(self, rows: int) -> None:
        if rows != 1:
            raise CheckFailed("the version table changed while the migration ran: somebody else writes to it.")

    def aside(self) -> AbstractContextManager[None]:
        """What is executed in this context, while a step runs, is a guard's and not the migration's."""
        return self._own()

    @contextmanager
    def _own(self) -> Iterator[None]:
        """What is executed in here is the gate's own."""
        before, self._busy = self._busy, True
        try:
            yield
        finally:
            self._busy = before


def _sets(text: str) -> bool:
    """Whether a statement in it may change the settings of the session."""
    return bool(MAY_SET.search(text)) and any(map(SETS.match, plain_statements(text)))
