"""Queries about the own session, in the server's views: its locks, what it has read and written, and its tables."""

import json
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from dbkit.postgres.sql_text import unquote_name
from dbkit.trace.prepared_queries import Cursor, PreparedQueries
from dbkit.trace.records import Lock

UNIQUE_KEY = re.compile(r" USING btree \(([^()]+)\)(?: INCLUDE \([^()]+\))?(?: NULLS NOT DISTINCT)?$")
LOCKED_BY_COMMANDS = frozenset({"pg_description", "pg_shdescription", "pg_largeobject", "pg_largeobject_metadata"})
"""Tables of the system on which commands such as COMMENT keep the lock of a writer."""
FIRST_OWN_OID = 16384
"""OIDs below are the system's own."""


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
    catalog_name: str = ""
    """The OID of its schema, and its name there."""

    def as_relation(self) -> "Relation":
        """Return it without its lock."""
        return Relation(self.name, self.kind, self.filenode, self.root, self.catalog_name)


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


# The tables of the system whose rows make up tables and other objects: where nothing was written, nothing has changed
CATALOGS = (
    *("pg_class", "pg_attribute", "pg_attrdef", "pg_constraint", "pg_index", "pg_trigger", "pg_policy", "pg_rewrite"),
    *("pg_inherits", "pg_publication_rel", "pg_publication", "pg_proc", "pg_type", "pg_enum", "pg_sequence"),
    *("pg_namespace", "pg_extension", "pg_default_acl", "pg_database", "pg_authid"),
)
WRITES = " + ".join(
    f"pg_stat_get_xact_tuples_{how}('{name}'::regclass)"
    for name in CATALOGS
    for how in ("inserted", "updated", "deleted")
)
# The first row is that of the session, the others are those of relations that it has locked, with what it has counted
# there. OIDs below 16384 are the system's own: their locks are read as far as a statement writes to such tables itself.
# TOAST tables are left out: their tables have the same locks.
STATE = f"""
SELECT 0::oid, current_setting('lock_timeout'), current_setting('session_replication_role'), 0::oid, 0, 0::oid, 0::oid,
    current_setting('track_counts')::bool, current_setting('search_path'), {WRITES},
    coalesce(pg_current_xact_id_if_assigned()::text::bigint, 0), 0::bigint, 0::bigint, 0::bigint
UNION ALL
SELECT l.relation, coalesce(l.relation::regclass::text, ''), coalesce(c.relkind::text, ''), coalesce(c.relfilenode, 0),
       l.mode, coalesce(i.indrelid, 0), CASE WHEN c.relispartition THEN pg_partition_root(c.oid)::oid ELSE 0 END,
       l.writes, coalesce(c.relnamespace || '.' || c.relname, ''),
       CASE WHEN c.relkind IN ('r', 'm') THEN pg_stat_get_xact_numscans(c.oid) END,
       pg_stat_get_xact_tuples_returned(c.oid) + pg_stat_get_xact_tuples_fetched(c.oid),
       pg_stat_get_xact_tuples_inserted(c.oid), pg_stat_get_xact_tuples_updated(c.oid),
       pg_stat_get_xact_tuples_deleted(c.oid)
FROM (
    SELECT relation, max(array_position(
        ARRAY['AccessShareLock', 'RowShareLock', 'RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock',
              'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'], mode)) AS mode,
        bool_or(mode = 'RowExclusiveLock') AS writes
    FROM pg_locks
    WHERE pid = pg_backend_pid() AND granted AND locktype = 'relation'
        AND (relation >= 16384 OR mode = 'RowExclusiveLock')
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    GROUP BY relation
) AS l
LEFT JOIN pg_class AS c ON c.oid = l.relation
LEFT JOIN pg_index AS i ON i.indexrelid = l.relation
WHERE c.relnamespace IS DISTINCT FROM 'pg_toast'::regnamespace AND (l.relation >= 16384 OR c.relkind = 'r')
"""  # noqa: S608

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

