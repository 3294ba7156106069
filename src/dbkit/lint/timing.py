"""Measured rates of a server: seconds to scan, rewrite and index a table, and to look up and change its rows."""

import time
from dataclasses import dataclass

import psycopg

from dbkit.lint.table_sizes import TableSize
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
"""Rows and filler: narrow rows, and wide ones of about 600 bytes."""
WORK_STATEMENTS = {
    "scan": "ALTER TABLE rates ALTER COLUMN number SET NOT NULL",
    "lookup": "ALTER TABLE rates ADD FOREIGN KEY (parent) REFERENCES rates_parent",
    "index": "CREATE INDEX rates_note ON rates (note)",
    "update": "UPDATE rates SET number = number + 1",
    "rewrite": "ALTER TABLE rates ALTER COLUMN parent TYPE bigint",
}
WORK_BY_RULE = {
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
"""By the id of a rule, the work during which other sessions wait."""


@dataclass(frozen=True)
class MeasuredTable:
    """The size of a table that was created for this, and seconds by kind of work."""

    size: TableSize
    seconds: dict[str, float]


@dataclass(frozen=True)
class Rates:
    """Measurements on a table with narrow rows, and on one with wide rows."""

    narrow: MeasuredTable
    wide: MeasuredTable

    def predict(self, kind: str, size: TableSize) -> float:
        """Return about how many seconds the work takes on a table of this size."""
        if kind == "rewrite":  # the table is copied, then each of its indexes is built
            return self._predict("copy", size) + size.indexes * self._predict("index", size)
        return self._predict(kind, size)

    def _predict(self, kind: str, size: TableSize) -> float:
        """Solve for the time per row and the time per byte from the two tables; neither is below zero."""
        narrow, wide = self.narrow, self.wide
        for_narrow, for_wide = narrow.seconds[kind], wide.seconds[kind]
        determinant = narrow.size.rows * wide.size.bytes - wide.size.rows * narrow.size.bytes
        by_row = (for_narrow * wide.size.bytes - for_wide * narrow.size.bytes) / determinant
        by_byte = (for_wide * narrow.size.rows - for_narrow * wide.size.rows) / determinant
        if by_byte < 0:
            return for_narrow / narrow.size.rows * size.rows
        if by_row < 0:
            return for_wide / wide.size.bytes * size.bytes
        return by_row * size.rows + by_byte * size.bytes


def measure_rates(target: Target) -> Rates:
    """Create two tables in an empty database, one after the other, and measure. It takes about three seconds."""
    with connect(target, autocommit=True, session=Session.PROJECT) as connection:
        return Rates(*(_measure(connection, rows, filler) for rows, filler in TABLES))


def _measure(connection: psycopg.Connection[tuple[int, int]], rows: int, filler: str) -> MeasuredTable:
    connection.execute(MAKE.format(rows=rows, filler=filler).encode())
    # set the hint bits, as in a table in use: no scan has to look up the commit status of rows
    connection.execute("VACUUM ANALYZE rates")
    size = _size(connection, rows)
    seconds = {}
    for kind, statement in WORK_STATEMENTS.items():
        started = time.perf_counter()
        connection.execute(statement.encode())
        seconds[kind] = time.perf_counter() - started
    # the table has two indexes by now
    seconds["copy"] = max(seconds["rewrite"] - 2 * seconds["index"], seconds["rewrite"] / 4)
    return MeasuredTable(size, seconds)


def _size(connection: psycopg.Connection[tuple[int, int]], rows: int) -> TableSize:
    row = connection.execute("SELECT pg_table_size('rates'), pg_indexes_size('rates')").fetchone()
    table, indexes = row or (1, 1)
    return TableSize(rows, table, 1, indexes, 0.0)
