"""Read what the catalog demands of the rows of tables: NOT NULL, constraints, unique indexes, types, bounds."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from dbkit.catalog.facts import FIRST_NORMAL_OID
from dbkit.catalog.tables import IS_PROJECT_TABLE
from dbkit.postgres.prepared_queries import read_prepared

TABLES = f"""
SELECT c.oid::bigint, CASE WHEN n.nspname = 'public' THEN '' ELSE n.nspname || '.' END || c.relname,
    quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relkind = 'r' AND c.relhassubclass,
    ARRAY(SELECT i.inhparent::bigint FROM pg_inherits AS i WHERE i.inhrelid = c.oid),
    CASE WHEN c.relispartition THEN coalesce(pg_get_partition_constraintdef(c.oid), '') ELSE '' END,
    ARRAY(SELECT a.attname::text FROM pg_index AS x JOIN pg_attribute AS a
              ON a.attrelid = c.oid AND a.attnum = ANY (x.indkey::int2[])
          WHERE x.indrelid = c.oid AND x.indisprimary ORDER BY array_position(x.indkey::int2[], a.attnum))
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.oid >= {FIRST_NORMAL_OID} AND {IS_PROJECT_TABLE}
"""  # noqa: S608
# The tables whose rows follow those of others, by foreign keys and by inheritance; then all that these refer to
RELATED = """
WITH RECURSIVE related (oid) AS (
    SELECT unnest($1)::oid
    UNION
    SELECT part.oid FROM related CROSS JOIN LATERAL (
        SELECT f.conrelid FROM pg_constraint AS f WHERE f.contype = 'f' AND f.confrelid = related.oid
        UNION ALL
        SELECT i.inhrelid FROM pg_inherits AS i WHERE i.inhparent = related.oid
        UNION ALL
        SELECT i.inhparent FROM pg_inherits AS i WHERE i.inhrelid = related.oid
    ) AS part (oid)
)
SELECT oid FROM related
UNION
SELECT f.confrelid FROM related JOIN pg_constraint AS f ON f.contype = 'f' AND f.conrelid = related.oid
"""
# since PostgreSQL 18 a NOT NULL constraint can be NOT VALID; the column has attnotnull nevertheless
COLUMNS = """
SELECT a.attrelid::bigint, a.attnum::int, a.attname::text, a.atttypid::bigint, a.atttypmod,
    format_type(a.atttypid, a.atttypmod),
    a.attnotnull AND NOT EXISTS (SELECT FROM pg_constraint AS n WHERE n.conrelid = a.attrelid AND n.contype = 'n'
        AND n.conkey = ARRAY[a.attnum] AND NOT n.convalidated),
    coalesce(pg_get_expr(d.adbin, d.adrelid), ''),
    a.attidentity <> '' OR a.attgenerated <> '', t.typtype::text
FROM pg_attribute AS a
JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = ANY ($1)
ORDER BY a.attrelid, a.attnum
"""
CONSTRAINTS = """
SELECT c.conrelid::bigint, c.oid::bigint, c.contype::text, coalesce(pg_get_expr(c.conbin, c.conrelid), ''),
    c.convalidated, coalesce(c.conkey, '{}')::int[], c.confrelid::bigint, coalesce(c.confkey, '{}')::int[],
    c.confmatchtype = 'f', c.connoinherit,
    ARRAY(SELECT 'OPERATOR(' || quote_ident(n.nspname) || '.' || o.oprname || ')'
          FROM unnest(coalesce(c.conexclop, c.conpfeqop)) WITH ORDINALITY AS x (oid, place)
          JOIN pg_operator AS o ON o.oid = x.oid
          JOIN pg_namespace AS n ON n.oid = o.oprnamespace ORDER BY x.place),
    c.conindid::bigint
FROM pg_constraint AS c
WHERE c.conrelid = ANY ($1) AND c.contype IN ('c', 'f', 'x') AND c.conparentid = 0
    AND (c.conislocal OR c.contype <> 'c')
ORDER BY c.oid
"""
INDEXES = """
SELECT i.indrelid::bigint, i.indexrelid::bigint, i.indisunique, i.indisvalid,
    coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false), coalesce(pg_get_expr(i.indpred, i.indrelid), ''),
    ARRAY(SELECT pg_get_indexdef(i.indexrelid, place, false) ||
              CASE WHEN i.indcollation[place - 1] NOT IN (0, coalesce(a.attcollation, 0), 100)
                   THEN ' COLLATE ' || i.indcollation[place - 1]::regcollation ELSE '' END
          FROM generate_series(1, i.indnkeyatts) AS place
          LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[place - 1] AND a.attnum > 0
          ORDER BY place)
