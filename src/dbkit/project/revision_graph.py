"""Find the fault between revision files without a valid history: a duplicate id, a missing parent, or a cycle."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from alembic.script import Script
from alembic.util import to_tuple

Fault = tuple[str, str]
"""The message and the hint."""
DOWN = "down_revision"


def find_fault(scripts: Sequence[Script]) -> Fault | None:
    """Find the first fault between loaded revisions; None without one."""
    files: dict[str, list[str]] = {}
    for script in scripts:
        files.setdefault(script.revision, []).append(Path(script.path).name)
    for revision, names in files.items():
        if len(names) > 1:
            return (
                f"revision {revision} is in {len(names)} files: {', '.join(sorted(names))}.",
                "Give one of them another id.",
            )
    parents = {script.revision: list(_parents(script)) for script in scripts}
    labels = {label: each.revision for each in scripts for label in each._orig_branch_labels or ()}
    for revision, named in parents.items():
        for option, parent in named:
            if parent not in files and parent not in labels:
                file = files[revision][0]
                follows = f"{file} follows revision {parent}, but no file has that id."
                depends = f"{file} depends on revision {parent}, but no file has that id."
                return follows if option == DOWN else depends, f"Restore the file, or correct {option}."
    edges = {
        revision: [(option, name if name in files else labels[name]) for option, name in named]
        for revision, named in parents.items()
    }
    cycle = _cycle(edges)
    if len(cycle) == 1:
        return self_loop_fault(cycle[0][0], files[cycle[0][0]][0])
    if cycle:
        steps = ", ".join(f"{files[revision][0]} ({option} = {parent})" for revision, option, parent in cycle)
        return (
            f"{len(cycle)} revisions follow each other in a cycle: {steps}.",
            "Correct down_revision or depends_on in one of them: nothing can be applied first.",
        )
    return None


def self_loop_fault(revision: str, file: str) -> Fault:
    """Describe a revision that follows or depends on itself."""
    return f"revision {revision} follows itself: {file}.", "Correct its down_revision or depends_on."


def _parents(script: Script) -> Iterator[tuple[str, str]]:
    """The parents, each with the variable that names it; a dependency may be a branch label."""
    yield from ((DOWN, each) for each in script._versioned_down_revisions)
    yield from (("depends_on", each) for each in to_tuple(script.dependencies, default=()))


def _cycle(edges: Mapping[str, Sequence[tuple[str, str]]]) -> list[tuple[str, str, str]]:
    """A cycle: revisions of which each follows the next, with the variable and the parent that it names."""
    children: dict[str, list[str]] = {revision: [] for revision in edges}
    waiting = {revision: len(parents) for revision, parents in edges.items()}
    for revision, parents in edges.items():
        for _, parent in parents:
            children[parent].append(revision)
    # remove revisions that can be applied, one after the other: the rest are cycles and their descendants
    ready = [revision for revision, count in waiting.items() if not count]
    while ready:
        done = ready.pop()
        del waiting[done]
        for child in children[done]:
            waiting[child] -= 1
            if not waiting[child]:
                ready.append(child)
    steps: dict[str, tuple[str, str]] = {}
    revision = next(iter(waiting), "")
    while revision and revision not in steps:
        steps[revision] = next((option, each) for option, each in edges[revision] if each in waiting)
        revision = steps[revision][1]
    order = list(steps)
    cycle = order[order.index(revision) :] if revision else []
    first = cycle.index(min(cycle)) if cycle else 0
    return [(each, *steps[each]) for each in (*cycle[first:], *cycle[:first])]
