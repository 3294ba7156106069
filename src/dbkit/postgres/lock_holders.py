"""Who holds the lock that a session waits for, in words that have no secret in them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

# The names of kinds of objects after the first word of a statement; an object's own name is not shown
OBJECTS = "UNIQUE|INDEX|CONCURRENTLY|TABLE|INTO|FROM|MATERIALIZED|VIEW|SEQUENCE|FUNCTION|TYPE|SCHEMA|DATABASE|TRIGGER"
KIND = re.compile(rf"[A-Za-z]+(?:\s+(?:{OBJECTS})\b)*", re.IGNORECASE)
COMMENTS = re.compile(r"^(?:\s+|--[^\n]*\n|/\*.*?\*/)+", re.DOTALL)
# What a role may not see of the session of another is NULL
SESSION = """
    a.pid, a.usename::text,
    CASE WHEN a.backend_start IS NOT NULL THEN coalesce(pg_catalog.host(a.client_addr), 'this machine') END,
    extract(epoch FROM pg_catalog.clock_timestamp() - coalesce({since}))::int,
    CASE WHEN a.state IS NOT NULL THEN a.state::text END, CASE WHEN a.state IS NOT NULL THEN a.query END"""
BLOCKING = f"""
SELECT b.pid, {SESSION.format(since="a.xact_start, a.backend_start")}
FROM (SELECT DISTINCT pg_catalog.unnest(pg_catalog.pg_blocking_pids(%(pid)s::int4))) AS b (pid)
LEFT JOIN pg_catalog.pg_stat_activity AS a USING (pid)"""  # noqa: S608  # constants
# A wait for a row is one for the transaction that has changed it, beside a lock on the row itself
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
    """A session that holds a lock. What this role may not see of it is None."""

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
        if kind := kind_of(self.query or ""):
            doing = kind if self.state == "active" else f"{doing} after {kind}"
        return ", ".join(part for part in [*parts, doing] if part)


@dataclass(frozen=True)
class Blocked:
    """A session that waits for a lock, seen from another one."""

    table: str
    """What is locked, as people know it; "" where that is no table."""
    holders: Sequence[Holder]
    prepared: str | None = None
    """The name of the prepared transaction that holds it."""

    @property
    def who(self) -> str:
        """Who holds the lock."""
        if self.prepared is not None:
            return f"the prepared transaction {self.prepared!r}"
        return " and ".join(map(str, self.holders)) or "a session that has just ended"

    @property
    def what(self) -> str:
        """What is locked."""
        return self.table or "what is needed"

    @property
    def hint(self) -> str:
        """What to type."""
        again = "then run the same command again. MIGRATION_WAIT says how long to wait."
        if self.prepared is not None:
            return f"End it with COMMIT PREPARED or ROLLBACK PREPARED {self.prepared!r}; {again}"
        if not self.holders:
            return f"Wait until it ends, {again}"
        ends = " ".join(f"pg_terminate_backend({holder.pid})" for holder in self.holders[:1])
        return f'Wait until it ends, or end it: echo "SELECT {ends}" | make psql\n{again[0].upper()}{again[1:]}'


def kind_of(query: str) -> str:
    """The first words of a statement, without any name or value: LOCK TABLE, CREATE INDEX CONCURRENTLY."""
    match = KIND.match(COMMENTS.sub("", query))
    return " ".join(match[0].upper().split()) if match else ""


def blocked(connection: psycopg.Connection, pid: int) -> Blocked:
    """What the session `pid`, which waits for a lock, waits for."""
    rows = connection.execute(BLOCKING, {"pid": pid}).fetchall()
    table = connection.execute(WAITED_FOR, {"pid": pid}).fetchone()
    prepared = None
    if any(row[0] == 0 for row in rows):
        found = connection.execute(PREPARED).fetchone()
        prepared = str(found[0]) if found else "?"
    holders = [Holder(row[0], *row[2:]) for row in rows if row[0]]
    label = "" if table is None else table[1] if table[0] == "public" else f"{table[0]}.{table[1]}"
    return Blocked(label, holders, prepared)
