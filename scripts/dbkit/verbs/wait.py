"""`dbkit wait`: return when the database answers, or when it is at the head."""

import sys
import time
from pathlib import Path

from dbkit import gate, history, journal, project
from dbkit.connect import connect, current_revisions
from dbkit.errors import CheckFailed
from dbkit.settings import Settings, Target

PAUSE = 0.5  # seconds between two looks at the version table


def wait(settings: Settings, ini: Path, *, at_head: bool = False) -> None:
    """Log in to the database, retrying for up to MIGRATION_WAIT; with `at_head`, until nothing is pending.

    Silent on success; a terminal gets a dot for each try. Raises Unreachable at once when waiting cannot help, else at
    the end with the last real error; CheckFailed when something is still pending then, OperatorNeeded when something is
    half done, and DatabaseAhead.
    """
    deadline = time.monotonic() + settings.wait
    target = gate.target_of(settings)
    dots = _Dots()
    try:
        connect(target, settings.wait, progress=dots.add).close()
        if at_head:
            _until_at_head(settings, ini, target, deadline, dots)
    finally:
        dots.end()


def _until_at_head(settings: Settings, ini: Path, target: Target, deadline: float, dots: "_Dots") -> None:
    loaded = project.load(ini)
    keeps_journal = journal.wanted(settings.root)
    while True:
        with connect(target, max(0.0, deadline - time.monotonic()), progress=dots.add) as connection:
            current = current_revisions(connection)
            half = journal.half_applied(journal.latest(connection).values()) if keeps_journal else []
        project.require_known(loaded.script, current)
        pending = loaded.pending(current)
        if not pending and not half:
            return
        if half and time.monotonic() + PAUSE > deadline:
            history.require_whole(half)
        if time.monotonic() + PAUSE > deadline:
            raise CheckFailed(
                f'"{target.dbname}" is not at the head (waited {settings.wait:g} s): {len(pending)} pending, from '
                f"{project.name_of(pending[0])} on.",
                "Apply them: `alembic upgrade head`.",
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
