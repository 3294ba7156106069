"""One migration at a time: a session advisory lock on the migration connection itself."""

import hashlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from dbkit.errors import InputError, LockNotGranted

VERSION_TABLE = "alembic_version"
# pg_try_advisory_lock takes a signed 64-bit key; the lock is per database by itself
LOCK_KEY = int.from_bytes(hashlib.sha256(f"dbkit:{VERSION_TABLE}".encode()).digest()[:8], signed=True)
PAUSE = 0.2  # seconds between two tries


@contextmanager
def migration_lock(connection: sa.Connection, wait: float) -> Iterator[None]:
    """Hold the lock while the context lasts, waiting for it for up to `wait` seconds.

    By polling: a blocking waiter keeps a snapshot, and CREATE INDEX CONCURRENTLY in the holder would wait for it for
    ever. The rollback between two tries is for the same reason. Raises LockNotGranted after `wait` seconds.
    """
    deadline = time.monotonic() + wait
    told = False
    while not _try_lock(connection):
        if time.monotonic() > deadline:
            raise LockNotGranted(
                f"another migration is still running after {wait:g} s: {_lock_holder(connection)}.",
                "Wait for it, or raise MIGRATION_WAIT.",
            )
        if not told:
            print(f"dbkit: waiting for another migration: {_lock_holder(connection)}", file=sys.stderr)
            told = True
        time.sleep(PAUSE)
    try:
        yield
    finally:
        if not connection.closed and not connection.invalidated:
            connection.rollback()
            connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK_KEY})
            connection.rollback()


def _try_lock(connection: sa.Connection) -> bool:
    row = connection.execute(
        sa.text("SELECT pg_try_advisory_lock(:key), current_setting('transaction_read_only')"), {"key": LOCK_KEY}
    ).one()
    connection.rollback()
    if row[1] == "on":
        raise InputError(
            "the server is read-only (a standby, or default_transaction_read_only).", "Name the primary in .env."
        )
    return bool(row[0])


def _lock_holder(connection: sa.Connection) -> str:
    row = connection.execute(
        sa.text("""
            SELECT a.pid, a.usename, extract(epoch FROM clock_timestamp() - a.backend_start)::int
            FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
            WHERE l.locktype = 'advisory' AND l.granted
              AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
              AND (l.classid::bigint << 32) | l.objid::bigint = :key AND l.objsubid = 1
        """),
        {"key": LOCK_KEY},
    ).first()
    connection.rollback()
    return f"backend {row[0]}, user {row[1]}, connected for {row[2]} s" if row else "it has just ended"
