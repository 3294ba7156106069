"""Walk over parts of a route side by side, each in a process of its own."""

import gc
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess, SpawnProcess
from pathlib import Path
from typing import cast

from dbkit.errors import CheckFailed, DbkitError, say
from dbkit.postgres import scratch_cluster
from dbkit.postgres.connect import connect
from dbkit.roundtrip.env_runner import EnvRunner, environment_variables
from dbkit.roundtrip.sample_rows import SampleRowOptions
from dbkit.roundtrip.scratch_server import THREAD
from dbkit.roundtrip.selection import Plan
from dbkit.roundtrip.walker import Progress, Walker, WalkResult

LOOK = 2.0  # seconds between looks at processes that say nothing
LONG_SILENCE = 30.0  # seconds until people are told
LONGEST_SILENCE = 180.0  # seconds without a word, a statement or much CPU time until one is given up
BUSY = 0.1  # how much of the time a process must compute so that it is not
LONGEST_END = 5.0  # seconds that a process has to end
NEVER_SHARED = ("anon_inode:[eventpoll]", "anon_inode:[io_uring]")
"""What event loops have open; a fork would take the other's events."""


def walk_in_parallel(
    environment: EnvRunner,
    place: scratch_cluster.Place,
    parts: Sequence[Plan],
    names: scratch_cluster.Names,
    progress: Progress,
    planting: SampleRowOptions,
    trace: bool = False,
    own_sockets: frozenset[str] = frozenset(),
) -> list[WalkResult]:
    """What the walks over the parts found, in their order; empty when only one process can do it.

    `own_sockets` are those that this process had before it loaded the project. Raises the DbkitError that ended the
    first of them, and CheckFailed when one of them has ended or stopped without an answer.

    Alembic's `op` is global to a process, so threads cannot do this. The processes are forks, and what was loaded
    before is theirs, too; where the project's modules have begun what a fork breaks, they load the project themselves.
    They end when this process does, however it does.
    """
    fork, spawn = multiprocessing.get_context("fork"), multiprocessing.get_context("spawn")
    context = fork if _may_fork(own_sockets) else spawn
    gc.freeze()
    workers: list[_Worker] = []
    try:
        for number, part in enumerate(parts):
            work = _Work.of(environment, place, part, names.share(number, len(parts)), planting, trace, number)
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_run, args=(work, sender), daemon=True)
            workers.append(_Worker(number + 1, process, receiver, work.environment))
            # its modules may read their settings when they are imported
            with environment_variables(
                work.environment.access.environment(next(iter(work.environment.databases.values())))
            ):
                process.start()
            sender.close()
        return _collect(workers, place, progress)
    finally:
        _end(workers)
        gc.unfreeze()


def open_sockets() -> frozenset[str]:
    """The sockets of this process."""
    return frozenset(name for name in _opened() if name.startswith("socket:"))


def _may_fork(own_sockets: frozenset[str]) -> bool:
    """Whether this process has nothing that a fork would break or share, as far as the system says."""
    threads = Path("/proc/self/task")
    ours = [each for each in threading.enumerate() if each.name.startswith(THREAD)]  # they have nothing left to do
    if not threads.exists() or len(list(threads.iterdir())) > 1 + len(ours):
        return False
    return open_sockets() <= own_sockets and _opened().isdisjoint(NEVER_SHARED)


def _opened() -> set[str]:
    """What this process has open, as the system names it."""
    found = set()
    for path in Path("/proc/self/fd").glob("*"):
        with suppress(FileNotFoundError):  # that of this listing
            found.add(str(path.readlink()))
    return found