FROM pg_index AS i
WHERE i.indrelid = ANY ($1) AND NOT EXISTS (SELECT FROM pg_inherits AS p WHERE p.inhrelid = i.indexrelid)
ORDER BY i.indexrelid
"""
# the domains of the tables' columns, and those that these are based on
DOMAINS = """
WITH RECURSIVE domain (oid, base, not_null, root) AS (
    SELECT t.oid, t.typbasetype, t.typnotnull, t.oid FROM pg_type AS t
    WHERE t.typtype = 'd' AND t.oid IN (SELECT a.atttypid FROM pg_attribute AS a WHERE a.attrelid = ANY ($1))
    UNION ALL
    SELECT t.oid, t.typbasetype, t.typnotnull, d.root FROM domain AS d JOIN pg_type AS t ON t.oid = d.base
    WHERE t.typtype = 'd'
)
SELECT d.root::bigint, 0::bigint, '' FROM domain AS d WHERE d.not_null
UNION ALL
SELECT d.root::bigint, c.oid::bigint, pg_get_expr(c.conbin, 0) FROM domain AS d JOIN pg_constraint AS c
    ON c.contypid = d.oid AND c.contype = 'c' AND c.convalidated
ORDER BY 1, 2
"""
LABELS = "SELECT enumtypid::bigint, enumlabel::text FROM pg_enum ORDER BY enumtypid, enumsortorder"
BASE_TYPES = f"""
SELECT oid::bigint, format_type(typbasetype, typtypmod) FROM pg_type WHERE typtype = 'd' AND oid >= {FIRST_NORMAL_OID}
"""  # noqa: S608
# those of extensions and of the project: the server's own are in pg_catalog and information_schema
FUNCTIONS = f"""
SELECT DISTINCT p.proname::text, n.nspname::text
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE p.oid >= {FIRST_NORMAL_OID} AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND NOT EXISTS (
    SELECT FROM pg_proc AS other WHERE other.proname = p.proname AND other.pronamespace <> p.pronamespace)
"""  # noqa: S608
TYPES = f"""
SELECT t.typname::text, n.nspname::text FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
WHERE t.oid >= {FIRST_NORMAL_OID} AND (t.typelem = 0 OR t.typcategory <> 'A')
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND NOT EXISTS (
    SELECT FROM pg_type AS other WHERE other.typname = t.typname AND other.oid <> t.oid)
