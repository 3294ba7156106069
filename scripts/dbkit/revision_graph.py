"""What is wrong between revision files that make no history: an id in two of them, a parent in none, a cycle."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from alembic.script import Script
from alembic.util import to_tuple

Fault = tuple[str, str]
"""What is wrong, and what to do about it."""


def fault(scripts: Sequence[Script]) -> Fault | None:
    """The first fault between loaded revisions; None where there is none."""
    names = {script.revision: Path(script.path).name for script in scripts}
    for script in scripts:
        twins = sorted(Path(other.path).name for other in scripts if other.revision == script.revision)
        if len(twins) > 1:
            return (
                f"revision {script.revision} is in {len(twins)} files: {', '.join(twins)}.",
                "Give one of them an id of its own.",
            )
    for script in scripts:
        for option, parent in _parents(script):
            if not _resolved(parent, scripts):
                verb = "follows" if option == "down_revision" else "depends on"
                return (
                    f"{names[script.revision]} {verb} revision {parent}, and no file has that id.",
                    f"Restore the file, or correct {option}.",
                )
    cycle = _cycle(scripts)
    if cycle:
        steps = ", ".join(f"{names[revision]} ({option} = {parent})" for revision, option, parent in cycle)
        return (
            f"{len(cycle)} revisions follow each other in a cycle: {steps}.",
            "Correct down_revision or depends_on in one of them: nothing can be applied first.",
        )
    return None


def self_loop(revision: str, files: Iterable[Path]) -> Fault:
    """The fault of a revision that follows itself, whose file Alembic does not say."""
    assigned = re.compile(rf"^revision\b[^=\n]*=[ \t]*[\"']{re.escape(revision)}[\"']", re.MULTILINE)
    named = [path.name for path in files if assigned.search(path.read_text(encoding="utf-8", errors="replace"))]
    return f"revision {revision} follows itself: {', '.join(named)}.", "Correct its down_revision or depends_on."


def _parents(script: Script) -> Iterator[tuple[str, str]]:
    """Which option of the file names a parent, and which; a dependency may be the label of a branch."""
    yield from (("down_revision", each) for each in script._versioned_down_revisions)
    yield from (("depends_on", each) for each in to_tuple(script.dependencies, default=()))


def _resolved(name: str, scripts: Sequence[Script]) -> list[str]:
    """The revisions that have this id, or else this branch label."""
    exact = [each.revision for each in scripts if name == each.revision]
    return exact or [each.revision for each in scripts if name in (each._orig_branch_labels or ())]


def _cycle(scripts: Sequence[Script]) -> list[tuple[str, str, str]]:
    """Revisions of which each follows the next, and the last one the first, with the options that say so."""
    left = {
        script.revision: [(option, each) for option, name in _parents(script) for each in _resolved(name, scripts)]
        for script in scripts
    }
    # take away what can be applied, again and again: the rest waits for a cycle
    while ready := [revision for revision, parents in left.items() if not any(each in left for _, each in parents)]:
        for revision in ready:
            del left[revision]
    steps: dict[str, tuple[str, str]] = {}
    revision = next(iter(left), "")
    while revision and revision not in steps:
        steps[revision] = next((option, each) for option, each in left[revision] if each in left)
        revision = steps[revision][1]
    order = list(steps)
    return [(each, *steps[each]) for each in order[order.index(revision) :]] if revision else []
