"""What the rows of a table are, as fingerprints that the server computes: whatever the order, exact to the last digit.

A value counts as its text, which PostgreSQL (since 12) writes so that nothing of a number or a float is lost; json as
it was written. A sum of 64-bit hashes does not depend on the order of rows, and counts the same value as often as it is
there. Equal fingerprints mean equal values, apart from a chance of one in 2^64.
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
"""What decides, in a session, how values are written: set it, where fingerprints of two sessions are compared."""


@dataclass(frozen=True)
class Fingerprint:
    """The rows of a table at one moment."""

    rows: int
    whole: str
    """Of whole rows: also differs when two rows have swapped a value."""
    columns: Mapping[str, tuple[int, str]]
    """By name: how many values are not NULL, and their fingerprint."""


def hash_sql(expression: str) -> str:
    """SQL for the 64-bit hash of a value; NULL for NULL. "C": in another collation, different texts may be equal."""
    # qualified, and of the exact type: it stands in statements that have the project's search path, too
    return f'pg_catalog.hashtextextended(({expression})::pg_catalog.text COLLATE pg_catalog."C", 0::pg_catalog.int8)'


def hashes_sql(columns: Sequence[str]) -> str:
    """SQL for the hashes of columns, in one array: a table may have as many columns as a row can have."""
    return f"ARRAY[{', '.join(hash_sql(quote_ident(name)) for name in columns)}]::bigint[]"


def fingerprint(connection: psycopg.Connection, table: str, columns: Sequence[str]) -> Fingerprint:
    """The fingerprint of `columns` (by their names) of a table (schema-qualified, quoted as SQL).

    Reads the table once. Inherited rows count, as they do in a SELECT.
    """
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
    return Fingerprint(int(row[0]), str(row[1]), dict(zip(columns, zip(values, values, strict=True), strict=True)))
