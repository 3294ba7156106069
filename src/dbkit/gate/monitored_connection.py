"""The driver connection of a migration: it reports each statement, commit and rollback to a monitor.

At the driver, since SQLAlchemy's statements, raw cursors and commits by hand all pass here.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol, cast

import psycopg
import sqlalchemy as sa
from psycopg.sql import Composable

from dbkit.postgres.own_statements import OwnConnection

if TYPE_CHECKING:
    from dbkit.gate.step_state import StepState


class StatementMonitor(Protocol):
    """The monitor to which a connection reports its statements, commits and rollbacks."""

    step: "StepState | None"
    """The migration step that is running."""

    @property
    def is_observing(self) -> bool:
        """Whether a statement executed now is the migration's."""

    def observe(self, statement: str) -> AbstractContextManager[None]:
        """Observe a statement that is executed within the context."""

    def before_commit(self) -> None:
        """Called before a commit."""

    def before_savepoint(self) -> None:
        """Called before a savepoint that psycopg sets."""

    def before_rollback(self) -> None:
        """Called before a rollback."""


class MonitoredCursor(psycopg.Cursor[Any]):
    """A psycopg cursor that reports its statements to the monitor of its connection."""

    def execute(self, query: Any, *arguments: Any, **keywords: Any) -> "MonitoredCursor":
        """As psycopg's."""
        with self._observed(query, has_values=_has_values(arguments, keywords)):
            return super().execute(query, *arguments, **keywords)

    def executemany(self, query: Any, *arguments: Any, **keywords: Any) -> None:
        """As psycopg's."""
        with self._observed(query, has_values=True):
            super().executemany(query, *arguments, **keywords)

    @contextmanager
    def copy(self, statement: Any, *arguments: Any, **keywords: Any) -> Iterator[psycopg.Copy]:
        """As psycopg's."""
        with (
            self._observed(statement, has_values=_has_values(arguments, keywords)),
            super().copy(statement, *arguments, **keywords) as copy,
        ):
            yield copy

    def _observed(self, query: Any, *, has_values: bool) -> AbstractContextManager[None]:
        monitor = cast("MonitoredConnection", self.connection).monitor
        if monitor is None or not monitor.is_observing:
            return nullcontext()
        if isinstance(query, bytes):
            text = query.decode()
        else:
            text = query.as_string(self) if isinstance(query, Composable) else str(query)
        return monitor.observe(text.replace("%%", "%") if has_values else text)


class MonitoredConnection(OwnConnection):
    """A psycopg connection that reports its statements to a monitor."""

    monitor: StatementMonitor | None = None

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.cursor_factory = MonitoredCursor

    @property
    def reports_lock_holders(self) -> bool:
        """Whether to report lock waits; not while a step runs, whose waits the executor reports when it retries."""
        return self.monitor is None or self.monitor.step is None

    def is_own(self) -> bool:
        """Whether a statement executed now is this package's, and not a migration's."""
        return self.monitor is None or not self.monitor.is_observing

    def commit(self) -> None:
        """As psycopg's."""
        if self.monitor is not None and self.monitor.is_observing:
            self.monitor.before_commit()
        super().commit()

    def begin_again(self) -> None:
        """Let the next statement begin a transaction, after a COMMIT by hand: psycopg has seen it."""
        super().commit()

    @contextmanager
    def transaction(self, *arguments: Any, **keywords: Any) -> Iterator[psycopg.Transaction]:
        """As psycopg's."""
        if self.monitor is not None and self.monitor.is_observing:
            self.monitor.before_savepoint()
        with super().transaction(*arguments, **keywords) as transaction:
            yield transaction

    def rollback(self) -> None:
        """As psycopg's."""
        if self.monitor is not None and self.monitor.is_observing:
            self.monitor.before_rollback()
        super().rollback()


def _has_values(arguments: Sequence[Any], keywords: Mapping[str, Any]) -> bool:
    """Whether a query has values, so that %% in it is one percent sign."""
    return next(iter(arguments), keywords.get("params")) is not None


def driver_of(connection: sa.Connection) -> MonitoredConnection:
    """Return the psycopg connection below SQLAlchemy's, for statements that SQLAlchemy need not know."""
    return cast("MonitoredConnection", connection.connection.driver_connection)
