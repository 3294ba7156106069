"""The traces of a walk: of each revision that is proven, the first upgrade and downgrade that went through."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import sqlalchemy as sa
from alembic.script import Script

from dbkit.roundtrip.env_runner import Databases
from dbkit.trace.recorder import Recorder
from dbkit.trace.records import Trace
from dbkit.trace.session import KnownRelations


class Traces:
    """What was recorded."""

    def __init__(self, databases: Databases, is_wanted: Callable[[Script], bool]) -> None:
        self.databases = databases
        self.is_wanted = is_wanted
        self.turn = 0
        """Raised with each run of env.py: within one, a revision may run on several databases."""
        self.known: Mapping[str, KnownRelations] = {}
        """What the last recorded upgrade has left in each database."""
        self.kept: dict[tuple[str, bool], tuple[int, Trace]] = {}
        self.left_out: dict[str, str] = {}
        """By revision, why it is not recorded."""

    @contextmanager
    def recording(self, script: Script, connection: sa.Connection, *, up: bool, again: bool = False) -> Iterator[None]:
        """Record one run of a function of a revision; what fails, or is not wanted, is not kept.

        `again`: it may be the same turn, on another database.
        """
        key = (script.revision, up)
        turn, earlier = self.kept.get(key, (self.turn, None))
        if not self.is_recorded(script) or (earlier and not (again and turn == self.turn)):
            yield
            return
        recorder = Recorder(str(script.path), "upgrade" if up else "downgrade", self.databases, self.known)
        with recorder.recording(connection):
            yield
        if up:
            self.known = recorder.known
        trace = recorder.trace()
        if earlier:
            trace = replace(trace, statements=(*earlier.statements, *trace.statements))
        self.kept[key] = (turn, trace)

    def is_recorded(self, script: Script) -> bool:
        """Whether runs of a revision are recorded, as long as none has gone through."""
        return self.is_wanted(script) and script.revision not in self.left_out

    def of(self, revision: str) -> tuple[Trace, ...]:
        """Those of a revision."""
        return tuple(self.kept[revision, up][1] for up in (True, False) if (revision, up) in self.kept)
