"""The database that the migrations make, kept between runs: a comparison with the models begins with it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dbkit.errors import DbkitError
from dbkit.postgres.cluster import DATABASE, Cluster
from dbkit.postgres.cluster_archive import save_archive
from dbkit.project import env_file
from dbkit.project.known_revisions import known_revisions
from dbkit.proof_cache.run_entry import RunCache
from dbkit.proof_cache.walk_entry import FoundWalk, WalkEntry, describe_walk, find_walk
from dbkit.roundtrip.scratch_server import ScratchServer, open_server
from dbkit.settings import Settings, Target

if TYPE_CHECKING:
    from dbkit.project import Project

LEAST_SECONDS = 0.4
"""The CPU time of the migrations from which on their database is kept: others are run again as fast as it is found."""


@dataclass(frozen=True)
class HeadState:
    """The migrations of a kept database."""

    revisions: tuple[str, ...]
    """In the order in which they were applied."""


@dataclass(frozen=True)
class _Options:
    """No option of a verb changes the database."""

    since: str | None = None


@dataclass
class KeptHead:
    """The database that an earlier run has kept of a project, and that which this run leaves for a later one."""

    settings: Settings
    ini: Path
    cluster: Cluster
    """The scratch cluster, which may still be starting; it begins with the kept database, if there is one."""
    cache: RunCache
    found: FoundWalk | None
    """The walk that an earlier run has kept."""
    state: HeadState | None
    """The migrations of the kept database."""
    is_used: bool = field(default=False, init=False)
    """Whether the run goes on from the kept database."""
    seconds: float = field(default=0.0, init=False)
    """The CPU time that the migrations took in this thread."""
    entry: WalkEntry | None = field(default=None, init=False)
    copy: str = field(default="", init=False)
    """The name of the database that is to be kept."""

    def begin(self, loaded: "Project") -> bool:
        """Whether the cluster's own database has the first migrations of the chain; if not, it is empty."""
        if not (self.found and self.found.is_restored):
            return False
        kept = self.state.revisions if self.state else ()
        self.is_used = bool(kept) and _list_revisions(loaded)[: len(kept)] == kept
        if not self.is_used:
            self.cluster.drop_database(DATABASE)
            self.cluster.create_database(DATABASE)
        return self.is_used

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Measure the migrations that run in the context."""
        started = time.thread_time()
        yield
        self.seconds = time.thread_time() - started

    def keep(self, loaded: "Project", target: Target) -> None:
        """Copy a database at head for `save`, where its migrations took long, and all that they depend on is known.

        What is read after that is not recorded.
        """
        self.cache.recorder.stop()
        if self.seconds < LEAST_SECONDS or _is_excluded(loaded):
            return
        scripts = {script.revision: script for script in loaded.script.walk_revisions()}
        beside = [
            self.settings.root / ".env",
            *(self.ini.with_name(each) for each in ("alembic.ini", "pyproject.toml")),
        ]
        former = self.found.inputs if self.found and self.is_used else None
        self.cache.find_inputs([*(Path(each.path) for each in scripts.values()), *beside], (), former)
        state = HeadState(_list_revisions(loaded))
        env = env_file.find_env_file(Path(loaded.script.dir))
        known = self.found.revisions if self.found else {}
        self.entry = describe_walk(self.cache, state, state.revisions, len(state.revisions), scripts, env, known=known)
        if self.entry:
            self.copy = self.cluster.create_database("kept", target.dbname).dbname

    def save(self) -> None:
        """Stop the cluster, and write the copy to the directory of what is kept, if there is one."""
        if self.entry:
            self.entry.write(self.cache, lambda path: save_archive(self.cluster, path, self.copy))
            self.cache.digests.save()


@contextmanager
def open_kept(settings: Settings, ini: Path) -> Iterator[tuple[ScratchServer, KeptHead]]:
    """Open a scratch cluster that begins with the kept database. What the project reads is recorded until `keep`.

    Alembic need not be loaded before. Raises InputError where there are no programs of a server.
    """
    cache = RunCache.open(settings, ini, "head", _Options())
    found = find_walk(cache)
    known = found.revisions if found else {}
    with cache.recording(), open_server(settings, None, found.restore if found else _prepare_nothing) as server:
        assert isinstance(server.place, Cluster)  # noqa: S101  # no server was named
        kept = KeptHead(settings, ini, server.place, cache, found, found.read(HeadState) if found else None)
        try:
            with known_revisions(known):
                yield server, kept
        except DbkitError:
            kept.save()
            raise
        kept.save()


def _prepare_nothing(_cluster: object) -> None:
    """Leave it to the cluster to make its data directory."""


def _list_revisions(loaded: "Project") -> tuple[str, ...]:
    """Return all revisions in the order in which Alembic applies them."""
    steps = loaded.script._upgrade_revs("heads", ())  # type: ignore[arg-type]  # the plan of `alembic upgrade`
    return tuple(str(step.revision.revision) for step in steps)


def _is_excluded(loaded: "Project") -> bool:
    """Whether a database is not all that the migrations make, or does not begin empty."""
    from dbkit.project.revision_source import mentions_server_objects
    from dbkit.roundtrip.access import database_names

    is_plain = loaded.initial is None and len(database_names(loaded)) == 1
    return not is_plain or any(map(mentions_server_objects, loaded.script.walk_revisions()))
