"""The upgrade that `migrate` and `reset` share: run through the gate, and reported."""

import time
from collections.abc import Sequence
from pathlib import Path

from dbkit import gate, hints, project
from dbkit.errors import InputError
from dbkit.gate import alembic_command, databases, multiple_heads
from dbkit.postgres.connect import connect, current_revisions
from dbkit.settings import Settings
from dbkit.stash import pending, store
from dbkit.wording import counted


def upgrade(settings: Settings, ini: Path, to: str) -> None:
    """Run `alembic upgrade` through the gate. Raises InputError when `to` is behind the database."""
    require_ahead(to)
    loaded = project.load_project(settings)
    loaded.require_gate()
    if not loaded.heads:
        hints.show('There are no revisions yet. Write the first one with `make revision m="…"`.')
        return
    named = databases.list_settings(loaded, settings)
    if to == "head":
        multiple_heads.require_no_fork(loaded, named[0])
        to = "heads" if len(loaded.heads) > 1 else to
    started = time.monotonic()
    before = [alembic_command.read_position(loaded, each) for each in named]
    steps = alembic_command.run_alembic(loaded, settings, "upgrade", to, announce=True).steps
    if len(named) > 1:
        _report_each(loaded, named, before)
        return
    if steps:
        last = loaded.revision(steps[-1].to_revisions[0])
        seconds = time.monotonic() - started
        print(f"{counted(len(steps), 'migration')} applied in {seconds:.1f} s; now at {project.name_of(last)}.")
        _print_steps_of_others(loaded, before[0], (last.revision,), len(steps))
    else:
        # read again: another process may have held the migration lock in the meantime
        after = alembic_command.read_position(loaded, named[0])
        _require_not_behind(loaded, after, to)
        _print_steps_of_others(loaded, before[0], after, 0)
        print(f"The database is at {', '.join(after)}: nothing to apply.")
    _print_restorable_stashes(loaded, named[0])


def require_ahead(to: str) -> None:
    """Raise InputError for what is no name of a revision, and for a step back."""
    alembic_command.require_revision_name(to)
    if to.startswith("-") or to == "base":
        raise InputError(f"{to} is behind the database.", f"To go back: `make rollback to={to}`.")


def _report_each(loaded: project.Project, named: Sequence[Settings], before: Sequence[tuple[str, ...]]) -> None:
    """Print what was applied to each of several databases."""
    for each, was in zip(named, before, strict=True):
        now = alembic_command.read_position(loaded, each)
        applied = len(loaded.applied(now) - loaded.applied(was))
        place = " and ".join(project.name_of(loaded.revision(revision)) for revision in now) or "base"
        print(f"{each.database}: {counted(applied, 'migration')} applied; now at {place}.")
        _print_restorable_stashes(loaded, each)


def _print_steps_of_others(
    loaded: project.Project, before: tuple[str, ...], after: tuple[str, ...], applied: int
) -> None:
    """Print how many revisions another process has applied: those between `before` and `after` but `applied`."""
    others = len(loaded.applied(after) - loaded.applied(before)) - applied
    if others > 0:
        print(f"Meanwhile another process applied {counted(others, 'migration')}.")


def _print_restorable_stashes(loaded: project.Project, settings: Settings) -> None:
    target = gate.resolve_target(settings)
    if not store.directory(settings).is_dir():
        return
    with connect(target, settings.wait) as connection:
        applied = loaded.applied(current_revisions(connection))
        for line in pending.describe_restorable(connection, settings, target, applied):
            hints.show(line)


def _require_not_behind(loaded: project.Project, current: tuple[str, ...], to: str) -> None:
    """Raise InputError where the database is past `to`: there Alembic's upgrade does nothing, without a message."""
    if to in ("head", "heads"):
        return
    wanted = loaded.revision(to).revision
    if wanted not in current:
        raise InputError(f"the database is already past {wanted}.", f"To go back to it: `make rollback to={wanted}`.")
