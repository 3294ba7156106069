"""The interfaces of a hook and of a monitor of migration steps, whatever runs the steps."""

from contextlib import AbstractContextManager
from typing import Protocol

import psycopg
from alembic.runtime.migration import RevisionStep

from dbkit.errors import CheckFailed
from dbkit.journal import JournalEntry

RECORD_BACKFILL = "dbkit.record_backfill"
"""The key, in the `info` of a connection, of a function that a proof sets: it gets the statement of a backfill that has
ended, and the number of rows that were changed."""

MONITOR = "dbkit.monitor"
"""The key, in the `info` of a project's own connection, of the monitor of the step that runs on it."""


class HookFailed(CheckFailed):
    """A hook could not do its part, so the step was not begun, and nothing of it is left to repair."""


class StepHook(Protocol):
    """Called before and after each step. An exception ends the step; a lock that is not granted makes it run again."""

    def before(self, step: RevisionStep, driver: psycopg.Connection) -> None:
        """Called in the step's transaction, before anything else is executed in it."""

    def after(self, step: RevisionStep, driver: psycopg.Connection, *, left_transaction: bool) -> None:
        """Called after the step's function, before the commit, with whether it left the transaction it began in."""

    def done(self, step: RevisionStep, *, left_transaction: bool) -> None:
        """Called when the step is committed, or the next one begins in the same transaction."""

    def rolled_back(self, count: int) -> None:
        """Called when the last `count` steps that were done are rolled back, to be run again."""


class StepMonitor(Protocol):
    """The interface of the attribute `monitor` of the gate's connection, for the step that runs on it.

    On a connection of the project it is in the connection's `info`, under MONITOR.
    """

    lock_budget: float
    """The seconds for which a lock may be retried."""

    @property
    def entry(self) -> JournalEntry | None:
        """The journal entry of the running step."""

    def resumable(self) -> AbstractContextManager[None]:
        """Statements executed within the context resume where they were after an interruption."""
