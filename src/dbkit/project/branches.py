"""Tell forks from branches on purpose; find the local one of two heads, and the first revision of its branch."""

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from alembic.script import Script, ScriptDirectory
from alembic.util import to_tuple

from dbkit.errors import InputError
from dbkit.project import head_file
from dbkit.project.alembic_project import Project
from dbkit.project.revision_order import ancestors, parents_of


def find_forks(directory: ScriptDirectory, heads: Sequence[Script]) -> list[list[Script]]:
    """Return the heads to join, by branch: those that have the same branch labels, and a base in common.

    Heads with different labels, or on different bases, are branches on purpose: `alembic revision --head base`.
    """
    if len(heads) < 2:
        return []
    branches: list[tuple[frozenset[str], set[str], list[Script]]] = []
    for head in heads:
        labels, bases, members = frozenset(head.branch_labels), _find_bases(directory, head), [head]
        same = [each for each in branches if each[0] == labels and each[1] & bases]
        for each in same:
            branches.remove(each)
            bases |= each[1]
            members = [*each[2], *members]
        branches.append((labels, bases, members))
    return [members for _, _, members in branches if len(members) > 1]


def _find_bases(directory: ScriptDirectory, head: Script) -> set[str]:
    """Return the revisions without a parent that a head goes back to; dependencies do not count."""
    found: set[str] = set()
    seen: set[str] = set()
    ahead = [head]
    while ahead:
        script = ahead.pop()
        if script.revision in seen:
            continue
        seen.add(script.revision)
        parents = to_tuple(script.down_revision, ())
        ahead += directory.get_revisions(parents) if parents else ()
        found |= set() if parents else {script.revision}
    return found


def describe_heads(heads: Iterable[Script]) -> str:
    """Return the ids of heads, with the labels of their branches."""
    labels = {head.revision: ", ".join(sorted(head.branch_labels)) for head in heads}
    return " and ".join(f"{head} (branch {label})" if label else head for head, label in labels.items())


def find_local_head(loaded: Project, directory: Path, heads: Sequence[str], named: str | None) -> str:
    """Return the head of the local branch: the `named` one, or by the merge conflict in HEAD. Raises InputError."""
    if named:
        revision = loaded.revision(named).revision
        if revision not in heads:
            raise InputError(
                f"{revision} is none of the heads: {', '.join(heads)}.", "Name the last of your revisions."
            )
        return revision
    sides = head_file.read_conflict(directory)
    if sides is None:
        raise InputError(
            f"there are two heads, {' and '.join(heads)}, and HEAD has no conflict that shows which is yours.",
            "Name it: make rebase-migration rev=ID. If both were applied somewhere: make merge.",
        )
    # in a rebase, git's HEAD is the upstream branch
    ours = sides[1] if _is_rebase(directory) else sides[0]
    found = [head for head in heads if head in ours]
    if len(found) != 1:
        raise InputError(
            f"HEAD names {', '.join(ours)} as yours, but the heads are {', '.join(heads)}.", head_file.HINT
        )
    return found[0]


def _is_rebase(directory: Path) -> bool:
    for name in ("rebase-merge", "rebase-apply"):
        command = ["git", "rev-parse", "--path-format=absolute", "--git-path", name]
        result = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
        if result.returncode == 0 and Path(result.stdout.rstrip("\n")).exists():
            return True
    return False


def find_first_local_revision(loaded: Project, local: str, other: str) -> Script:
    """Return the ancestor of all other local revisions. Raises InputError for merges and dependencies among them."""
    parents = {each.revision: parents_of(loaded, each) for each in loaded.script.walk_revisions()}
    ours = ancestors([local], parents) - ancestors([other], parents)
    roots = [loaded.revision(each) for each in ours if not ours & set(parents[each])]
    branched = [each for each in ours if len(parents[each]) > 1 or loaded.revision(each).dependencies]
    if len(roots) != 1 or branched or not isinstance(roots[0].down_revision, str):
        names = ", ".join(sorted(ours))
        raise InputError(f"{names} cannot be rebased onto {other}: there is a merge or a dependency.", "make merge m=…")
    return roots[0]
