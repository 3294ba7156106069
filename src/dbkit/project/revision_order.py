"""The parents and ancestors of revisions, and an order in which revisions can be applied."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from graphlib import TopologicalSorter

from alembic.script import Script
from alembic.util import to_tuple

from dbkit.project.alembic_project import Project


def parents_of(project: Project, script: Script) -> tuple[str, ...]:
    """The ids of the revisions that `script` follows or depends on."""
    named = (*to_tuple(script.down_revision, ()), *to_tuple(script.dependencies, ()))
    return tuple(sorted({each.revision for each in project.script.get_revisions(named) if each}))


def ancestors(revisions: Iterable[str], parents: Mapping[str, tuple[str, ...]]) -> set[str]:
    """`revisions` and all of their ancestors."""
    found: set[str] = set()
    ahead = list(revisions)
    while ahead:
        revision = ahead.pop()
        if revision not in found:
            found.add(revision)
            ahead.extend(parents[revision])
    return found


def sort_revisions(
    revisions: Collection[str], parents: Mapping[str, tuple[str, ...]], newest_first: Sequence[str]
) -> list[str]:
    """Sort revisions topologically, parents first; otherwise in Alembic's order."""
    rank = {revision: -number for number, revision in enumerate(newest_first)}
    sorter = TopologicalSorter(
        {each: [parent for parent in parents[each] if parent in revisions] for each in revisions}
    )
    sorter.prepare()
    order: list[str] = []
    ready: list[str] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=rank.__getitem__)
        order.append(ready.pop(0))
        sorter.done(order[-1])
    return order
