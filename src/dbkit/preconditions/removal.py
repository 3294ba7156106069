"""Remove the sample rows that violate preconditions, and those that refer to them. Only in scratch databases."""

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg

from dbkit.postgres.sql_quote import quote_ident
from dbkit.preconditions.conditions import foreign_key
from dbkit.preconditions.precondition import Precondition, Source
from dbkit.preconditions.shapes import Shapes

MOST_REMOVED = 500
MOST_ROUNDS = 20
"""What satisfies one precondition may violate another one."""
WITHOUT_TRIGGERS, WITH_TRIGGERS = (f"SET LOCAL session_replication_role = {role}" for role in ("replica", "origin"))
"""Without triggers, foreign keys are not checked either."""


def remove_violating_rows(
    connection: "psycopg.Connection[Any]", preconditions: Sequence[Precondition], before: Shapes
) -> None:
    """Repair or remove rows until each precondition holds.

    The connection is in a transaction. Raises psycopg.Error where that is not possible; the transaction is as before.
    """
    with connection.transaction():
        if not any(connection.execute(each.first_query(1).encode()).fetchone() for each in preconditions):
            return
        has_triggers = not turn_triggers_off(connection)
        keys = list(_foreign_keys(before))
        for _ in range(MOST_ROUNDS):
            changed = sum(_satisfy(connection, each) for each in preconditions)
            # a schema has many keys, and few of them lose their rows
            changed += sum(_satisfy(connection, each) for each in _find_violated(connection, keys))
            if not changed:
                break
        if not has_triggers:
            connection.execute(WITH_TRIGGERS)


def turn_triggers_off(connection: "psycopg.Connection[Any]") -> bool:
    """Turn triggers off for the transaction, also those of foreign keys. Returns whether the role may do that."""
    try:
        connection.execute(f"SAVEPOINT dbkit_triggers; {WITHOUT_TRIGGERS}; RELEASE SAVEPOINT dbkit_triggers".encode())
    except psycopg.errors.InsufficientPrivilege:
        connection.execute("ROLLBACK TO SAVEPOINT dbkit_triggers; RELEASE SAVEPOINT dbkit_triggers")
        return False
    return True


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


def _find_violated(connection: "psycopg.Connection[Any]", keys: Sequence[Precondition]) -> list[Precondition]:
    """Return the foreign keys that rows violate."""
    if not keys:
        return []
    query = " UNION ALL ".join(f"SELECT {at} WHERE EXISTS ({each.query})" for at, each in enumerate(keys))
    return [keys[at] for (at,) in connection.execute(query.encode()).fetchall()]


def _satisfy(connection: "psycopg.Connection[Any]", each: Precondition) -> int:
    """Give the violating rows a value that satisfies it, or remove them. Returns how many rows were changed."""
    changed = _repair(connection, each)
    if each.kind not in ("unique", "exclusion"):
        return changed + connection.execute(_delete(each, each.query).encode()).rowcount
    # one after the other, until no two of those that are left conflict
    removed = 0
    while removed < MOST_REMOVED and connection.execute(_delete(each, each.first_query(1)).encode()).rowcount:
        removed += 1
    return changed + removed


def _repair(connection: "psycopg.Connection[Any]", each: Precondition) -> int:
    """Change the violating rows, where a value is known that satisfies it, and is allowed. Returns how many."""
    if not each.repair:
        return 0
    statement = f"UPDATE {each.source.table} SET {each.repair} WHERE {_is_in(each, each.query)}"  # noqa: S608
    try:
        cursor = connection.execute(f"SAVEPOINT dbkit_repair; {statement}; RELEASE SAVEPOINT dbkit_repair".encode())
    except psycopg.Error:  # a constraint forbids the value: the rows are removed
        connection.execute("ROLLBACK TO SAVEPOINT dbkit_repair; RELEASE SAVEPOINT dbkit_repair")
        return 0
    cursor.nextset()
    return cursor.rowcount


def _delete(each: Precondition, query: str) -> str:
    return f"DELETE FROM {each.source.table} WHERE {_is_in(each, query)}"  # noqa: S608


def _is_in(each: Precondition, query: str) -> str:
    return f"({', '.join(map(quote_ident, each.source.row_key or ('ctid',)))}) IN ({query})"
