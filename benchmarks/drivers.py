"""The round trip with psycopg2 and asyncpg, against the one with psycopg 3, on the same chains."""

import importlib.util
import sys
from functools import partial
from pathlib import Path

from benchmarks.roundtrip import Project, make_project
from benchmarks.timing import Comparison, Task, in_turns
from benchmarks.workspace import Failed

OTHERS = ("psycopg2", "asyncpg")
CHAINS = ((100, "0"), (100, "5"), (500, "0"), (500, "5"))
"""Revisions, and the least number of rows in each table."""
BOUND = 1.3


def drivers(directory: Path, runs: int) -> list[Comparison]:
    """The whole proof with each driver, in one process; asyncpg with the env.py of Alembic's asynchronous template."""
    missing = [name for name in OTHERS if importlib.util.find_spec(name) is None]
    if missing:
        raise Failed(f"{', '.join(missing)}: not installed here: `make setup` installs both")
    found = []
    projects = {
        (size, template): make_project(directory, size, template)
        for size in dict.fromkeys(size for size, _ in CHAINS)
        for template in ("generic", "async")
    }
    for size, rows in CHAINS:
        tasks = []
        for driver in ("psycopg", *OTHERS):
            project = projects[size, "async" if driver == "asyncpg" else "generic"]
            tasks.append(Task(driver, partial(_seconds, project, driver, rows)))
        psycopg, *others = in_turns(tasks, runs)
        name = f"drivers, {size} revisions, {'with rows' if rows != '0' else 'without rows'}"
        found += [Comparison(name, other, psycopg, BOUND, BOUND) for other in others]
    return found


def _seconds(project: Project, driver: str, rows: str) -> float:
    """Seconds. That it finds something in the generated chain is no failure."""
    command = (sys.executable, "-m", "dbkit", "roundtrip", "--no-cache", "-c", project.ini, "--driver", driver)
    return project.run(*command, "--rows", rows, "--jobs", "1", may_find=True)[0]
