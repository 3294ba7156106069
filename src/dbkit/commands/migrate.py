"""`dbkit migrate`: bring the database to a revision."""

from dataclasses import dataclass
from pathlib import Path

import psycopg

from dbkit import hints, journal
from dbkit.errors import InputError
from dbkit.gate import protection
from dbkit.postgres.cluster import development_cluster
from dbkit.postgres.connect import connect, current_revisions
from dbkit.project import env_file, revision_files
from dbkit.project.config import read_config
from dbkit.redaction.outputs import TEXT
from dbkit.settings import Settings, Target


@dataclass(frozen=True)
class MigrateOptions:
    """Options of `dbkit migrate`."""

    to: str
    plan: bool = False
    """Print what would run, and run nothing."""
    report: str = TEXT


def migrate(settings: Settings, ini: Path, options: MigrateOptions) -> int:
    """Upgrade the database to the revision `to`; with `plan`, return 1 where that does not work in a scratch database.

    Whether the database is at the only head is checked without Alembic, whose import is most of the time that a no-op
    `alembic upgrade head` takes. In every other case Alembic and the gate decide.
    """
    if options.plan:
        from dbkit.commands.migration_plan import print_plan

        return print_plan(settings, ini, options.to, options.report)
    if options.report != TEXT:
        raise InputError(f"--format {options.report} is for --plan.", "Without it, the migrations are run.")
    if options.to == "head" and not settings.is_foreign and _is_at_head(settings, ini):
        return 0
    from dbkit.commands.alembic_upgrade import upgrade

    upgrade(settings, ini, options.to)
    return 0


def _is_at_head(settings: Settings, ini: Path) -> bool:
    directory = revision_files.directory_of(ini)
    if directory is None or not (directory.parent / "env.py").is_file() or not env_file.has_gate(directory.parent):
        return False
    files = revision_files.read_revision_files(directory)
    heads = revision_files.find_heads(files)
    if heads is None or len(heads) != 1:
        return False
    target = settings.target or development_cluster(settings).ensure_running()
    with connect(target, settings.wait) as connection:
        current = current_revisions(connection)
        rows = journal.read_latest(connection) if read_config(ini).journal else {}
        unmarked = protection.needs_mark(connection, settings)
        restorable = _describe_restorable(connection, settings, target, [file.revision for file in files if file])
    applied = [(file.revision, file.path) for file in files if file]
    if (
        unmarked
        or set(current) != heads
        or journal.find_edited_files(rows, applied)
        or journal.find_half_applied(rows.values())
    ):
        return False
    print(f'"{target.dbname}" is at {current[0]}, the head: nothing to apply.')
    for line in restorable:
        hints.show(line)
    return True


def _describe_restorable(
    connection: psycopg.Connection, settings: Settings, target: Target, applied: list[str]
) -> list[str]:
    """Return a line for each stash that can be restored. Without a stash directory, the stash room is not imported."""
    if not (settings.root / ".dbkit" / "stash").is_dir():
        return []
    from dbkit.stash import pending

    return pending.describe_restorable(connection, settings, target, applied)
