"""Close what an application's engines keep open between two runs of env.py, so that they connect again when asked to.

A pool hands out what it has. If the server ended a connection in it, the next run of env.py would get a dead one;
and one that stays open is in the way of a copy of its database. Each `alembic` command is a process of its own, and
meets neither.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy.pool import ConnectionPoolEntry

DATABASE_KEY = "dbkit database"
"""The key, in what SQLAlchemy lets others keep beside a DBAPI connection, of the database that it is to."""


class EnginePools:
    """The connections that SQLAlchemy has opened while env.py ran, in whatever kind of pool."""

    def __init__(self) -> None:
        self._entries: WeakSet[ConnectionPoolEntry] = WeakSet()
        self._connections: WeakSet[sa.Connection] = WeakSet()

    def __reduce__(self) -> tuple[object, ...]:
        """Another process has none of them."""
        return EnginePools, ()

    def add(self, entry: ConnectionPoolEntry, database: str) -> None:
        """Remember a connection. What is beside it goes when the pool replaces it by another."""
        entry.info[DATABASE_KEY] = database
        self._entries.add(entry)

    @contextmanager
    def following(self) -> Iterator[None]:
        """Remember who uses the connections, too."""
        sa.event.listen(sa.Engine, "engine_connect", self._note)
        try:
            yield
        finally:
            sa.event.remove(sa.Engine, "engine_connect", self._note)

    def _note(self, connection: sa.Connection) -> None:
        if DATABASE_KEY in connection.connection.info:
            self._connections.add(connection)

    def close(self) -> None:
        """Close all; an engine, a connection or a session that is used once more connects again."""
        self._close_sessions()
        for connection in list(self._connections):
            if not connection.closed:
                connection.invalidate()
                connection.rollback()  # of what is lost with it; without this, it would not connect again
        for entry in list(self._entries):
            # what an asynchronous driver cannot do outside of its event loop SQLAlchemy logs, and forgets it
            entry.invalidate()

    def _close_sessions(self) -> None:
        orm: Any = sys.modules.get("sqlalchemy.orm.session")  # a tenth of a second, where nobody else loads it
        for session in list(orm._sessions.values()) if orm else ():
            transaction = session.get_transaction()
            if transaction and not self._connections.isdisjoint(transaction._connections):
                session.invalidate()


def database_of(entry: ConnectionPoolEntry) -> str | None:
    """The database that a connection was seen to be to; None for one that was opened before."""
    return entry.info.get(DATABASE_KEY)
