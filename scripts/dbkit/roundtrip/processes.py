"""Walk over parts of a route side by side, each in a process of its own."""

import gc
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import cast

from dbkit import scratch
from dbkit.errors import DbkitError
from dbkit.roundtrip.environment import Environment, WrongDatabase
from dbkit.roundtrip.planting import Planting
from dbkit.roundtrip.select import Route
from dbkit.roundtrip.walk import Progress, Walked, Walker


def walk(
    environment: Environment,
    place: scratch.Place,
    parts: Sequence[Route],
    names: Iterator[str],
    progress: Progress,
    planting: Planting,
    trace: bool = False,
) -> list[Walked]:
    """What the walks over the parts found, in their order; empty when a project cannot have several databases at once.

    Raises the DbkitError that ended one of them.

    Alembic's `op` is global to a process, so threads cannot do this. The processes are forks: what was loaded before
    is theirs, too. They end when this process does, however it does.
    """
    gc.freeze()
    context = multiprocessing.get_context("fork")
    own_names = itertools.tee(names, len(parts))
    lifeline = os.pipe()
    receivers: list[Connection] = []
    workers = []
    try:
        for number, part in enumerate(parts):
            receiver, sender = context.Pipe(duplex=False)
            receivers.append(receiver)
            work = _Work(
                environment,
                place,
                part,
                itertools.islice(own_names[number], number, None, len(parts)),
                sender,
                planting,
                trace,
            )
            workers.append(context.Process(target=_run, args=(work, number, receivers, lifeline), daemon=True))
            workers[-1].start()
            sender.close()
        return _collect(receivers, progress)
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()
        for descriptor in lifeline:
            os.close(descriptor)
        gc.unfreeze()


def _collect(receivers: Sequence[Connection], progress: Progress) -> list[Walked]:
    found: dict[int, Walked] = {}
    while len(found) < len(receivers):
        waiting = [each for number, each in enumerate(receivers) if number not in found]
        for receiver in cast("list[Connection]", wait(waiting)):
            try:
                message = receiver.recv()
            except EOFError:
                raise RuntimeError("a process that walks over a part of the chain has died") from None
            if isinstance(message, Walked):
                found[receivers.index(receiver)] = message
            elif isinstance(message, WrongDatabase) and receiver is not receivers[0]:
                return []  # it goes where the first one goes: what it read when it was imported has stayed
            elif isinstance(message, Exception):
                raise message
            else:
                progress(message)
    return [found[number] for number in range(len(receivers))]


@dataclass
class _Work:
    """What a process walks over, and where it says what it found."""

    environment: Environment
    place: scratch.Place
    part: Route
    names: Iterator[str]
    sender: Connection
    planting: Planting
    trace: bool

    def take_other_databases(self) -> None:
        """The environment's are the first process's."""
        environment = self.environment
        databases = {name: self.place.target(next(self.names)) for name in environment.databases}
        self.environment = replace(environment, databases=databases)
        os.environ.update(environment.access.environment(next(iter(databases.values()))))


def _run(work: _Work, number: int, receivers: Sequence[Connection], lifeline: tuple[int, int]) -> None:
    for receiver in receivers:
        receiver.close()
    os.close(lifeline[1])
    threading.Thread(target=_die_with_parent, args=(lifeline[0],), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if number:
        work.take_other_databases()
    try:
        send = work.sender.send
        walker = Walker(work.environment, work.place, work.part, work.names, send, work.planting, work.trace)
        work.sender.send(walker.walk())
    except DbkitError as error:
        work.sender.send(error)


def _die_with_parent(lifeline: int) -> None:
    """Nothing is ever written there: reading ends when the parent has."""
    os.read(lifeline, 1)
    os._exit(1)
