"""A restore against the rollback that it makes undone: whole processes, in turns, on the same table."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import psycopg

from benchmarks.timing import Comparison, Times
from benchmarks.workspace import ROOT, Failed
from dbkit import settings
from dbkit.postgres import scratch_cluster
from dbkit.settings import Target

ROWS = int(os.environ.get("BENCH_ROWS", "200000"))
BOUND = 3.0
MEMORY_BOUND = 1.2
INI = """\
[alembic]
script_location = %(here)s/backend/alembic
path_separator = newline
"""
REVISION = """\
revision = "{name}"
down_revision = {after!r}

from alembic import op


def upgrade():
    op.execute({up!r})


def downgrade():
    op.execute({down!r})
"""
TABLE = """CREATE TABLE orders (id bigint PRIMARY KEY, customer int NOT NULL REFERENCES customers, name text NOT NULL,
    price numeric NOT NULL, at timestamptz NOT NULL)"""
ROW = "SELECT i, 1 + mod(i, 1000), 'name ' || i, i * 1.25, now() FROM generate_series(1, {rows}) AS i"
VERB = """
import resource, runpy, sys
sys.argv = ["dbkit", *sys.argv[1:]]
try:
    runpy.run_module("dbkit", run_name="__main__")
finally:
    sys.stderr.write(f"\\n{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}")
"""


@dataclass(frozen=True)
class Shape:
    """What a revision makes and unmakes, and how its rows are made."""

    name: str
    before: str
    up: str
    down: str
    fill: str


SHAPES = (
    Shape("a dropped table", "SELECT 1", TABLE, "DROP TABLE orders", f"INSERT INTO orders {ROW}"),
    Shape(
        "a dropped column",
        TABLE,
        "ALTER TABLE orders ADD note text",
        "ALTER TABLE orders DROP note",
        f"INSERT INTO orders {ROW}; UPDATE orders SET note = 'note ' || id",  # noqa: S608  # constants
    ),
)


def restore(directory: Path, runs: int) -> list[Comparison]:
    """Seconds of a restore against those of its rollback, for 200,000 rows (BENCH_ROWS: another number).

    And the peak memory of both processes, in MB, the restore's against the rollback's.
    """
    return [each for number, shape in enumerate(SHAPES) for each in _compare(directory / str(number), shape, runs)]


def _compare(directory: Path, shape: Shape, runs: int) -> list[Comparison]:
    with scratch_cluster.cluster(settings.load(ROOT, environ={}, dotenv=False)) as cluster:
        target = cluster.target()
        _write(directory, shape)
        _run(directory, target, "migrate")
        with psycopg.connect(**cast("Any", target.parameters()), autocommit=True) as connection:
            connection.execute("INSERT INTO customers SELECT generate_series(1, 1000)")
            connection.execute(shape.fill.format(rows=ROWS).encode())
            turns = []
            for _ in range(runs):
                connection.execute("VACUUM FULL ANALYZE orders")
                rolled = _run(directory, target, "rollback")
                _run(directory, target, "migrate")
                turns.append((_run(directory, target, "restore"), rolled))
    name = f"{shape.name}, {ROWS:,} rows"
    restores, rollbacks = zip(*turns, strict=True)
    found = []
    for what, number, bound in (("", 0, BOUND), (", peak memory in MB", 1, MEMORY_BOUND)):
        a = Times(f"restore{what}", tuple(each[number] for each in restores))
        b = Times(f"rollback{what}", tuple(each[number] for each in rollbacks))
        found.append(Comparison(name + what, a, b, bound, bound))
    return found


def _write(directory: Path, shape: Shape) -> None:
    """Write a project with two revisions: the second one is undone and applied again."""
    versions = directory / "backend/alembic/versions"
    versions.mkdir(parents=True)
    for name in ("env.py", "script.py.mako"):
        shutil.copy(ROOT / "backend/alembic" / name, versions.parent / name)
    shutil.copytree(ROOT / "src/dbkit", directory / "src/dbkit", ignore=shutil.ignore_patterns("__pycache__"))
    (directory / "alembic.ini").write_text(INI)
    before = f"CREATE TABLE customers (id int PRIMARY KEY); {shape.before}"
    first = REVISION.format(name="first", after=None, up=before, down="SELECT 1")
    second = REVISION.format(name="second", after="first", up=shape.up, down=shape.down)
    (versions / "first.py").write_text(first)
    (versions / "second.py").write_text(second)


def _run(directory: Path, target: Target, verb: str) -> tuple[float, float]:
    """Run a verb; returns its seconds, and the peak memory of its process in MB. Raises Failed."""
    url = f"postgresql://{target.user}@/{target.dbname}?host={quote(str(target.host), safe='')}&port={target.port}"
    passed_on = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE", "MIGRATION"))}
    begun = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-c", VERB, verb],
        cwd=directory,
        env={**passed_on, "DATABASE_URL": url, "APP_ENV": "test", "PYTHONPATH": str(directory / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - begun
    if ran.returncode:
        raise Failed(f"{verb}: exit {ran.returncode}\n{ran.stdout}{ran.stderr}")
    return seconds, float(json.loads(ran.stderr.splitlines()[-1]))