SIZES = "SELECT oid, pg_relation_size(oid) FROM pg_class WHERE oid = ANY ('{%s}')"
# The column that a sequence belongs to, or whose default it is, and whether it has numbers
COLUMN_OF_SEQUENCE = """
SELECT c.oid::regclass::text, a.attname, quote_ident(a.attname),
    a.atttypid IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype, 'numeric'::regtype)
FROM pg_depend AS d
LEFT JOIN pg_attrdef AS e ON d.classid = 'pg_attrdef'::regclass AND e.oid = d.objid
JOIN pg_class AS c ON c.oid = coalesce(e.adrelid, d.refobjid) AND c.relkind IN ('r', 'p')
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = coalesce(e.adnum, d.refobjsubid)
WHERE (d.classid = 'pg_class'::regclass AND d.objid = %s AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0)
    OR (d.refclassid = 'pg_class'::regclass AND d.refobjid = %s AND e.oid IS NOT NULL)
LIMIT 1
"""
# The sequence of an identity column or of a default, where the column is part of a unique key and has numbers
SEQUENCE_OF_KEY = """
SELECT s.oid::bigint, s.oid::regclass::text, a.attrelid::regclass::text, quote_ident(a.attname)
FROM pg_attribute AS a
LEFT JOIN pg_attrdef AS e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
JOIN pg_depend AS d ON CASE WHEN a.attidentity = '' THEN d.classid = 'pg_attrdef'::regclass AND d.objid = e.oid
        AND d.refclassid = 'pg_class'::regclass
    ELSE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'i'
        AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum END
JOIN pg_class AS s ON s.oid = CASE WHEN a.attidentity = '' THEN d.refobjid ELSE d.objid END AND s.relkind = 'S'
WHERE a.attrelid = {table} AND a.attname = {column}
    AND a.atttypid IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype, 'numeric'::regtype)
    AND EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = a.attrelid AND i.indisunique AND a.attnum = ANY (i.indkey))
LIMIT 1
"""
SEQUENCE_OPTIONS = "SELECT seqincrement, seqmin, seqmax, seqcycle FROM pg_sequence WHERE seqrelid = %s"
# The furthest key of those that a sequence will give out, or of all; and whether it will give out none that is there
FURTHEST_KEY = """
SELECT coalesce({furthest}({column}) FILTER (WHERE {is_ahead}), {furthest}({column}))::text,
    count(*) FILTER (WHERE {is_ahead}) = 0
FROM {table}
"""
# Whether a view takes none of INSERT, UPDATE and DELETE, or not all of them
IS_READ_ONLY = "SELECT pg_relation_is_updatable({view}::regclass, true) & 28 <> 28"
TIME_ZONE = "SELECT source FROM pg_settings WHERE name = 'TimeZone'"

SESSION = "SELECT pg_backend_pid(), current_setting('server_version_num')::int, current_database()"
LOCK_TIMEOUT = "SELECT current_setting(name), source, reset_val || unit FROM pg_settings WHERE name = 'lock_timeout'"

RELATION_KINDS = ("r", "p", "m", "v", "f", "i", "I", "S")
RELATIONS = f"""
SELECT oid, oid::regclass::text, relkind::text, relfilenode,
       CASE WHEN relispartition THEN pg_partition_root(oid)::oid ELSE 0 END, relnamespace || '.' || relname
FROM pg_class
WHERE oid >= 16384 AND relnamespace <> 'pg_toast'::regnamespace
    AND relkind IN {RELATION_KINDS}
"""  # noqa: S608

