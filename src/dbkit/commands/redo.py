"""`dbkit redo`: undo the last migration, apply it again and put back the stashed rows."""

from dataclasses import dataclass
from pathlib import Path

from dbkit import project
from dbkit.commands.alembic_downgrade import downgrade
from dbkit.commands.restore import RestoreOptions, restore
from dbkit.gate import alembic_command, databases
from dbkit.settings import Settings


@dataclass(frozen=True)
class RedoOptions:
    """Options of `dbkit redo`."""

    stash: bool | None
    """Whether the rows that the rollback loses are saved; None: the setting STASH."""


def redo(settings: Settings, ini: Path, options: RedoOptions) -> int:
    """Roll the last migration back and apply it again: the quick check while a migration is written.

    Returns 1 where some of the stashed rows could not be put back.
    """
    loaded = project.load_project(settings)
    loaded.require_gate()
    named = databases.list_settings(loaded, settings)
    first = named[0]
    # the upgrade goes to one revision, and must not apply what a database did not have
    before = databases.read_one_position(loaded, named, "Bring them to one first: `make migrate`.")
    stashes = downgrade(settings, ini, "-1", stash=options.stash)
    to = before[0] if len(before) == 1 else "heads"
    alembic_command.run_alembic(project.load_project(first), first, "upgrade", to, announce=True)
    codes = [restore(each, ini, RestoreOptions(name, overwrite=False)) for each, name in stashes]
    names = " and ".join(project.name_of(loaded.revision(revision)) for revision in before)
    print(f"Undone and applied again; now at {names}.")
    return max(codes, default=0)
