"""The locks of a statement that cannot be read from within: it begins and ends its transactions itself.

Such a statement waits for other sessions that use its tables: CREATE INDEX CONCURRENTLY for those that write to them.
So a second session takes a writer's lock and makes it wait; meanwhile what it holds and wants is read there. DETACH
PARTITION … CONCURRENTLY holds nothing while it waits for a writer, and locks the partition only in its second
transaction: a third session with a reader's lock on partitions makes it wait there.

The second session never waits for a lock itself: during that, the migration's session is blocked, so a lock that it
holds would not be released. A table that cannot be locked at once is left out, and any other error in the second
session is a reason not to have seen this one statement, and no error of the migration.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from dbkit.errors import DbkitError, describe_error
from dbkit.postgres.connect import connect
from dbkit.settings import Target
from dbkit.trace.records import Lock

LOCK_TIMEOUT = "1s"  # for a lock of autovacuum
POLL_INTERVAL = 0.001  # seconds
# Tables that no session has locked, or waits to lock, in a mode that conflicts with ours
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
BLOCKERS = ((WRITER, "ROW EXCLUSIVE"), (READER, "ACCESS SHARE"))
WAITS_FOR = "SELECT %s = ANY (pg_blocking_pids(%s))"
LOCKS = """
SELECT relation, mode FROM pg_locks
WHERE pid = %s AND locktype = 'relation' AND relation >= 16384
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclass
class ProbedLocks:
    """The locks of one statement, read while it was made to wait."""

    locks: dict[int, Lock] = field(default_factory=dict)
    """By OID of a relation, its strongest lock."""
    unseen: str = ""
    """Why nothing could be seen."""


@contextmanager
def probe_locks(target: Target, pid: int) -> Iterator[ProbedLocks]:
    """Block the statement that the session `pid` runs meanwhile, read its locks, and let it continue."""
    is_over, found = threading.Event(), ProbedLocks()
    with ExitStack() as stack:
        try:
            blockers = [stack.enter_context(_blocker(target, *each)) for each in BLOCKERS]
        except (psycopg.Error, DbkitError) as error:
            stack.close()
            found.unseen = describe_error(error)
            blockers = []
        thread = threading.Thread(target=_read_and_release, args=(blockers, pid, is_over, found))
        thread.start()
        try:
            yield found
        finally:
            is_over.set()
            thread.join()


@contextmanager
def _blocker(target: Target, tables: str, mode: str) -> Iterator[psycopg.Connection]:
    """Open a session that has locked tables."""
    with closing(connect(target, settings={"lock_timeout": LOCK_TIMEOUT})) as connection:
        lock = sql.SQL("LOCK TABLE ONLY {} IN {} MODE")
        found = [lock.format(sql.SQL(table), sql.SQL(mode)) for (table,) in connection.execute(tables.encode())]
        if found:
            connection.execute(sql.SQL("; ").join(found))
        yield connection


def _read_and_release(
    blockers: Sequence[psycopg.Connection], pid: int, is_over: threading.Event, found: ProbedLocks
) -> None:
    """For each blocker, once the statement waits for it, read its locks and let it continue: also on an error."""
    for connection in blockers:
        try:
            _read_locks(connection, pid, is_over, found)
        except psycopg.Error as error:
            found.unseen = describe_error(error)
        finally:
            with suppress(psycopg.Error):  # a closed connection holds no lock
                connection.rollback()


def _read_locks(connection: psycopg.Connection, pid: int, is_over: threading.Event, found: ProbedLocks) -> None:
    modes = {lock.mode: lock for lock in Lock}
    while not is_over.wait(POLL_INTERVAL):
        if connection.execute(WAITS_FOR, [connection.info.backend_pid, pid]).fetchone() == (True,):
            for relation, mode in connection.execute(LOCKS, [pid]):
                found.locks[relation] = max(
                    modes.get(mode, Lock.ACCESS_SHARE), found.locks.get(relation, Lock.ACCESS_SHARE)
                )
            return
