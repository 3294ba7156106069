"""`dbkit wait`: return when the database answers, or when it is at the head."""

import sys
import time
from pathlib import Path

from dbkit import gate, project
from dbkit.errors import CheckFailed
from dbkit.gate import next_step, preconditions
from dbkit.postgres.connect import connect
from dbkit.settings import Settings, Target

PAUSE = 0.5  # seconds between two looks at the version table


def wait(settings: Settings, ini: Path, *, at_head: bool = False) -> None:
    """Log in to the database, retrying for up to MIGRATION_WAIT; with `at_head`, until nothing is pending.

    Silent on success; a terminal gets a dot for each try. Raises Unreachable at once when waiting cannot help, else at
    the end with the last real error; CheckFailed when something is still pending then, OperatorNeeded when something is
    half done, and DatabaseAhead.
    """
    deadline = time.monotonic() + settings.wait
    target = gate.resolve_target(settings)
    dots = _Dots()
    try:
        connect(target, settings.wait, progress=dots.add).close()
        if at_head:
            _until_at_head(settings, ini, target, deadline, dots)
    finally:
        dots.end()


def _until_at_head(settings: Settings, ini: Path, target: Target, deadline: float, dots: "_Dots") -> None:
    loaded = project.load(ini)
    while True:
        with connect(target, max(0.0, deadline - time.monotonic()), progress=dots.add) as connection:
            state = next_step.read_status(connection, loaded, settings, target)
        if state.locked:
            raise state.locked
        project.require_known(loaded.script, state.current)
        pending = loaded.pending(state.current)
        if not pending and not state.half_applied:
            return
        if time.monotonic() + PAUSE > deadline:
            preconditions.require_none_half_applied(state.half_applied)
            step = next_step.suggest_next_step(loaded, state, settings)
            raise CheckFailed(
                f'"{target.dbname}" is not at the head (waited {settings.wait:g} s): {len(pending)} pending, from '
                f"{project.name_of(pending[0])} on{f'; running: {state.running}' if state.running else ''}.",
                "Apply them: `alembic upgrade head`." if step.words == next_step.MIGRATE else f"Next: {step.words}",
            )
        dots.add()
        time.sleep(PAUSE)


class _Dots:
    """Progress, for a terminal only."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, *_arguments: object) -> None:
        """One more try."""
        if sys.stderr.isatty():
            print(".", end="", file=sys.stderr, flush=True)
            self.count += 1

    def end(self) -> None:
        """Go to a new line, when there were any."""
        if self.count:
            print(file=sys.stderr)
