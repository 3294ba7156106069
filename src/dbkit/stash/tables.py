"""The tables of a database as a stash needs them: columns, types, primary keys and storage."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import psycopg

from dbkit.catalog.tables import IS_PROJECT_TABLE
from dbkit.database_url import History
from dbkit.journal import TABLE as JOURNAL
from dbkit.postgres.own_statements import place_of
from dbkit.postgres.row_hash import hash_sql
from dbkit.postgres.sql_quote import quote_ident

SCHEMA = re.compile(r'(?:"(?:[^"]|"")+"|\w+)\.')
OBSERVER_SCHEMA = "dbkit_watching"
"""The schema of the dry run's own tables in the scratch database."""

TABLES = f"""
SELECT c.oid, n.nspname, c.relname, c.relkind, coalesce(pg_relation_filenode(c.oid), 0),
    CASE WHEN c.relispartition THEN (SELECT i.inhparent FROM pg_inherits AS i WHERE i.inhrelid = c.oid) END,
    coalesce((SELECT o.conkey FROM pg_constraint AS o WHERE o.conrelid = c.oid AND o.contype = 'p'), '{{}}'),
    (SELECT coalesce(
        json_agg(json_build_array(
            a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid::bigint, a.attgenerated
        ) ORDER BY a.attnum)::text, '[]')
     FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    c.relnatts, coalesce(pg_get_expr(c.relpartbound, c.oid), '')
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname <> %s AND NOT (c.relname IN (%s, %s) AND (%s OR n.nspname = %s))
    AND {IS_PROJECT_TABLE}
ORDER BY n.nspname, c.relname"""  # noqa: S608


@dataclass(frozen=True)
class StashColumn:
    """A column. `type` is as PostgreSQL writes it; `type_oid` also changes when a type is dropped and created again."""

    name: str
    type: str
    type_oid: int
    generated: bool
    """Whether it is a generated column."""

    @property
    def is_builtin(self) -> bool:
        """Whether its type is one of PostgreSQL's own: the others are written with their schema."""
        return not SCHEMA.match(self.type)

    def has_type(self, name: str) -> bool:
        """Whether `name` is its type; stashes of older versions have no schema for types on the search path."""
        return name in (self.type, SCHEMA.sub("", self.type))


@dataclass(frozen=True)
class StashTable:
    """A table. Its columns are by number, which stays the same when a column is renamed."""

    oid: int
    schema: str
    name: str
    kind: str
    storage: int
    """The relfilenode, which changes when all rows are rewritten, and with TRUNCATE."""
    parent: int | None
    """The partitioned table of a partition."""
    key: tuple[int, ...]
    """The columns of the primary key; empty when there is none."""
    columns: Mapping[int, StashColumn]
    numbers: int = 0
    """How many columns it has had so far: PostgreSQL never uses a number twice."""
    bound: str = ""
    """The partition bound of a partition."""

    @property
    def label(self) -> str:
        """The name in messages: without the schema, where that is public."""
        return self.name if self.schema == "public" else f"{self.schema}.{self.name}"

    @property
    def sql(self) -> str:
        """The qualified name, as SQL."""
        return f"{quote_ident(self.schema)}.{quote_ident(self.name)}"

    @property
    def source(self) -> str:
        """The FROM item for its own rows, without those of tables that inherit from it; with all partitions."""
        return self.sql if self.kind == "p" else f"ONLY {self.sql}"

    @property
    def keys(self) -> tuple[StashColumn, ...]:
        """The columns of the primary key, in its order."""
        return tuple(self.columns[number] for number in self.key)

    @property
    def stored(self) -> tuple[StashColumn, ...]:
        """The columns that are not generated."""
        return tuple(column for column in self.columns.values() if not column.generated)

    def column(self, name: str) -> StashColumn | None:
        """Return the column of this name."""
        return next((column for column in self.columns.values() if column.name == name), None)


def read_tables(connection: psycopg.Connection) -> dict[int, StashTable]:
    """Read the tables by OID, without those of dbkit, Alembic and extensions."""
    place, history = place_of(connection), place_of(connection).history
    # another name than Alembic's own may be that of an ordinary table in another schema
    is_own_anywhere = history.table == History.table
    values = [OBSERVER_SCHEMA, history.table, history.name_beside(JOURNAL), is_own_anywhere, place.schema]
    found = connection.execute(TABLES.encode(), values)
    return {
        oid: StashTable(oid, schema, name, kind, storage, parent, tuple(key), _columns(columns), numbers, bound)
        for oid, schema, name, kind, storage, parent, key, columns, numbers, bound in found
    }


def _columns(document: str) -> dict[int, StashColumn]:
    found = json.loads(document)  # as text: a project may have its own decoder for json on the connection
    return {number: StashColumn(name, kind, oid, bool(generated)) for number, name, kind, oid, generated in found}


def index_by_name(tables: Iterable[StashTable]) -> dict[tuple[str, str], StashTable]:
    """Return the same tables by schema and name."""
    return {(table.schema, table.name): table for table in tables}


@dataclass(frozen=True)
class TableHash:
    """The hash of a table's rows, with their number and the number of values in each column."""

    rows: int
    values: tuple[int, ...]
    hash: str


def hash_table(connection: psycopg.Connection, source: str, columns: Sequence[str]) -> TableHash:
    """Hash the columns (names) of a table (as SQL), whatever the order of its rows, in one read."""
    names = [quote_ident(name) for name in columns]
    whole = hash_sql(f"ROW({', '.join(names)})")
    counts = "".join(f", count({name})" for name in names)
    query = f"SELECT count(*), coalesce(sum({whole}), 0)::text{counts} FROM {source}"  # noqa: S608
    row = connection.execute(query.encode()).fetchone()
    assert row is not None  # noqa: S101  # an aggregate has a row
    return TableHash(int(row[0]), tuple(row[2:]), str(row[1]))
