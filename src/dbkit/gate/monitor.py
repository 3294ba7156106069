"""Observe what a migration step does to its transaction, and journal a step that leaves it."""

import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg
from psycopg.pq import TransactionStatus

from dbkit import journal, signals
from dbkit.errors import CheckFailed
from dbkit.gate.monitored_connection import MonitoredConnection
from dbkit.gate.session_check import SessionCheck
from dbkit.gate.step_state import OUTSIDE, StepState
from dbkit.gate.version_table import empty_version_table
from dbkit.postgres.pooler import SESSION_COLUMNS
from dbkit.postgres.sql_text import ends_transaction, plain_statements, rolls_back, without_comments

if TYPE_CHECKING:
    from dbkit.gate.preflight import Preflight

# Outside of a transaction, these can be run again after they were interrupted: they change no rows, or all of them
RERUNNABLE = re.compile(
    r"(?:create (?:unique )?index concurrently|drop index concurrently|reindex|vacuum|analyze|set|reset|show|comment on"
    r"|alter type \S+ add value if not exists|alter table \S+ validate constraint)\b"
)
CONCURRENTLY = re.compile(r"\bindex\b.*\bconcurrently\b", re.DOTALL)
MAY_SET = re.compile(r"\b(?:set|reset|discard)\b", re.IGNORECASE)
SETS = re.compile(r"(?:set|reset|discard)\b")
CALLS_SETTER = re.compile(r"\bset_config\s*\(|pg_advisory_unlock", re.IGNORECASE)
# SQLAlchemy's first query in an autocommit_block(), which is rolled back
ISOLATION_QUERY = "show transaction isolation level"
LONG_LOCK_TIMEOUT = "SELECT pg_catalog.set_config('lock_timeout', %s, false)"
HAS_WRITTEN = "SELECT pg_current_xact_id_if_assigned() IS NOT NULL"
# A setting that ends with the transaction, and one that stays only when the transaction is committed
MARK_TRANSACTION = """
SELECT pg_catalog.set_config('dbkit.transaction', %s, true), pg_catalog.set_config('dbkit.committed', %s, false)"""
# Of a new row in the journal: its id, its session, and whether it is in the marked transaction, which gets the next one
HAND_ON = f"""
id, {SESSION_COLUMNS},
CASE WHEN pg_catalog.current_setting('dbkit.transaction', true) OPERATOR(pg_catalog.=) '{{mark}}'::pg_catalog.text
    THEN pg_catalog.concat(pg_catalog.set_config('dbkit.transaction', '{{next}}', true),
        pg_catalog.set_config('dbkit.committed', '{{next}}', false)) END"""
READ_MARKS = """
SELECT pg_catalog.current_setting('dbkit.transaction', true), pg_catalog.current_setting('dbkit.committed', true)"""