# A table's catalog rows have other xmin values when its definition changes, or is created again
VERSIONS = """
SELECT "table", sum(version::bigint)::bigint
FROM (
    SELECT attrelid, hashint8((attnum::bigint << 32) + xmin::text::bigint)
        FROM pg_attribute WHERE attrelid >= 16384 AND attnum > 0
    UNION ALL SELECT adrelid, hashint8((oid::bigint << 32) + xmin::text::bigint)
        FROM pg_attrdef WHERE adrelid >= 16384
    UNION ALL SELECT conrelid, hashint8((oid::bigint << 32) + xmin::text::bigint)
        FROM pg_constraint WHERE conrelid >= 16384
    UNION ALL SELECT indrelid, hashint8((indexrelid::bigint << 32) + i.xmin::text::bigint # c.xmin::text::bigint << 3)
        FROM pg_index AS i JOIN pg_class AS c ON c.oid = indexrelid WHERE indrelid >= 16384
    UNION ALL SELECT tgrelid, hashint8((oid::bigint << 32) + xmin::text::bigint)
        FROM pg_trigger WHERE tgrelid >= 16384
    UNION ALL SELECT polrelid, hashint8((oid::bigint << 32) + xmin::text::bigint) FROM pg_policy
    UNION ALL SELECT ev_class, hashint8((oid::bigint << 32) + xmin::text::bigint)
        FROM pg_rewrite WHERE ev_class >= 16384
    UNION ALL SELECT prrelid, hashint8(oid::bigint << 31) FROM pg_publication_rel
    UNION ALL SELECT inhrelid, hashint8(inhparent::bigint << 30) FROM pg_inherits
    UNION ALL SELECT oid, hashtext('table ' || relowner || relrowsecurity || relforcerowsecurity || relispopulated
            || relreplident::text || coalesce(reloptions::text, '')) FROM pg_class
        WHERE oid >= 16384 AND relkind IN ('r', 'p', 'm', 'f')
) AS part ("table", version)
GROUP BY "table"
"""

# By table of the system, the column with the OID of the table that a row describes
SHAPE_ROWS = {
    "pg_attribute": "attrelid",
    "pg_attrdef": "adrelid",
    "pg_class": "oid",
    "pg_constraint": "conrelid",
    "pg_index": "indrelid",
    "pg_inherits": "inhrelid",
    "pg_policy": "polrelid",
    "pg_publication_rel": "prrelid",
    "pg_rewrite": "ev_class",
    "pg_trigger": "tgrelid",
}
# Also of a row that a transaction has changed twice: it is in another place, and by another command
ROW_VERSION = "hashtext(concat_ws('/', r.tableoid, r.ctid, r.xmin, r.cmin))"
ROWS_OF_SHAPES = " UNION ALL ".join(
    f"SELECT r.{column}, {ROW_VERSION} FROM {name} AS r WHERE r.{column} = ANY ($1)"  # noqa: S608
    for name, column in SHAPE_ROWS.items()
)
SHAPE_VERSIONS = f"""
SELECT "table"::bigint, sum(version)::bigint
FROM (
    {ROWS_OF_SHAPES}
    UNION ALL SELECT i.indrelid, {ROW_VERSION}
        FROM pg_index AS i JOIN pg_class AS r ON r.oid = i.indexrelid WHERE i.indrelid = ANY ($1)
) AS part ("table", version)
GROUP BY "table"
"""  # noqa: S608
"""Of each table, a number that changes with each row of the catalog that its shape is read from."""

COLUMNS = """
SELECT a.attrelid::bigint, a.attnum, a.attname, a.atttypid::bigint, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       CASE a.attidentity::text || a.attgenerated::text
           WHEN 'a' THEN 'GENERATED ALWAYS AS IDENTITY'
           WHEN 'd' THEN 'GENERATED BY DEFAULT AS IDENTITY'
           WHEN 's' THEN format('GENERATED ALWAYS AS (%s) STORED', pg_get_expr(d.adbin, d.adrelid))
           WHEN 'v' THEN format('GENERATED ALWAYS AS (%s) VIRTUAL', pg_get_expr(d.adbin, d.adrelid))
           ELSE coalesce(pg_get_expr(d.adbin, d.adrelid), '') END
FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = ANY ($1)
ORDER BY a.attrelid, a.attnum
"""

