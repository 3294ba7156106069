"""How long it takes here to scan, rewrite and index a table, to look up and to change its rows: measured on one."""

import time
from dataclasses import dataclass

import psycopg

from dbkit.connect import connect
from dbkit.settings import Target
from dbkit.sizes.answer import Size

ROWS = 200_000  # as in MAKE
MAKE = """
CREATE TABLE rates_parent (id int PRIMARY KEY);
INSERT INTO rates_parent SELECT generate_series(1, 1000);
CREATE TABLE rates (id int PRIMARY KEY, parent int, number int, note text);
INSERT INTO rates SELECT i, 1 + i % 1000, i, 'a note of some length, ' || i FROM generate_series(1, 200000) AS i
"""
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
class Rates:
    """Seconds for the table made here, by kind of work, and its size then."""

    seconds: dict[str, float]
    size: Size

    def predict(self, kind: str, size: Size) -> float:
        """About how many seconds the work takes on a table of that size; each grows with rows or with bytes."""
        by_rows, by_bytes = size.rows / self.size.rows, size.bytes / self.size.bytes
        share = self.seconds[kind]
        if kind == "scan":
            return share * max(by_rows, by_bytes)
        if kind == "rewrite":
            # the table is copied, then each of its indexes is built; here there were two
            indexes = self.seconds["index"]
            copied = max(share - 2 * indexes, share / 4)
            return copied * max(by_rows, by_bytes) + indexes * by_rows * size.indexes
        return share * by_rows


def measure(target: Target) -> Rates:
    """Make a table in an empty database, and measure. It takes about a second or two."""
    with connect(target, autocommit=True) as connection:
        connection.execute(MAKE.encode())
        # as in a table that is in use, no row has to be looked up in the log of transactions
        connection.execute("VACUUM ANALYZE rates")
        size = _size(connection)
        seconds = {}
        for kind, statement in STEPS.items():
            started = time.perf_counter()
            connection.execute(statement.encode())
            seconds[kind] = time.perf_counter() - started
    return Rates(seconds, size)


def _size(connection: psycopg.Connection[tuple[int, int]]) -> Size:
    row = connection.execute("SELECT pg_table_size('rates'), pg_indexes_size('rates')").fetchone()
    table, indexes = row or (1, 1)
    return Size(ROWS, table, 1, indexes, 0.0)