@dataclass
class _Worker:
    """A process as its parent sees it."""

    number: int
    process: ForkProcess | SpawnProcess
    receiver: Connection
    environment: EnvRunner
    at: str = "the first run of its env.py"
    heard: float = field(default_factory=time.monotonic)
    """When it last said something."""
    busy: float = field(default_factory=time.monotonic)
    """When it was last seen at work."""
    computed: float = 0.0
    """Its CPU time when it was last seen at work."""
    told: bool = False

    @property
    def name(self) -> str:
        """For people."""
        return f"process {self.number} of the proof"

    def receive(self) -> object:
        """What it says. Raises CheckFailed when it has ended without an answer."""
        try:
            return self.receiver.recv()
        except EOFError:
            self.process.join(LONGEST_END)
            code = self.process.exitcode or 0
            how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise CheckFailed(
                f"{self.name} {how}, at {self.at}.", "See whether one process can do it: --jobs 1."
            ) from None

    def hear(self, at: str) -> None:
        """It has said what it does now."""
        self.at, self.told = at, False
        self.heard = self.busy = time.monotonic()
        self.computed = self._cpu_time()

    def look(self, place: scratch_cluster.Place) -> None:
        """Tell people that it says nothing. Raises CheckFailed when it does nothing, either."""
        now = time.monotonic()
        if now - self.heard < LONG_SILENCE:
            return
        runs = self._runs_statement(place)
        computed = self._cpu_time()
        if runs or computed - self.computed > BUSY * (now - self.busy):
            self.busy, self.computed = now, computed
        if not self.told:
            self.told = True
            what = "runs a statement" if runs else "runs no statement"
            say(f"{self.name} has been at {self.at} for {now - self.heard:.0f} s; it {what}.")
        if now - self.busy >= LONGEST_SILENCE:
            raise CheckFailed(
                f"{self.name} has stopped at {self.at}: no statement and no computing for {now - self.busy:.0f} s.",
                "It waits for something that does not come. See whether it does so in one process, too: --jobs 1.",
            )

    def _runs_statement(self, place: scratch_cluster.Place) -> bool:
        """Whether a session in one of its databases does anything."""
        query = "SELECT FROM pg_catalog.pg_stat_activity WHERE datname = ANY (%s) AND state = 'active'"
        names = [target.dbname for target in self.environment.databases.values()]
        with connect(place.maintenance, autocommit=True) as connection:
            return bool(connection.execute(query, [names]).rowcount)

    def _cpu_time(self) -> float:
        """The seconds that it has computed; 0 where the system does not say."""
        path = Path(f"/proc/{self.process.pid}/stat")
        if not path.exists():
            return 0.0
        fields = path.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _collect(workers: Sequence[_Worker], place: scratch_cluster.Place, progress: Progress) -> list[WalkResult]:
    found: dict[int, WalkResult] = {}
    while len(found) < len(workers):
        waiting = {each.receiver: each for each in workers if each.number not in found}
        for receiver in cast("list[Connection]", wait(list(waiting), timeout=LOOK)):
            worker = waiting[receiver]
            message = worker.receive()
            if isinstance(message, WalkResult):
                found[worker.number] = message
            elif isinstance(message, DbkitError) and worker is not workers[0]:
                return []  # it goes to the first one's database, say: what it read when it was imported has stayed
            elif isinstance(message, DbkitError):
                raise message
            else:
                worker.hear(str(message))
                progress(worker.at)
        for worker in workers:
            if worker.number not in found:
                worker.look(place)
    return [found[worker.number] for worker in workers]


def _end(workers: Sequence[_Worker]) -> None:
    """End the processes, also those that will not."""
    for worker in workers:
        worker.process.terminate()
    deadline = time.monotonic() + LONGEST_END
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        worker.process.kill()
        worker.process.join()


@dataclass
class _Work:
    """What a process walks over. It can be pickled: what a process that is no fork loads itself is not in it."""

    environment: EnvRunner
    place: scratch_cluster.Place
    revisions: tuple[str, ...]
    """Those of its part of the route, in order."""
    proven: frozenset[str]
    parents: Mapping[str, tuple[str, ...]]
    names: scratch_cluster.Names
    planting: SampleRowOptions
    trace: bool

    @classmethod
    def of(
        cls,
        environment: EnvRunner,
        place: scratch_cluster.Place,
        part: Plan,
        names: scratch_cluster.Names,
        planting: SampleRowOptions,
        trace: bool,
        number: int,
    ) -> "_Work":
        """For a part of the route. The environment's databases are the first process's."""
        if number:
            databases = {name: place.target(next(names)) for name in environment.databases}
            environment = replace(environment, databases=databases)
        revisions = tuple(script.revision for script in part.scripts)
        return cls(environment, place, revisions, part.proven, dict(part.parents), names, planting, trace)

    def walk(self, progress: Progress) -> WalkResult:
        """Do it."""
        scripts = map(self.environment.project.revision, self.revisions)
        part = Plan(tuple(scripts), self.proven, self.parents)
        walker = Walker(self.environment, self.place, part, self.names, progress, self.planting, self.trace)
        return walker.walk()


def _run(work: _Work, sender: Connection) -> None:
    threading.Thread(target=_die_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        sender.send(work.walk(sender.send))
    except DbkitError as error:
        sender.send(error)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)
