"""A backfill of a million rows in batches, against one big UPDATE of the same table on the same server."""

import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psycopg

from benchmarks.timing import Comparison, Task, Times, in_turns
from benchmarks.workspace import Copy, Failed, copy_of_project, environment
from dbkit import settings
from dbkit.postgres.cluster import Cluster, development_cluster
from dbkit.settings import Target

ROWS = 1_000_000
KILLS = 10
BOUND = 2.0  # times one big UPDATE
LOCK_BOUND = 0.1  # seconds that somebody waits for a row
SET = "n = n + 1"
UPDATE = b"UPDATE big SET n = n + 1"
BACKFILL = ("venv/bin/python", "-m", "dbkit", "backfill", "big", "--set", SET)
# the row that the next batch begins with, or the first one
NEXT_ROW = """
SELECT FROM big WHERE id = coalesce((SELECT last_key[1]::bigint + 1 FROM dbkit_backfill ORDER BY id DESC LIMIT 1), 1)
FOR UPDATE"""


def backfill(directory: Path, runs: int) -> list[Comparison]:
    """Seconds of `dbkit backfill` on a million rows, whole process, against those of one UPDATE.

    Undisturbed; killed ten times with -9 and started again; and how long somebody waits for a row meanwhile. Whether
    each row was changed once is looked at after each.
    """
    with copy_of_project(directory / "backfill") as copy:
        copy.run("make", "migrate")
        cluster = development_cluster(settings.load(copy.root, environ={}))
        target = cluster.ensure_running()
        ours, killed, one = in_turns(
            [
                Task("backfill", partial(_measured, target, partial(copy.run, *BACKFILL))),
                Task(f"killed {KILLS} times", partial(_measured, target, partial(_killed, copy, target))),
                Task("one UPDATE", partial(_measured, target, partial(_update, target))),
            ],
            runs,
        )
        waits = in_turns(
            [
                Task("backfill", partial(_longest_wait, cluster, partial(copy.run, *BACKFILL))),
                Task("one UPDATE", partial(_longest_wait, cluster, partial(_update, target))),
            ],
            runs,
        )
    limit = Times("0.1 s", (LOCK_BOUND,) * runs)
    return [
        Comparison(f"backfill, {ROWS:,} rows", ours, one, BOUND, BOUND),
        Comparison(f"backfill, {ROWS:,} rows", killed, one, BOUND, BOUND),
        Comparison("longest wait for a row", waits[0], limit, 1.0, 1.0),
        Comparison("longest wait for a row", waits[0], waits[1]),
    ]


def _prepare(target: Target) -> None:
    with psycopg.connect(**target.parameters(), autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS big, dbkit_backfill")
        connection.execute("CREATE TABLE big (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0, padding text)")
        connection.execute(f"INSERT INTO big SELECT i, 0, repeat('x', 60) FROM generate_series(1, {ROWS}) AS i")  # noqa: S608
        connection.execute("VACUUM ANALYZE big")
        connection.execute("CHECKPOINT")


def _measured(target: Target, run: Callable[[], object]) -> float:
    """Seconds on a new table. Raises Failed when a row was not changed once."""
    _prepare(target)
    begun = time.perf_counter()
    run()
    seconds = time.perf_counter() - begun
    _require_once(target)
    return seconds


def _require_once(target: Target) -> None:
    with psycopg.connect(**target.parameters()) as connection:
        found = connection.execute("SELECT n, count(*) FROM big GROUP BY n").fetchall()
    if found != [(1, ROWS)]:
        raise Failed(f"rows were not changed once each: {found}")


def _update(target: Target) -> None:
    with psycopg.connect(**target.parameters()) as connection:
        connection.execute(UPDATE)


def _killed(copy: Copy, target: Target) -> None:
    """Start it, and kill it after each eleventh of the rows; then let it come to its end."""
    with psycopg.connect(**target.parameters(), autocommit=True) as observer:
        for number in range(1, KILLS + 1):
            process = subprocess.Popen(
                BACKFILL,
                cwd=copy.root,
                env=environment(copy.home),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            while _rows(observer) < ROWS * number // (KILLS + 1):
                if process.poll() is not None:
                    raise Failed(f"it has ended by itself, with exit {process.returncode}")
                time.sleep(0.002)
            process.kill()
            process.wait()
    copy.run(*BACKFILL)


def _rows(observer: psycopg.Connection) -> int:
    if observer.execute("SELECT to_regclass('dbkit_backfill')").fetchone() == (None,):
        return 0
    row = observer.execute("SELECT rows FROM dbkit_backfill").fetchone()
    return int(row[0]) if row else 0


def _longest_wait(cluster: Cluster, run: Callable[[], object]) -> float:
    """Seconds that somebody waits for a row at most, who always wants the one that is next."""
    target = cluster.target()
    _prepare(target)
    with psycopg.connect(**target.parameters(), autocommit=True) as other, ThreadPoolExecutor(1) as pool:
        other.execute("SET enable_seqscan = off")
        running = pool.submit(run)
        longest = _probe(other, running)
        running.result()
    _require_once(target)
    return longest


def _probe(other: psycopg.Connection, running: "Future[object]") -> float:
    longest = 0.0
    there = False
    while not running.done():
        if not there:
            there = other.execute("SELECT to_regclass('dbkit_backfill')").fetchone() != (None,)
        query = NEXT_ROW if there else "SELECT FROM big WHERE id = 1 FOR UPDATE"
        begun = time.perf_counter()
        other.execute(query)
        longest = max(longest, time.perf_counter() - begun)
        time.sleep(0.001)
    return longest
