"""Queries about the own session, in the server's views: its locks, what it has read and written, and its tables."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from dbkit.trace.records import Lock


class Cursor(Protocol):
    """A DBAPI cursor."""

    def execute(self, operation: str, /) -> object: ...

    def fetchall(self) -> Sequence[Sequence[Any]]: ...


class LockedRelation(NamedTuple):
    """A relation that the session has locked, as it is now. `kind` is empty where it was dropped."""

    oid: int
    name: str
    kind: str
    filenode: int
    lock: Lock
    table: int
    """OID of the table, for an index."""
    root: int
    """OID of the partitioned table at the top, for a partition; else 0."""
    writes: bool = False
    """Whether it was opened to change rows, also where there is a stronger lock."""


class RowCounts(NamedTuple):
    """The numbers of scans, and of rows that a session has read and written in a table."""

    scans: int = 0
    """Scans of the table itself, not through an index; an empty table is scanned, too."""
    scanned: int = 0
    """Rows, as in the next three fields."""
    inserted: int = 0
    updated: int = 0
    deleted: int = 0

    def since(self, before: "RowCounts") -> "RowCounts":
        """Return the difference to earlier counts; TRUNCATE subtracts what was written in its transaction."""
        return RowCounts(*(max(0, now - then) for now, then in zip(self, before, strict=True)))


# OIDs below 16384 are the system's own. TOAST tables are left out: their tables have the same locks.
LOCKED = """
SELECT l.relation, coalesce(l.relation::regclass::text, ''), coalesce(c.relkind::text, ''), coalesce(c.relfilenode, 0),
       l.mode, coalesce(i.indrelid, 0), CASE WHEN c.relispartition THEN pg_partition_root(c.oid)::oid ELSE 0 END,
       l.writes
FROM (
    SELECT relation, max(array_position(
        ARRAY['AccessShareLock', 'RowShareLock', 'RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock',
              'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'], mode)) AS mode,
        bool_or(mode = 'RowExclusiveLock') AS writes
    FROM pg_locks
    WHERE pid = pg_backend_pid() AND granted AND locktype = 'relation' AND relation >= 16384
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    GROUP BY relation
) AS l
LEFT JOIN pg_class AS c ON c.oid = l.relation
LEFT JOIN pg_index AS i ON i.indexrelid = l.relation
WHERE c.relnamespace IS DISTINCT FROM 'pg_toast'::regnamespace
"""

# What a session has counted and not flushed yet: also in earlier transactions.
# Rows are read by a scan of the table (returned), or through an index (fetched).
COUNTED = """
SELECT *
FROM (
    SELECT oid, pg_stat_get_xact_numscans(oid),
           pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid),
           pg_stat_get_xact_tuples_inserted(oid), pg_stat_get_xact_tuples_updated(oid),
           pg_stat_get_xact_tuples_deleted(oid)
    FROM pg_class
    WHERE oid >= 16384 AND relkind IN ('r', 'm') AND relnamespace <> 'pg_toast'::regnamespace
    OFFSET 0
) AS count (oid, scans, scanned, inserted, updated, deleted)
WHERE scans + scanned + inserted + updated + deleted > 0
"""

LOCKED_BY_OTHERS = """
SELECT relation FROM pg_locks
WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' AND pid IS DISTINCT FROM pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

SESSION = "SELECT pg_backend_pid(), current_setting('server_version_num')::int, current_database()"
LOCK_TIMEOUT = "SELECT current_setting(name), source FROM pg_settings WHERE name = 'lock_timeout'"

RELATIONS = """
SELECT oid, oid::regclass::text, relkind::text, relfilenode,
       CASE WHEN relispartition THEN pg_partition_root(oid)::oid ELSE 0 END
FROM pg_class
WHERE oid >= 16384 AND relnamespace <> 'pg_toast'::regnamespace
    AND relkind IN ('r', 'p', 'm', 'v', 'f', 'i', 'I', 'S')
"""

# A table's catalog rows have other xmin values when its definition changes, or is created again
VERSIONS = """
SELECT "table", sum(hashtext(version)::bigint)::bigint
FROM (
    SELECT attrelid, 'column ' || attnum || ' ' || xmin FROM pg_attribute WHERE attrelid >= 16384 AND attnum > 0
    UNION ALL SELECT adrelid, 'default ' || oid || ' ' || xmin FROM pg_attrdef WHERE adrelid >= 16384
    UNION ALL SELECT conrelid, 'constraint ' || oid || ' ' || xmin FROM pg_constraint WHERE conrelid >= 16384
    UNION ALL SELECT indrelid, 'index ' || indexrelid || ' ' || i.xmin || ' ' || c.xmin
        FROM pg_index AS i JOIN pg_class AS c ON c.oid = indexrelid WHERE indrelid >= 16384
    UNION ALL SELECT tgrelid, 'trigger ' || oid || ' ' || xmin FROM pg_trigger WHERE tgrelid >= 16384
) AS part ("table", version)
GROUP BY "table"
"""