"""  # noqa: S608
CONTENTS = (COLUMNS, CONSTRAINTS, INDEXES, DOMAINS, LABELS, BASE_TYPES, FUNCTIONS, TYPES)
"""The queries for what belongs to tables."""
QUALIFY = (
    "SET LOCAL search_path = pg_catalog; SET LOCAL quote_all_identifiers = off; "
    # a plan for the given OIDs seems cheaper, and would be made each time
    "SET LOCAL plan_cache_mode = force_generic_plan"
)


@dataclass(frozen=True)
class Column:
    """A column, with its type as SQL."""

    number: int
    name: str
    type_oid: int
    modifier: int
    type: str
    not_null: bool
    default: str
    """The default, or the expression of a generated column."""
    is_computed: bool
    """Whether the server computes its values: of an identity, or of a generated column."""
    type_kind: str
    """pg_type.typtype: b base, d domain, e enum."""


@dataclass(frozen=True)
class Constraint:
    """A CHECK, a foreign key or an exclusion constraint; columns by number."""

    oid: int
    kind: str
    """pg_constraint.contype: c, f or x."""
    expression: str
    is_valid: bool
    columns: tuple[int, ...]
    parent: int
    parent_columns: tuple[int, ...]
    is_full: bool
    is_only: bool
    """Whether children of the table do not inherit it."""
    operators: tuple[str, ...]
    """Of an exclusion constraint; of a foreign key, those that compare the columns."""
    index: int

    @property
    def meaning(self) -> tuple[object, ...]:
        """Return its demand, without its name."""
        return self.kind, self.columns, self.expression, self.parent, self.parent_columns, self.is_full, self.operators


@dataclass(frozen=True)
class Index:
    """An index."""

    oid: int
    is_unique: bool
    is_valid: bool
    are_nulls_equal: bool
    predicate: str
    expressions: tuple[str, ...]


@dataclass
class TableShape:
    """The demands of the catalog on the rows of one table."""

    oid: int
    label: str
    """The name for display: without the schema, where that is public."""
    sql: str
    """The qualified name, as SQL."""
    has_children: bool
    """Whether other tables inherit from it; not for a partitioned table."""
    parents: tuple[int, ...]
    bounds: str
    """For a partition, the condition that its rows satisfy."""
    key: tuple[str, ...]
    columns: dict[int, Column] = field(default_factory=dict)
    constraints: list[Constraint] = field(default_factory=list)
    indexes: list[Index] = field(default_factory=list)

    def column_type(self, name: str) -> str:
        """Return the type of a column, as SQL."""
        return next((each.type for each in self.columns.values() if each.name == name), "")


@dataclass(frozen=True)
class Shapes:
    """The tables of a database in one state, by OID, with their types."""

    tables: Mapping[int, TableShape]
    domains: Mapping[int, Mapping[int, str]]
    """By OID of a domain, its valid checks by OID, as expressions of VALUE; 0 for NOT NULL."""
    labels: Mapping[int, tuple[str, ...]]
    """By OID of an enum, its labels."""
    base_types: Mapping[int, str] = field(default_factory=dict)
    """By OID of a domain, the type that it is based on."""
    functions: Mapping[str, str] = field(default_factory=dict)
    """The schemas of functions outside pg_catalog, by name, where it is the only one with that name."""
    types: Mapping[str, str] = field(default_factory=dict)
    """Of types, likewise."""
    version: int = 0
    """Of the server, as server_version_num: 180001."""

    later: "Shapes | None" = None
    """The state after a revision, whose statements may use the new names of tables."""

    @cached_property
    def by_name(self) -> Mapping[str, Sequence[tuple[str, TableShape]]]:
        """The tables by their names without a schema, each with its whole name, as SQL; also by those of later."""
        found: dict[str, list[tuple[str, TableShape]]] = {}
        for table in self.tables.values():
            found.setdefault(table.label.rpartition(".")[2], []).append((table.sql, table))
        for oid, table in self.later.tables.items() if self.later else ():
            before = self.tables.get(oid)
            name = table.label.rpartition(".")[2]
            if before and before.sql != table.sql and table.sql not in [sql for sql, _ in found.get(name, ())]:
                found.setdefault(name, []).append((table.sql, before))
        return found


def read_shapes(
    connection: "psycopg.Connection[Any]", oids: Collection[int] | None = None, *, related: bool = False
) -> Shapes:
    """Read the tables of these OIDs, None for all. The transaction stays as it is.

    `related`: also those whose rows follow theirs, by foreign keys and by inheritance, and what these refer to.
    """
    with qualified_names(connection):
        (rows,) = read_prepared(connection, [_tables_query(oids, related=related)], oids)
        tables = {
            oid: TableShape(oid, label, name, has_children, tuple(parents), bounds, tuple(key))
            for oid, label, name, has_children, parents, bounds, key in rows
        }
        contents = read_prepared(connection, CONTENTS, tables)
    columns, constraints, indexes, checks, enum_labels, bases, functions, types = contents
    for oid, *column in columns:
        tables[oid].columns[column[0]] = Column(*column)
    for oid, *rest in constraints:
        number, kind, text, is_valid, keys, parent, parent_keys, is_full, is_only, operators, index = rest
        tables[oid].constraints.append(
            Constraint(
                number, kind, text, is_valid, tuple(keys), parent, tuple(parent_keys), is_full, is_only,
                tuple(operators), index,
            )
        )  # fmt: skip
    for oid, number, is_unique, is_valid, are_nulls_equal, predicate, texts in indexes:
        tables[oid].indexes.append(Index(number, is_unique, is_valid, are_nulls_equal, predicate, tuple(texts)))
    domains: dict[int, dict[int, str]] = {}
    for root, constraint, expression in checks:
        domains.setdefault(root, {})[constraint] = expression
    labels: dict[int, tuple[str, ...]] = {}
    for oid, label in enum_labels:
        labels[oid] = (*labels.get(oid, ()), label)
    version = connection.info.server_version
    return Shapes(tables, domains, labels, dict(bases), dict(functions), dict(types), version)


def _tables_query(oids: Collection[int] | None, *, related: bool) -> str:
    if oids is None:
        return TABLES
    return f"{TABLES} AND c.oid IN ({RELATED})" if related else f"{TABLES} AND c.oid = ANY ($1)"


@contextmanager
def qualified_names(connection: "psycopg.Connection[Any]") -> Iterator[None]:
    """Let the server print names with their schemas meanwhile, but for those of pg_catalog."""
    is_idle = connection.pgconn.transaction_status == TransactionStatus.IDLE
    begin, end = ("BEGIN", "ROLLBACK") if is_idle else ("SAVEPOINT dbkit_names", "ROLLBACK TO SAVEPOINT dbkit_names")
    connection.execute(f"{begin}; {QUALIFY}".encode())
    try:
        yield
    finally:
        connection.execute(end if is_idle else f"{end}; RELEASE SAVEPOINT dbkit_names".encode())
