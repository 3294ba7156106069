"""`dbkit rollback`: undo the last migration, or go back to a revision; `redo`: down and up again."""

from pathlib import Path

from dbkit import gate, project, runner
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
    gate.refuse_unless_expendable(settings, gate.target_of(settings), "roll back")
    passage = runner.run(loaded, settings, "downgrade", to, announce=True)
    for step in passage.steps:
        print(f"undone: {project.name_of(loaded.revision(step.from_revisions[0]))}")
    if not passage.steps:
        print(f"The database is at {', '.join(before)}: nothing to roll back.")


def redo(settings: Settings, ini: Path) -> None:
    """Undo the last migration and apply it again: the quick check while one is being written."""
    loaded = project.load(ini)
    before = runner.position(loaded, settings)
    rollback(settings, ini, "-1")
    runner.run(project.load(ini), settings, "upgrade", before[0] if len(before) == 1 else "heads", announce=True)
    print(f"applied again: {', '.join(project.name_of(loaded.revision(revision)) for revision in before)}")
