"""Insert rows with extreme values beside those that tables have, within a transaction that the caller rolls back."""

import itertools
from collections.abc import Collection, Mapping

import psycopg

from dbkit.sample_data.constraints import Table
from dbkit.sample_data.fixed_settings import fixed_settings
from dbkit.sample_data.insert import FillTurn
from dbkit.sample_data.row_generator import ExtremeValues, extreme_values

ROWS = 7
"""The number of rows that each table gets: no type has more extreme values."""


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

    with fixed_settings(connection):
        turn = FillTurn(connection, missing, ROWS, seed, next_numbers, extreme)
        turn.run()
    return {oid for oid, number in turn.inserted.items() if number}