CONSTRAINTS = """
SELECT conrelid::bigint, oid::bigint, conname, contype::text, convalidated, confrelid::bigint,
       pg_get_constraintdef(oid), coalesce(conkey, '{}')::int[]
FROM pg_constraint WHERE conrelid = ANY ($1) AND contype <> 't'
ORDER BY conrelid, conname
"""

INDEXES = """
SELECT i.indrelid::bigint, i.indexrelid::bigint, c.relname, i.indisunique, i.indisvalid, pg_get_indexdef(i.indexrelid),
    c.relfilenode::bigint
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid WHERE i.indrelid = ANY ($1)
ORDER BY i.indrelid, i.indexrelid
"""

TRIGGERS = """
SELECT tgrelid::bigint, t.oid::bigint, tgname, tgisinternal, tgenabled IN ('O', 'A'), tgtype, tgfoid::bigint,
    CASE WHEN tgisinternal THEN '' ELSE prosrc END, t.xmin::text
FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = tgfoid WHERE tgrelid = ANY ($1)
ORDER BY tgrelid, tgname
"""

ACCESS = """
SELECT oid::bigint, relowner::regrole::text, relrowsecurity, relforcerowsecurity,
    ARRAY(SELECT polname FROM pg_policy WHERE polrelid = c.oid)::text[],
    (SELECT coalesce(string_agg(polcmd::text, ''), '') FROM pg_policy WHERE polrelid = c.oid AND polpermissive),
    (SELECT coalesce(string_agg(polcmd::text, ''), '') FROM pg_policy WHERE polrelid = c.oid AND polpermissive
        AND polroles = '{0}' AND coalesce(pg_get_expr(polqual, polrelid), 'true') = 'true'
        AND coalesce(pg_get_expr(polwithcheck, polrelid), 'true') = 'true'),
    ARRAY(SELECT inhparent FROM pg_inherits WHERE inhrelid = c.oid)::int[],
    ARRAY(SELECT rulename FROM pg_rewrite
        WHERE ev_class = c.oid AND ev_type <> '1' AND ev_enabled IN ('O', 'A'))::text[],
    array_remove(ARRAY[
        CASE WHEN NOT relispopulated THEN 'unpopulated' END,
        CASE WHEN EXISTS (SELECT FROM unnest(reloptions) AS option WHERE option ~* '^autovacuum_enabled=(f|n|of|0)')
            THEN 'autovacuum off' END,
        CASE WHEN relkind IN ('r', 'p') AND EXISTS (SELECT FROM pg_publication_rel WHERE prrelid = c.oid) AND
            CASE relreplident WHEN 'n' THEN true WHEN 'f' THEN false
                ELSE NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indislive
                    AND CASE relreplident WHEN 'd' THEN indisprimary ELSE indisreplident END) END
            THEN 'published without identity' END], NULL)
FROM pg_class AS c WHERE oid = ANY ($1)
"""
SHAPES = "SELECT " + ", ".join(  # noqa: S608
    f"(SELECT json_agg(json_build_array({names})) FROM ({query}) AS part ({names}))::text"  # noqa: S608
    for query, count in ((COLUMNS, 7), (CONSTRAINTS, 8), (INDEXES, 7), (TRIGGERS, 9), (ACCESS, 10))
    for names in [", ".join(f"value_{number}" for number in range(count))]
)
"""Each list of rows as JSON, so that it is one query."""
COMMANDS = {"r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE"}
"""By pg_policy.polcmd, the commands that a policy is for."""


@dataclass(frozen=True)
class Column:
    """A column."""

    name: str
    type_oid: int
    """Another type may get the name of one that was renamed."""
    type: str
    not_null: bool
    default: str
    """The expression, or the clause of an identity or a generated column; "" where there is none."""


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


