"""Select the revisions to apply, in order, and those of them to prove."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from alembic.script import Script
from alembic.util import CommandError

from dbkit.errors import WRITE_FIRST, InputError
from dbkit.project import Project, require_known
from dbkit.project.git_files import new_files
from dbkit.project.revision_order import ancestors, parents_of, sort_revisions


@dataclass(frozen=True)
class Scope:
    """The selection on the command line: revisions by id, and a git reference."""

    after: str | None = None
    """`--from`: prove what comes after this revision."""
    to: str | None = None
    only: tuple[str, ...] = ()
    since: str | None = None
    applied: tuple[str, ...] | None = None
    """The revisions of a database: prove what an upgrade of it to `to` would apply, which may be nothing."""

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return self.applied is None and not (self.after or self.to or self.only or self.since)


@dataclass(frozen=True)
class Plan:
    """All revisions to apply, parents first, and the ids of those to prove."""

    scripts: tuple[Script, ...]
    proven: frozenset[str]
    parents: Mapping[str, tuple[str, ...]]
    """By id, the ids of the revisions that a revision follows or depends on."""


def select_revisions(project: Project, scope: Scope) -> Plan:
    """Resolve `scope`. Raises InputError for an unknown revision or reference, and when there is nothing to prove.

    It is no error when the commit of `since` has all revisions: most pull requests are without a migration.
    """
    everything = {script.revision: script for script in project.script.walk_revisions()}
    if not everything:
        raise InputError("there are no revisions, so nothing was proven.", WRITE_FIRST)
    parents = {identifier: parents_of(project, script) for identifier, script in everything.items()}
    applied = ancestors(_resolve(project, [scope.to or "heads"]), parents) if scope.applied is None else set()
    proven = set(applied) if scope.applied is None else _find_pending(project, scope.applied, scope.to or "heads")
    if scope.after:
        proven -= ancestors(_resolve(project, [scope.after]), parents)
    if scope.only:
        proven &= _resolve(project, scope.only)
    if not proven and scope.applied is None:
        raise InputError(f"there is nothing to prove{_reason(scope)}.", "Nothing was run.")
    if scope.since:
        new = new_files(_directories(everything.values()), scope.since)
        proven &= {identifier for identifier, script in everything.items() if Path(script.path).resolve() in new}
    # apply also the revisions that they need
    needed = ancestors(proven, parents) if not scope.everything else applied
    order = sort_revisions(needed, parents, list(everything))
    return Plan(tuple(everything[each] for each in order), frozenset(proven), parents)


def _find_pending(project: Project, current: tuple[str, ...], to: str) -> set[str]:
    """Return the revisions that Alembic would apply. Raises DatabaseAhead, and InputError where it cannot plan that."""
    require_known(project.script, current)
    try:
        steps = project.script._upgrade_revs(to, current)  # type: ignore[arg-type]  # the plan of `alembic upgrade`
    except CommandError as error:
        raise InputError(f"{str(error).rstrip('.')}.", "`make history` lists the revisions.") from error
    return {str(step.revision.revision) for step in steps}


def _resolve(project: Project, names: Sequence[str]) -> set[str]:
    found = set()
    for name in names:
        if name == "base":
            continue
        if name in ("head", "heads"):
            found |= set(project.script.get_heads())
        else:
            found.add(project.revision(name).revision)
    return found


def _directories(scripts: Iterable[Script]) -> set[Path]:
    return {Path(script.path).resolve().parent for script in scripts}


def _reason(scope: Scope) -> str:
    parts = [f"after {scope.after}" if scope.after else "", f"up to {scope.to}" if scope.to else ""]
    parts += [f"among {', '.join(scope.only)}" if scope.only else ""]
    text = " ".join(part for part in parts if part)
    return f" {text}" if text else ""
