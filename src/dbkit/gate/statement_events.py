"""Report what migrations do on a project's SQLAlchemy connection to a monitor, by SQLAlchemy's events.

Statements of a raw cursor, and commits of the driver's own connection, pass below SQLAlchemy: the monitor finds those
at the end of the step, by marks in its transaction.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import sqlalchemy as sa

from dbkit.gate.monitor import Monitor


class StatementEvents:
    """Listens to one connection."""

    def __init__(self, connection: sa.Connection, monitor: Monitor) -> None:
        self.connection = connection
        self.monitor = monitor
        self.observed = ExitStack()
        """The observation of the statement that is executed."""

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Report to the monitor within the context."""
        listeners: list[tuple[Any, str, Any]] = [
            (self.connection, "before_cursor_execute", self._before_execute),
            (self.connection, "after_cursor_execute", self._after_execute),
            (self.connection.engine, "handle_error", self._after_error),
            (self.connection, "commit", self._before_commit),
            (self.connection, "rollback", self._before_rollback),
            (self.connection, "savepoint", self._before_savepoint),
        ]
        for place, name, function in listeners:
            sa.event.listen(place, name, function)
        try:
            yield
        finally:
            self.observed.close()
            for place, name, function in listeners:
                sa.event.remove(place, name, function)

    def _before_execute(
        self, _connection: object, _cursor: object, statement: str, values: Any, *_rest: object
    ) -> None:
        if self.monitor.is_observing:
            self.observed.close()
            self.observed.enter_context(self.monitor.observe(statement.replace("%%", "%") if values else statement))

    def _after_execute(self, *_arguments: object) -> None:
        self.observed.close()

    def _after_error(self, context: Any) -> None:
        if context.connection is self.connection:
            self.observed.close()

    def _before_commit(self, _connection: object) -> None:
        if self.monitor.is_observing:
            self.monitor.before_commit()

    def _before_rollback(self, _connection: object) -> None:
        if self.monitor.is_observing:
            self.monitor.before_rollback()

    def _before_savepoint(self, _connection: object, _name: str) -> None:
        if self.monitor.is_observing:
            self.monitor.before_savepoint()
