"""`dbkit migrate`: bring the database to a revision."""

from pathlib import Path

import psycopg

from dbkit import journal
from dbkit.gate import protection
from dbkit.postgres.cluster import development_cluster
from dbkit.postgres.connect import connect, current_revisions
from dbkit.project import env_file, revision_files
from dbkit.project.config import read_config
from dbkit.settings import Settings, Target


def migrate(settings: Settings, ini: Path, to: str = "head") -> None:
    """Upgrade to `to`, and say what was done.

    A database that is already at the only head is found to be so without loading Alembic, which is most of the time
    that a bare `alembic upgrade head` takes; whenever anything is not plainly right, Alembic and the gate decide.
    """
    if to == "head" and _is_at_head(settings, ini):
        return
    from dbkit.commands import upgrade

    upgrade.upgrade(settings, ini, to)


def _is_at_head(settings: Settings, ini: Path) -> bool:
    directory = revision_files.directory_of(ini)
    if directory is None or not (directory.parent / "env.py").is_file() or not env_file.has_gate(directory.parent):
        return False
    files = revision_files.read_all(directory)
    heads = revision_files.heads(files)
    if heads is None or len(heads) != 1:
        return False
    target = settings.target or development_cluster(settings).ensure_running()
    with connect(target, settings.wait) as connection:
        current = current_revisions(connection)
        rows = journal.latest(connection) if read_config(ini).journal else {}
        unmarked = protection.is_to_be_protected(connection, settings)
        waiting = _offers(connection, settings, target, [file.revision for file in files if file])
    applied = [(file.revision, file.path) for file in files if file]
    if unmarked or set(current) != heads or journal.edited(rows, applied) or journal.half_applied(rows.values()):
        return False
    print(f'"{target.dbname}" is at {current[0]}, the head: nothing to apply.')
    for line in waiting:
        print(line)
    return True


def _offers(connection: psycopg.Connection, settings: Settings, target: Target, applied: list[str]) -> list[str]:
    """What to say of stashes that wait; without any, nothing is loaded for it."""
    if not (settings.root / ".dbkit" / "stash").is_dir():
        return []
    from dbkit.stash import pending

    return pending.lines(connection, settings, target, applied)
