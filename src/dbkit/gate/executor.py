"""Execute the migration steps of one run, with the monitor, the hook and the journal; retry what gets no lock."""

import copy
import functools
import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext, RevisionStep
from psycopg.pq import TransactionStatus

from dbkit.errors import say, sqlstate_of
from dbkit.gate.migration_session import MigrationSession
from dbkit.gate.monitor import Monitor
from dbkit.gate.plan import AlembicStep, make_entry, revision_of
from dbkit.gate.step_state import StepState
from dbkit.postgres import connection_guard
from dbkit.postgres.locks import OLDEST_TRANSACTION, TRY_AGAIN
from dbkit.settings import Settings

LONGEST_PAUSE = 10.0  # seconds


class LockRetries:
    """How often, and after which pauses, one step is retried whose locks were not granted."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.deadline = time.monotonic() + settings.lock_budget
        self.attempts = 0

    def next_pause(self) -> float | None:
        """Return the seconds until the next try; None when that would be past the lock budget.

        Longer each time, and never the same for two runs that wait for each other.
        """
        self.attempts += 1
        longer: int = 2 ** min(self.attempts - 1, 10)
        pause = self.settings.lock_timeout * longer * random.uniform(0.5, 1.5)  # noqa: S311
        pause = min(pause, LONGEST_PAUSE)
        return pause if pause <= self.deadline - time.monotonic() else None


class Executor:
    """Executes the steps of a run that holds the migration lock, and resumes at a step that did not get its locks."""

    def __init__(self, session: MigrationSession, steps: Sequence[AlembicStep], monitor: Monitor) -> None:
        self.session = session
        self.run_context = session.run_context
        self.settings = session.settings
        self.steps = steps
        self.monitor = monitor
        self.driver = session.driver
        self.committed = 0
        """How many steps are committed."""
        self.begun = 0
        """How many steps were begun, some of them perhaps more than once."""
        self.waiting: list[StepState] = []
        """The steps that are done and not committed: of a project whose steps share one transaction."""
        self.heads: set[str] | None = None
        """The revisions in the version table after the last recorded step; None before the first."""
        self.running: StepState | None = None
        """The step that was begun last, while it is not committed."""

    def execute(self) -> None:
        """Execute all steps, in the transactions that the session gives them.

        A step whose locks are not granted within lock_timeout is rolled back, and retried after a pause, for up to
        lock_budget, with the steps that were rolled back with it: while it waits for a table, all other sessions that
        want the table wait behind it. Raises what a step raises.
        """
        retries = LockRetries(self.settings)
        while True:
            committed = self.committed
            try:
                self.session.run_migrations()
                self.confirm_commits()
                return
            except (sa.exc.DBAPIError, psycopg.Error) as error:
                self.monitor.stop_observing()
                if self.committed > committed:
                    retries = LockRetries(self.settings)
                pause = retries.next_pause()
                running = self.running
                if sqlstate_of(error) not in TRY_AGAIN or running is None or pause is None:
                    raise
                if not self.session.can_retry:
                    raise
                self.monitor.find_unseen_commit(running)
                if running.left_transaction or any(each.left_transaction for each in self.waiting):
                    raise
                if self.run_context.hook is not None:
                    self.run_context.hook.rolled_back(sum(each.is_done for each in self.waiting))
                self.waiting.clear()
                self._report_retry(running, retries.attempts, getattr(getattr(error, "orig", error), "locked", ""))
                # Alembic remembers there which enum types it has created
                self.session.migration.impl.memo.clear()
                time.sleep(pause)

    def plan(self, _heads: tuple[str, ...], _context: MigrationContext) -> Iterator[AlembicStep]:
        """Yield the steps that are not committed yet, for Alembic to run."""
        for number, step in enumerate(self.steps[self.committed :], self.committed):
            if number == self.begun:
                self.begun += 1
                self.run_context.steps.append(step)
                if self.run_context.announce:
                    print(
                        f"  {'undoing' if step.is_downgrade else 'applying'} {step.doc or revision_of(step)}",
                        flush=True,
                    )
            self.running = running = self.monitor.begin_step(make_entry(step, self.settings), self._confirm_earlier)
            self.monitor.verify_session()
            yield self._with_hook(step, running)
            commits = self.session.commits_each_step
            if running.left_transaction and self.driver.info.transaction_status == TransactionStatus.INTRANS:
                # what came after the transaction that it has ended, its revision too, must not be lost with later steps
                if commits:
                    say(f"warning: {running.entry.revision} commits by hand; see `make check`.")
                self.session.commit_rest()
                commits = not self.session.is_external
            self.waiting.append(running)
            self._call_done(step, running)
            if commits:
                self.confirm_commits()

    def confirm_commits(self) -> None:
        """Note that all steps which were done are committed, the running one included."""
        if self.running is not None and self.running not in self.waiting:
            self.waiting.append(self.running)
        self._confirm_earlier()
        self.running = None

    def _confirm_earlier(self) -> None:
        """Note that the steps which were done before the running one are committed."""
        for state in self.waiting:
            self._call_done(self.steps[self.committed], state)  # where only the reply to its commit was lost
            self.monitor.empties_version_table = False
            self.committed += 1
        self.waiting.clear()

    def _call_done(self, step: AlembicStep, state: StepState) -> None:
        """Call the hook after a step, once."""
        if not state.is_done and self.run_context.hook is not None and isinstance(step, RevisionStep):
            self.run_context.hook.done(step, left_transaction=state.left_transaction)
            state.is_done = True

    def record(self, heads: set[str], **_rest: Any) -> None:
        """Record the running step. Called by Alembic at the end of each, within its transaction."""
        self.heads = heads
        connection_guard.require_none_refused()
        self.monitor.end_step(heads)

    def _with_hook(self, step: AlembicStep, running: StepState) -> AlembicStep:
        """Return the step with the hook called before and after its function."""
        hook = self.run_context.hook
        if hook is None or not isinstance(step, RevisionStep):
            return step
        hooked = copy.copy(step)

        @functools.wraps(step.migration_fn)  # Alembic logs its name
        def run_step(**keywords: Any) -> None:
            with self.monitor.own_statements():
                hook.before(step, self.driver)
            step.migration_fn(**keywords)
            self.monitor.find_unseen_end()
            with self.monitor.own_statements():
                hook.after(step, self.driver, left_transaction=running.left_transaction)

        hooked.migration_fn = run_step
        return hooked

    def _report_retry(self, running: StepState, attempt: int, locked: str) -> None:
        holder = f" {locked[0].upper()}{locked[1:]}." if locked else self._describe_oldest_transaction()
        say(
            f"{running.entry.revision} did not get its locks within {self.settings.lock_timeout:g} s (try {attempt}); "
            f"trying again for up to {self.settings.lock_budget:g} s.{holder}"
        )

    def _describe_oldest_transaction(self) -> str:
        holder = self.driver.execute(OLDEST_TRANSACTION).fetchone()
        self.driver.rollback()
        return f" The oldest transaction: {holder[0]}." if holder else ""
