"""`dbkit wait`: return when the database answers, or when it is at the head."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from dbkit import gate, project
from dbkit.errors import CheckFailed
from dbkit.gate import next_step, requirements
from dbkit.postgres.connect import connect
from dbkit.settings import Settings, Target

PAUSE = 0.5  # seconds between two reads of the version table


@dataclass(frozen=True)
class WaitOptions:
    """Options of `dbkit wait`."""

    at_head: bool
    """Whether to wait until no migration is pending."""


def wait(settings: Settings, ini: Path, options: WaitOptions) -> None:
    """Log in to the database, with retries for up to MIGRATION_WAIT.

    It prints nothing but a dot for each attempt on a terminal. Raises Unreachable with the last error, at once where
    waiting cannot help; CheckFailed when a migration is still pending at the end, OperatorNeeded when one is half
    applied, and DatabaseAhead.
    """
    deadline = time.monotonic() + settings.wait
    target = gate.resolve_target(settings)
    dots = _ProgressDots()
    try:
        connect(target, settings.wait, progress=dots.add).close()
        if options.at_head:
            _wait_until_at_head(settings, ini, target, deadline, dots)
    finally:
        dots.end()


def _wait_until_at_head(settings: Settings, ini: Path, target: Target, deadline: float, dots: "_ProgressDots") -> None:
    loaded = project.load_project(settings)
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
            requirements.require_none_half_applied(state.half_applied)
            step = next_step.suggest_next_step(loaded, state, settings)
            raise CheckFailed(
                f'"{target.dbname}" is not at the head (waited {settings.wait:g} s): {len(pending)} pending, from '
                f"{project.name_of(pending[0])} on{f'; running: {state.running}' if state.running else ''}.",
                "Apply them: `alembic upgrade head`." if step.words == next_step.MIGRATE else f"Next: {step.words}",
            )
        dots.add()
        time.sleep(PAUSE)


class _ProgressDots:
    """Dots on stderr, where that is a terminal."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, *_arguments: object) -> None:
        """Print a dot for one more attempt."""
        if sys.stderr.isatty():
            print(".", end="", file=sys.stderr, flush=True)
            self.count += 1

    def end(self) -> None:
        """End the line of dots."""
        if self.count:
            print(file=sys.stderr)