class Monitor:
    """Notices when a step leaves its transaction, and writes the journal row of one that does.

    The row is written in the transaction that the step is about to commit. So whatever ends the step afterwards, even
    kill -9, the next run knows that a part of it may have been committed.
    """

    def __init__(
        self,
        driver: MonitoredConnection,
        *,
        writes_journal: bool,
        lock_budget: float,
        restore_session: Callable[[], None],
        session_check: SessionCheck,
        empties_version_table: bool = False,
        checks_transaction: bool = False,
        shares_transaction: bool = False,
        preflight: "Preflight | None" = None,
    ) -> None:
        driver.monitor = self
        self.driver = driver
        self.writes_journal = writes_journal
        self.lock_budget = lock_budget
        self.restore_session = restore_session
        self.session_check = session_check
        self.empties_version_table = empties_version_table
        """Whether the version table is emptied before its next change."""
        self.checks_transaction = checks_transaction
        """Whether to find commits that are not reported, by marks in the transaction."""
        self.shares_transaction = shares_transaction
        """Whether a step may begin in the transaction of the one before it."""
        self.preflight = preflight
        """Asks before each statement whether existing rows make it fail."""
        self.step: StepState | None = None
        """The step that is running."""
        self.index_statements: list[str] = []
        """The executed statements of all steps that name an index."""
        self.before_leaving: Callable[[], None] = lambda: None
        self.next_mark = ""
        """The mark that the transaction has already, for the step that begins in it."""
        self._is_own = False
        self._ended_unseen = False
        """Whether a COMMIT by hand has ended the transaction, and the driver has not seen it: it begins no other."""

    @property
    def is_observing(self) -> bool:
        """Whether a statement executed now is the migration's, and not this package's."""
        return self.step is not None and not self._is_own

    @property
    def entry(self) -> journal.JournalEntry | None:
        """The journal entry of the running step."""
        return self.step.entry if self.step else None

    @contextmanager
    def own_statements(self) -> Iterator[None]:
        """Statements executed within the context are this package's, or a hook's, and not the migration's."""
        before, self._is_own = self._is_own, True
        try:
            yield
        finally:
            self._is_own = before

    def resumable(self) -> AbstractContextManager[None]:
        """Statements executed within the context resume after an interruption: a backfill, with its progress."""
        if self.step is not None:
            self.step.has_executed = True  # a block with them is not one in which nothing was seen
        return self.own_statements()

    def begin_step(self, entry: journal.JournalEntry, before_leaving: Callable[[], None]) -> StepState:
        """Observe a step from now on, and return its state.

        `before_leaving` is called when it commits what the steps before it have done in the same transaction.
        """
        step = StepState(entry)
        self._ended_unseen = False
        self.before_leaving = before_leaving
        if self.checks_transaction and not self.driver.autocommit:
            step.transaction, self.next_mark = self.next_mark, ""
            if not step.transaction:
                step.transaction = secrets.token_hex(8)
                self.driver.execute_qualified(MARK_TRANSACTION, [step.transaction, step.transaction])
        self.step = step
        return step

    def verify_session(self) -> None:
        """Check, behind a pooler, that the step begins in the session of the run. Raises SessionChanged."""
        with self.own_statements():
            self.session_check.verify()

    def change_version(self, change: journal.VersionChange) -> None:
        """Change the version table after a step: all changes but the last now, the last one in `end_step`."""
        step = self._running_step()
        self._begin_again()
        with self.own_statements():
            self._restore_session(step)
            if self.empties_version_table and step.version_change is None:
                empty_version_table(self.driver)
            self._execute_change(step)
            step.version_change = change

    def end_step(self, heads: set[str]) -> None:
        """Record a step before its transaction is committed; the version table then has `heads`.

        Raises CheckFailed when there is nothing left to commit.
        """
        step = self._running_step()
        _require_not_refused(step)
        self._begin_again()
        writes_row = self.writes_journal and not step.row_id
        if not (writes_row and self.driver.info.transaction_status == TransactionStatus.INTRANS):
            self._compare_transaction(step)  # else together with the row
        _require_not_rolled_back(step)
        with self.own_statements():
            if writes_row and not step.row_id:
                self._record_step(step, sorted(heads))
            else:
                self._execute_change(step)
                if step.row_id:
                    ended = journal.record_end(self.driver, step.row_id, sorted(heads), SESSION_COLUMNS)
                    self.session_check.compare(ended.fetchone())
            self.session_check.verify()
        step.is_recorded = True
        self.step = None

    def _record_step(self, step: StepState, heads: Sequence[str]) -> None:
        """Write the row of a step that has not left its transaction, as far as it was seen."""
        change, step.version_change = step.version_change, None
        if not step.transaction:
            recorded = journal.record_step(self.driver, step.entry, heads, change, SESSION_COLUMNS)
            _require_one_row(recorded.rowcount)
            self.session_check.compare(recorded.fetchone())
            return
        following = secrets.token_hex(8)
        passed = HAND_ON.format(mark=step.transaction, next=following)
        recorded = journal.record_step(self.driver, step.entry, heads, change, passed)
        _require_one_row(recorded.rowcount)
        identifier, *place, mark = recorded.fetchone() or (0, 0, "", None)
        self.session_check.compare(place)
        if mark is not None:
            self.next_mark = following if self.shares_transaction else ""
            return
        step.row_id = int(identifier)
        self._compare_transaction(step)
        _require_not_rolled_back(step)

    def find_unseen_commit(self, step: StepState) -> None:
        """Note, for a step that has failed and was rolled back, a commit that was not reported when it came."""
        if not step.transaction or step.left_transaction or step.is_recorded or self.driver.closed:
            return
        with suppress(psycopg.Error):
            if self._read_marks()[1] == step.transaction:
                step.left_transaction = True
                self._mark_half_applied(step)
            self.driver.commit()

    def _has_written(self, step: StepState, *, has_executed: bool) -> bool:
        """Whether the step has written anything in its transaction."""
        # the steps before it may have written in the same transaction
        may_have = has_executed or not self.shares_transaction
        return may_have and self.driver.execute(HAS_WRITTEN).fetchone() == (True,)

    def find_unseen_end(self) -> None:
        """Note a commit or rollback of the running step that was not reported, before a hook looks at what it did."""
        self._compare_transaction(self._running_step())

    def _compare_transaction(self, step: StepState) -> None:
        """Note a commit or rollback that was not reported, by the marks of the transaction that the step began in."""
        if not step.transaction or step.left_transaction or self.driver.autocommit:
            return
        with self.own_statements():
            current, committed = self._read_marks()
            if current == step.transaction or not (current or committed):  # RESET ALL removes both
                return
            if self.driver.info.transaction_status == TransactionStatus.IDLE:
                self.driver.commit()  # the driver has not seen the end, and would begin no other transaction
            if committed != step.transaction:
                step.rolled_back = True
                return
            step.left_transaction = True
            self._mark_half_applied(step)
            self.driver.commit()

    def _read_marks(self) -> tuple[str, str]:
        row = self.driver.execute_qualified(READ_MARKS).fetchone() or ("", "")
        return row[0] or "", row[1] or ""

    def stop_observing(self) -> None:
        """Take every statement from now on as this package's: the step has failed."""
        self.step = None
        self.next_mark = ""
        self._ended_unseen = False

    @contextmanager
    def observe(self, statement: str) -> Iterator[None]:
        """Observe a statement of the running step, which is executed within the context."""
        step = self._running_step()
        signals.require_none_received()
        _require_not_refused(step)
        if self.preflight is not None:
            self._ask(self.preflight, step, statement)
        waits_longer = self._before_statement(step, statement)
        try:
            yield
        finally:
            self._after_statement(step, waits_longer=waits_longer)

    def before_commit(self) -> None:
        """Called before the step commits: through autocommit_block(), or by hand."""
        step = self._running_step()
        _require_not_refused(step)
        self._begin_again()
        has_executed, step.has_executed = step.has_executed, False
        if self.driver.autocommit:
            if self.checks_transaction and not has_executed:
                # an autocommit_block() in which no statement was seen: a raw cursor may have executed anything
                with self.own_statements():
                    self._mark_half_applied(step)
            return
        self.before_leaving()
        step.left_transaction = True
        if self.driver.info.transaction_status == TransactionStatus.INERROR:
            return
        with self.own_statements(), suppress(psycopg.errors.InFailedSqlTransaction):  # not every driver knows that
            if self._has_written(step, has_executed=has_executed):
                self._mark_half_applied(step)
            self._ensure_row(step)

    def before_savepoint(self) -> None:
        """Called before the step sets a savepoint by psycopg's transaction()."""
        self._running_step().has_savepoint = True

    def before_rollback(self) -> None:
        """Called before a rollback: the step's by hand, or SQLAlchemy's after one of its queries."""
        step = self._running_step()
        if not self.driver.autocommit:
            step.rolled_back = step.rolled_back or step.has_executed

    def _begin_again(self) -> None:
        """Let the driver begin a transaction with the next statement, after a COMMIT that it has not seen."""
        if self._ended_unseen:
            self._ended_unseen = False
            with self.own_statements():
                self.driver.begin_again()

    def _running_step(self) -> StepState:
        if self.step is None:
            raise RuntimeError("no migration step is running")
        return self.step

    def _ask(self, preflight: "Preflight", step: StepState, statement: str) -> None:
        """Ask whether existing rows make a statement fail. Raises CheckFailed."""
        try:
            with self.own_statements():
                preflight.require_rows(self.driver, step, statement)
        except CheckFailed as error:
            if not self.driver.autocommit:
                # the server would have aborted the transaction; a migration that catches the error must not go on
                step.refusal = error
            raise

    def _before_statement(self, step: StepState, statement: str) -> bool:
        """Note what the statement is about to do; return whether lock_timeout was raised for it."""
        if step.transaction and self.driver.info.transaction_status == TransactionStatus.IDLE:
            self._compare_transaction(step)
        step.has_executed = step.has_executed or statement != ISOLATION_QUERY
        if "index" in statement.lower():
            self.index_statements.append(" ".join(without_comments(statement).split()))
        if CALLS_SETTER.search(statement) or _changes_settings(statement):
            step.has_changed_session = True
        # after op.execute("COMMIT"), psycopg2 and asyncpg execute it without a transaction, and that is what it is for
        is_outside = self._ended_unseen and all(map(OUTSIDE.match, plain_statements(statement)))
        if not is_outside:
            self._begin_again()
        with self.own_statements():
            if self.driver.autocommit or is_outside:
                return self._before_autocommit(step, plain_statements(statement))
            if ends_transaction(statement):
                step.left_transaction = True
                step.rolled_back = step.rolled_back or rolls_back(statement)
                if self.driver.info.transaction_status != TransactionStatus.INERROR:
                    self._mark_half_applied(step)
        return False

    def _before_autocommit(self, step: StepState, statements: Sequence[str]) -> bool:
        """`statements` are without comments and quoted text."""
        self.session_check.verify()
        can_be_repeated = not statements or (len(statements) == 1 and RERUNNABLE.match(statements[0]))
        if not can_be_repeated and not step.is_rerunnable:
            self._mark_half_applied(step)
        if not any(map(CONCURRENTLY.search, statements)):
            return False
        # no other session waits behind it while it waits, and when it gives up, it leaves an invalid index
        self.driver.execute_qualified(LONG_LOCK_TIMEOUT, [f"{round(self.lock_budget * 1000)}"])
        return True

    def _after_statement(self, step: StepState, *, waits_longer: bool) -> None:
        """Called after a statement was executed, or has failed."""
        if self.driver.info.transaction_status != TransactionStatus.IDLE:
            return
        with self.own_statements():
            if waits_longer:
                self.driver.execute_qualified(LONG_LOCK_TIMEOUT, [f"{round(self.driver.lock_timeout * 1000)}"])
            if self.driver.autocommit:
                return
            self._ended_unseen = self.checks_transaction
            if not step.left_transaction:
                # it has ended the transaction by a statement that `ends_transaction` does not recognise
                self._begin_again()
                step.left_transaction = True
                self._mark_half_applied(step)
                self.driver.commit()

    def _mark_half_applied(self, step: StepState) -> None:
        if step.half_applied:
            return
        step.half_applied = True
        if step.row_id:
            journal.mark_half_applied(self.driver, step.row_id)
        self._ensure_row(step)

    def _ensure_row(self, step: StepState) -> None:
        if self.writes_journal and not step.row_id:
            step.row_id = journal.record_begin(self.driver, step.entry, half_applied=step.half_applied)

    def _restore_session(self, step: StepState) -> None:
        """Undo what the step has set, so that the next one has time limits, the lock and the search path as before."""
        if step.has_changed_session:
            step.has_changed_session = False
            self.restore_session()

    def _execute_change(self, step: StepState) -> None:
        change, step.version_change = step.version_change, None
        if change is not None:
            changed = self.driver.execute_qualified(f"{change.statement} RETURNING {SESSION_COLUMNS}", change.values)
            _require_one_row(changed.rowcount)
            self.session_check.compare(changed.fetchone())


def _require_not_refused(step: StepState) -> None:
    if step.refusal is not None:
        raise step.refusal


def _require_not_rolled_back(step: StepState) -> None:
    if step.rolled_back:
        raise CheckFailed("it has rolled back by hand what it had done, and so is not recorded.")


def _require_one_row(count: int) -> None:
    if count != 1:
        raise CheckFailed("the version table changed while the migration ran: another session writes to it.")


def _changes_settings(text: str) -> bool:
    """Whether a statement may change the settings of the session."""
    return bool(MAY_SET.search(text)) and any(map(SETS.match, plain_statements(text)))
