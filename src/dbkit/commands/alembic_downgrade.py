"""The downgrade that `rollback` and `redo` share: previewed, stashed, and run through the gate."""

import re
from dataclasses import replace
from pathlib import Path

from dbkit import gate, project
from dbkit.errors import InputError
from dbkit.gate import alembic_command, databases, protection, requirements
from dbkit.rollback import preview
from dbkit.settings import Settings, Target
from dbkit.stash.backup import BackupHook
from dbkit.wording import counted


def downgrade(settings: Settings, ini: Path, to: str, *, stash: bool | None) -> list[tuple[Settings, str]]:
    """Run `alembic downgrade` and return the names of the stashes with the rows that it lost.

    With each name are the settings of its database, as a project may have several.

    `stash` overrides the setting STASH. Raises Refused on a protected database, and where rows could not be restored.
    """
    alembic_command.require_revision_name(to)
    if to.startswith("+") or to in ("head", "heads"):
        raise InputError(f"{to} is ahead of the database.", f"To go forward: `make migrate to={to}`.")
    settings = settings if stash is None else replace(settings, stash=stash)
    loaded = project.load_project(settings)
    loaded.require_gate()
    several = databases.list_settings(loaded, settings)
    prepared = [_prepare(loaded, each, ini, to, is_named=len(several) > 1) for each in several]
    before = alembic_command.read_position(loaded, several[0])
    hooks = {target: hook for target, hook in prepared if hook}
    try:
        run_context = alembic_command.run_alembic(loaded, several[0], "downgrade", to, announce=True, hooks=hooks)
    except BaseException:
        for hook in hooks.values():
            hook.remove_unneeded()
        raise
    if not run_context.steps:
        _print_nothing_done(before, alembic_command.read_position(loaded, several[0]))
        return []
    after = [project.name_of(loaded.revision(revision)) for revision in run_context.after]
    undone = counted(len(run_context.steps), "migration")
    print(f"{undone} undone; now at {' and '.join(after) or 'base'}.")
    return [
        (each, path.name)
        for each, (target, _hook) in zip(several, prepared, strict=True)
        if target in hooks
        for path in hooks[target].made.values()
    ]


def _prepare(
    loaded: project.Project, settings: Settings, ini: Path, to: str, *, is_named: bool
) -> tuple[Target, BackupHook | None]:
    """Check that a database can be rolled back, and preview that. Returns it, and the hook that backs up what is lost.

    `is_named`: print its name, since the project has several.
    """
    before = alembic_command.read_position(loaded, settings)
    if not before:
        raise InputError(
            "nothing is applied, so there is nothing to roll back.", "`make status` shows where the database is."
        )
    requirements.require_unambiguous(before, to)
    _require_enough_applied(loaded, before, to)
    target = gate.resolve_target(settings)
    protection.require_expendable_target(settings, target, "roll back")
    if is_named:
        print(f"{settings.database}:")
    return target, preview.preview_rollback(settings, ini, target, before, to)


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
