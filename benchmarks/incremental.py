"""A proof after the first one: with nothing changed, one new revision and five new ones, on a chain of 1,000.

The commands are those that a person types after an edit: all revisions, and only the new ones (`--from`).
"""

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks import chain
from benchmarks.lint import run_verb
from benchmarks.roundtrip import Project, bare_upgrade, make_project, open_cluster
from benchmarks.timing import Comparison, Task, in_turns

SIZE = 1000
AIMS = {0: 0.17, 1: 0.4, 5: 0.67}
"""By the number of new revisions: half a second, 1.2 s and 2 s where the bare upgrade takes 3 s."""
STATE = ".dbkit"
"""The directory of a project in which proofs are kept."""


def incremental(directory: Path, runs: int) -> list[Comparison]:
    """Seconds of `dbkit roundtrip` and `dbkit prove` after the first proof, against one bare `alembic upgrade head`."""
    with open_cluster() as cluster:
        projects = [_make_grown_project(directory / str(new), new) for new in AIMS]
        tasks = [
            Task(label, partial(_seconds, project, command))
            for project, new in zip(projects, AIMS, strict=True)
            for label, command in _commands(new).items()
        ]
        bare = Task("alembic upgrade head", partial(bare_upgrade, projects[0], cluster))
        *times, last = in_turns([*tasks, bare], runs)
    counts = [new for new in AIMS for _ in _commands(new)]
    return [
        Comparison(f"{new or 'nothing'} new, {SIZE}", each, last, AIMS[new])
        for new, each in zip(counts, times, strict=True)
    ]


def _commands(new: int) -> Mapping[str, Sequence[str]]:
    """Return the commands by their labels."""
    whole: dict[str, Sequence[str]] = {"dbkit roundtrip": ["roundtrip"], "dbkit prove": ["prove"]}
    if not new:
        return whole
    start = ["--from", chain.revision_id(SIZE - new - 1)]
    return {**whole, "dbkit roundtrip --from": ["roundtrip", *start], "dbkit prove --from": ["prove", *start]}


def _make_grown_project(directory: Path, new: int) -> Project:
    """Make a project that was proven before its newest revisions were added."""
    directory.mkdir()
    project = make_project(directory, SIZE - new)
    for verb in ("roundtrip", "prove"):
        run_verb(project, [verb])
    chain.write(project.root / "migrations/versions", SIZE)
    state = project.root / STATE
    if state.exists():
        shutil.copytree(state, directory / STATE)
    return Project(project.root, SIZE)


def _seconds(project: Project, command: Sequence[str]) -> float:
    """Run a command in the state after the first proof."""
    state, saved = project.root / STATE, project.root.parent / STATE
    shutil.rmtree(state, ignore_errors=True)
    if saved.exists():
        shutil.copytree(saved, state)
    return run_verb(project, command)
