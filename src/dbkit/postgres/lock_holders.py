"""Find the sessions that hold the lock for which a session waits, and describe them without secrets."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from dbkit.postgres.sql_text import without_comments

# The kinds of objects after the first word of a statement; the name of the object is not shown
OBJECTS = "UNIQUE|INDEX|CONCURRENTLY|TABLE|INTO|FROM|MATERIALIZED|VIEW|SEQUENCE|FUNCTION|TYPE|SCHEMA|DATABASE|TRIGGER"
KIND = re.compile(rf"[A-Za-z]+(?:\s+(?:{OBJECTS})\b)*", re.IGNORECASE)
# NULL for the columns that a role may not see of another role's session
SESSION = """
    a.pid, a.usename::text,
    CASE WHEN a.backend_start IS NOT NULL THEN coalesce(pg_catalog.host(a.client_addr), 'this machine') END,
    extract(epoch FROM pg_catalog.clock_timestamp() - coalesce({since}))::int,
    CASE WHEN a.state IS NOT NULL THEN a.state::text END, CASE WHEN a.state IS NOT NULL THEN a.query END"""
BLOCKING = f"""
SELECT b.pid, {SESSION.format(since="a.xact_start, a.backend_start")}
FROM (SELECT DISTINCT pg_catalog.unnest(pg_catalog.pg_blocking_pids(%(pid)s::int4))) AS b (pid)
LEFT JOIN pg_catalog.pg_stat_activity AS a USING (pid)"""  # noqa: S608  # constants
# A wait for a row is a wait for the transaction that has changed it, with a lock on the tuple
WAITED_FOR = """
SELECT n.nspname::text, c.relname::text
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_database AS d ON d.oid = l.database AND d.datname = pg_catalog.current_database()
WHERE l.pid = %(pid)s::int4 AND (NOT l.granted OR l.locktype = 'tuple')
LIMIT 1"""
PREPARED = """
SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database() ORDER BY prepared LIMIT 1"""


@dataclass(frozen=True)
class Holder:
    """A session that holds a lock; None where this role may not see a value."""

    pid: int
    user: str | None
    address: str | None
    seconds: int | None
    state: str | None
    query: str | None

    def __str__(self) -> str:
        parts = [
            f"backend {self.pid}",
            self.user and f"user {self.user}",
            self.address and f"from {self.address}",
            None if self.seconds is None else f"for {self.seconds} s",
        ]
        doing = self.state or ""
        if kind := kind_of_statement(self.query or ""):
            doing = kind if self.state == "active" else f"{doing} after {kind}"
        return ", ".join(part for part in [*parts, doing] if part)


@dataclass(frozen=True)
class LockWait:
    """The lock that a session waits for, seen from another session."""

    table: str
    """The locked table, for display; "" where it is none."""
    holders: Sequence[Holder]
    prepared: str | None = None
    """The name of the prepared transaction that holds the lock."""

    @property
    def holder(self) -> str:
        """The holder of the lock, for display."""
        if self.prepared is not None:
            return f"the prepared transaction {self.prepared!r}"
        return " and ".join(map(str, self.holders)) or "a session that has just ended"

    @property
    def locked_object(self) -> str:
        """The locked object, for display."""
        return self.table or "an object"

    @property
    def hint(self) -> str:
        """How to end the wait."""
        again = "then run the same command again. MIGRATION_WAIT sets how long to wait."
        if self.prepared is not None:
            return f"End it with COMMIT PREPARED or ROLLBACK PREPARED {self.prepared!r}; {again}"
        if not self.holders:
            return f"Wait until it ends, {again}"
        ends = " ".join(f"pg_terminate_backend({holder.pid})" for holder in self.holders[:1])
        return f'Wait until it ends, or end it: echo "SELECT {ends}" | make psql\n{again[0].upper()}{again[1:]}'


def kind_of_statement(query: str) -> str:
    """The first keywords of a statement, without names and values: LOCK TABLE, CREATE INDEX CONCURRENTLY."""
    match = KIND.match(without_comments(query).lstrip())
    return " ".join(match[0].upper().split()) if match else ""


def find_lock_wait(connection: psycopg.Connection, pid: int) -> LockWait:
    """The lock for which the session `pid` waits, and its holders."""
    rows = connection.execute(BLOCKING, {"pid": pid}).fetchall()
    table = connection.execute(WAITED_FOR, {"pid": pid}).fetchone()
    prepared = None
    if any(row[0] == 0 for row in rows):
        found = connection.execute(PREPARED).fetchone()
        prepared = str(found[0]) if found else "?"
    holders = [Holder(row[0], *row[2:]) for row in rows if row[0]]
    label = "" if table is None else table[1] if table[0] == "public" else f"{table[0]}.{table[1]}"
    return LockWait(label, holders, prepared)
