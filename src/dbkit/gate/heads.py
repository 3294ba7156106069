"""Several heads: the error that names the files, and the command that makes one history of them."""

import subprocess
from collections.abc import Collection
from pathlib import Path

import psycopg
from alembic.script import Script

from dbkit import project
from dbkit.errors import CheckFailed, DbkitError, InputError
from dbkit.gate import diagnosis
from dbkit.postgres.cluster import development_cluster
from dbkit.postgres.connect import connect, current_revisions
from dbkit.project import Project, branches, head_file
from dbkit.settings import Settings

MERGE = 'make merge m="merge heads"'


def join_heads(loaded: Project, applied: Collection[str] | None) -> str:
    """What to do about several heads. `applied` is what the database has; None when that is not known.

    A revision that nobody else has, and no database, gets another parent; what was applied or published is joined.
    """
    names = [head.revision for head in loaded.heads]
    directory = Path(loaded.script.dir)
    if len(names) != 2:
        return MERGE
    try:
        if head_file.read_conflict(directory):
            local, command = branches.find_local_head(loaded, directory, names, None), "make rebase-migration"
        else:
            mine = [head for head in names if _is_ours(loaded, head, names, applied)]
            if len(mine) != 1:
                return MERGE
            local, command = mine[0], f"make rebase-migration rev={mine[0]}"
        first = branches.find_first_local_revision(loaded, local, next(name for name in names if name != local))
    except InputError:
        return MERGE
    return MERGE if first.revision in (applied or ()) or _is_published(first) else command


def _is_ours(loaded: Project, head: str, heads: Collection[str], applied: Collection[str] | None) -> bool:
    """Whether, of two heads, this one is neither applied nor published, and the other is one of both."""
    other = next(name for name in heads if name != head)

    def is_bound(revision: str) -> bool:
        return revision in (applied or ()) or bool(_is_published(loaded.revision(revision)))

    return is_bound(other) and not is_bound(head)


def _is_published(script: Script) -> bool:
    """Whether git knows a branch of another repository that has the file."""
    path = Path(script.path)
    command = ["git", "log", "--remotes", "--max-count=1", "--format=%H", "--", path.name]
    try:
        result = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git here
        return False
    return result.returncode == 0 and bool(result.stdout.strip())


def require_one_head(loaded: Project, settings: Settings) -> None:
    """Raise CheckFailed, naming the files, when two branches each added a migration."""
    if len(loaded.heads) > 1:
        raise several_heads(loaded, _applied(loaded, settings))


def several_heads(loaded: Project, applied: Collection[str] | None) -> CheckFailed:
    """The error for several heads, with what to do about them."""
    names = " and ".join(head.revision for head in loaded.heads)
    files = "\n".join(Path(head.path).name for head in loaded.heads)
    return CheckFailed(
        f"{len(loaded.heads)} heads, {names}: each of these files was added beside the other:",
        f"{files}\nNext: `{join_heads(loaded, applied)}`.",
    )


def _applied(loaded: Project, settings: Settings) -> set[str] | None:
    """The revisions that the database has; None where there is none that answers now. Nothing is made for it."""
    try:
        target = settings.target
        if target is None:
            cluster = development_cluster(settings)
            if not cluster.exists():
                return None
            target = cluster.ensure_running()
        with connect(target, patience=min(settings.wait, diagnosis.PATIENCE)) as connection:
            current = current_revisions(connection)
        return loaded.applied(tuple(each for each in current if project.find(loaded.script, each)))
    except (DbkitError, psycopg.Error):
        return None
