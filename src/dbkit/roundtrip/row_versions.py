"""The versions of the rows of a database at rest: which objects and tables differ between two states of it.

Each UPDATE or INSERT gives a row a new `xmin`, also in a system table. So the rows of an object whose hash is the same
in two states of a database, or of a copy of it, were not written between them. What the server changes in place has no
new `xmin`: counts and flags that are no part of a schema.

The rule is one-sided: equal hashes mean equal rows. Where hashes differ, the content decides: a table may have been
written with the values that it had.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg

from dbkit.catalog import FIRST_NORMAL_OID
from dbkit.catalog.tables import IS_PROJECT_TABLE
from dbkit.postgres.sql_quote import quote_literal
from dbkit.roundtrip.fingerprint_sql import COMMON, RARE

Key = TypeVar("Key", int, str)
VERSION = "hashint8extended(r.xmin::text::bigint, {seed})"
CONTENT = "concat(count(*), ' ', sum(hashtextextended(r::text, 0)))"
# By system table, the column with the OID of the relation
PARTS = {
    "pg_class": "oid",
    "pg_attribute": "attrelid",
    "pg_attrdef": "adrelid",
    "pg_constraint": "conrelid",
    "pg_index": "indrelid",
    "pg_inherits": "inhrelid",
    "pg_partitioned_table": "partrelid",
    "pg_policy": "polrelid",
    "pg_rewrite": "ev_class",
    "pg_sequence": "seqrelid",
    "pg_trigger": "tgrelid",
}
# before PostgreSQL 14, the state of an index was changed in place
SEEDS = {"pg_index": "r.indisvalid::int + 2 * r.indisready::int"}
# For each relation, index and TOAST table, what it is a part of; not joined, since the planner has no statistics
OWNERS = f"""
SELECT c.oid::bigint, coalesce(x.indrelid, c.oid)::bigint, c.reltoastrelid::bigint,
    c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND c.relname <> ALL (%(version_tables)s)
