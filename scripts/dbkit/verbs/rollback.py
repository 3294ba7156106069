"""`dbkit rollback`: undo the last migration, or go back to a revision; `redo`: down and up again."""

import re
from pathlib import Path

from dbkit import history, project, runner
from dbkit.errors import InputError
from dbkit.settings import Settings


def rollback(settings: Settings, ini: Path, to: str = "-1") -> None:
    """Run `alembic downgrade` through the gate, saying what was undone. Raises Refused on a protected database."""
    runner.check_target(to)
    if to.startswith("+") or to in ("head", "heads"):
        raise InputError(f"{to} is ahead of the database.", f"To go forward: `make migrate to={to}`.")
    loaded = project.load(ini)
    before = runner.position(loaded, settings)
    if not before:
        raise InputError(
            "nothing is applied, so there is nothing to roll back.", "`make status` shows where the database is."
        )
    history.require_unambiguous(before, to)
    _require_enough(loaded, before, to)
    passage = runner.run(loaded, settings, "downgrade", to, announce=True)
    if not passage.steps:
        print(f"The database is at {', '.join(before)}: nothing to roll back.")
        return
    after = [project.name_of(loaded.revision(revision)) for revision in runner.position(loaded, settings)]
    print(f"{runner.count(len(passage.steps))} undone; now at {' and '.join(after) or 'base'}.")


def _require_enough(loaded: project.Project, current: tuple[str, ...], to: str) -> None:
    steps = re.fullmatch(r"-(\d+)", to)
    applied = len(list(loaded.script.walk_revisions())) - len(loaded.pending(current))
    if steps and int(steps[1]) > applied:
        message = f"cannot go back {to}: {runner.count(applied)} applied."
        raise InputError(message, "`make rollback to=base` undoes all.")


def redo(settings: Settings, ini: Path) -> None:
    """Undo the last migration and apply it again: the quick check while one is being written."""
    loaded = project.load(ini)
    before = runner.position(loaded, settings)
    rollback(settings, ini, "-1")
    runner.run(project.load(ini), settings, "upgrade", before[0] if len(before) == 1 else "heads", announce=True)
    names = " and ".join(project.name_of(loaded.revision(revision)) for revision in before)
    print(f"Undone and applied again; now at {names}.")
