"""Execute the migration steps of one run, with the monitor, the hook and the journal; retry what gets no lock."""

import copy
import functools
import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from psycopg.pq import TransactionStatus

from dbkit.errors import say, sqlstate_of
from dbkit.gate.context import RunContext
from dbkit.gate.monitor import Monitor
from dbkit.gate.plan import AlembicStep, make_entry
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

    def __init__(
        self, run_context: RunContext, steps: Sequence[AlembicStep], monitor: Monitor, driver: psycopg.Connection
    ) -> None:
        self.run_context = run_context
        self.settings = run_context.settings
        self.steps = steps
        self.monitor = monitor
        self.driver = driver
        self.committed = 0
        """How many steps are committed."""
        self.heads: set[str] | None = None
        """The revisions in the version table after the last recorded step; None before the first."""
        self.running: StepState | None = None
        """The step that was begun and is not committed."""

    def execute(self, context: EnvironmentContext) -> None:
        """Execute all steps, each in its own transaction.

        A step whose locks are not granted within lock_timeout is rolled back, and retried after a pause, for up to
        lock_budget: while it waits for a table, all other sessions that want the table wait behind it. Raises what a
        step raises.
        """
        retries = LockRetries(self.settings)
        while True:
            committed = self.committed
            try:
                with context.begin_transaction():
                    context.run_migrations()
                return
            except (sa.exc.DBAPIError, psycopg.Error) as error:
                self.monitor.stop_observing()
                if self.committed > committed:
                    retries = LockRetries(self.settings)
                pause = retries.next_pause()
                running = self.running
                if sqlstate_of(error) not in TRY_AGAIN or running is None or running.left_transaction or pause is None:
                    raise
                self._report_retry(running, retries.attempts, getattr(getattr(error, "orig", error), "locked", ""))
                context.get_context().impl.memo.clear()  # Alembic remembers there which enum types it has created
                time.sleep(pause)

    def plan(self, _heads: tuple[str, ...], _context: MigrationContext) -> Iterator[AlembicStep]:
        """Yield the steps that are not committed yet, for Alembic to run."""
        for number, step in enumerate(self.steps[self.committed :], self.committed):
            if number == len(self.run_context.steps):
                self.run_context.steps.append(step)
                if self.run_context.announce:
                    print(f"  {'undoing' if step.is_downgrade else 'applying'} {step.doc}", flush=True)
            self.running = running = self.monitor.begin_step(make_entry(step, self.settings))
            yield self._with_hook(step, running)
            if running.left_transaction and self.driver.info.transaction_status == TransactionStatus.INTRANS:
                # it has ended Alembic's transaction by hand: what came after that, its revision too, would be lost
                say(f"warning: {running.entry.revision} commits by hand; see `make check`.")
                self.driver.commit()
            self.confirm_commit()

    def confirm_commit(self) -> None:
        """Note that the running step is committed."""
        step, running = self.steps[self.committed], self.running
        self.monitor.empties_version_table = False
        self.running = None
        self.committed += 1
        if self.run_context.hook is not None and running is not None and isinstance(step, RevisionStep):
            self.run_context.hook.done(step, left_transaction=running.left_transaction)

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
