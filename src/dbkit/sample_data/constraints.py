"""The tables of a database, with the constraints on their rows, read from the system catalog."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg

from dbkit.catalog.facts import FIRST_NORMAL_OID
from dbkit.catalog.tables import TABLES as PROJECT_TABLES
from dbkit.postgres.prepared_queries import read_prepared

SEARCH_PATH = "SELECT pg_catalog.current_setting('search_path')"
DESCRIPTION = """
SELECT json_build_object(
    'oid', c.oid::bigint,
    'name', quote_ident(n.nspname) || '.' || quote_ident(c.relname),
    'shown', CASE WHEN n.nspname = 'public' THEN '' ELSE n.nspname || '.' END || c.relname,
    'columns', (
        SELECT json_agg(json_build_object(
            'name', a.attname, 'type', a.atttypid::bigint, 'typmod', a.atttypmod,
            'type_sql', format_type(a.atttypid, a.atttypmod),
            'not_null', a.attnotnull, 'generated', CASE WHEN a.attgenerated <> '' THEN d.default END,
            'drawn', a.attidentity <> '' OR coalesce(d.default LIKE 'nextval(%', false)
        ) ORDER BY a.attnum)
        FROM pg_attribute AS a LEFT JOIN LATERAL (
            SELECT pg_get_expr(d.adbin, d.adrelid) AS default FROM pg_attrdef AS d
            WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum) AS d ON a.atthasdef
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    'checks', (
        SELECT json_agg(json_build_object('sql', pg_get_expr(o.conbin, o.conrelid), 'columns', (
            SELECT json_agg(a.attname) FROM pg_attribute AS a
            WHERE a.attrelid = o.conrelid AND a.attnum = ANY (o.conkey))))
        FROM pg_constraint AS o WHERE o.conrelid = c.oid AND o.contype = 'c'),
    'partition', CASE WHEN c.relispartition THEN pg_get_partition_constraintdef(c.oid) END,
    'partition_columns', CASE WHEN c.relispartition THEN (
        SELECT json_agg(DISTINCT a.attname) FROM pg_partition_ancestors(c.oid) AS above (oid)
        JOIN pg_partitioned_table AS p ON p.partrelid = above.oid
        JOIN pg_attribute AS a ON a.attrelid = p.partrelid AND a.attnum = ANY (p.partattrs)) END,
    'references', (
        SELECT json_agg(json_build_object(
            'columns', (SELECT json_agg(a.attname ORDER BY k.n)
                        FROM unnest(o.conkey) WITH ORDINALITY AS k (attnum, n)
                        JOIN pg_attribute AS a ON a.attrelid = o.conrelid AND a.attnum = k.attnum),
            'parent', o.confrelid::bigint,
            'parent_sql', quote_ident(pn.nspname) || '.' || quote_ident(p.relname),
            'parent_columns', (SELECT json_agg(a.attname ORDER BY k.n)
                               FROM unnest(o.confkey) WITH ORDINALITY AS k (attnum, n)
                               JOIN pg_attribute AS a ON a.attrelid = o.confrelid AND a.attnum = k.attnum)))
        FROM pg_constraint AS o
        JOIN pg_class AS p ON p.oid = o.confrelid JOIN pg_namespace AS pn ON pn.oid = p.relnamespace
        -- a reference to a partitioned table has a copy for each of its partitions
        WHERE o.conrelid = c.oid AND o.contype = 'f'
            AND NOT EXISTS (SELECT FROM pg_constraint AS parent
                            WHERE parent.oid = o.conparentid AND parent.conrelid = o.conrelid)),
    'unique', (
        SELECT json_agg((SELECT json_agg(a.attname) FROM pg_attribute AS a
                         WHERE a.attrelid = c.oid AND a.attnum > 0 AND (a.attnum = ANY (x.indkey::int2[])
                             -- an expression such as lower(email), whose columns indkey does not have
                             OR x.indexprs IS NOT NULL AND EXISTS (
                                 SELECT FROM pg_depend AS d
                                 WHERE d.classid = 'pg_class'::regclass AND d.objid = x.indexrelid
                                     AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
                                     AND d.refobjsubid = a.attnum))))
        FROM pg_index AS x
        WHERE x.indrelid = c.oid AND (x.indisunique OR x.indisexclusion)),
    -- not EXISTS, for which the server would read all indexes
    'deferrable', coalesce((SELECT bool_or(NOT x.indimmediate) FROM pg_index AS x WHERE x.indrelid = c.oid), false)
)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = ANY ($1)
ORDER BY c.oid
"""
TYPES = """
WITH RECURSIVE wanted (oid) AS (
    SELECT unnest($1)
    UNION
    SELECT part.oid
    FROM wanted JOIN pg_type AS t ON t.oid = wanted.oid
    CROSS JOIN LATERAL (
        SELECT unnest(ARRAY[t.typelem, t.typbasetype])
        UNION ALL
        SELECT r.rngsubtype FROM pg_range AS r
        WHERE r.rngtypid = t.oid OR (to_jsonb(r) ->> 'rngmultitypid')::oid = t.oid
        UNION ALL
        SELECT a.atttypid FROM pg_attribute AS a
        WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS part (oid)
    WHERE part.oid <> 0
)
SELECT json_build_object(
    'oid', t.oid::bigint, 'name', t.typname, 'kind', t.typtype, 'sql', format_type(t.oid, NULL),
    'element', CASE WHEN t.typcategory = 'A' THEN t.typelem::bigint ELSE 0 END,
    'base', t.typbasetype::bigint, 'typmod', t.typtypmod, 'not_null', t.typnotnull,
    'labels', (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum AS e WHERE e.enumtypid = t.oid),
    'base_sql', format_type(NULLIF(t.typbasetype, 0), t.typtypmod),
    'checks', (SELECT json_agg(pg_get_expr(o.conbin, 0)) FROM pg_constraint AS o
               WHERE o.contypid = t.oid AND o.contype = 'c'),
    'fields', (SELECT json_agg(json_build_array(a.atttypid::bigint, a.atttypmod) ORDER BY a.attnum)
               FROM pg_attribute AS a
               WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped),
    'subtype', (SELECT r.rngsubtype::bigint FROM pg_range AS r
                WHERE r.rngtypid = t.oid OR (to_jsonb(r) ->> 'rngmultitypid')::oid = t.oid))
FROM wanted JOIN pg_type AS t ON t.oid = wanted.oid
"""


FIRST_GENERATED_OID = 10_000
"""The first OID that is not the same on all servers of a version."""
Described = Mapping[str, Any]
_builtin_types: dict[tuple[int, str], dict[int, Described]] = {}
"""By version of the server and search path, the types of every database, by OID."""


@dataclass(frozen=True)
class Type:
    """A type, with the types that it consists of; `typmod` is that of the column, or of the domain."""

    name: str
    kind: str
    """As pg_type.typtype: b(ase), e(num), d(omain), r(ange), m(ultirange), c(omposite)."""
    sql: str
    typmod: int = -1
    element: "Type | None" = None
    """The element type of an array."""
    subtype: "Type | None" = None
    """The subtype of a range or multirange."""
    fields: "tuple[Type, ...]" = ()
    labels: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    """The conditions of a domain: SQL with VALUE."""


@dataclass(frozen=True)
class Column:
    """A column that a row needs a value for."""

    name: str
    type: Type
    type_sql: str
    not_null: bool
    drawn: bool
    """Whether it is an identity, or has nextval() for its default: a key."""


@dataclass(frozen=True)
class Check:
    """An SQL condition that must not be false, and its columns."""

    sql: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Reference:
    """A foreign key."""

    columns: tuple[str, ...]
    parent: int
    """OID."""
    parent_sql: str
    parent_columns: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table that can hold rows."""

    oid: int
    sql: str
    """Its name, schema-qualified and quoted."""
    shown: str
    """Its name for people, without the schema `public`."""
    columns: tuple[Column, ...]
    """Without the generated ones."""
    checks: tuple[Check, ...] = ()
    references: tuple[Reference, ...] = ()
    unique: tuple[frozenset[str], ...] = ()
    """The columns of each unique index and exclusion constraint."""
    deferrable: bool = False
    """Whether one of these is deferrable: ON CONFLICT does not support those."""
    has_own_types: bool = False
    """Whether a type of the project is used, which can change without the table."""
    generated: tuple[tuple[str, str], ...] = ()
    """The names of the generated columns, each with its expression in SQL."""

    @property
    def identifiers(self) -> tuple[str, ...]:
        """Its own name, as SQL, and those of its columns."""
        return (self.sql, *(column.name for column in self.columns))

    def column(self, name: str) -> Column:
        """Return the column of that name."""
        return next(column for column in self.columns if column.name == name)

    def is_nullable(self, reference: Reference) -> bool:
        """Whether the reference can be NULL."""
        return any(not self.column(name).not_null for name in reference.columns if self.has(name))

    def is_unique(self, columns: Collection[str]) -> bool:
        """Whether no two rows can have the same values in these columns."""
        return any(unique <= set(columns) for unique in self.unique)

    def has(self, name: str) -> bool:
        """Whether it has a column of that name that is not generated."""
        return any(column.name == name for column in self.columns)


@dataclass(frozen=True)
class KnownTables:
    """Tables that were read before, by OID, and the search path under which their types and conditions are printed."""

    tables: Mapping[int, Table] = field(default_factory=dict)
    search_path: str = ""


def read_tables(connection: psycopg.Connection, oids: Collection[int]) -> list[Table]:
    """Return the tables with their constraints."""
    tables, ((search_path,),) = read_prepared(connection, (DESCRIPTION, SEARCH_PATH), oids)
    return _make_tables(connection, [found for (found,) in tables], search_path)


def read_project_tables(
    connection: psycopg.Connection, oids: Collection[int], ignored: Collection[str]
) -> tuple[list[Table], str]:
    """Return those of these relations that are tables of the project with rows, and the search path.

    `ignored`: names of tables that are left out.
    """
    queries = (f"{PROJECT_TABLES} AND c.oid = ANY ($1)", DESCRIPTION, SEARCH_PATH)
    rows, tables, ((search_path,),) = read_prepared(connection, queries, oids)
    wanted = {oid for oid, name in rows if name not in ignored}
    found = [each for (each,) in tables if each["oid"] in wanted]
    return _make_tables(connection, found, search_path), search_path


def _make_tables(connection: psycopg.Connection, tables: Sequence[Described], search_path: str) -> list[Table]:
    """Return tables by their descriptions, with their types."""
    known = _builtin_types.setdefault((connection.info.server_version, search_path), {})
    missing = {column["type"] for found in tables for column in found["columns"] or ()} - known.keys()
    types = dict(known)
    if missing:
        (rows,) = read_prepared(connection, [TYPES], missing)
        types |= {found["oid"]: found for (found,) in rows}
        known |= {oid: found for oid, found in types.items() if oid < FIRST_GENERATED_OID}
    return [_table(found, types) for found in tables]


def _table(found: Mapping[str, Any], types: Mapping[int, Mapping[str, Any]]) -> Table:
    columns = tuple(
        Column(
            each["name"],
            _type(types, each["type"], each["typmod"]),
            each["type_sql"],
            each["not_null"] or types[each["type"]]["not_null"],
            each["drawn"],
        )
        for each in found["columns"] or ()
        if not each["generated"]
    )
    checks = [Check(each["sql"], tuple(each["columns"] or ())) for each in found["checks"] or ()]
    if found["partition"]:
        checks.append(Check(found["partition"], tuple(found["partition_columns"] or ())))
    references = tuple(
        Reference(tuple(each["columns"]), each["parent"], each["parent_sql"], tuple(each["parent_columns"]))
        for each in found["references"] or ()
    )
    unique = tuple(frozenset(each or ()) for each in found["unique"] or ())
    return Table(
        found["oid"],
        found["name"],
        found["shown"],
        columns,
        tuple(checks),
        references,
        unique,
        found["deferrable"],
        any(each["type"] >= FIRST_NORMAL_OID for each in found["columns"] or ()),
        tuple((each["name"], each["generated"]) for each in found["columns"] or () if each["generated"]),
    )


def _type(types: Mapping[int, Mapping[str, Any]], oid: int, typmod: int) -> Type:
    found = types[oid]
    if found["kind"] == "d":
        base = _type(types, found["base"], found["typmod"])
        checks = (*base.checks, *(found["checks"] or ()))
        is_last = types[found["base"]]["kind"] != "d"
        return replace(base, sql=found["base_sql"] if is_last else base.sql, checks=checks)
    return Type(
        name=found["name"],
        kind=found["kind"],
        sql=found["sql"],
        typmod=typmod,
        element=_type(types, found["element"], typmod) if found["element"] else None,
        subtype=_type(types, found["subtype"], -1) if found["subtype"] else None,
        fields=tuple(_type(types, *each) for each in found["fields"] or ()),
        labels=tuple(found["labels"] or ()),
    )
