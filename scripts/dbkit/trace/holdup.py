"""The locks of a statement that cannot be looked at from within: it has transactions of its own, and ends them itself.

Such a statement waits for others that use its tables: CREATE INDEX CONCURRENTLY for those that write there. So one that
writes is put in its way, in a second session; while it waits, what it holds and wants is read there. DETACH PARTITION …
CONCURRENTLY holds nothing meanwhile, and locks the partition only in its second transaction: there one that reads
partitions is in its way.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import psycopg
from psycopg import sql

from dbkit.connect import connect
from dbkit.settings import Target
from dbkit.trace.records import Lock

LONGEST_WAIT = "10s"  # for tables that somebody else has locked
PAUSE = 0.001  # seconds between looks at the other session
TABLES = "SELECT oid::regclass::text FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'p') ORDER BY oid"
PARTITIONS = "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relispartition ORDER BY oid"
IN_THE_WAY = ((TABLES, "ROW EXCLUSIVE"), (PARTITIONS, "ACCESS SHARE"))
WAITS_FOR = "SELECT %s = ANY (pg_blocking_pids(%s))"
LOCKS = """
SELECT relation, mode FROM pg_locks
WHERE pid = %s AND locktype = 'relation' AND relation >= 16384
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@contextmanager
def held_up(target: Target, pid: int, found: dict[int, Lock]) -> Iterator[None]:
    """While the session `pid` runs one statement, be in its way; `found` gets each relation's strongest lock."""
    over = threading.Event()
    with ExitStack() as stack:
        connections = [stack.enter_context(_connection(target, *each)) for each in IN_THE_WAY]
        watcher = threading.Thread(target=_watch, args=(connections, pid, over, found))
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()


@contextmanager
def _connection(target: Target, tables: str, mode: str) -> Iterator[psycopg.Connection]:
    with connect(target, options=f"-c lock_timeout={LONGEST_WAIT}") as connection:
        for (table,) in connection.execute(tables).fetchall():
            connection.execute(sql.SQL("LOCK TABLE ONLY {} IN {} MODE").format(sql.SQL(table), sql.SQL(mode)))
        yield connection


def _watch(connections: Sequence[psycopg.Connection], pid: int, over: threading.Event, found: dict[int, Lock]) -> None:
    """Once the statement waits for one of them, look, and let it go on."""
    modes = {lock.mode: lock for lock in Lock}
    for connection in connections:
        while not over.wait(PAUSE):
            if connection.execute(WAITS_FOR, [connection.info.backend_pid, pid]).fetchone() == (True,):
                for relation, mode in connection.execute(LOCKS, [pid]):
                    found[relation] = max(modes.get(mode, Lock.ACCESS_SHARE), found.get(relation, Lock.ACCESS_SHARE))
                break
        connection.rollback()