COLUMNS = """
SELECT a.attrelid, a.attnum, a.attname, a.atttypid, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       coalesce(pg_get_expr(d.adbin, d.adrelid), '') || a.attidentity::text || a.attgenerated::text
FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = ANY ('{%s}')
"""

CONSTRAINTS = """
SELECT conrelid, oid, conname, contype::text, convalidated, confrelid, pg_get_constraintdef(oid),
       coalesce(conkey, '{}')::int[]
FROM pg_constraint WHERE conrelid = ANY ('{%s}') AND contype <> 't'
"""

INDEXES = """
SELECT i.indrelid, i.indexrelid, c.relname, i.indisunique, i.indisvalid, pg_get_indexdef(i.indexrelid), c.relfilenode
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid WHERE i.indrelid = ANY ('{%s}')
"""

TRIGGERS = """
SELECT tgrelid, oid, tgname FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = ANY ('{%s}')
"""


@dataclass(frozen=True)
class Column:
    """A column."""

    name: str
    type_oid: int
    """Another type may get the name of one that was renamed."""
    type: str
    not_null: bool
    default: str
    """The expression, with attidentity and attgenerated."""


@dataclass(frozen=True)
class Constraint:
    """A constraint."""

    name: str
    kind: str
    """pg_constraint.contype: c check, f foreign key, n not null, p primary key, u unique, x exclusion."""
    valid: bool
    references: int
    """The OID of the other table of a foreign key, or 0."""
    text: str
    columns: tuple[int, ...]


@dataclass(frozen=True)
class Index:
    """An index."""

    name: str
    unique: bool
    valid: bool
    text: str
    filenode: int
    """pg_class.relfilenode; 0 for that of a partitioned table."""


@dataclass(frozen=True)
class TableShape:
    """The definition of a table: columns by number, the rest by OID."""

    columns: Mapping[int, Column]
    constraints: Mapping[int, Constraint]
    indexes: Mapping[int, Index]
    triggers: Mapping[int, str]


class Relation(NamedTuple):
    """A relation."""

    name: str
    kind: str
    filenode: int
    root: int
    """As in LockedRelation."""


TABLE_KINDS = ("r", "p", "m", "f")


def read_locks(cursor: Cursor) -> dict[int, LockedRelation]:
    """Return, by OID, the relations that the session has locked."""
    cursor.execute(LOCKED)
    found = (
        LockedRelation(oid, name, kind, filenode, Lock(lock), *rest)
        for oid, name, kind, filenode, lock, *rest in cursor.fetchall()
    )
    return {each.oid: each for each in found}


def read_row_counts(cursor: Cursor) -> dict[int, RowCounts]:
    """Return, by OID, what the session has read and written in each table, without those where it has done neither."""
    cursor.execute(COUNTED)
    return {row[0]: RowCounts(*row[1:]) for row in cursor.fetchall()}


def read_locks_of_others(cursor: Cursor) -> set[int]:
    """Return the OIDs of the relations that another session has locked, or waits to lock, against readers."""
    cursor.execute(LOCKED_BY_OTHERS)
    return {row[0] for row in cursor.fetchall()}


def read_relations(cursor: Cursor) -> dict[int, Relation]:
    """Return, by OID, all relations that are not the system's."""
    cursor.execute(RELATIONS)
    return {row[0]: Relation(*row[1:]) for row in cursor.fetchall()}


def read_shape_hashes(cursor: Cursor) -> dict[int, int]:
    """Return, by OID of a table, a hash that changes whenever the table's catalog rows change."""
    cursor.execute(VERSIONS)
    return dict(cursor.fetchall())  # type: ignore[arg-type]  # two columns


def read_shapes(cursor: Cursor, tables: Iterable[int]) -> dict[int, TableShape]:
    """Return, by OID, the shapes of tables; those of dropped tables are empty."""
    listed = list(tables)
    if not listed:
        return {}
    oids = ",".join(map(str, listed))
    found = {oid: TableShape({}, {}, {}, {}) for oid in listed}

    def rows(query: str) -> Sequence[Sequence[Any]]:
        cursor.execute(query % oids)
        return cursor.fetchall()

    for table, number, *rest in rows(COLUMNS):
        found[table].columns[number] = Column(*rest)  # type: ignore[index]  # a dict of this function, until it is returned
    for table, oid, name, kind, valid, references, text, columns in rows(CONSTRAINTS):
        found[table].constraints[oid] = Constraint(name, kind, valid, references, text, tuple(columns))  # type: ignore[index]
    for table, oid, *rest in rows(INDEXES):
        found[table].indexes[oid] = Index(*rest)  # type: ignore[index]
    for table, oid, name in rows(TRIGGERS):
        found[table].triggers[oid] = name  # type: ignore[index]
    return found
