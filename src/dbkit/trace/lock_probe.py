"""The locks of a statement that cannot be looked at from within: it has transactions of its own, and ends them itself.

Such a statement waits for others that use its tables: CREATE INDEX CONCURRENTLY for those that write there. So one that
writes is put in its way, in a second session; while it waits, what it holds and wants is read there. DETACH PARTITION …
CONCURRENTLY holds nothing meanwhile, and locks the partition only in its second transaction: there one that reads
partitions is in its way.

That second session never waits for a lock itself: while it does, the migration's session stands still, so that a lock
which that one holds would not go. What cannot be locked at once is left out, and whatever else fails in it is a reason
not to have seen this one statement, and no error of the migration.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from dbkit.errors import DbkitError, without_secrets
from dbkit.postgres.connect import connect
from dbkit.settings import Target
from dbkit.trace.records import Lock

PATIENCE = "1s"  # for a lock of the server's own, such as autovacuum's
PAUSE = 0.001  # seconds between looks at the other session
# tables that nobody has locked, or waits to lock, in a mode that is in conflict with ours
TABLES = """
SELECT oid::regclass::text FROM pg_class AS c
WHERE oid >= 16384 AND relkind IN ('r', 'p')
    AND NOT EXISTS (SELECT FROM pg_locks AS l WHERE l.relation = c.oid AND {blocks}
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
    AND {which}
ORDER BY oid
"""
WRITER = TABLES.format(
    blocks="l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')", which="true"
)
READER = TABLES.format(blocks="l.mode = 'AccessExclusiveLock'", which="relkind = 'r' AND relispartition")
IN_THE_WAY = ((WRITER, "ROW EXCLUSIVE"), (READER, "ACCESS SHARE"))
WAITS_FOR = "SELECT %s = ANY (pg_blocking_pids(%s))"
LOCKS = """
SELECT relation, mode FROM pg_locks
WHERE pid = %s AND locktype = 'relation' AND relation >= 16384
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclass
class ProbedLocks:
    """What was seen of one statement while it was held up."""

    locks: dict[int, Lock] = field(default_factory=dict)
    """By OID of a relation, its strongest lock."""
    unseen: str = ""
    """Why nothing could be seen."""


@contextmanager
def probe_locks(target: Target, pid: int) -> Iterator[ProbedLocks]:
    """While the session `pid` runs one statement, be in its way, and look at its locks."""
    over, found = threading.Event(), ProbedLocks()
    with ExitStack() as stack:
        try:
            connections = [stack.enter_context(_connection(target, *each)) for each in IN_THE_WAY]
        except (psycopg.Error, DbkitError) as error:
            stack.close()
            found.unseen = _words(error)
            connections = []
        watcher = threading.Thread(target=_watch, args=(connections, pid, over, found))
        watcher.start()
        try:
            yield found
        finally:
            over.set()
            watcher.join()


@contextmanager
def _connection(target: Target, tables: str, mode: str) -> Iterator[psycopg.Connection]:
    with closing(connect(target, options=f"-c lock_timeout={PATIENCE}")) as connection:
        for (table,) in connection.execute(tables.encode()).fetchall():
            connection.execute(sql.SQL("LOCK TABLE ONLY {} IN {} MODE").format(sql.SQL(table), sql.SQL(mode)))
        yield connection


def _watch(connections: Sequence[psycopg.Connection], pid: int, over: threading.Event, found: ProbedLocks) -> None:
    """Once the statement waits for one of them, look, and let it go on: also when looking fails."""
    for connection in connections:
        try:
            _look(connection, pid, over, found)
        except psycopg.Error as error:
            found.unseen = _words(error)
        finally:
            with suppress(psycopg.Error):  # what was closed holds nothing
                connection.rollback()


def _look(connection: psycopg.Connection, pid: int, over: threading.Event, found: ProbedLocks) -> None:
    modes = {lock.mode: lock for lock in Lock}
    while not over.wait(PAUSE):
        if connection.execute(WAITS_FOR, [connection.info.backend_pid, pid]).fetchone() == (True,):
            for relation, mode in connection.execute(LOCKS, [pid]):
                found.locks[relation] = max(
                    modes.get(mode, Lock.ACCESS_SHARE), found.locks.get(relation, Lock.ACCESS_SHARE)
                )
            return


def _words(error: Exception) -> str:
    return without_secrets(" ".join(str(error).split()))
