"""The tables of a database in the terms of a stash: their columns, types and primary keys."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import psycopg

from dbkit.journal import TABLE as JOURNAL
from dbkit.postgres.locks import VERSION_TABLE
from dbkit.postgres.row_hash import hash_sql
from dbkit.postgres.sql_quote import quote_ident

SCHEMA = re.compile(r'(?:"(?:[^"]|"")+"|\w+)\.')
WATCHING = "dbkit_watching"
"""The schema with what the replay in a scratch database notes."""

TABLES = """
SELECT c.oid, n.nspname, c.relname, c.relkind, coalesce(pg_relation_filenode(c.oid), 0),
    CASE WHEN c.relispartition THEN (SELECT i.inhparent FROM pg_inherits AS i WHERE i.inhrelid = c.oid) END,
    coalesce((SELECT o.conkey FROM pg_constraint AS o WHERE o.conrelid = c.oid AND o.contype = 'p'), '{}'),
    (SELECT coalesce(
        json_agg(json_build_array(
            a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid::bigint, a.attgenerated
        ) ORDER BY a.attnum), '[]')
     FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    c.relnatts, coalesce(pg_get_expr(c.relpartbound, c.oid), '')
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'
    AND n.nspname NOT IN ('information_schema', %s) AND c.relname NOT IN (%s, %s)
    AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
ORDER BY n.nspname, c.relname"""


@dataclass(frozen=True)
class Column:
    """A column. `type` is as PostgreSQL writes it; `type_oid` also differs when a type was made anew."""

    name: str
    type: str
    type_oid: int
    generated: bool
    """Whether the server computes its values from other columns."""

    @property
    def is_builtin(self) -> bool:
        """Whether its type is PostgreSQL's own: others are written with their schema."""
        return not SCHEMA.match(self.type)

    def has_type(self, name: str) -> bool:
        """Whether `name` is its type; in stashes of former versions one of the search path has no schema."""
        return name in (self.type, SCHEMA.sub("", self.type))


@dataclass(frozen=True)
class Table:
    """A table. Columns are by their number, which stays the same when one is renamed."""

    oid: int
    schema: str
    name: str
    kind: str
    storage: int
    """Another number after all rows were written anew, or after TRUNCATE."""
    parent: int | None
    """Of a partition, the table that it is a part of."""
    key: tuple[int, ...]
    """The columns of the primary key; empty when there is none."""
    columns: Mapping[int, Column]
    numbers: int = 0
    """How many columns it has had so far: PostgreSQL gives no number twice."""
    bound: str = ""
    """Of a partition, which rows it takes."""

    @property
    def label(self) -> str:
        """As people know it: without the schema, where that is public."""
        return self.name if self.schema == "public" else f"{self.schema}.{self.name}"

    @property
    def sql(self) -> str:
        """As a statement names it."""
        return quote_ident(self.schema, self.name)

    @property
    def source(self) -> str:
        """What to read from: its own rows, and not those of tables that inherit from it; of partitions, all."""
        return self.sql if self.kind == "p" else f"ONLY {self.sql}"

    @property
    def keys(self) -> tuple[Column, ...]:
        """The columns of the primary key, in its order."""
        return tuple(self.columns[number] for number in self.key)

    @property
    def stored(self) -> tuple[Column, ...]:
        """The columns that have values of their own."""
        return tuple(column for column in self.columns.values() if not column.generated)

    def column(self, name: str) -> Column | None:
        """The column of this name."""
        return next((column for column in self.columns.values() if column.name == name), None)


def read(connection: psycopg.Connection) -> dict[int, Table]:
    """The tables by OID; the kit's own, Alembic's and those of extensions are left out."""
    found = connection.execute(TABLES.encode(), [WATCHING, VERSION_TABLE, JOURNAL])
    return {
        oid: Table(oid, schema, name, kind, storage, parent, tuple(key), _columns(columns), numbers, bound)
        for oid, schema, name, kind, storage, parent, key, columns, numbers, bound in found
    }


def _columns(found: Sequence[tuple[int, str, str, int, str]]) -> dict[int, Column]:
    return {number: Column(name, kind, oid, bool(generated)) for number, name, kind, oid, generated in found}


def by_name(tables: Iterable[Table]) -> dict[tuple[str, str], Table]:
    """The same tables by schema and name."""
    return {(table.schema, table.name): table for table in tables}


@dataclass(frozen=True)
class Sum:
    """The rows of a table at one moment: their number, how many values each column has, and the hash of all."""

    rows: int
    values: tuple[int, ...]
    hash: str


def summed(connection: psycopg.Connection, source: str, columns: Sequence[str]) -> Sum:
    """The sum of `columns` (names) of a table (as SQL), whatever the order of its rows. Reads it once."""
    names = [quote_ident(name) for name in columns]
    whole = hash_sql(f"ROW({', '.join(names)})")
    counts = "".join(f", count({name})" for name in names)
    query = f"SELECT count(*), coalesce(sum({whole}), 0)::text{counts} FROM {source}"  # noqa: S608
    row = connection.execute(query.encode()).fetchone()
    assert row is not None  # noqa: S101  # an aggregate has a row
    return Sum(int(row[0]), tuple(row[2:]), str(row[1]))
