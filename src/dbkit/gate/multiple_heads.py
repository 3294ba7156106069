"""The error for multiple heads, with the files and the command that joins them."""

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


def suggest_join(loaded: Project, applied: Collection[str] | None) -> str:
    """Return the command that joins the heads. `applied` are the revisions of the database; None when not known.

    A revision that is neither applied nor published gets another parent; the others are joined by a merge revision.
    """
    names = [head.revision for fork in branches.find_forks(loaded.script, loaded.heads) for head in fork]
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
    """Whether, of two heads, this one is neither applied nor published, and the other one is."""
    other = next(name for name in heads if name != head)

    def is_bound(revision: str) -> bool:
        return revision in (applied or ()) or bool(_is_published(loaded.revision(revision)))

    return is_bound(other) and not is_bound(head)


def _is_published(script: Script) -> bool:
    """Whether a remote branch in git has the file."""
    path = Path(script.path)
    command = ["git", "log", "--remotes", "--max-count=1", "--format=%H", "--", path.name]
    try:
        result = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git here
        return False
    return result.returncode == 0 and bool(result.stdout.strip())


def require_no_fork(loaded: Project, settings: Settings) -> None:
    """Raise CheckFailed, with the files, when two branches in git each added a migration to the same branch."""
    if branches.find_forks(loaded.script, loaded.heads):
        raise multiple_heads_error(loaded, _read_applied(loaded, settings))


def require_one_head(loaded: Project, settings: Settings) -> None:
    """Raise CheckFailed for a fork as `require_no_fork`, and InputError where there are branches on purpose."""
    require_no_fork(loaded, settings)
    if len(loaded.heads) > 1:
        raise multiple_heads_error(loaded, None)


def multiple_heads_error(loaded: Project, applied: Collection[str] | None) -> CheckFailed | InputError:
    """Return the error for multiple heads, with what to do about them."""
    heads = [head for fork in branches.find_forks(loaded.script, loaded.heads) for head in fork]
    if not heads:
        return InputError(
            f"there are {len(loaded.heads)} heads, of branches on purpose: {branches.describe_heads(loaded.heads)}.",
            "Name one of them with Alembic's own command, such as"
            f" `alembic revision --head {loaded.heads[0].revision}`.",
        )
    names = " and ".join(head.revision for head in heads)
    files = "\n".join(Path(head.path).name for head in heads)
    return CheckFailed(
        f"{len(heads)} heads, {names}: these files were added on separate branches:",
        f"{files}\nNext: `{suggest_join(loaded, applied)}`.",
    )


def _read_applied(loaded: Project, settings: Settings) -> set[str] | None:
    """Return the revisions of the database; None where it does not answer. No cluster is created for it."""
    try:
        target = settings.target
        if target is None and settings.is_foreign:
            return None
        if target is None:
            cluster = development_cluster(settings)
            if not cluster.exists():
                return None
            target = cluster.ensure_running()
        with connect(target, patience=min(settings.wait, diagnosis.PATIENCE)) as connection:
            current = current_revisions(connection)
        return loaded.applied(tuple(each for each in current if project.find_revision(loaded.script, each)))
    except (DbkitError, psycopg.Error):
        return None