class Trigger(NamedTuple):
    """A trigger."""

    name: str
    is_internal: bool
    """Whether it is part of a foreign key."""
    is_enabled: bool
    type: int
    """pg_trigger.tgtype: 1 for each row, 2 before, 4 on INSERT…"""
    function: int
    source: str
    """Of its function."""
    version: str
    """It changes whenever the trigger is altered."""

    @property
    def fills(self) -> bool:
        """Whether it may change a row before the row is inserted."""
        return self.is_enabled and self.type & 7 == 7

    @property
    def is_before_row(self) -> bool:
        """Whether it decides on each row before the row is written."""
        return self.type & 3 == 3


class Access(NamedTuple):
    """The owner, row security, parents, rules and options of a table."""

    owner: str = ""
    row_security: bool = False
    forced: bool = False
    """Whether row security is for the owner, too."""
    policies: Sequence[str] = ()
    permitted: str = ""
    """pg_policy.polcmd of each permissive policy; `*` is for all commands."""
    unconditional: str = ""
    """The same of those that let everybody do it with each row."""
    parents: Sequence[int] = ()
    """OIDs of the tables that it is a partition or a child of."""
    rules: Sequence[str] = ()
    """Those that are enabled."""
    options: Sequence[str] = ()
    """What keeps it from being used as other tables are: `unpopulated`, `autovacuum off`…"""

    @property
    def refused(self) -> tuple[str, ...]:
        """Return the commands that row security refuses on every row, for lack of a policy."""
        return self._without(self.permitted)

    @property
    def limited(self) -> tuple[str, ...]:
        """Return the commands that row security refuses on some rows, or for some roles."""
        return self._without(self.unconditional)

    def _without(self, policies: str) -> tuple[str, ...]:
        if not self.row_security or "*" in policies:
            return ()
        return tuple(name for letter, name in COMMANDS.items() if letter not in policies)


@dataclass(frozen=True)
class TableShape:
    """The definition of a table: columns by number, the rest by OID."""

    columns: Mapping[int, Column] = field(default_factory=dict)
    constraints: Mapping[int, Constraint] = field(default_factory=dict)
    indexes: Mapping[int, Index] = field(default_factory=dict)
    triggers: Mapping[int, Trigger] = field(default_factory=dict)
    access: Access = field(default_factory=Access)

    @property
    def unique_keys(self) -> tuple[tuple[str, ...], ...]:
        """Return the columns of each valid unique index that has no expression and no condition."""
        texts = (UNIQUE_KEY.search(each.text) for each in self.indexes.values() if each.unique and each.valid)
        names = {each.name for each in self.columns.values()}
        keys = (tuple(unquote_name(part) for part in text[1].split(", ")) for text in texts if text)
        return tuple(sorted(key for key in keys if set(key) <= names))


class Relation(NamedTuple):
    """A relation."""

    name: str
    """Schema-qualified where it was not in the search path when it was first read."""
    kind: str
    filenode: int
    root: int
    """As in LockedRelation."""
    catalog_name: str
    """As in LockedRelation."""

    def with_name_of(self, earlier: "Relation | None") -> "Relation":
        """Return it with its earlier name where only search_path has changed."""
        return self._replace(name=earlier.name) if earlier and earlier.catalog_name == self.catalog_name else self


TABLE_KINDS = ("r", "p", "m", "f")


@dataclass(frozen=True)
class SessionState:
    """The state of a session at one time."""

    lock_timeout: str
    replication_role: str
    search_path: str
    counts_writes: bool
    """Whether the server counts what the session writes."""
    catalog_writes: int
    """How many rows of CATALOGS the session has written; those of earlier transactions may have left the count."""
    transaction: int
    """The id of the transaction; 0 where it has none."""
    locks: Mapping[int, LockedRelation]
    """By OID, the relations that it has locked, the system's own ones, too."""
    counts: Mapping[int, RowCounts]
    """By OID, what it has read and written in each table that it has locked."""


