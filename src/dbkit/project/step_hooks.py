"""What may be called before and after each migration step, whoever runs it."""

from contextlib import AbstractContextManager
from typing import Protocol

import psycopg
from alembic.runtime.migration import RevisionStep

from dbkit.errors import CheckFailed
from dbkit.journal import JournalEntry


class HookFailed(CheckFailed):
    """A hook could not do its part, so the step was not begun, and nothing of it is left to repair."""


class StepHook(Protocol):
    """Called around each step. An exception ends the step; a lock that is not granted makes it run again."""

    def before(self, step: RevisionStep, driver: psycopg.Connection) -> None:
        """Called in the step's transaction, before anything else is executed in it."""

    def after(self, step: RevisionStep, driver: psycopg.Connection, *, left: bool) -> None:
        """Called after the step's function, before the commit; `left`: it left the transaction that it began in."""

    def done(self, step: RevisionStep, *, left: bool) -> None:
        """Called when the step is committed."""


class StepMonitor(Protocol):
    """What the connection of the gate knows of the step that runs on it: its attribute `monitor`."""

    step: JournalEntry | None
    """The step that is running."""
    lock_budget: float
    """Seconds for which a lock may be tried for."""

    def resumable(self) -> AbstractContextManager[None]:
        """Statements that are executed inside of it continue where they were when they are interrupted."""
