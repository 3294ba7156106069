"""Execute the steps of a run that holds the migration lock, and check the result from a second connection."""

from asyncio import CancelledError
from collections.abc import Sequence
from typing import TYPE_CHECKING

import psycopg

from dbkit import signals
from dbkit.errors import CheckFailed, DbkitError, Refused, as_dbkit_error, is_lock_timeout, say
from dbkit.gate import diagnosis
from dbkit.gate.diagnosis import DatabaseState, UnknownState
from dbkit.gate.executor import Executor
from dbkit.gate.migration_session import MigrationSession
from dbkit.gate.monitor import Monitor
from dbkit.gate.plan import AlembicStep, replace_plan, revision_of
from dbkit.gate.project_connection import ProjectConnection
from dbkit.gate.session_check import SessionCheck
from dbkit.gate.step_state import StepState
from dbkit.gate.version_table import capture_changes
from dbkit.postgres.abort_watch import AbortWatch
from dbkit.postgres.connect import connect
from dbkit.postgres.durability import flush_wal
from dbkit.postgres.own_statements import place_of
from dbkit.postgres.sql_quote import as_text
from dbkit.project.config import ProjectConfig
from dbkit.project.step_hooks import HookFailed

if TYPE_CHECKING:
    from dbkit.gate.preflight import Preflight


def _make_preflight(config: ProjectConfig) -> "Preflight | None":
    """Return what asks before each statement, if the project has switched it on."""
    if not config.preflight:
        return None
    from dbkit.gate.preflight import Preflight  # no part of a run without it

    return Preflight(config.preflight_timeout)


class CheckedExecution:
    """One execution of steps, with the check of its result."""

    def __init__(self, session: MigrationSession, steps: Sequence[AlembicStep], *, purges: bool) -> None:
        """`purges`: empty the version table before its first change."""
        self.session = session
        self.settings = session.settings
        self.steps = steps
        self.invalid_before = diagnosis.read_invalid_indexes(session.driver)
        session.driver.rollback()
        self.monitor = Monitor(
            session.driver,
            writes_journal=session.writes_journal,
            lock_budget=self.settings.lock_budget,
            restore_session=session.restore_settings,
            session_check=SessionCheck(session.driver, session.target),
            checks_transaction=isinstance(session.driver, ProjectConnection),
            shares_transaction=not session.commits_each_step,
            empties_version_table=purges,
            preflight=_make_preflight(session.config),
        )
        self.executor = Executor(session, steps, self.monitor)

    def run(self) -> None:
        """Execute the steps, and check the result. Raises DbkitError, which tells whether to run them again."""
        migration, driver = self.session.migration, self.session.driver
        migration.purge = False  # not in a separate transaction, as Alembic does it, but together with the first stamp
        self.session.shorten_lock_wait()
        replace_plan(migration, lambda _: self.executor.plan)
        migration.on_version_apply_callbacks += (self.executor.record,)
        table = as_text(place_of(driver).version_table_sql)
        watch = AbortWatch()
        try:
            with (
                watch.watching(self.session.connection),
                capture_changes(self.monitor.change_version, lambda: self.monitor.empties_version_table, table),
                self.session.observing(self.monitor),
            ):
                self.executor.execute()
        except (Exception, SystemExit, KeyboardInterrupt, CancelledError) as error:  # a migration can raise anything
            self._require_committed(watch.find_cause(error))
        if self.executor.heads is not None:
            self.session.run_context.after = tuple(sorted(self.executor.heads))
            if not self.session.is_external:
                self.require_result()

    def _require_committed(self, error: BaseException) -> None:
        """Raise the error of the step that has failed; return where only the reply to its COMMIT was lost."""
        running = self.executor.running
        if running is None:
            raise error
        self.monitor.stop_observing()
        self.session.roll_back()
        self.monitor.find_unseen_commit(running)
        if isinstance(error, HookFailed | Refused):
            raise error
        error = self.monitor.session_check.find_cause(error)
        state = diagnosis.read_state_after_failure(
            self.session.target, self.settings, error, self.session.close, self.session.driver
        )
        if not self._is_committed(running, state):
            raise self._failure_error(error, running, state) from error
        self._continue_without_reply(error, running)

    def _is_committed(self, running: StepState, state: DatabaseState | UnknownState) -> bool:
        """Whether only the reply to the step's COMMIT was lost."""
        if isinstance(state, UnknownState) or not (running.is_recorded and self.session.driver.closed):
            return False
        return not signals.received and set(state.heads) == self.executor.heads

    def _continue_without_reply(self, error: BaseException, running: StepState) -> None:
        """Report that the step is committed. Raises CheckFailed when more steps follow, for which the lock is lost."""
        self.executor.confirm_commits()
        step = f"{running.entry.action} of {running.entry.revision}"
        text = f"the connection was lost at the COMMIT of the {step} ({diagnosis.error_text(error).rstrip('.')})"
        left = len(self.steps) - self.executor.committed
        if left:
            raise CheckFailed(
                f"{text}; it is committed, and {left} more were not begun.", diagnosis.RUN_AGAIN
            ) from error
        say(f"{text}; a new connection shows that it is committed.")

    def _failure_error(
        self, error: BaseException, running: StepState, state: DatabaseState | UnknownState
    ) -> DbkitError:
        invalid: list[str] = []
        if isinstance(state, DatabaseState):
            statements = self.monitor.index_statements
            invalid = diagnosis.find_concerned_indexes(state.invalid, self.invalid_before, statements)
            invalid = diagnosis.find_unrepaired_indexes(invalid, state.invalid, statements)
        return diagnosis.failure_error(error, running, state, invalid)

    def require_result(self) -> None:
        """Raise where the version table has other heads than it should, or a new invalid index is left."""
        heads, last = self.executor.heads or set(), revision_of(self.steps[-1])
        state = self._read_state_after_success(last)
        if state is None:
            return
        diagnosis.require_heads(state, heads)
        invalid = diagnosis.find_concerned_indexes(state.invalid, self.invalid_before, self.monitor.index_statements)
        if invalid:
            raise diagnosis.invalid_index_error(
                invalid, f"{last} is applied, but the index {', '.join(invalid)} is invalid."
            )

    def _read_state_after_success(self, last: str) -> DatabaseState | None:
        """Flush what is committed, and read the state of the database: over a new connection, or else over our own.

        What is applied has not failed because the state cannot be read: then warn, and return None.
        """
        driver = self.session.driver
        try:
            self.session.flush()
        except psycopg.Error as error:
            say(f"warning: the connection was lost after {last} was committed: {diagnosis.error_text(error)}")
        is_alive = not driver.closed and not self.session.is_external
        try:
            if is_alive and driver.is_alone:
                return diagnosis.read_state(driver)
            # a second connection may not be allowed: to a role with CONNECTION LIMIT 1, for one
            wait = 0.0 if is_alive else min(self.settings.wait, diagnosis.PATIENCE)
            with connect(self.session.target, wait, patience=self.settings.wait, waits_for_room=False) as fresh:
                if not is_alive:
                    flush_wal(fresh)
                return diagnosis.read_state(fresh)
        except (DbkitError, psycopg.Error) as error:
            reason: Exception = error
        if is_alive and not is_lock_timeout(reason):
            try:
                return diagnosis.read_state(driver)
            except psycopg.Error as error:
                reason = error
        text = as_dbkit_error(reason).message.rstrip(".")
        say(f"warning: {last} is applied, but the state of the database could not be read: {text}. See `make status`.")
        return None
