"""Remove the sample rows that violate preconditions, and those that refer to them. Only in scratch databases."""

from collections.abc import Iterable
from typing import Any

import psycopg

from dbkit.postgres.sql_quote import quote_ident
from dbkit.preconditions.conditions import foreign_key
from dbkit.preconditions.precondition import Precondition, Source
from dbkit.preconditions.shapes import Shapes

MOST_REMOVED = 500
WITHOUT_KEYS = "SET LOCAL session_replication_role = replica"
"""Rows are removed without a check of the foreign keys that refer to them; those rows are removed, too."""


def remove_violating_rows(
    connection: "psycopg.Connection[Any]", preconditions: Iterable[Precondition], before: Shapes
) -> set[str]:
    """Remove rows until each precondition holds; returns the queries that had violating rows.

    The connection is in a transaction. Raises psycopg.Error where that is not possible; the transaction is as before.
    """
    violated: set[str] = set()
    with connection.transaction():
        asked = list(preconditions)
        if not any(connection.execute(each.first_query(1).encode()).fetchone() for each in asked):
            return violated
        connection.execute(WITHOUT_KEYS)
        keys = list(_foreign_keys(before))
        for _ in range(MOST_REMOVED):
            removed = 0
            for each in asked:
                violated |= _repair(connection, each)
                count = _remove_one_by_one(connection, each) if each.kind in ("unique", "exclusion") else 0
                count += _remove_all(connection, each)
                if count:
                    violated.add(each.query)
                removed += count
            for each in keys:
                _repair(connection, each)
                removed += _remove_all(connection, each)
            if not removed:
                break
        connection.execute("SET LOCAL session_replication_role = origin")
    return violated


def _foreign_keys(shapes: Shapes) -> Iterable[Precondition]:
    for table in shapes.tables.values():
        for each in table.constraints:
            parent = shapes.tables.get(each.parent)
            if each.kind != "f" or not each.is_valid or parent is None:
                continue
            names = [table.columns[number].name for number in each.columns]
            keys = [parent.columns[number].name for number in each.parent_columns]
            source = Source(table.sql, table.label, (), table.sql)
            yield foreign_key(source, names, Source(parent.sql, parent.label), keys, operators=each.operators)


def _repair(connection: "psycopg.Connection[Any]", each: Precondition) -> set[str]:
    """Change rows so that they satisfy it, where a value is known and allowed. Returns the query that had rows."""
    if not each.repair or not connection.execute(each.first_query(1).encode()).fetchone():
        return set()
    columns = ", ".join(map(quote_ident, each.source.row_key or ("ctid",)))
    statement = f"UPDATE {each.source.table} SET {each.repair} WHERE ({columns}) IN ({each.query})"  # noqa: S608
    try:
        with connection.transaction():
            connection.execute(statement.encode())
    except psycopg.Error:  # a constraint forbids the value: the rows are removed
        return set()
    return {each.query}


def _remove_all(connection: "psycopg.Connection[Any]", each: Precondition) -> int:
    """Remove the rows that the query returns, unless it returns rows that are equal to others."""
    if each.kind in ("unique", "exclusion"):
        return 0
    return connection.execute(_delete(each, each.query).encode()).rowcount


def _remove_one_by_one(connection: "psycopg.Connection[Any]", each: Precondition) -> int:
    """Remove one row after the other, until no two of those that are left conflict."""
    count = 0
    while count < MOST_REMOVED and connection.execute(_delete(each, each.first_query(1)).encode()).rowcount:
        count += 1
    return count


def _delete(each: Precondition, query: str) -> str:
    columns = each.source.row_key or ("ctid",)
    listed = ", ".join(map(quote_ident, columns))
    return f"DELETE FROM {each.source.table} WHERE ({listed}) IN ({query})"  # noqa: S608
