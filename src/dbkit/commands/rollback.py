"""`dbkit rollback`: undo the last migration, or go back to a revision; `redo`: down and up again."""

import re
from dataclasses import replace
from pathlib import Path

from dbkit import gate, project
from dbkit.commands.restore import restore
from dbkit.errors import InputError
from dbkit.gate import alembic_command, preconditions, protection
from dbkit.rollback import preview
from dbkit.settings import Settings


def rollback(settings: Settings, ini: Path, to: str = "-1", stash: bool | None = None) -> None:
    """Run `alembic downgrade` through the gate, saying what it loses and what was undone.

    What it loses is kept in a stash, unless `stash` or the settings say no. Raises Refused on a protected database,
    and where something could not be put back.
    """
    if _roll_back(settings, ini, to, stash):
        print("What was lost is kept: after `make migrate`, `make restore` puts it back.")


def _roll_back(settings: Settings, ini: Path, to: str, stash: bool | None) -> list[str]:
    """Returns the names of the stashes that were made."""
    alembic_command.require_revision_name(to)
    if to.startswith("+") or to in ("head", "heads"):
        raise InputError(f"{to} is ahead of the database.", f"To go forward: `make migrate to={to}`.")
    settings = settings if stash is None else replace(settings, stash=stash)
    loaded = project.load(ini)
    loaded.require_gate()
    before = alembic_command.read_position(loaded, settings)
    if not before:
        raise InputError(
            "nothing is applied, so there is nothing to roll back.", "`make status` shows where the database is."
        )
    preconditions.require_unambiguous(before, to)
    _require_enough(loaded, before, to)
    target = gate.resolve_target(settings)
    protection.require_expendable_target(settings, target, "roll back")
    keeper = preview.preview_rollback(settings, ini, target, before, to)
    try:
        passage = alembic_command.run_alembic(loaded, settings, "downgrade", to, announce=True, hook=keeper)
    except BaseException:
        if keeper:
            keeper.remove_unneeded()
        raise
    if not passage.steps:
        # read once more: another process may have had the lock meanwhile
        here = alembic_command.read_position(loaded, settings)
        others = " Another process has rolled it back meanwhile." if set(here) != set(before) else ""
        print(f"The database is at {', '.join(here) or 'base'}: nothing to roll back.{others}")
        return []
    after = [project.name_of(loaded.revision(revision)) for revision in passage.after]
    print(f"{alembic_command.count_migrations(len(passage.steps))} undone; now at {' and '.join(after) or 'base'}.")
    return [path.name for path in keeper.made.values()] if keeper else []


def _require_enough(loaded: project.Project, current: tuple[str, ...], to: str) -> None:
    steps = re.fullmatch(r"-(\d+)", to)
    applied = len(list(loaded.script.walk_revisions())) - len(loaded.pending(current))
    if steps and int(steps[1]) > applied:
        message = f"cannot go back {to}: {alembic_command.count_migrations(applied)} applied."
        raise InputError(message, "`make rollback to=base` undoes all.")


def redo(settings: Settings, ini: Path, stash: bool | None = None) -> int:
    """Undo the last migration, apply it again and put back what that lost: the quick check while one is written.

    Returns 1 where not all could be put back.
    """
    loaded = project.load(ini)
    loaded.require_gate()
    before = alembic_command.read_position(loaded, settings)
    made = _roll_back(settings, ini, "-1", stash)
    alembic_command.run_alembic(
        project.load(ini), settings, "upgrade", before[0] if len(before) == 1 else "heads", announce=True
    )
    codes = [restore(settings, ini, name) for name in made]
    names = " and ".join(project.name_of(loaded.revision(revision)) for revision in before)
    print(f"Undone and applied again; now at {names}.")
    return max(codes, default=0)
