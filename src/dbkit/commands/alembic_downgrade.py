"""The downgrade that `rollback` and `redo` share: previewed, stashed, and run through the gate."""

import re
from dataclasses import replace
from pathlib import Path

from dbkit import gate, project
from dbkit.errors import InputError
from dbkit.gate import alembic_command, protection, requirements
from dbkit.rollback import preview
from dbkit.settings import Settings
from dbkit.wording import counted


def downgrade(settings: Settings, ini: Path, to: str, *, stash: bool | None) -> list[str]:
    """Run `alembic downgrade` and return the names of the stashes with the rows that it lost.

    `stash` overrides the setting STASH. Raises Refused on a protected database, and where rows could not be restored.
    """
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
    requirements.require_unambiguous(before, to)
    _require_enough_applied(loaded, before, to)
    target = gate.resolve_target(settings)
    protection.require_expendable_target(settings, target, "roll back")
    backup_hook = preview.preview_rollback(settings, ini, target, before, to)
    try:
        run_context = alembic_command.run_alembic(loaded, settings, "downgrade", to, announce=True, hook=backup_hook)
    except BaseException:
        if backup_hook:
            backup_hook.remove_unneeded()
        raise
    if not run_context.steps:
        _print_nothing_done(before, alembic_command.read_position(loaded, settings))
        return []
    after = [project.name_of(loaded.revision(revision)) for revision in run_context.after]
    undone = counted(len(run_context.steps), "migration")
    print(f"{undone} undone; now at {' and '.join(after) or 'base'}.")
    return [path.name for path in backup_hook.made.values()] if backup_hook else []


def _print_nothing_done(before: tuple[str, ...], after: tuple[str, ...]) -> None:
    """Explain a downgrade without steps: another process may have held the migration lock in the meantime."""
    others = " Another process has rolled it back meanwhile." if set(after) != set(before) else ""
    print(f"The database is at {', '.join(after) or 'base'}: nothing to roll back.{others}")


def _require_enough_applied(loaded: project.Project, current: tuple[str, ...], to: str) -> None:
    steps = re.fullmatch(r"-(\d+)", to)
    applied = len(list(loaded.script.walk_revisions())) - len(loaded.pending(current))
    if steps and int(steps[1]) > applied:
        message = f"cannot go back {to}: {counted(applied, 'migration')} applied."
        raise InputError(message, "`make rollback to=base` undoes all.")
