"""Insert rows with extreme values beside those that tables have, within a transaction that the caller rolls back."""

import itertools
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import psycopg

from dbkit.sample_data.constraints import Table
from dbkit.sample_data.insert import FillTurn
from dbkit.sample_data.row_generator import ExtremeValues, extreme_values

ROWS = 5
"""The number of rows that each table gets: no type has more extreme values."""
SETTINGS = {
    "lock_timeout": "10s",
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "search_path": '"$user", public',
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
}
READ_SETTINGS = """
SELECT ARRAY(SELECT current_setting(name) FROM unnest(%s::text[]) AS name),
    (SELECT string_agg(DISTINCT quote_ident(n.nspname) || '.' || quote_ident(o.conname), ', ')
     FROM pg_constraint AS o JOIN pg_namespace AS n ON n.oid = o.connamespace WHERE o.condeferred)
"""
SET_SETTINGS = "SELECT set_config(name, value, true) FROM unnest(%s::text[], %s::text[]) AS s (name, value)"


def insert_extreme_rows(
    connection: psycopg.Connection,
    tables: Collection[Table],
    first_number: int,
    seed: int = 0,
    values: Mapping[int, ExtremeValues] | None = None,
) -> set[int]:
    """Insert rows with extreme values. Returns the OIDs of the tables that have got some.

    Keys and references have ordinary values, from `first_number` on, which no row has yet. `values`: by OID, the
    extreme values of columns; None for all. The transaction must be open; nothing is committed.
    """
    extreme = {table.oid: extreme_values(table) for table in tables} if values is None else values
    missing = {table.oid: (table, ROWS) for table in tables if extreme.get(table.oid)}
    starts = itertools.count(first_number, 2 * ROWS + 4)

    def next_numbers() -> range:
        start = next(starts)
        return range(start, start + 2 * ROWS + 4)

    with _fixed_settings(connection):
        turn = FillTurn(connection, missing, ROWS, seed, next_numbers, extreme)
        turn.run()
    return {oid for oid, number in turn.inserted.items() if number}


@contextmanager
def _fixed_settings(connection: psycopg.Connection) -> Iterator[None]:
    """Insert with fixed settings, and check constraints at once; then set all as it was."""
    names = list(SETTINGS)
    values, deferred = connection.execute(READ_SETTINGS, [names]).fetchall()[0]
    connection.execute(SET_SETTINGS, [names, list(SETTINGS.values())])
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    yield
    connection.execute(SET_SETTINGS, [names, values])
    if deferred:
        connection.execute(f"SET CONSTRAINTS {deferred} DEFERRED".encode())
