"""A stash against plain COPY: the same table, server and disk, in turns; and the memory that it takes."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psycopg

from benchmarks.timing import Comparison, Task, in_turns
from benchmarks.workspace import ROOT, Failed
from dbkit import settings
from dbkit.postgres import scratch_cluster
from dbkit.postgres.cluster import Cluster
from dbkit.settings import Target
from dbkit.stash import tables
from dbkit.stash.backup import BackupHook
from dbkit.stash.losses import DryRun, DryRunStep

ROWS, FEW = 1_000_000, 10_000
BOUND = 1.5
MEMORY_BOUND = 1.2
FILL = """
CREATE TABLE {name} AS
SELECT i AS id, 'name ' || i AS name, md5(i::text) AS token, i * 1.25 AS price, now() AS at
FROM generate_series(1, {rows}) AS i;
ALTER TABLE {name} ADD PRIMARY KEY (id)"""


def stash(directory: Path, runs: int) -> list[Comparison]:
    """Seconds of a stash of 1,000,000 rows, checks included, against COPY TO a file by the server, and by psql.

    And the peak memory of the process that makes it, in MB, against that for 10,000 rows.
    """
    with scratch_cluster.cluster(settings.load(ROOT, environ={}, dotenv=False)) as cluster:
        with psycopg.connect(**cast("Any", cluster.target().parameters())) as connection:
            for name, rows in (("big", ROWS), ("small", FEW)):
                connection.execute(FILL.format(name=name, rows=rows).encode())
        own, server, client = in_turns(
            [
                Task("stash", partial(_stash, directory, cluster, "big", "seconds")),
                Task("COPY TO a file, by the server", partial(_copy, cluster)),
                Task("COPY TO STDOUT, by psql", partial(_copy_by_psql, directory, cluster)),
            ],
            runs,
        )
        much, little = in_turns(
            [
                Task(f"MB, {rows:,} rows", partial(_stash, directory, cluster, name, "megabytes"))
                for name, rows in (("big", ROWS), ("small", FEW))
            ],
            min(runs, 3),
        )
    return [
        Comparison(f"stash, {ROWS:,} rows", own, server, BOUND, BOUND),
        Comparison(f"stash, {ROWS:,} rows", own, client, BOUND, BOUND),
        Comparison("stash, peak memory", much, little, MEMORY_BOUND, MEMORY_BOUND),
    ]


def _stash(directory: Path, cluster: Cluster, table: str, what: str) -> float:
    """Make a stash in a process of its own, and return a figure of it."""
    target = cluster.target()
    arguments = json.dumps([target.host, target.port, target.user, target.dbname, table])
    command = [sys.executable, "-m", "benchmarks.stash", arguments, str(directory)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Failed(ran.stderr)
    return float(json.loads(ran.stdout.splitlines()[-1])[what])


def _copy(cluster: Cluster) -> float:
    path = cluster.data / "benchmark.copy"
    with psycopg.connect(**cast("Any", cluster.target().parameters())) as connection:
        begun = time.perf_counter()
        connection.execute(f"COPY big TO '{path}'".encode())
        seconds = time.perf_counter() - begun
    path.unlink()
    return seconds


def _copy_by_psql(directory: Path, cluster: Cluster) -> float:
    target = cluster.target()
    command = [str(cluster.bindir / "psql"), "-h", str(target.host), "-p", str(target.port), "-U", str(target.user)]
    with (directory / "psql.copy").open("wb") as file:
        begun = time.perf_counter()
        subprocess.run([*command, "-c", "COPY big TO STDOUT", target.dbname], stdout=file, check=True)
        return time.perf_counter() - begun


def _make(target: Target, table: str, directory: Path) -> dict[str, float]:
    """Keep a table as before a step that drops it. Returns seconds, and the peak memory of this process."""
    import resource

    own = replace(settings.load(ROOT, environ={}, dotenv=False), root=directory, target=target)
    step = cast("Any", SimpleNamespace(revision=SimpleNamespace(revision="dropped"), to_revisions=()))
    with psycopg.connect(**cast("Any", target.parameters())) as connection:
        found = {oid: each for oid, each in tables.read_tables(connection).items() if each.name == table}
        connection.rollback()
        keeper = BackupHook(own, target, ("dropped",), DryRun((DryRunStep("dropped", found),), {}))
        begun = time.perf_counter()
        keeper.before(step, connection)
        seconds = time.perf_counter() - begun
    return {"seconds": seconds, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


if __name__ == "__main__":
    host, port, user, dbname, name = json.loads(sys.argv[1])
    print(json.dumps(_make(Target(dbname, user, None, host, port), name, Path(sys.argv[2]))))
