"""Close the connections that a project's engines keep between two runs of env.py; they connect again when used.

A pool hands out the connections that it has. If the server ended one, the next run of env.py would get it; and a
database cannot be copied while a connection to it is open. Each `alembic` command is a process, and has neither
problem.
"""

import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy.pool import ConnectionPoolEntry

DATABASE_KEY = "dbkit database"
"""The key, in the `info` of a pooled connection, of the database that it is connected to."""


class EnginePools:
    """The connections that SQLAlchemy opened while env.py ran, in any kind of pool."""

    def __init__(self) -> None:
        self._entries: WeakSet[ConnectionPoolEntry] = WeakSet()
        self._connections: WeakSet[sa.Connection] = WeakSet()

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle as empty: another process has none of the connections."""
        return EnginePools, ()

    def add(self, entry: ConnectionPoolEntry, database: str) -> None:
        """Remember a connection. Its `info` is cleared when the pool replaces it by another one."""
        entry.info[DATABASE_KEY] = database
        self._entries.add(entry)

    @contextmanager
    def following(self) -> Iterator[None]:
        """Remember the SQLAlchemy connections that use them, too."""
        sa.event.listen(sa.Engine, "engine_connect", self._add_connection)
        try:
            yield
        finally:
            sa.event.remove(sa.Engine, "engine_connect", self._add_connection)

    def _add_connection(self, connection: sa.Connection) -> None:
        if DATABASE_KEY in connection.connection.info:
            self._connections.add(connection)

    def close(self) -> None:
        """Close all; an engine, a connection or a session that is used again connects again."""
        self._close_sessions()
        for connection in list(self._connections):
            if not connection.closed:
                connection.invalidate()
                connection.rollback()  # what was lost with it; without this, it would not connect again
        for entry in list(self._entries):
            if not hasattr(entry, "finalize_callback"):  # a listener refused the connection while it was being made
                entry.finalize_callback = deque()  # type: ignore[attr-defined]  # without it, 2.0 cannot close the record
            # where an async driver cannot close it outside of its event loop, SQLAlchemy logs that and drops it
            entry.invalidate()

    def _close_sessions(self) -> None:
        orm: Any = sys.modules.get("sqlalchemy.orm.session")  # importing it takes 0.1 s
        for session in list(orm._sessions.values()) if orm else ():
            transaction = session.get_transaction()
            if transaction and not self._connections.isdisjoint(transaction._connections):
                # env.py may have closed the connection of a migration's session
                with suppress(sa.exc.ResourceClosedError):
                    session.invalidate()


def database_of(entry: ConnectionPoolEntry) -> str | None:
    """Return the database of a pooled connection; None for one that was opened before the proof."""
    return entry.info.get(DATABASE_KEY)
