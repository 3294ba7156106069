"""What `dbkit lint --sizes` predicts against what it takes, for 100 thousand, 1 and 5 million rows of two widths."""

import time
from pathlib import Path
from typing import Any, cast

import psycopg

from benchmarks.timing import Comparison, Times
from benchmarks.workspace import ROOT
from dbkit import settings
from dbkit.lint.table_sizes import QUERY, TableSize
from dbkit.lint.timing import Rates, measure_rates
from dbkit.postgres import scratch_cluster
from dbkit.settings import Target

NARROW, WIDE = "NULL", "repeat('wide ', 80)"
TABLES = (
    (100_000, NARROW),
    (1_000_000, NARROW),
    (5_000_000, NARROW),
    (100_000, WIDE),
    (1_000_000, WIDE),
    (5_000_000, WIDE),
)
BOUND = 2.0  # a prediction may be half or twice the truth
MAKE = """
DROP TABLE IF EXISTS orders, customers;
CREATE TABLE customers (id int PRIMARY KEY);
INSERT INTO customers SELECT generate_series(1, 5000);
CREATE TABLE orders (id int PRIMARY KEY, customer int, amount int, reference text, note text, at timestamptz);
INSERT INTO orders SELECT i, 1 + i % 5000, i, 'order ' || i, {note}, now() FROM generate_series(1, {rows}) AS i
"""
WORK = {
    "scan": "ALTER TABLE orders ALTER COLUMN amount SET NOT NULL",
    "lookup": "ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers",
    "index": "CREATE INDEX orders_reference ON orders (reference)",
    "rewrite": "ALTER TABLE orders ALTER COLUMN customer TYPE bigint",
    "update": "UPDATE orders SET amount = amount + 1",
}


def sizes(_directory: Path, runs: int) -> list[Comparison]:
    """Seconds that are predicted and seconds that are measured, by kind of work and table; A is the longer one."""
    predicted: dict[str, list[float]] = {}
    measured: dict[str, list[float]] = {}
    with scratch_cluster.cluster(settings.load(ROOT, environ={}, dotenv=False)) as cluster:
        for run in range(runs):
            rates = measure_rates(cluster.create_database(f"rates{run}"))
            for rows, note in TABLES:
                for name, before, seconds in _run(cluster.target(), rates, rows, note):
                    predicted.setdefault(name, []).append(before)
                    measured.setdefault(name, []).append(seconds)
    found = []
    for name in measured:
        both = Times("predicted", tuple(predicted[name])), Times("measured", tuple(measured[name]))
        longer, shorter = sorted(both, key=lambda each: each.median, reverse=True)
        found.append(Comparison(f"sizes, {name}", longer, shorter, BOUND, BOUND))
    return found


def _run(target: Target, rates: Rates, rows: int, note: str) -> list[tuple[str, float, float]]:
    found = []
    with psycopg.connect(**cast("Any", target.parameters()), autocommit=True) as connection:
        connection.execute(MAKE.format(rows=rows, note=note).encode())
        connection.execute("VACUUM ANALYZE orders")
        for kind, statement in WORK.items():
            size = _size(connection)
            started = time.perf_counter()
            connection.execute(statement.encode())
            table = f"{rows:,} {'wide ' if note == WIDE else ''}rows"
            found.append((f"{kind}, {table}", rates.predict(kind, size), time.perf_counter() - started))
    return found


def _size(connection: psycopg.Connection[Any]) -> TableSize:
    """As the query for a live database tells it."""
    ((answer,),) = connection.execute(QUERY.encode()).fetchall()
    row = next(each for each in answer if each["table"] == "public.orders")
    return TableSize(row["rows"], row["bytes"], row["indexes"], row["index_bytes"], row["writes_per_second"])
