"""What `dbkit migrate` does when there may be something to do."""

import time
from pathlib import Path

from dbkit import gate, project
from dbkit.errors import InputError
from dbkit.gate import alembic_command, multiple_heads
from dbkit.postgres.connect import connect, current_revisions
from dbkit.settings import Settings
from dbkit.stash import pending, store


def upgrade(settings: Settings, ini: Path, to: str) -> None:
    """Run `alembic upgrade` through the gate. Raises InputError when `to` is behind the database."""
    alembic_command.require_revision_name(to)
    if to.startswith("-") or to == "base":
        raise InputError(f"{to} is behind the database.", f"To go back: `make rollback to={to}`.")
    loaded = project.load(ini)
    loaded.require_gate()
    if not loaded.heads:
        print('There are no revisions yet. Write the first one with `make revision m="…"`.')
        return
    if to == "head":
        multiple_heads.require_one_head(loaded, settings)
    started = time.monotonic()
    before = alembic_command.read_position(loaded, settings)
    passage = alembic_command.run_alembic(loaded, settings, "upgrade", to, announce=True)
    if passage.steps:
        last = loaded.revision(passage.steps[-1].to_revisions[0])
        seconds = time.monotonic() - started
        print(
            f"{alembic_command.count_migrations(len(passage.steps))} applied in {seconds:.1f} s; "
            f"now at {project.name_of(last)}."
        )
        _say_what_others_did(loaded, before, (last.revision,), len(passage.steps))
        _offer_stashes(loaded, settings)
        return
    # read once more: another process may have had the lock meanwhile
    after = alembic_command.read_position(loaded, settings)
    _require_not_behind(loaded, after, to)
    _say_what_others_did(loaded, before, after, 0)
    print(f"The database is at {', '.join(after)}: nothing to apply.")
    _offer_stashes(loaded, settings)


def _say_what_others_did(
    loaded: project.Project, before: tuple[str, ...], after: tuple[str, ...], applied: int
) -> None:
    """Between `before` and `after`, what this process has not `applied` itself."""
    others = len(loaded.applied(after) - loaded.applied(before)) - applied
    if others > 0:
        print(f"Meanwhile another process applied {alembic_command.count_migrations(others)}.")


def _offer_stashes(loaded: project.Project, settings: Settings) -> None:
    target = gate.resolve_target(settings)
    if not store.directory(settings).is_dir():
        return
    with connect(target, settings.wait) as connection:
        applied = loaded.applied(current_revisions(connection))
        for line in pending.describe_restorable(connection, settings, target, applied):
            print(line)


def _require_not_behind(loaded: project.Project, current: tuple[str, ...], to: str) -> None:
    """Alembic's upgrade to a revision that the database is past does nothing, and says nothing."""
    if to in ("head", "heads"):
        return
    wanted = loaded.revision(to).revision
    if wanted not in current:
        raise InputError(f"the database is already past {wanted}.", f"To go back to it: `make rollback to={wanted}`.")
