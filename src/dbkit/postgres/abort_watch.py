"""Find the error that has aborted a transaction, where a migration has caught it and gone on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from dbkit.errors import original_error

ABORTED = "25P02"
"""The SQLSTATE of a statement in a transaction that another error has aborted."""
CAUGHT = "dbkit_caught"
"""The attribute of an error that a migration has caught, before it went on in the aborted transaction."""
WENT_ON = "the migration caught it and went on, in a transaction that takes no statement any more"


class AbortWatch:
    """Remembers the error that has aborted a transaction, in which a migration went on: it caught the error."""

    def __init__(self) -> None:
        self._first: BaseException | None = None
        """The first error of the server since a statement has succeeded, or a savepoint was rolled back to."""

    @contextmanager
    def watching(self, connection: sa.Connection) -> Iterator[None]:
        """Watch the errors of a connection within the context."""

        def remember(context: sa.engine.ExceptionContext) -> None:
            error = context.sqlalchemy_exception or context.original_exception
            if context.connection is connection and self._first is None and _state_of(error) not in ("", ABORTED):
                self._first = error

        def forget(*_arguments: object) -> None:
            self._first = None

        events: list[tuple[object, str, Callable[..., None]]] = [
            # SQLAlchemy has this event only for all connections of an engine or a dialect
            (connection.dialect, "handle_error", remember),
            (connection, "after_cursor_execute", forget),
            (connection, "rollback_savepoint", forget),
        ]
        for target, name, function in events:
            sa.event.listen(target, name, function)
        try:
            yield
        finally:
            for target, name, function in events:
                sa.event.remove(target, name, function)

    def find_cause(self, error: BaseException) -> BaseException:
        """Return the error that has aborted the transaction, where this one is only that it was aborted."""
        if _state_of(error) != ABORTED or self._first is None:
            return error
        setattr(self._first, CAUGHT, True)
        return self._first


def _state_of(error: BaseException) -> str:
    """Return the SQLSTATE of an error itself: one that a migration raises for another one is the migration's."""
    original = original_error(error)
    return str(getattr(original, "sqlstate", None) or getattr(original, "pgcode", None) or "")


def was_caught(error: BaseException) -> bool:
    """Whether an error is one that `find_cause` has found in place of a later one."""
    return bool(getattr(error, CAUGHT, False))
