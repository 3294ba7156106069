"""A verb that is held up at a chosen place."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from support.pair import Project

WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = ANY (%s) AND (database IS NULL OR database = (SELECT oid FROM pg_database WHERE datname = current_database()))"


def start(project: Project, *arguments: str) -> "subprocess.Popen[str]":
    """Begin to run a verb, with time to wait for locks."""
    variables = {**project.variables(), "PYTHONPATH": str(project.root / "src"), "MIGRATION_LOCK_TIMEOUT": "60s"}
    return subprocess.Popen(
        [sys.executable, "-m", "dbkit", *arguments],
        cwd=project.root,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: "subprocess.Popen[str]", condition: Callable[[], bool]) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


@contextmanager
def holding(project: Project, statement: str) -> Iterator[psycopg.Connection]:
    """A transaction of somebody else, which has executed this."""
    with psycopg.connect(**project.target.parameters()) as connection:
        connection.execute(statement)
        yield connection
        connection.rollback()


def waits(project: Project, *kinds: str) -> Callable[[], bool]:
    """Whether somebody waits for a lock of one of these kinds."""

    def look() -> bool:
        with psycopg.connect(**project.target.parameters()) as connection:
            return connection.execute(WAITS, [list(kinds)]).fetchone() != (0,)

    return look
