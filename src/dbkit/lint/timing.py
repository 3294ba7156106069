"""How long it takes here to scan, rewrite and index a table, to look up and to change its rows: measured on two."""

import time
from dataclasses import dataclass

import psycopg

from dbkit.lint.table_sizes import Size
from dbkit.postgres.connect import connect
from dbkit.postgres.own_statements import Session
from dbkit.settings import Target

MAKE = """
DROP TABLE IF EXISTS rates, rates_parent;
CREATE TABLE rates_parent (id int PRIMARY KEY);
INSERT INTO rates_parent SELECT generate_series(1, 1000);
CREATE TABLE rates (id int PRIMARY KEY, parent int, number int, note text, filler text);
INSERT INTO rates SELECT i, 1 + i % 1000, i, 'a note of some length, ' || i, {filler}
FROM generate_series(1, {rows}) AS i
"""
TABLES = ((200_000, "NULL"), (50_000, "repeat('wide ', 100)"))
"""Rows and what fills them up: narrow ones, and wide ones of about 600 bytes."""
STEPS = {
    "scan": "ALTER TABLE rates ALTER COLUMN number SET NOT NULL",
    "lookup": "ALTER TABLE rates ADD FOREIGN KEY (parent) REFERENCES rates_parent",
    "index": "CREATE INDEX rates_note ON rates (note)",
    "update": "UPDATE rates SET number = number + 1",
    "rewrite": "ALTER TABLE rates ALTER COLUMN parent TYPE bigint",
}
KINDS = {
    "check-in-one-step": "scan",
    "not-null-by-scan": "scan",
    "scan-under-lock": "scan",
    "foreign-key-in-one-step": "lookup",
    "index-without-concurrently": "index",
    "constraint-builds-index": "index",
    "type-change-rewrites": "rewrite",
    "volatile-default": "rewrite",
    "rewrite-under-lock": "rewrite",
    "data-in-one-transaction": "update",
    "lock-kept-during-data-change": "update",
}
"""By the id of a finding, the work that others wait for."""


@dataclass(frozen=True)
class Measured:
    """One table that was made here: its size, and seconds by kind of work."""

    size: Size
    seconds: dict[str, float]


@dataclass(frozen=True)
class Rates:
    """What was measured on a table with narrow rows, and on one with wide ones."""

    narrow: Measured
    wide: Measured

    def predict(self, kind: str, size: Size) -> float:
        """About how many seconds the work takes on a table of that size."""
        if kind == "rewrite":  # the table is copied, then each of its indexes is built
            return self._predict("copy", size) + size.indexes * self._predict("index", size)
        return self._predict(kind, size)

    def _predict(self, kind: str, size: Size) -> float:
        """So much for each row and so much for each byte, as the two tables tell; neither is less than nothing."""
        narrow, wide = self.narrow, self.wide
        for_narrow, for_wide = narrow.seconds[kind], wide.seconds[kind]
        among = narrow.size.rows * wide.size.bytes - wide.size.rows * narrow.size.bytes
        by_row = (for_narrow * wide.size.bytes - for_wide * narrow.size.bytes) / among
        by_byte = (for_wide * narrow.size.rows - for_narrow * wide.size.rows) / among
        if by_byte < 0:
            return for_narrow / narrow.size.rows * size.rows
        if by_row < 0:
            return for_wide / wide.size.bytes * size.bytes
        return by_row * size.rows + by_byte * size.bytes


def measure(target: Target) -> Rates:
    """Make two tables in an empty database, one after the other, and measure. It takes about two or three seconds."""
    with connect(target, autocommit=True, session=Session.PROJECT) as connection:
        return Rates(*(_measure(connection, rows, filler) for rows, filler in TABLES))


def _measure(connection: psycopg.Connection[tuple[int, int]], rows: int, filler: str) -> Measured:
    connection.execute(MAKE.format(rows=rows, filler=filler).encode())
    # as in a table that is in use, no row has to be looked up in the log of transactions
    connection.execute("VACUUM ANALYZE rates")
    size = _size(connection, rows)
    seconds = {}
    for kind, statement in STEPS.items():
        started = time.perf_counter()
        connection.execute(statement.encode())
        seconds[kind] = time.perf_counter() - started
    # with the two indexes that there are by now
    seconds["copy"] = max(seconds["rewrite"] - 2 * seconds["index"], seconds["rewrite"] / 4)
    return Measured(size, seconds)


def _size(connection: psycopg.Connection[tuple[int, int]], rows: int) -> Size:
    row = connection.execute("SELECT pg_table_size('rates'), pg_indexes_size('rates')").fetchone()
    table, indexes = row or (1, 1)
    return Size(rows, table, 1, indexes, 0.0)
