"""What the tests of failure modes share: `pair.bare` is a project from `alembic init`, `pair.gated` the same behind the gate."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import psycopg

from support.pair import Project

TABLE = "op.execute('CREATE TABLE t (id int PRIMARY KEY, name text)')"


SLEEP = "op.execute('SELECT pg_sleep(600)')"


SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(600)%' AND state = 'active' AND pid <> pg_backend_pid()"


BLOCK = "with op.get_context().autocommit_block():\n    "


LOCK_IN_ENV = (
    'with connectable.connect() as connection:\n        connection.exec_driver_sql("SELECT pg_advisory_lock(42)")\n'
)


CONNECT = "with connectable.connect() as connection:\n"


def line_with(process: "subprocess.Popen[str]", words: str) -> str:
    """Wait until the process has said something, and return that line."""
    assert process.stderr
    for line in process.stderr:
        if words in line:
            return line
    raise AssertionError(f"it never said {words!r}")


def one_line(errors: str) -> str:
    """The line that the kit told; nothing else than its hint and Alembic's log may be beside it."""
    assert "Traceback" not in errors
    lines = [line for line in errors.splitlines() if line.startswith("dbkit: ") and "about to" not in line]
    assert len(lines) == 1, errors
    return lines[0]


def together(project: Project, count: int) -> list[subprocess.CompletedProcess[str]]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: project.alembic("upgrade", "head"), range(count)))


def upgrade_behind_a_reader(project: Project, lock_timeout: str) -> None:
    """Upgrade while somebody reads `t`, until the first try is over; then the reader lets go."""
    with psycopg.connect(**project.target.parameters()) as reader:
        reader.execute("SELECT FROM t")
        process = project.start("upgrade", "head", env={"MIGRATION_LOCK_TIMEOUT": lock_timeout})
        line_with(process, "(try 1)")
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors


def terminate(project: Project, _process: "subprocess.Popen[str]") -> None:
    project.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()"
    )


INSERT = "op.execute('INSERT INTO t VALUES (1)')"


NO_KEY = "op.execute('CREATE TABLE t (id int)')"
