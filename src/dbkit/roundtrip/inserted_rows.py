"""The rows that a migration inserts: their values are those that it writes itself."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from dbkit.postgres.own_statements import project_settings
from dbkit.sample_data.constraints import Table

MOST_ROWS = 50
"""The number of rows that are read of each table."""
# a row of a subtransaction has its number, and such a number is in progress, too
NEW_ROWS = """
SELECT pg_catalog.to_jsonb(changed), pg_catalog.pg_stat_get_xact_tuples_updated({oid}) OPERATOR(pg_catalog.>) 0
FROM ONLY {table} AS changed
WHERE pg_catalog.pg_xact_status(changed.xmin::pg_catalog.text::pg_catalog.xid8) OPERATOR(pg_catalog.=) 'in progress'
LIMIT {most}
"""
ALL_ROWS = "SELECT pg_catalog.to_jsonb(changed) FROM ONLY {table} AS changed LIMIT {most}"
Inserted = set[tuple[int, str, str]]
"""OID of a table, column and value."""


def read_inserted(connection: "psycopg.Connection[Any]", tables: Sequence[Table]) -> Inserted:
    """Return the values of the rows that the transaction of a connection has inserted into tables.

    `tables` are as they were before it. Where it has updated rows of a table, too, only values in unique columns.
    """
    found: Inserted = set()
    with project_settings(connection):
        for table in tables:
            single = _single_keys(table)
            for row, has_updated in _read(connection, NEW_ROWS, table):
                found |= _values(table, {name: row[name] for name in row if not has_updated or name in single})
    return found


def compare_inserted(
    before: "psycopg.Connection[Any]", now: "psycopg.Connection[Any]", tables: Sequence[Table]
) -> Inserted:
    """Return the values of the rows of tables whose keys were not there before; both connections in autocommit."""
    found: Inserted = set()
    for table in tables:
        single = _single_keys(table)
        former = {(name, str(row.get(name))) for (row,) in _read(before, ALL_ROWS, table) for name in single}
        for (row,) in _read(now, ALL_ROWS, table):
            if single and former.isdisjoint((name, str(row.get(name))) for name in single):
                found |= _values(table, row)
    return found


def _single_keys(table: Table) -> set[str]:
    return {name for unique in table.unique if len(unique) == 1 for name in unique}


def _read(connection: "psycopg.Connection[Any]", query: str, table: Table) -> list[tuple[Any, ...]]:
    """Return the rows of a query; none where the table has another name now, or is gone."""
    text = query.format(oid=table.oid, table=table.sql, most=MOST_ROWS)
    try:
        with connection.transaction():
            return connection.execute(text.encode()).fetchall()
    except psycopg.Error:
        return []


def _values(table: Table, row: Mapping[str, object]) -> Inserted:
    texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in row.items()}
    return {(table.oid, name, str(value)) for name, value in texts.items() if value is not None}
