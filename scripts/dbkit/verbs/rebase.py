"""`dbkit rebase-migration`: let a revision that nobody has applied follow the one that another branch has added."""

import re
import subprocess
from collections.abc import Sequence
from importlib.util import cache_from_source
from pathlib import Path

from alembic.script import Script

from dbkit import files, headfile, project, runner
from dbkit.errors import InputError, Refused, Unreachable, say
from dbkit.roundtrip.select import ancestors, parents_of
from dbkit.settings import Settings

NEXT = "Then: git add it and HEAD, go on with git, make migrate, make roundtrip."


def rebase(settings: Settings, ini: Path, *, revision: str | None = None) -> None:
    """Give the first local revision the other head for a parent, and write HEAD.

    Which head is local is told by the conflict in HEAD, or by `revision`. Raises InputError where that cannot be known
    or be done, Refused where the database has applied it.
    """
    loaded = project.load(ini)
    directory = Path(loaded.script.dir)
    heads = [head.revision for head in loaded.heads]
    if loaded.script.sourceless:
        raise InputError(
            "the revisions may be without their text (sourceless in alembic.ini), and it is the text that is changed.",
            "Run it where the files are written.",
        )
    if len(heads) == 1:
        headfile.write(directory)
        print(f"There is one head, {heads[0]}: nothing to rebase. {headfile.path_in(directory)} names it.")
        return
    if len(heads) != 2:
        raise InputError(f"there are {len(heads)} heads: {', '.join(heads)}.", 'Join them: make merge m="merge heads".')
    local = _local(loaded, directory, heads, revision)
    other = next(head for head in heads if head != local)
    first = _first(loaded, local, other)
    _require_not_applied(loaded, settings, first)
    former = str(first.down_revision)
    _set_parent(Path(first.path), former, other)
    headfile.write(directory)
    print(f"{first.revision} follows {other} now, and no longer {former}: {Path(first.path).name}\n{NEXT}")


def _local(loaded: project.Project, directory: Path, heads: Sequence[str], named: str | None) -> str:
    """Which of two heads is ours."""
    if named:
        revision = loaded.revision(named).revision
        if revision not in heads:
            raise InputError(
                f"{revision} is none of the heads: {', '.join(heads)}.", "Name the last of your revisions."
            )
        return revision
    sides = headfile.conflict(directory)
    if sides is None:
        raise InputError(
            f"there are two heads, {' and '.join(heads)}, and no conflict in HEAD that says which is yours.",
            "Name it: make rebase-migration rev=ID. If both were applied somewhere: make merge.",
        )
    # in a rebase, git's HEAD is the branch that ours is put upon
    ours = sides[1] if _is_rebase(directory) else sides[0]
    found = [head for head in heads if head in ours]
    if len(found) != 1:
        raise InputError(f"HEAD says {', '.join(ours)} is yours, and the heads are {', '.join(heads)}.", headfile.MEND)
    return found[0]


def _is_rebase(directory: Path) -> bool:
    for name in ("rebase-merge", "rebase-apply"):
        command = ["git", "rev-parse", "--path-format=absolute", "--git-path", name]
        try:
            result = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
        except OSError:  # there is no git
            return False
        if result.returncode == 0 and Path(result.stdout.rstrip("\n")).exists():
            return True
    return False


def _first(loaded: project.Project, local: str, other: str) -> Script:
    """The revision of the local ones that all others of them follow. Raises InputError where it is not that simple."""
    parents = {each.revision: parents_of(loaded, each) for each in loaded.script.walk_revisions()}
    ours = ancestors([local], parents) - ancestors([other], parents)
    roots = [loaded.revision(each) for each in ours if not ours & set(parents[each])]
    branched = [each for each in ours if len(parents[each]) > 1 or loaded.revision(each).dependencies]
    if len(roots) != 1 or branched or not isinstance(roots[0].down_revision, str):
        names = ", ".join(sorted(ours))
        raise InputError(f"{names} cannot be put upon {other}: there is a merge or a dependency.", "make merge m=…")
    return roots[0]


def _require_not_applied(loaded: project.Project, settings: Settings, first: Script) -> None:
    try:
        applied = loaded.applied(runner.position(loaded, settings))
    except Unreachable as error:
        say(f"the database was not asked whether it has {first.revision}: {error.message}")
        return
    if first.revision in applied:
        raise Refused(
            f"{first.revision} is applied to the database of .env, which would not learn that it has another parent.",
            f"Roll it back first: make rollback to={first.down_revision}. If others have applied it: make merge.",
        )


def _set_parent(path: Path, former: str, parent: str) -> None:
    """Change down_revision and the line `Revises:`, and no other byte. Raises InputError where it is not written so."""
    text = path.read_bytes()
    old, new = re.escape(former.encode()), parent.encode()
    assigned = re.compile(rb"^(down_revision\b[^=\r\n]*=[ \t]*[\"'])" + old + rb"([\"'])", re.MULTILINE)
    changed, count = assigned.subn(lambda match: match[1] + new + match[2], text)
    if count != 1:
        raise InputError(f"{path} has no plain line down_revision = '{former}'.", f"Write {parent} there by hand.")
    changed = re.sub(rb"^(Revises:[ \t]*)" + old, lambda match: match[1] + new, changed, count=1, flags=re.MULTILINE)
    files.write(path, changed)
    # Python knows bytecode by the second and the size of its source, and both may be as before
    Path(cache_from_source(str(path))).unlink(missing_ok=True)
