"""What `dbkit migrate` does when there may be something to do."""

import time
from pathlib import Path

from dbkit import gate, project, runner
from dbkit.connect import connect, current_revisions
from dbkit.errors import InputError
from dbkit.settings import Settings
from dbkit.stash import offers, store


def upgrade(settings: Settings, ini: Path, to: str) -> None:
    """Run `alembic upgrade` through the gate. Raises InputError when `to` is behind the database."""
    runner.check_target(to)
    if to.startswith("-") or to == "base":
        raise InputError(f"{to} is behind the database.", f"To go back: `make rollback to={to}`.")
    loaded = project.load(ini)
    if not loaded.heads:
        print('There are no revisions yet. Write the first one with `make revision m="…"`.')
        return
    if to == "head":
        loaded.require_one_head()
    started = time.monotonic()
    before = runner.position(loaded, settings)
    passage = runner.run(loaded, settings, "upgrade", to, announce=True)
    if passage.steps:
        last = loaded.revision(passage.steps[-1].to_revisions[0])
        seconds = time.monotonic() - started
        print(f"{runner.count(len(passage.steps))} applied in {seconds:.1f} s; now at {project.name_of(last)}.")
        _offer_stashes(loaded, settings)
        return
    _require_not_behind(loaded, before, to)
    print(f"The database is at {', '.join(before)}: nothing to apply.")
    _offer_stashes(loaded, settings)


def _offer_stashes(loaded: project.Project, settings: Settings) -> None:
    target = gate.target_of(settings)
    if not store.directory(settings).is_dir():
        return
    with connect(target, settings.wait) as connection:
        applied = loaded.applied(current_revisions(connection))
        for line in offers.lines(connection, settings, target, applied):
            print(line)


def _require_not_behind(loaded: project.Project, current: tuple[str, ...], to: str) -> None:
    """Alembic's upgrade to a revision that the database is past does nothing, and says nothing."""
    if to in ("head", "heads"):
        return
    wanted = loaded.revision(to).revision
    if wanted not in current:
        raise InputError(f"the database is already past {wanted}.", f"To go back to it: `make rollback to={wanted}`.")