FROM pg_class AS c LEFT JOIN pg_index AS x ON x.indexrelid = c.oid WHERE c.oid >= {FIRST_NORMAL_OID}
"""  # noqa: S608
# Which rows of a system table count; all of the others
CONDITIONS = {
    "pg_type": f"r.oid >= {FIRST_NORMAL_OID} AND r.typrelid = 0 AND (r.typelem = 0 OR r.typcategory <> 'A')",
    "pg_constraint": "r.contypid > 0",
    "pg_proc": f"r.oid >= {FIRST_NORMAL_OID}",
    "pg_description": f"r.objoid >= {FIRST_NORMAL_OID} OR r.classoid = 'pg_namespace'::regclass",
    # members of extensions, and what depends on one
    "pg_depend": "r.deptype IN ('e', 'x')",
}
OF_THE_SERVER = ("pg_database", "pg_db_role_setting")
"""System tables of the whole server that are no part of a schema, and that each copy of a database writes to."""
OF_SUPERUSERS = {
    "pg_authid": "pg_roles",
    "pg_subscription": "(SELECT subname, subowner, subenabled, subslotname, subpublications FROM pg_subscription)",
    "pg_user_mapping": "pg_user_mappings",
}
"""The substitutes for system tables that only superusers may read in whole."""
TABLES = f"""
SELECT c.oid::bigint, quote_ident(n.nspname) || '.' || quote_ident(c.relname)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.oid >= {FIRST_NORMAL_OID} AND c.relname <> ALL (%(version_tables)s) AND {IS_PROJECT_TABLE}
"""  # noqa: S608

# A value of an enum is read as its label, which can change without the rows
LABELS = f"""
WITH RECURSIVE used (relation, type) AS (
    SELECT a.attrelid, a.atttypid FROM pg_attribute AS a
    WHERE a.attrelid = ANY (%(oids)s) AND a.attnum > 0 AND a.atttypid >= {FIRST_NORMAL_OID}
    UNION
    SELECT used.relation, part.oid FROM used JOIN pg_type AS t ON t.oid = used.type
    CROSS JOIN LATERAL (
        SELECT unnest(ARRAY[t.typelem, t.typbasetype])
        UNION ALL
        SELECT r.rngsubtype FROM pg_range AS r WHERE r.rngtypid = t.oid
        UNION ALL
        SELECT a.atttypid FROM pg_attribute AS a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0
    ) AS part (oid)
    WHERE part.oid >= {FIRST_NORMAL_OID}
)
SELECT used.relation::bigint, sum(hashtextextended(e.enumlabel, e.oid::bigint))::text
FROM used JOIN pg_enum AS e ON e.enumtypid = used.type GROUP BY used.relation
"""  # noqa: S608


@dataclass(frozen=True)
class RowVersions:
    """For each object of a database, a text that differs when one of its rows was written."""

    relations: Mapping[int, str]
    """By OID: the rows of the system tables that describe a relation, its columns, indexes, constraints, and so on."""
    catalogs: Mapping[str, str]
    """By system table: those of its rows that describe no relation."""
    rows: Mapping[int, str]
    """By OID of a table: its own rows, its columns and the labels of its enums; empty where rows are not compared."""
    names: Mapping[int, str]
    """By OID, the names of these tables, as SQL."""

    def changed_relations(self, other: "RowVersions") -> set[int]:
        """Return the OIDs of the relations that differ, or that only one of the states has."""
        return _changed(self.relations, other.relations)

    def changed_catalogs(self, other: "RowVersions") -> set[str]:
        """Return the system tables that differ."""
        return _changed(self.catalogs, other.catalogs)

    def changed_rows(self, other: "RowVersions") -> set[int]:
        """Return the OIDs of the tables whose rows or columns may differ."""
        return _changed(self.rows, other.rows)


def _changed(one: Mapping[Key, str], other: Mapping[Key, str]) -> set[Key]:
    return {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}


def read_row_versions(
    connection: "psycopg.Connection[Any]", version_tables: Collection[str], *, with_rows: bool
) -> RowVersions:
    """Read the versions of the rows of a database, but not those of the version tables."""
    ignored = {"version_tables": list(version_tables)}
    owners = connection.execute(OWNERS, ignored).fetchall()
    parts: dict[int, str] = dict(connection.execute(_parts_query()).fetchall())
    names: dict[int, str] = dict(connection.execute(TABLES, ignored).fetchall()) if with_rows else {}
    known = [*COMMON, *RARE, "pg_depend"]
    query = (
        "SELECT relname::text, has_table_privilege(oid, 'SELECT') FROM pg_class"
        " WHERE relnamespace = 'pg_catalog'::regnamespace AND relname = ANY (%s)"
    )
    present = {str(name): bool(may) for name, may in connection.execute(query, [known]) if name not in OF_THE_SERVER}
    catalogs: dict[str, str] = dict(connection.execute(_catalogs_query(present)).fetchall())
    return RowVersions(_join_parts(owners, parts), catalogs, _read_tables(connection, names), names)


def _join_parts(owners: Iterable[tuple[int, int, int, bool]], parts: Mapping[int, str]) -> dict[int, str]:
    """Return the versions of relations, each with those of its indexes and of its TOAST table."""
    found: dict[int, list[tuple[int, str]]] = {oid: [] for oid, _, _, is_relation in owners if is_relation}
    for oid, owner, toast, _ in owners:
        if owner in found:
            found[owner] += [(each, parts.get(each, "")) for each in (oid, toast) if each]
    return {oid: str(sorted(each)) for oid, each in found.items()}


def _parts_query() -> bytes:
    parts = [_versions(name, column) for name, column in PARTS.items()]
    parts += [
        f"{_versions('pg_description', 'objoid')} AND r.classoid = 'pg_class'::regclass",
        # the owner of a sequence, and the extension of a relation
        f"{_versions('pg_depend', 'objid')} AND r.classid = 'pg_class'::regclass AND r.deptype IN ('a', 'e', 'i', 'x')",
    ]
    return _sums_query(parts)


def _sums_query(parts: Iterable[str]) -> bytes:
    rows = " UNION ALL ".join(parts)
    return f"SELECT oid::bigint, concat(count(*), ' ', sum(version)) FROM ({rows}) AS r GROUP BY oid".encode()  # noqa: S608


def _versions(catalog: str, column: str) -> str:
    version = VERSION.format(seed=SEEDS.get(catalog, "0"))
    return f"SELECT r.{column} AS oid, {version} AS version FROM {catalog} AS r WHERE r.{column} >= {FIRST_NORMAL_OID}"  # noqa: S608


def _catalogs_query(present: Mapping[str, bool]) -> bytes:
    """Return the query for system tables, by whether they may be read."""
    return " UNION ALL ".join(
        f"SELECT {quote_literal(name)}, {_sum()} FROM {name} AS r WHERE {CONDITIONS.get(name, 'true')}"  # noqa: S608
        if may_read
        else _content_query(name)
        for name, may_read in present.items()
    ).encode()


def _content_query(name: str) -> str:
    """Return the query for a system table that may not be read; without a substitute, it always differs."""
    rows = OF_SUPERUSERS.get(name)
    if rows is None:
        return f"SELECT {quote_literal(name)}, clock_timestamp()::text"
    return f"SELECT {quote_literal(name)}, {CONTENT} FROM {rows} AS r"  # noqa: S608


def _read_tables(connection: "psycopg.Connection[Any]", names: Mapping[int, str]) -> dict[int, str]:
    if not names:
        return {}
    # not by a UNION, which takes three times as long
    cursor = connection.execute("; ".join(f"SELECT {_sum()} FROM ONLY {name} AS r" for name in names.values()).encode())  # noqa: S608
    found: dict[int, str] = {}
    for oid in names:
        ((found[oid],),) = cursor.fetchall()
        cursor.nextset()
    labels: dict[int, str] = dict(connection.execute(LABELS, {"oids": list(names)}).fetchall())
    columns: dict[int, str] = dict(connection.execute(_sums_query([_versions("pg_attribute", "attrelid")])).fetchall())
    return {oid: f"{found[oid]} {labels.get(oid)} {columns.get(oid)}" for oid in names}


def _sum() -> str:
    return f"concat(count(*), ' ', sum({VERSION.format(seed='0')}))"
