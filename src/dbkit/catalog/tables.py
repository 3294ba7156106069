"""The tables of a project, with their columns: not those of PostgreSQL and of extensions, and no temporary ones."""

from collections.abc import Collection
from typing import Any, NamedTuple

import psycopg

from dbkit.catalog.facts import FIRST_NORMAL_OID

# for a query with pg_class AS c and pg_namespace AS n
IS_PROJECT_TABLE = """\
c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_depend AS member
                    WHERE member.classid = 'pg_class'::regclass AND member.objid = c.oid AND member.deptype = 'e')"""
# not partitioned tables, whose rows are in their partitions
TABLES = f"""
SELECT c.oid::bigint, c.relname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.oid >= {FIRST_NORMAL_OID} AND {IS_PROJECT_TABLE}
"""  # noqa: S608
COLUMNS = """
SELECT c.oid::bigint, CASE WHEN n.nspname = 'public' THEN '' ELSE n.nspname || '.' END || c.relname,
    quote_ident(n.nspname) || '.' || quote_ident(c.relname),
    ARRAY(SELECT a.attname::text FROM pg_attribute AS a
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
    ARRAY(SELECT a.attname::text FROM pg_index AS x JOIN pg_attribute AS a
              ON a.attrelid = c.oid AND a.attnum = ANY (x.indkey::int2[])
          WHERE x.indrelid = c.oid AND x.indisprimary ORDER BY a.attname)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.oid = ANY (%s) ORDER BY c.oid
"""


class TableColumns(NamedTuple):
    """A table with rows, and the names of its columns."""

    oid: int
    label: str
    """The name for display: without the schema, where that is public."""
    sql: str
    """The qualified name, as SQL."""
    columns: list[str]
    key: list[str]
    """The columns of the primary key, by name."""


def list_table_oids(connection: psycopg.Connection[Any], version_tables: Collection[str]) -> list[int]:
    """Return the OIDs of all tables that can have rows, but for the version tables."""
    rows = connection.execute(f"{TABLES} ORDER BY c.oid".encode())
    return [oid for oid, name in rows if name not in version_tables]


def read_columns(connection: psycopg.Connection[Any], oids: Collection[int]) -> list[TableColumns]:
    """Read the columns of tables, sorted by OID."""
    return [TableColumns(*row) for row in connection.execute(COLUMNS, [list(oids)])]
