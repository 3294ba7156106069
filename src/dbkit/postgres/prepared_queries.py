"""Queries that a session plans once, and several of which are sent at once: the system catalog takes long to plan.

They are prepared in SQL: psycopg would forget them after each DROP, ALTER and ROLLBACK of a migration.
"""

import itertools
from collections.abc import Collection, Mapping, MutableMapping
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

Rows = list[tuple[Any, ...]]
_NUMBERS = itertools.count()
_prepared: MutableMapping["psycopg.Connection[Any]", dict[str, str]] = WeakKeyDictionary()
"""By connection and text of a query, the name of the prepared statement."""


def read_prepared(
    connection: "psycopg.Connection[Any]", queries: Collection[str], oids: Collection[int] | None = None
) -> list[Rows]:
    """Return the rows of each query. Names are looked up in the search path that is in force.

    `oids` are the parameter $1, of the type oid[], of the queries that have it.
    """
    known = _prepared.setdefault(connection, {})
    try:
        return _read(connection, queries, oids, known)
    except psycopg.errors.InvalidSqlStatementName:  # a migration has deallocated them
        if connection.pgconn.transaction_status != TransactionStatus.IDLE:
            connection.execute(b"ROLLBACK TO SAVEPOINT dbkit_prepared; RELEASE SAVEPOINT dbkit_prepared")
        known.clear()
        return _read(connection, queries, oids, known)


def _read(
    connection: "psycopg.Connection[Any]",
    queries: Collection[str],
    oids: Collection[int] | None,
    known: MutableMapping[str, str],
) -> list[Rows]:
    missing = {query: f"dbkit_query_{next(_NUMBERS)}" for query in queries if query not in known}
    statements = [_prepare(name, query) for query, name in missing.items()]
    argument = f"('{{{','.join(map(str, oids or ()))}}}')"
    names: Mapping[str, str] = {**known, **missing}
    statements += [f"EXECUTE {names[query]}{argument if _has_parameter(query) else ''}" for query in queries]
    if connection.pgconn.transaction_status != TransactionStatus.IDLE:
        statements = ["SAVEPOINT dbkit_prepared", *statements, "RELEASE SAVEPOINT dbkit_prepared"]
    cursor = psycopg.ClientCursor(connection, row_factory=tuple_row)
    cursor.execute("; ".join(statements).encode())
    known.update(missing)
    found: list[Rows] = []
    while True:
        if cursor.description is not None:
            found.append(cursor.fetchall())
        if not cursor.nextset():
            return found


def _prepare(name: str, query: str) -> str:
    return f"PREPARE {name}{' (oid[])' if _has_parameter(query) else ''} AS {query}"


def _has_parameter(query: str) -> bool:
    return "$1" in query
