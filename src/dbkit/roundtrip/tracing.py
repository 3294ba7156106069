"""The traces of a proof: for each revision that is proven, its first successful upgrade and downgrade."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import sqlalchemy as sa
from alembic.script import Script

from dbkit.roundtrip.access import Databases
from dbkit.trace.known_relations import KnownRelations
from dbkit.trace.recorder import Recorder
from dbkit.trace.records import Trace


class Traces:
    """Records runs of migrations' functions, and keeps the first trace of each function."""

    def __init__(self, databases: Databases, wanted: Collection[str]) -> None:
        """`wanted`: the ids of the revisions to trace."""
        self.databases = databases
        self.wanted = wanted
        self.left_out: dict[str, str] = {}
        """By revision id, why a revision is run without a trace."""
        self._is_paused = False
        self._run = 0
        """The number of the run of env.py: within one, a revision may run on several databases."""
        self._known: Mapping[str, KnownRelations] = {}
        """By database, the relations after the last recorded upgrade."""
        self._traces: dict[tuple[str, bool], tuple[int, Trace]] = {}
        """By revision and whether it is an upgrade, a trace and the run that it is from."""

    def begin_run(self) -> None:
        """Begin a run of env.py."""
        self._run += 1

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Record nothing meanwhile: what is run is a trial, on other rows."""
        was_paused, self._is_paused = self._is_paused, True
        try:
            yield
        finally:
            self._is_paused = was_paused

    @contextmanager
    def recording(self, script: Script, connection: sa.Connection, *, up: bool, again: bool = False) -> Iterator[None]:
        """Record a run of a revision's function; the trace is discarded when it fails, or was not wanted.

        `again`: it may be the same run of env.py, on another database.
        """
        key = (script.revision, up)
        run, earlier = self._traces.get(key, (self._run, None))
        if self._is_paused or not self.is_recorded(script) or (earlier and not (again and run == self._run)):
            yield
            return
        recorder = Recorder(str(script.path), "upgrade" if up else "downgrade", self.databases, self._known)
        with recorder.recording(connection):
            yield
        if up:
            self._known = recorder.known
        trace = recorder.trace()
        if earlier:
            trace = replace(trace, statements=(*earlier.statements, *trace.statements))
        self._traces[key] = (run, trace)

    def is_recorded(self, script: Script) -> bool:
        """Whether runs of a revision are recorded, as long as none has succeeded."""
        return script.revision in self.wanted and script.revision not in self.left_out

    def has_upgrade(self, script: Script) -> bool:
        """Whether there is a trace of the upgrade of a revision."""
        return (script.revision, True) in self._traces

    def traces_of(self, revision: str) -> tuple[Trace, ...]:
        """Return the traces of a revision: of its upgrade, then of its downgrade."""
        return tuple(self._traces[revision, up][1] for up in (True, False) if (revision, up) in self._traces)
