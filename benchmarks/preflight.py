"""A preflight of a table of five million rows with planted violations, beside a session that writes single rows."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psycopg

from benchmarks.timing import Comparison, Task, in_turns
from benchmarks.workspace import Copy, Failed, copy_of_project, environment
from dbkit import settings
from dbkit.postgres.cluster import development_cluster
from dbkit.settings import Target

ROWS = int(os.environ.get("BENCH_ROWS", "5000000"))
BOUND = 1.5  # times the writer's p99 without it
SECONDS = 20.0  # of a writer that has nothing beside it
PERCENTILE = 0.99
PREFLIGHT = ("venv/bin/python", "-m", "dbkit", "preflight", "--format", "json", "--timeout", "300")
# by the words of a precondition: how many rows are planted that violate it
PLANTED = {"reference is not NULL": 312, "amount > 0": 3, "customers.id": 7, "the same reference": 40}
TABLES = f"""
CREATE TABLE customers (id int PRIMARY KEY);
CREATE TABLE orders (id bigint PRIMARY KEY, reference text, amount int, customer_id int, note text);
INSERT INTO customers SELECT generate_series(1, 1000);
INSERT INTO orders SELECT n, 'SO-' || n, 1 + n % 500, 1 + n % 1000, repeat('x', 30)
    FROM generate_series(1, {ROWS}) AS n;
UPDATE orders SET reference = NULL WHERE id <= 312;
UPDATE orders SET amount = -1 WHERE id BETWEEN {ROWS} / 2 AND {ROWS} / 2 + 2;
UPDATE orders SET customer_id = 5000 WHERE id > {ROWS} - 7;
UPDATE orders SET reference = 'SO-' || (id - 1) WHERE id BETWEEN 1000 AND 1039 AND id % 2 = 1;
"""  # noqa: S608  # its own numbers
REVISION = """
from alembic import op

revision, down_revision = "{revision}", {parent!r}


def upgrade() -> None:
    for statement in {up!r}:
        op.execute(statement)


def downgrade() -> None:
    for statement in {down!r}:
        op.execute(statement)
"""
CREATE = [line for line in TABLES.splitlines() if line.startswith("CREATE")]
STRICT = [
    "ALTER TABLE orders ALTER reference SET NOT NULL",
    "ALTER TABLE orders ADD CONSTRAINT ck CHECK (amount > 0)",
    "ALTER TABLE orders ADD CONSTRAINT fk FOREIGN KEY (customer_id) REFERENCES customers",
    "CREATE UNIQUE INDEX uq ON orders (reference)",
]
LAX = [
    "DROP INDEX uq",
    "ALTER TABLE orders DROP CONSTRAINT fk, DROP CONSTRAINT ck, ALTER reference DROP NOT NULL",
]
LOCKS = """
SELECT DISTINCT l.mode FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE a.application_name = 'dbkit preflight' AND l.locktype = 'relation'"""
ASKING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dbkit preflight' AND state = 'active'"


@dataclass
class Seen:
    """What was seen of the sessions of preflight."""

    modes: set[str] = field(default_factory=set)
    looks: int = 0
    """How often one of them was found at work."""


def preflight(directory: Path, runs: int) -> list[Comparison]:
    """The p99 of a statement of a writer, in seconds: beside `dbkit preflight`, beside a reader, and alone.

    Only the statements count that were sent while the live database was asked; the proof before runs on the same
    machine here. The reader counts the rows of the same table, which is what any report of an application does.
    """
    with copy_of_project(directory / "preflight") as copy:
        target = _prepare(copy)
        seen = Seen()
        ours, reader, alone = in_turns(
            [
                Task("beside preflight", partial(_beside, target, partial(_ask, copy, target, seen))),
                Task("beside SELECT count(*)", partial(_beside, target, partial(_read, target))),
                Task("alone", partial(_beside, target, _wait)),
            ],
            runs,
        )
    if not seen.looks:
        raise Failed("no session of preflight was seen at work")
    print(f"benchmarks: locks of preflight on relations, in {seen.looks} looks: {sorted(seen.modes)}", file=sys.stderr)
    name = f"writer's p99, {ROWS:,} rows"
    return [
        Comparison(name, ours, alone, BOUND),
        Comparison(name, ours, reader, BOUND),
        Comparison(name, reader, alone),
    ]


def _prepare(copy: Copy) -> Target:
    for path in copy.versions.glob("*.py"):
        path.unlink()
    revisions = {"first": (None, CREATE, ["DROP TABLE orders, customers"]), "strict": ("first", STRICT, LAX)}
    for revision, (parent, up, down) in revisions.items():
        text = REVISION.format(revision=revision, parent=parent, up=up, down=down)
        (copy.versions / f"{revision}.py").write_text(text, encoding="utf-8")
    (copy.versions.parent / "HEAD").unlink(missing_ok=True)
    copy.run("make", "setup")
    target = development_cluster(settings.load(copy.root, environ={})).ensure_running()
    with psycopg.connect(**target.parameters(), autocommit=True) as connection:
        connection.execute(TABLES.encode())
        connection.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES ('first')")
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    return target


def _beside(target: Target, work: Callable[[list[tuple[float, float]]], None]) -> float:
    """Return the p99 of a writer's statements in the spans of time that `work` adds to a list."""
    samples: list[tuple[float, float]] = []
    spans: list[tuple[float, float]] = []
    with _writing(target, samples):
        work(spans)
    counted = sorted(took for sent, took in samples if any(begin <= sent <= end for begin, end in spans))
    if len(counted) < 100:
        raise Failed(f"the writer has sent {len(counted)} statements only")
    return counted[int(len(counted) * PERCENTILE)]