def read_state(queries: PreparedQueries) -> SessionState:
    """Read the state of the session."""
    (_, timeout, role, _, _, _, _, is_counted, search_path, writes, transaction, *_), *rows = queries.read(
        "state", STATE
    )
    locks, counts = {}, {}
    for oid, name, kind, filenode, lock, table, root, opened, catalog_name, *counted in sorted(
        rows, key=operator.itemgetter(0)
    ):
        locks[oid] = LockedRelation(oid, name, kind, filenode, Lock(lock), table, root, opened, catalog_name)
        if counted[0] is not None:
            counts[oid] = RowCounts(*counted)
    return SessionState(timeout, role, search_path, is_counted, writes, transaction, locks, counts)


def read_row_counts(queries: PreparedQueries) -> dict[int, RowCounts]:
    """Return, by OID, what the session has read and written in each table, without those where it has done neither."""
    return {row[0]: RowCounts(*row[1:]) for row in queries.read("counted", COUNTED)}


def read_sizes(cursor: Cursor, relations: Iterable[int]) -> dict[int, int]:
    """Return, by OID, how many bytes relations with a file have."""
    cursor.execute(SIZES % ",".join(map(str, relations)))
    return dict(cursor.fetchall())  # type: ignore[arg-type]  # two columns


def read_sequences(cursor: Cursor, sequences: Mapping[int, str]) -> dict[int, tuple[int, bool]]:
    """Return, by OID, the last value of sequences, by their names, and whether it was given out."""
    if not sequences:
        return {}
    queries = [f"SELECT {oid}, last_value, is_called FROM {name}" for oid, name in sequences.items()]  # noqa: S608
    cursor.execute(" UNION ALL ".join(queries))
    return {oid: (last, called) for oid, last, called in cursor.fetchall()}


def read_locks_of_others(queries: PreparedQueries) -> set[int]:
    """Return the OIDs of the relations that another session has locked, or waits to lock, against readers."""
    return {row[0] for row in queries.read("locked_by_others", LOCKED_BY_OTHERS)}


def read_relations(queries: PreparedQueries) -> dict[int, Relation]:
    """Return, by OID, all relations that are not the system's."""
    return {row[0]: Relation(*row[1:]) for row in queries.read("relations", RELATIONS)}


def read_shape_hashes(queries: PreparedQueries) -> dict[int, int]:
    """Return, by OID of a table, a hash that changes whenever the table's catalog rows change."""
    return dict(queries.read("versions", VERSIONS))  # type: ignore[arg-type]  # two columns


def read_shape_versions(queries: PreparedQueries, tables: Iterable[int]) -> dict[int, int]:
    """Return, by OID, a number that changes whenever the shape of a table does, but for the names of other objects."""
    return dict(queries.read_of("shape_versions", SHAPE_VERSIONS, ",".join(map(str, tables))))  # type: ignore[arg-type]


def read_shapes(queries: PreparedQueries, tables: Iterable[int]) -> dict[int, TableShape]:
    """Return, by OID, the shapes of tables; those of dropped tables are empty."""
    listed = list(tables)
    if not listed:
        return {}
    oids = ",".join(map(str, listed))
    found = {oid: TableShape() for oid in listed}
    (texts,) = queries.read_of("shapes", SHAPES, oids)
    columns, constraints, indexes, triggers, access = (json.loads(text or "[]") for text in texts)
    for table, number, *rest in columns:
        found[table].columns[number] = Column(*rest)  # type: ignore[index]  # a dict of this function, until it is returned
    for table, oid, name, kind, valid, references, text, numbers in constraints:
        found[table].constraints[oid] = Constraint(name, kind, valid, references, text, tuple(numbers))  # type: ignore[index]
    for table, oid, *rest in indexes:
        found[table].indexes[oid] = Index(*rest)  # type: ignore[index]
    for table, oid, *rest in triggers:
        found[table].triggers[oid] = Trigger(*rest)  # type: ignore[index]
    for table, *rest in access:
        found[table] = replace(found[table], access=Access(*rest))
    return found
