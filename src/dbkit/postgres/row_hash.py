"""Hashes of rows and tables, computed by the server: exact, and independent of the order of rows.

A value is hashed as its text, which PostgreSQL (since 12) writes without loss for numbers and floats, and for json as
it was stored. The hash of a table is the sum of 64-bit row hashes: it does not depend on the order of rows, and counts
duplicates. Equal hashes mean equal values, except for a chance of one in 2^64.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg

from dbkit.postgres.sql_quote import quote_ident

FORMAT = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
}
"""The settings on which the text of values depends; equal in sessions whose hashes are compared."""


@dataclass(frozen=True)
class ColumnHashes:
    """The hashes of a table at one moment."""

    rows: int
    whole: str
    """The hash of whole rows, which also changes when two rows swap a value."""
    columns: Mapping[str, tuple[int, str]]
    """By name: the number of values that are not NULL, and their hash."""


def hash_sql(expression: str) -> str:
    """SQL for the 64-bit hash of a value; NULL for NULL. In other collations than "C" different texts may be equal."""
    # qualified, and with exact types: it is also used in statements with the project's search path
    return f'pg_catalog.hashtextextended(({expression})::pg_catalog.text COLLATE pg_catalog."C", 0::pg_catalog.int8)'


def hashes_sql(columns: Sequence[str]) -> str:
    """SQL for an array with the hashes of columns."""
    return f"ARRAY[{', '.join(hash_sql(quote_ident(name)) for name in columns)}]::bigint[]"


def hash_columns(connection: psycopg.Connection, table: str, columns: Sequence[str]) -> ColumnHashes:
    """Read the hashes of `columns` (names) of a table (as SQL) in one scan, with inherited rows as in a SELECT."""
    names = [quote_ident(name) for name in columns]
    parts = [
        f"pg_catalog.count({name}), coalesce(pg_catalog.sum({hash_sql(name)}), 0)::pg_catalog.text" for name in names
    ]
    row_of_all = f"ROW({', '.join(names)})"
    whole = f"coalesce(pg_catalog.sum({hash_sql(row_of_all)}), 0)::pg_catalog.text"
    query = f"SELECT pg_catalog.count(*), {', '.join([whole, *parts])} FROM {table}"  # noqa: S608
    row = connection.execute(query.encode()).fetchone()
    assert row is not None  # noqa: S101  # an aggregate has a row
    values = iter(row[2:])
    return ColumnHashes(int(row[0]), str(row[1]), dict(zip(columns, zip(values, values, strict=True), strict=True)))
