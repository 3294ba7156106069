"""Prove the parts of a plan at the same time, each in a process."""

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
from dbkit.postgres import scratch_database
from dbkit.postgres.connect import connect
from dbkit.proof_cache import recorder
from dbkit.roundtrip.access import environment_variables
from dbkit.roundtrip.env_runner import EnvRunner
from dbkit.roundtrip.sample_rows import SampleRowOptions
from dbkit.roundtrip.scratch_server import THREAD
from dbkit.roundtrip.selection import Plan
from dbkit.roundtrip.walker import Walker, WalkResult
from dbkit.roundtrip.workspace import Progress, open_workspace

POLL_INTERVAL = 2.0  # seconds between checks of processes that send nothing
REPORT_AFTER = 30.0  # seconds without a message until that is reported
GIVE_UP_AFTER = 180.0  # seconds without a message, a statement or much CPU time
BUSY_SHARE = 0.1  # of the time, that a process must compute to count as busy
LONGEST_END = 5.0  # seconds that a process has to end
NEVER_SHARED = ("anon_inode:[eventpoll]", "anon_inode:[io_uring]")
"""The files of event loops; a fork would take the events of the other process."""


def walk_in_parallel(
    environment: EnvRunner,
    place: scratch_database.ProofServer,
    parts: Sequence[Plan],
    names: scratch_database.DatabaseNames,
    progress: Progress,
    options: SampleRowOptions,
    trace: bool = False,
    own_sockets: frozenset[str] = frozenset(),
    checkpoint_at: int | None = None,
    starts: Sequence[int] = (),
) -> list[WalkResult]:
    """Return the results of the walks over the parts, in their order; none when only one process can do it.

    `own_sockets` are those that this process had before it loaded the project. Raises the DbkitError that ended the
    first process, and CheckFailed when a process has ended or stopped without a result.

    Alembic's `op` is global to a process, so threads cannot do this. The processes are forks, which have what was
    loaded before; where the project's modules have begun what a fork breaks, they load the project themselves. They end
    when this process does, however it ends.
    """
    fork, spawn = multiprocessing.get_context("fork"), multiprocessing.get_context("spawn")
    context = fork if _may_fork(own_sockets) else spawn
    gc.freeze()
    workers: list[_Worker] = []
    try:
        for number, part in enumerate(parts):
            work = _Work.of_part(environment, place, part, names.share(number, len(parts)), options, trace, number)
            work.starts = starts
            if number == len(parts) - 1:
                work.checkpoint_at = checkpoint_at
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_run, args=(work, sender), daemon=True)
            workers.append(_Worker(number + 1, process, receiver, work.environment))
            main = next(iter(work.environment.databases.values()))
            # its modules may read their settings when they are imported
            with environment_variables(work.environment.access.environment(main)):
                process.start()
            sender.close()
        return _collect(workers, place, progress)
    finally:
        _end(workers)
        gc.unfreeze()


def open_sockets() -> frozenset[str]:
    """Return the sockets of this process."""
    return frozenset(name for name in _open_files() if name.startswith("socket:"))


def _may_fork(own_sockets: frozenset[str]) -> bool:
    """Whether this process has nothing that a fork would break or share, as far as the system reports it."""
    threads = Path("/proc/self/task")
    ours = [each for each in threading.enumerate() if each.name.startswith(THREAD)]  # they have nothing left to do
    if not threads.exists() or len(list(threads.iterdir())) > 1 + len(ours):
        return False
    return open_sockets() <= own_sockets and _open_files().isdisjoint(NEVER_SHARED)


def _open_files() -> set[str]:
    """Return what this process has open, as the system names it."""
    found = set()
    for path in Path("/proc/self/fd").glob("*"):
        with suppress(FileNotFoundError):  # the file descriptor of this listing
            found.add(str(path.readlink()))
    return found