@contextmanager
def _writing(target: Target, samples: list[tuple[float, float]]) -> Iterator[None]:
    """Write single rows meanwhile: an UPDATE and an INSERT in turns, each committed. Adds when, and how long."""
    stop = threading.Event()

    def write() -> None:
        with psycopg.connect(**target.parameters(), autocommit=True) as connection:
            row = connection.execute("SELECT max(id) FROM orders").fetchone()
            last = int(row[0]) if row else 0
            number = 0
            while not stop.is_set():
                number += 1
                sent = time.perf_counter()
                if number % 2:
                    # no row that is planted, and none twice
                    key = 2000 + number * 7919 % (ROWS // 4)
                    connection.execute("UPDATE orders SET note = %s WHERE id = %s", [f"n{number}", key])
                else:
                    last += 1
                    values = [last, f"SO-{last}"]
                    connection.execute("INSERT INTO orders VALUES (%s, %s, 1, 1, 'new')", values)
                samples.append((sent, time.perf_counter() - sent))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _ask(copy: Copy, target: Target, seen: Seen, spans: list[tuple[float, float]]) -> None:
    """Run preflight, and observe its session. Raises Failed where it does not find what was planted."""
    process = subprocess.Popen(
        PREFLIGHT,
        cwd=copy.root,
        env=environment(copy.home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with psycopg.connect(**target.parameters(), autocommit=True) as observer:
        while process.poll() is None:
            begun = time.perf_counter()
            is_asking = observer.execute(ASKING).fetchone() != (0,)
            if is_asking:
                seen.looks += 1
                seen.modes |= {mode for (mode,) in observer.execute(LOCKS)}
            time.sleep(0.02)
            if is_asking:
                spans.append((begun, time.perf_counter()))
    output, errors = process.communicate()
    if process.returncode != 1:
        raise Failed(f"preflight: exit {process.returncode}\n{errors}")
    (revision,) = json.loads(output)["revisions"]
    found = {each["words"]: (each["status"], each["rows"]) for each in revision["preconditions"]}
    for words, rows in PLANTED.items():
        if not any(words in each and answer == ("violated", rows) for each, answer in found.items()):
            raise Failed(f"{rows} rows were planted that violate {words!r}; preflight has found {found}")


def _read(target: Target, spans: list[tuple[float, float]]) -> None:
    begun = time.perf_counter()
    with psycopg.connect(**target.parameters(), autocommit=True) as connection:
        connection.execute("SET max_parallel_workers_per_gather = 0")
        while time.perf_counter() < begun + SECONDS:
            connection.execute("SELECT count(*) FROM orders WHERE reference IS NULL")
    spans.append((begun, time.perf_counter()))


def _wait(spans: list[tuple[float, float]]) -> None:
    begun = time.perf_counter()
    time.sleep(SECONDS)
    spans.append((begun, time.perf_counter()))
