"""The revision history of a project, newest first, with what is applied to a database."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path

from alembic.script import Script, ScriptDirectory
from alembic.util import to_tuple

from dbkit import journal
from dbkit.journal import JournalRow
from dbkit.pictures.labels import make_label
from dbkit.pictures.lanes import Link
from dbkit.project import find_revision, heads_of
from dbkit.project.revision_order import ancestors


class State(Enum):
    """The state of a revision in the database."""

    APPLIED = "applied"
    PENDING = "pending"
    INTERRUPTED = "half applied"
    UNKNOWN = ""
    """No database was asked."""


@dataclass(frozen=True)
class HistoryRevision:
    """One revision. All texts are labels."""

    id: str
    message: str
    parents: tuple[str, ...]
    """The ids of the revisions that it follows."""
    dependencies: tuple[str, ...]
    """The ids of the further revisions that it depends on."""
    labels: tuple[str, ...]
    """The branch labels in its file, not those of its ancestors."""
    state: State = State.UNKNOWN
    is_head: bool = False
    is_current: bool = False
    """Whether the database is at it."""
    applied_at: datetime | None = None
    """When it was last applied or stamped, in UTC, by the journal."""
    applied_by: str = ""
    is_stamped: bool = False

    @property
    def links(self) -> tuple[Link, ...]:
        """The lines to other revisions."""
        return (*(Link(each, False) for each in self.parents), *(Link(each, True) for each in self.dependencies))


@dataclass(frozen=True)
class History:
    """The revisions, newest first: each comes before those that it follows or depends on."""

    revisions: tuple[HistoryRevision, ...]
    older: int = 0
    """The number of revisions that were left out at the end."""
    current: tuple[str, ...] | None = None
    """The revisions of the database; None where none was asked."""
    pending: int = 0
    """The number of pending revisions, older ones included."""
    missing: tuple[str, ...] = ()
    """Those of them that have no file."""
    reason: str = ""
    """Why no database was asked, as a sentence; a label."""

    def count(self, state: State) -> int:
        """Return the number of shown revisions in this state."""
        return sum(each.state is state for each in self.revisions)


def from_script(
    script: ScriptDirectory,
    current: Sequence[str] | None = None,
    rows: Iterable[JournalRow] = (),
    half_applied: Collection[str] = (),
    last: int | None = None,
    reason: str = "",
) -> History:
    """Make the history of a project whose revision files are loaded (`dbkit.project.load`).

    `current` are the revisions of a database; None where none is known, and then nothing is pending or applied. `rows`
    are those of its journal, newest first, and `half_applied` the revisions of interrupted steps. With `last`, only so
    many revisions are in it, the newest ones. `reason` is why there is no database.
    """
    # by file, since Alembic's order of branches can be another one in each process
    files = sorted(script.walk_revisions(), key=lambda each: (Path(each.path).name, each.revision), reverse=True)
    scripts = {each.revision: each for each in files}
    parents = {each: _ids_of(script, found.down_revision) for each, found in scripts.items()}
    dependencies = {each: _ids_of(script, found.dependencies) for each, found in scripts.items()}
    links = {each: tuple(dict.fromkeys((*parents[each], *dependencies[each]))) for each in scripts}
    heads = {head.revision for head in heads_of(script)}
    order = _sort_newest_first(links)
    known = [each for each in current or () if find_revision(script, each)]
    applied = ancestors(known, links)
    recorded = _find_applications(rows)
    shown = order if last is None else order[:last]

    def describe(found: Script) -> HistoryRevision:
        identifier = found.revision
        state = State.UNKNOWN
        if current is not None:
            state = State.APPLIED if identifier in applied else State.PENDING
            state = State.INTERRUPTED if identifier in half_applied else state
        row = recorded.get(identifier) if state is State.APPLIED else None
        return HistoryRevision(
            id=make_label(identifier),
            message=make_label(found.doc or ""),
            parents=tuple(map(make_label, parents[identifier])),
            dependencies=tuple(
                make_label(each) for each in dependencies[identifier] if each not in parents[identifier]
            ),
            labels=tuple(sorted(map(make_label, found._orig_branch_labels))),
            state=state,
            is_head=identifier in heads,
            is_current=identifier in known,
            applied_at=(row.ended_at or row.began_at) if row else None,
            applied_by=_describe_user(row) if row else "",
            is_stamped=bool(row and row.action == journal.STAMP),
        )

    return History(
        revisions=tuple(describe(scripts[each]) for each in shown),
        older=len(order) - len(shown),
        current=None if current is None else tuple(map(make_label, current)),
        pending=0 if current is None else len(set(order) - applied - set(half_applied)),
        missing=tuple(make_label(each) for each in current or () if each not in known),
        reason=make_label(reason),
    )


def _ids_of(script: ScriptDirectory, named: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the ids of revisions that are named by their id or by a branch label."""
    names = to_tuple(named, default=())
    return tuple(dict.fromkeys(each.revision for each in script.get_revisions(names) if each)) if names else ()


def _sort_newest_first(links: Mapping[str, Sequence[str]]) -> list[str]:
    """Sort revisions topologically, as `git log --topo-order` does: those of a branch are beside each other.

    Raises nothing for a cycle, which loading the files has refused.
    """
    waiting = dict.fromkeys(links, 0)
    for linked in links.values():
        for each in linked:
            waiting[each] += 1
    ready = [each for each in reversed(list(links)) if not waiting[each]]
    order = []
    while ready:
        order.append(ready.pop())
        for each in reversed(links[order[-1]]):
            waiting[each] -= 1
            if not waiting[each]:
                ready.append(each)
    return order


def _describe_user(row: JournalRow) -> str:
    return make_label(f"{row.applied_by} from {row.client}" if row.client else row.applied_by)


def _find_applications(rows: Iterable[JournalRow]) -> dict[str, JournalRow]:
    """Return the newest row of each revision that has applied or stamped it."""
    found: dict[str, JournalRow] = {}
    for row in rows:
        if row.action in (journal.UPGRADE, journal.STAMP) and row.ended_at is not None:
            found.setdefault(row.revision, row)
    return found
