"""The steps of one run, in order: each told, watched and journalled, and tried again when a lock is not granted."""

import copy
import functools
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import psycopg
import sqlalchemy as sa
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep, StampStep
from psycopg.pq import TransactionStatus

from dbkit import journal
from dbkit.errors import say, sqlstate_of
from dbkit.gate.monitor import Monitor
from dbkit.postgres import connection_guard
from dbkit.postgres.locks import OLDEST_TRANSACTION, TRY_AGAIN
from dbkit.project.step_hooks import StepHook
from dbkit.settings import Settings

AlembicStep = RevisionStep | StampStep

LONGEST_PAUSE = 10.0  # seconds


class StepLog(Protocol):
    """Who wants to know what was begun: a Passage."""

    settings: Settings
    announce: bool
    steps: list[AlembicStep]
    guard: StepHook | None


class Executor:
    """The steps of a run that holds the migration lock. It can go on at the step that did not get its locks."""

    def __init__(
        self, passage: StepLog, steps: Sequence[AlembicStep], monitor: Monitor, driver: psycopg.Connection
    ) -> None:
        self.passage = passage
        self.settings = passage.settings
        self.steps = steps
        self.monitor = monitor
        self.driver = driver
        self.done = 0
        """How many steps are committed."""
        self.heads: set[str] | None = None
        """What the version table says after the last step that got as far; None before the first."""
        self.running: journal.JournalEntry | None = None
        """The step that was begun and is not committed."""
        self.is_recorded = False
        """Whether it has changed the version table, so that only its commit is left."""

    def run(self, context: EnvironmentContext) -> None:
        """Run all steps, each in a transaction of its own.

        A step whose locks are not granted within lock_timeout is rolled back, and tried again after a pause, for up to
        lock_budget: while it waits, everybody else who wants the table waits behind it. Raises what a step raises.
        """
        begun, attempt = time.monotonic(), 0
        while True:
            done = self.done
            try:
                with context.begin_transaction():
                    context.run_migrations()
                return
            except (sa.exc.DBAPIError, psycopg.Error) as error:
                self.monitor.rest()
                if self.done > done:
                    begun, attempt = time.monotonic(), 0
                attempt += 1
                left = begun + self.settings.lock_budget - time.monotonic()
                pause = min(self._pause(attempt), LONGEST_PAUSE)
                if sqlstate_of(error) not in TRY_AGAIN or self.monitor.left or self.running is None or pause > left:
                    raise
                self._say_again(attempt, getattr(getattr(error, "orig", error), "locked", ""))
                context.get_context().impl.memo.clear()  # Alembic remembers there which enum types it has created
                time.sleep(pause)

    def plan(self, _heads: tuple[str, ...], _context: MigrationContext) -> Iterator[AlembicStep]:
        """What Alembic is to run."""
        for number, step in enumerate(self.steps[self.done :], self.done):
            if number == len(self.passage.steps):
                self.passage.steps.append(step)
                if self.passage.announce:
                    print(f"  {'undoing' if step.is_downgrade else 'applying'} {step.doc}", flush=True)
            self.running = make_entry(step, self.settings)
            self.is_recorded = False
            self.monitor.begin(self.running)
            yield self._guarded(step)
            if self.monitor.left and self.driver.info.transaction_status == TransactionStatus.INTRANS:
                # it has ended Alembic's transaction by hand: what came after that, its revision too, would be lost
                say(f"warning: {self.running.revision} commits by hand; see `make check`.")
                self.driver.commit()
            self.confirm()

    def confirm(self) -> None:
        """Note that the running step is committed."""
        step = self.steps[self.done]
        self.monitor.purges = False
        self.running = None
        self.done += 1
        if self.passage.guard is not None and isinstance(step, RevisionStep):
            self.passage.guard.done(step, left=self.monitor.left)

    def _guarded(self, step: AlembicStep) -> AlembicStep:
        """The step, with the guard of the passage around its function."""
        guard = self.passage.guard
        if guard is None or not isinstance(step, RevisionStep):
            return step
        guarded = copy.copy(step)

        @functools.wraps(step.migration_fn)  # Alembic logs its name
        def run(**keywords: Any) -> None:
            with self.monitor.aside():
                guard.before(step, self.driver)
            step.migration_fn(**keywords)
            with self.monitor.aside():
                guard.after(step, self.driver, left=self.monitor.left)

        guarded.migration_fn = run
        return guarded

    def applied(self, heads: set[str], **_rest: Any) -> None:
        """Called by Alembic at the end of each step, within its transaction."""
        self.heads = heads
        connection_guard.require_none_refused()
        self.monitor.end(heads)
        self.is_recorded = True

    def _pause(self, attempt: int) -> float:
        """Seconds: longer each time, and not the same for two who wait for each other."""
        longer: int = 2 ** min(attempt - 1, 10)
        return self.settings.lock_timeout * longer * random.uniform(0.5, 1.5)  # noqa: S311

    def _say_again(self, attempt: int, locked: str) -> None:
        who = f" {locked[0].upper()}{locked[1:]}." if locked else self._oldest_transaction()
        revision = self.running.revision if self.running else ""
        say(
            f"{revision} did not get its locks within {self.settings.lock_timeout:g} s (try {attempt}); "
            f"trying again for up to {self.settings.lock_budget:g} s.{who}"
        )

    def _oldest_transaction(self) -> str:
        holder = self.driver.execute(OLDEST_TRANSACTION).fetchone()
        self.driver.rollback()
        return f" The oldest transaction: {holder[0]}." if holder else ""


def make_entry(step: AlembicStep, settings: Settings) -> journal.JournalEntry:
    """What the journal is told of a step."""
    environment = settings.app_env
    if isinstance(step, StampStep):
        return journal.JournalEntry(journal.STAMP, revision_of(step), environment)
    action = journal.DOWNGRADE if step.is_downgrade else journal.UPGRADE
    parents = tuple(step.revision._all_down_revisions)
    return journal.JournalEntry(action, revision_of(step), environment, Path(step.revision.path), parents)


def revision_of(step: AlembicStep) -> str:
    """The revision that a step applies, undoes or stamps; base for a stamp to nothing."""
    if isinstance(step, RevisionStep):
        return str(step.revision.revision)
    return ", ".join(step.to_revisions) or "base"
