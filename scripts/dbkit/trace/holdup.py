"""The locks of a statement that cannot be looked at from within: it has transactions of its own, and ends them itself.

Such a statement waits for others that use its tables (CREATE INDEX CONCURRENTLY for those that write there). So one
that writes is put in its way, in a second session; while it waits, what it holds and wants is read there.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from dbkit.connect import connect
from dbkit.settings import Target
from dbkit.trace.records import Lock

LONGEST_WAIT = "10s"  # for tables that somebody else has locked
PAUSE = 0.001  # seconds between looks at the other session
TABLES = "SELECT oid::regclass::text FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'p') ORDER BY oid"
WAITS = "SELECT 1 FROM pg_locks WHERE pid = %s AND NOT granted"
LOCKS = """
SELECT relation, mode FROM pg_locks
WHERE pid = %s AND locktype = 'relation' AND relation >= 16384
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@contextmanager
def held_up(target: Target, pid: int, found: dict[int, Lock]) -> Iterator[None]:
    """While the session `pid` runs one statement, be in its way once; `found` gets each relation's strongest lock."""
    over = threading.Event()
    with connect(target, options=f"-c lock_timeout={LONGEST_WAIT}") as connection:
        for (table,) in connection.execute(TABLES).fetchall():
            connection.execute(sql.SQL("LOCK TABLE {} IN ROW EXCLUSIVE MODE").format(sql.SQL(table)))
        watcher = threading.Thread(target=_watch, args=(connection, pid, over, found))
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()


def _watch(connection: psycopg.Connection, pid: int, over: threading.Event, found: dict[int, Lock]) -> None:
    modes = {lock.mode: lock for lock in Lock}
    while not over.wait(PAUSE):
        if connection.execute(WAITS, [pid]).fetchone():
            for relation, mode in connection.execute(LOCKS, [pid]):
                found[relation] = max(modes.get(mode, Lock.ACCESS_SHARE), found.get(relation, Lock.ACCESS_SHARE))
            break
    connection.rollback()
