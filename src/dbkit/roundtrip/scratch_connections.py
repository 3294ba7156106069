"""Restrict the connections of a project's env.py and its migrations to the scratch databases."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from dbkit.errors import InputError
from dbkit.postgres.connect import connect, end_sessions
from dbkit.postgres.connection_guard import ConnectionGuard, Identity, guarding, identify
from dbkit.roundtrip.access import Databases
from dbkit.roundtrip.engine_pools import EnginePools, database_of
from dbkit.roundtrip.env_hints import HINT
from dbkit.settings import Target


class WrongDatabase(InputError):
    """env.py opened a connection to something that is not the scratch database."""


class ScratchConnectionGuard(ConnectionGuard):
    """Allows connections to these databases only; their names are random, so no other server has them."""

    def __init__(self, databases: Databases, on_connect: Callable[[], None], pools: EnginePools) -> None:
        self.pools = pools
        self.targets = {target.dbname: target for target in databases.values()}
        self.on_connect = on_connect
        self.sessions: dict[int, Target] = {}
        """By process id, the database of each session."""

    def before(self, dbname: str | None) -> None:
        """Refuse to open a connection to another database."""
        if dbname is not None and dbname not in self.targets:
            self.refuse(
                WrongDatabase(f"env.py opened a connection to {dbname!r}, which is not the scratch database.", HINT)
            )

    def check(self, identity: Identity) -> None:
        """Refuse a connection to another database, and remember the session."""
        self.before(identity.dbname)
        self.sessions[identity.pid] = self.targets[identity.dbname]

    def pooled(self, connection: Any, entry: ConnectionPoolEntry) -> None:
        """Check a connection that a pool has opened, the gate's included."""
        identity = identify(connection)
        self.check(identity)
        self.pools.add(entry, identity.dbname)
        self.on_connect()  # here, too: the pool must not keep what was opened for a migration that is stopped


@contextlib.contextmanager
def restrict_connections(databases: Databases, on_connect: Callable[[], None], pools: EnginePools) -> Iterator[None]:
    """Allow connections to these databases only, call `on_connect` for each; end the sessions that are left open."""
    guard = ScratchConnectionGuard(databases, on_connect, pools)

    def check_pooled(connection: Any, entry: ConnectionPoolEntry, _fairy: object) -> None:
        if database_of(entry) not in guard.targets:  # opened before the guard was there
            guard.pooled(connection, entry)
        on_connect()

    with guarding(guard):
        sa.event.listen(Pool, "checkout", check_pooled)
        try:
            with pools.following():
                yield
        finally:
            sa.event.remove(Pool, "checkout", check_pooled)
            pools.close()
            _end_sessions(guard.sessions)


def _end_sessions(sessions: Mapping[int, Target]) -> None:
    """End the sessions that no pool could close: they, or their locks, would block the next step of the proof."""
    for dbname, target in {target.dbname: target for target in sessions.values()}.items():
        with connect(target, autocommit=True) as connection:
            end_sessions(connection, dbname, [pid for pid, each in sessions.items() if each.dbname == dbname])
