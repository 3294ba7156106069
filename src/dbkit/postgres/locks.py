"""The migration lock: a session-level advisory lock on the connection of the migration."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.pq import TransactionStatus

from dbkit.database_url import History, Target
from dbkit.errors import InputError, LockNotGranted, say
from dbkit.postgres.lock_holders import SESSION, Holder, find_lock_wait

PAUSE = 0.1  # seconds between two attempts
MOST_HELD = 100  # times that one session may hold the lock
LONGEST_END = 5.0  # seconds for a terminated session to end
# The session that holds the advisory lock of a key
HOLDER = f"""
SELECT {SESSION.format(since="a.backend_start")}
FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (l.classid::bigint << 32) | l.objid::bigint = %s AND l.objsubid = 1"""  # noqa: S608  # constants
IS_READ_ONLY = "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only')"
# NULL for the columns that a role may not see
PRIMARY = """
SELECT CASE WHEN pg_catalog.starts_with(sender_host, '/') THEN sender_host
    ELSE pg_catalog.concat(sender_host, ':', sender_port) END
FROM pg_catalog.pg_stat_wal_receiver WHERE sender_host IS NOT NULL"""
# The progress of an index build
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


def lock_key(target: Target) -> int:
    """The advisory-lock key for the migrations of a project in a database, a signed 64-bit integer."""
    text = f"dbkit:{target.dbname}:{lock_name(target.history)}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)


def lock_name(history: History) -> str:
    """Return the name of the version table, which sets the lock apart from those of other projects in the database."""
    return f"{history.schema}.{history.table}" if history.schema else history.table


@contextmanager
def migration_lock(connection: psycopg.Connection, target: Target, wait: float) -> Iterator[None]:
    """Take the migration lock, waiting up to `wait` seconds, and release it at the end.

    It is polled: a session that waits in pg_advisory_lock() keeps a snapshot, for which CREATE INDEX CONCURRENTLY in
    the holder would wait forever. The rollback between two attempts has the same reason. Raises LockNotGranted after
    `wait` seconds, and InputError for a read-only server.
    """
    require_writable(connection)
    key = lock_key(target)
    deadline = time.monotonic() + wait
    is_reported = False
    while not _try_lock(connection, key):
        if time.monotonic() > deadline:
            raise LockNotGranted(
                f"another migration is still running after {wait:g} s: {_holder(connection, key)}.",
                "Wait for it, or raise MIGRATION_WAIT.",
            )
        if not is_reported:
            say(f"waiting for another migration: {_holder(connection, key)}")
            is_reported = True
        time.sleep(PAUSE)
    try:
        yield
    finally:
        # a connection that is lost, or will be closed during a statement, releases the lock by that
        if connection.info.transaction_status not in (TransactionStatus.ACTIVE, TransactionStatus.UNKNOWN):
            _release(connection, key)


def _release(connection: psycopg.Connection, key: int) -> None:
    if getattr(connection, "is_external", False):
        _hand_over(connection, key)
        return
    try:
        connection.rollback()
        for _ in range(MOST_HELD if getattr(connection, "is_pooled", False) else 1):
            # a session of a pooler may hold it more often, for a former client that was killed
            if connection.execute("SELECT pg_advisory_unlock(%s)", [key]).fetchone() != (True,):
                break
        connection.rollback()
    except psycopg.OperationalError as error:
        # the work is done; the lock ends with the session
        say(f"warning: the connection was lost after the work was done: {error}")


def _hand_over(connection: psycopg.Connection, key: int) -> None:
    """Let the transaction that env.py ends hold the lock in place of the session.

    Until then it is the session's, which holds it beyond the commit of a migration.
    """
    if connection.info.transaction_status == TransactionStatus.INERROR:
        return  # the session is closed
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [key])
    for _ in range(MOST_HELD):
        if connection.execute("SELECT pg_advisory_unlock(%s)", [key]).fetchone() != (True,):
            break


def require_writable(connection: psycopg.Connection) -> None:
    """Raise InputError for a read-only server; for a standby with its primary, where this role may see that."""
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
    if address := getattr(connection, "address", ""):
        return str(address)
    host = connection.info.host
    return host if host.startswith("/") else f"{host}:{connection.info.port}"


def retake_lock(connection: psycopg.Connection, target: Target) -> None:
    """Take the lock again, in case a migration has released it. Raises LockNotGranted."""
    key = lock_key(target)
    if connection.execute("SELECT pg_try_advisory_lock(%s)", [key]).fetchone() != (True,):
        raise LockNotGranted(
            f"the migration released the migration lock, and another session took it: {_name(connection, key)}."
        )


def find_holder(connection: psycopg.Connection, target: Target) -> str | None:
    """Describe the session that holds the migration lock of a database, and its progress; None without one."""
    row = connection.execute(HOLDER, [lock_key(target)]).fetchone()
    if row is None:
        return None
    words = [str(Holder(*row))]
    for phase, percent in connection.execute(INDEX_PROGRESS, [row[0]]):
        words.append(phase if percent is None else f"{phase}, {percent} %")
    waits_for = find_lock_wait(connection, row[0])
    if waits_for.holders or waits_for.prepared:
        words.append(f"waits for {waits_for.locked_object}, which is locked by {waits_for.holder}")
    return "; ".join(words)


def end_migration_session(connection: psycopg.Connection, target: Target, pid: int) -> bool:
    """End the session of a migration whose connection was lost, and return whether it is gone.

    It is the session `pid` only while it holds the migration lock. Its uncommitted work is rolled back.
    """
    key = lock_key(target)
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