@dataclass
class _Worker:
    """A process, as its parent observes it."""

    number: int
    process: ForkProcess | SpawnProcess
    receiver: Connection
    environment: EnvRunner
    at: str = "the first run of its env.py"
    last_message: float = field(default_factory=time.monotonic)
    last_busy: float = field(default_factory=time.monotonic)
    """When it was last seen at work."""
    computed: float = 0.0
    """Its CPU time when it was last seen at work."""
    is_reported: bool = False
    """Whether its silence was reported."""

    @property
    def name(self) -> str:
        """Return its name for people."""
        return f"process {self.number} of the proof"

    def receive(self) -> object:
        """Return the next message. Raises CheckFailed when the process has ended without a result."""
        try:
            return self.receiver.recv()
        except EOFError:
            self.process.join(LONGEST_END)
            code = self.process.exitcode or 0
            how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise CheckFailed(f"{self.name} {how}, at {self.at}.", "Try it in one process: --jobs 1.") from None

    def record_progress(self, at: str) -> None:
        """Record that the process has sent which step it is at."""
        self.at, self.is_reported = at, False
        self.last_message = self.last_busy = time.monotonic()
        self.computed = self._cpu_time()

    def check(self, place: scratch_database.ProofServer) -> None:
        """Report a process that sends nothing. Raises CheckFailed when it does nothing, either."""
        now = time.monotonic()
        if now - self.last_message < REPORT_AFTER:
            return
        runs_statement = self._runs_statement(place)
        computed = self._cpu_time()
        if runs_statement or computed - self.computed > BUSY_SHARE * (now - self.last_busy):
            self.last_busy, self.computed = now, computed
        if not self.is_reported:
            self.is_reported = True
            what = "runs a statement" if runs_statement else "runs no statement"
            say(f"{self.name} has been at {self.at} for {now - self.last_message:.0f} s; it {what}.")
        if now - self.last_busy >= GIVE_UP_AFTER:
            seconds = now - self.last_busy
            raise CheckFailed(
                f"{self.name} has stopped at {self.at}: no statement and no computing for {seconds:.0f} s.",
                "It waits for a lock, a thread or a reply that never comes. Try it in one process: --jobs 1.",
            )

    def _runs_statement(self, place: scratch_database.ProofServer) -> bool:
        """Whether a session in one of its databases is active."""
        query = "SELECT FROM pg_catalog.pg_stat_activity WHERE datname = ANY (%s) AND state = 'active'"
        names = [target.dbname for target in self.environment.databases.values()]
        with connect(place.maintenance, autocommit=True) as connection:
            return bool(connection.execute(query, [names]).rowcount)

    def _cpu_time(self) -> float:
        """Return the seconds that it has computed; 0 where the system does not report them."""
        path = Path(f"/proc/{self.process.pid}/stat")
        if not path.exists():
            return 0.0
        fields = path.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _collect(workers: Sequence[_Worker], place: scratch_database.ProofServer, progress: Progress) -> list[WalkResult]:
    found: dict[int, WalkResult] = {}
    while len(found) < len(workers):
        waiting = {each.receiver: each for each in workers if each.number not in found}
        for receiver in cast("list[Connection]", wait(list(waiting), timeout=POLL_INTERVAL)):
            worker = waiting[receiver]
            message = worker.receive()
            if isinstance(message, WalkResult):
                found[worker.number] = message
            elif isinstance(message, recorder.Report):
                recorder.join(message)
            elif isinstance(message, DbkitError) and worker is not workers[0]:
                return []  # env.py may go to the first process's database: it read its settings when it was imported
            elif isinstance(message, DbkitError):
                raise message
            else:
                worker.record_progress(str(message))
                progress(worker.at)
        for worker in workers:
            if worker.number not in found:
                worker.check(place)
    return [found[worker.number] for worker in workers]


def _end(workers: Sequence[_Worker]) -> None:
    """End the processes, also those that ignore SIGTERM."""
    for worker in workers:
        worker.process.terminate()
    deadline = time.monotonic() + LONGEST_END
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        worker.process.kill()
        worker.process.join()


@dataclass
class _Work:
    """The work of a process. It can be pickled: a process that is no fork loads the project itself."""

    environment: EnvRunner
    place: scratch_database.ProofServer
    revisions: tuple[str, ...]
    """The revisions of its part of the plan, in order."""
    proven: frozenset[str]
    parents: Mapping[str, tuple[str, ...]]
    names: scratch_database.DatabaseNames
    options: SampleRowOptions
    trace: bool
    is_recorded: bool
    """Whether what the project reads is recorded."""
    checkpoint_at: int | None = None
    starts: Sequence[int] = ()

    @classmethod
    def of_part(
        cls,
        environment: EnvRunner,
        place: scratch_database.ProofServer,
        part: Plan,
        names: scratch_database.DatabaseNames,
        options: SampleRowOptions,
        trace: bool,
        number: int,
    ) -> "_Work":
        """Return the work for a part of the plan. The environment's databases are those of the first process."""
        if number:
            databases = {name: place.target(next(names)) for name in environment.databases}
            environment = replace(environment, databases=databases)
        revisions = tuple(script.revision for script in part.scripts)
        recorded = recorder.active() is not None
        return cls(environment, place, revisions, part.proven, dict(part.parents), names, options, trace, recorded)

    def walk(self, progress: Progress) -> WalkResult:
        """Walk over the part."""
        scripts = map(self.environment.project.revision, self.revisions)
        part = Plan(tuple(scripts), self.proven, self.parents)
        work = open_workspace(self.environment, self.place, part, self.names, progress, self.options, self.trace)
        return Walker(work, checkpoint_at=self.checkpoint_at, starts=self.starts).walk()


def _run(work: _Work, sender: Connection) -> None:
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if work.is_recorded and not recorder.active():
        recorder.Recorder().start()  # it is no fork: what it reads when it loads the project, the parent has read, too
    try:
        result = work.walk(sender.send)
        if report := recorder.report():
            sender.send(report)
        sender.send(result)
    except DbkitError as error:
        sender.send(error)


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)
