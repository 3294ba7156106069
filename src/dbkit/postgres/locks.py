"""One migration at a time: a session advisory lock on the migration connection itself."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.pq import TransactionStatus

from dbkit.errors import InputError, LockNotGranted, say
from dbkit.postgres.lock_holders import SESSION, Holder, blocked

VERSION_TABLE = "alembic_version"
PAUSE = 0.1  # seconds between two tries
LONGEST_END = 5.0  # seconds until a session has ended that was told to
# Who has the session's advisory lock of a key
HOLDER = f"""
SELECT {SESSION.format(since="a.backend_start")}
FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (l.classid::bigint << 32) | l.objid::bigint = %s AND l.objsubid = 1"""  # noqa: S608  # constants
IS_READ_ONLY = "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only')"
# What a role may not see is NULL
PRIMARY = """
SELECT CASE WHEN pg_catalog.starts_with(sender_host, '/') THEN sender_host
    ELSE pg_catalog.concat(sender_host, ':', sender_port) END
FROM pg_catalog.pg_stat_wal_receiver WHERE sender_host IS NOT NULL"""
# How far an index is that a session builds
INDEX_PROGRESS = """
SELECT phase, CASE WHEN blocks_total > 0 THEN 100 * blocks_done / blocks_total
    WHEN tuples_total > 0 THEN 100 * tuples_done / tuples_total END
FROM pg_catalog.pg_stat_progress_create_index WHERE pid = %s::int4"""
# lock_not_available, deadlock_detected: https://www.postgresql.org/docs/18/errcodes-appendix.html
TRY_AGAIN = ("55P03", "40P01")
OLDEST_TRANSACTION = """
SELECT format('backend %s, user %s, %s for %s s', pid, usename, state,
    extract(epoch FROM clock_timestamp() - xact_start)::int)
FROM pg_stat_activity
WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() AND datname = current_database()
    AND backend_type = 'client backend'
ORDER BY xact_start LIMIT 1"""


def lock_key(dbname: str) -> int:
    """The key of the migrations of a database: a signed number of 64 bits, as pg_try_advisory_lock takes it."""
    return int.from_bytes(hashlib.sha256(f"dbkit:{dbname}:{VERSION_TABLE}".encode()).digest()[:8], signed=True)


@contextmanager
def migration_lock(connection: psycopg.Connection, dbname: str, wait: float) -> Iterator[None]:
    """Hold the lock while the context lasts, waiting for it for up to `wait` seconds.

    By polling: a blocking waiter keeps a snapshot, and CREATE INDEX CONCURRENTLY in the holder would wait for it for
    ever. The rollback between two tries is for the same reason. Raises LockNotGranted after `wait` seconds, and
    InputError for a server that is read-only.
    """
    require_writable(connection)
    key = lock_key(dbname)
    deadline = time.monotonic() + wait
    told = False
    while not _try_lock(connection, key):
        if time.monotonic() > deadline:
            raise LockNotGranted(
                f"another migration is still running after {wait:g} s: {_holder(connection, key)}.",
                "Wait for it, or raise MIGRATION_WAIT.",
            )
        if not told:
            say(f"waiting for another migration: {_holder(connection, key)}")
            told = True
        time.sleep(PAUSE)
    try:
        yield
    finally:
        # when the connection is lost, or about to be closed in the middle of a statement, so is the lock
        if connection.info.transaction_status not in (TransactionStatus.ACTIVE, TransactionStatus.UNKNOWN):
            _let_go(connection, key)


def _let_go(connection: psycopg.Connection, key: int) -> None:
    try:
        connection.rollback()
        connection.execute("SELECT pg_advisory_unlock(%s)", [key])
        connection.rollback()
    except psycopg.OperationalError as error:
        # what was done under the lock is done; the session ends with its connection, and the lock with it
        say(f"warning: the connection was lost after the work was done: {error}")


def require_writable(connection: psycopg.Connection) -> None:
    """Raise InputError for a server that is read-only, naming the primary of a standby where this role may see it."""
    is_standby, read_only = connection.execute(IS_READ_ONLY).fetchone() or (False, "off")
    row = connection.execute(PRIMARY).fetchone() if is_standby else None
    connection.rollback()
    if is_standby:
        primary = f" of {row[0]}" if row and row[0] else ""
        raise InputError(
            f"the server at {_address(connection)} is a standby{primary}: it is read-only.",
            "Name the primary in .env. It is in primary_conninfo of the standby.",
        )
    if read_only == "on":
        raise InputError(
            f"the server at {_address(connection)} is read-only: default_transaction_read_only is on.",
            "It is set for the server, the database or the role: ALTER … RESET default_transaction_read_only.",
        )


def _address(connection: psycopg.Connection) -> str:
    host = connection.info.host
    return host if host.startswith("/") else f"{host}:{connection.info.port}"


def take_again(connection: psycopg.Connection, dbname: str) -> None:
    """Take the lock once more, where a migration may have let go of it. Raises LockNotGranted."""
    key = lock_key(dbname)
    if connection.execute("SELECT pg_try_advisory_lock(%s)", [key]).fetchone() != (True,):
        raise LockNotGranted(
            f"the migration let go of the migration lock, and another has it: {_name(connection, key)}."
        )


def holder(connection: psycopg.Connection, dbname: str) -> str | None:
    """Who migrates this database just now, and how far that is."""
    row = connection.execute(HOLDER, [lock_key(dbname)]).fetchone()
    if row is None:
        return None
    words = [str(Holder(*row))]
    for phase, percent in connection.execute(INDEX_PROGRESS, [row[0]]):
        words.append(phase if percent is None else f"{phase}, {percent} %")
    waits_for = blocked(connection, row[0])
    if waits_for.holders or waits_for.prepared:
        words.append(f"waits for {waits_for.what}, which is locked by {waits_for.who}")
    return "; ".join(words)


def end_session(connection: psycopg.Connection, dbname: str, pid: int) -> bool:
    """End the session of a migration whose connection was lost, and return whether it is gone.

    It is known by the migration lock that it holds. What it has not committed by then never will be.
    """
    key = lock_key(dbname)
    deadline = time.monotonic() + LONGEST_END
    while (row := connection.execute(HOLDER, [key]).fetchone()) is not None and row[0] == pid:
        connection.execute("SELECT pg_terminate_backend(%s::int4)", [pid])
        connection.rollback()
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    connection.rollback()
    return True


def _try_lock(connection: psycopg.Connection, key: int) -> bool:
    granted = connection.execute("SELECT pg_try_advisory_lock(%s)", [key]).fetchone() == (True,)
    connection.rollback()
    return granted


def _holder(connection: psycopg.Connection, key: int) -> str:
    name = _name(connection, key)
    connection.rollback()
    return name or "it has just ended"


def _name(connection: psycopg.Connection, key: int) -> str | None:
    row = connection.execute(HOLDER, [key]).fetchone()
    return str(Holder(*row)) if row else None
