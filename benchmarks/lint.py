"""Lint, and both reports of one run, against one bare `alembic upgrade head`; and a chain of others, by its path."""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.roundtrip import Project, bare_upgrade, make_project, open_cluster
from benchmarks.timing import Comparison, Task, in_turns

SIZE = 500
COMMANDS: Mapping[str, tuple[Sequence[str], float]] = {
    "dbkit roundtrip": (["roundtrip", "--no-cache"], 3.0),
    "dbkit roundtrip --rows 0": (["roundtrip", "--no-cache", "--rows", "0"], 3.0),
    "dbkit lint": (["lint", "--no-cache"], 4.0),
    "dbkit prove": (["prove", "--no-cache"], 5.0),
}
"""By its label, a command and its aim."""


def lint(directory: Path, runs: int) -> list[Comparison]:
    """`dbkit lint` and `dbkit prove` of a generated chain."""
    return _compare(make_project(directory, SIZE), f"lint, {SIZE}", ("dbkit lint", "dbkit prove"), runs)


def of_others(root: Path, _directory: Path, runs: int) -> list[Comparison]:
    """All proofs of the chain of another project: its env.py takes its URL from DATABASE_URL."""
    return _compare(Project(root, 0), f"chain, {root.name}", tuple(COMMANDS), runs)


def _compare(project: Project, name: str, labels: Sequence[str], runs: int) -> list[Comparison]:
    with open_cluster() as cluster:
        tasks = [Task(label, partial(run_verb, project, COMMANDS[label][0])) for label in labels]
        bare = Task("alembic upgrade head", partial(bare_upgrade, project, cluster))
        *times, last = in_turns([*tasks, bare], runs)
    return [Comparison(name, each, last, COMMANDS[each.label][1]) for each in times]


def run_verb(project: Project, command: Sequence[str]) -> float:
    """Return the seconds of a verb; that it finds something is no failure."""
    return project.run(sys.executable, "-m", "dbkit", *command, "-c", project.ini, may_find=True)[0]
