"""What is measured. Each benchmark makes its own copies of the project in a directory that it is given."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import (
    backfill,
    chain,
    clones,
    drivers,
    everyday,
    gate,
    incremental,
    lint,
    preflight,
    project_gate,
    restore,
    revision,
    roundtrip,
    sizes,
    stash,
)
from benchmarks.timing import Comparison, Task, Times, in_turns
from benchmarks.workspace import Copy, Failed, copy_of_project, environment

NOOP_AIM, NOOP_BOUND = 0.5, 1.0
FRESH_BOUND = 1.3
SIZES = (10, 100, 1000)  # revisions
MIGRATE = ("make", "migrate")
ALEMBIC = ("venv/bin/alembic", "upgrade", "head")
# the venv and the packages, as venv-setup.sh makes and installs them, and nothing else
BY_HAND_WITH_PIP = (
    "python3 -m venv venv && venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps "
    "--require-hashes -r lock/dev.txt -r lock/embedded.txt"
)
BY_HAND_WITH_UV = (
    "python3 -m venv venv && "
    "uv pip install --quiet --python venv/bin/python --require-hashes -r lock/dev.txt -r lock/embedded.txt"
)


@dataclass(frozen=True)
class Benchmark:
    """`measure` is given an empty directory and the number of runs; `runs` is the usual number."""

    measure: Callable[[Path, int], list[Comparison]]
    runs: int


def noop(directory: Path, runs: int) -> list[Comparison]:
    """Nothing to apply: seconds of `make migrate` against bare `alembic upgrade head`.

    On the project's own revisions; where it has none yet, on ten generated ones.
    """
    with copy_of_project(directory / "noop") as copy:
        if not any(copy.versions.glob("*.py")):
            chain.write(copy.versions, SIZES[0])
        _bring_to_head(copy)
        migrate, alembic = in_turns(_noop_tasks(copy), runs)
        revisions = len(list(copy.versions.glob("*.py")))
    return [Comparison(f"noop, {revisions} revisions", migrate, alembic, NOOP_AIM, NOOP_BOUND)]


def growth(directory: Path, runs: int) -> list[Comparison]:
    """Nothing to apply, on generated chains of 10, 100 and 1,000 revisions: seconds of the same two commands.

    Against each other at each size, and each against itself at 10. All sizes take turns.
    """
    with ExitStack() as stack:
        copies = [stack.enter_context(_chained_copy(directory, size)) for size in SIZES]
        times = in_turns([task for copy in copies for task in _noop_tasks(copy)], runs)
    migrate, alembic = times[0::2], times[1::2]
    pairs = zip(SIZES, migrate, alembic, strict=True)
    return [
        *(Comparison(f"growth, {size} revisions", a, b, NOOP_AIM, NOOP_BOUND) for size, a, b in pairs),
        *_against_first(migrate),
        *_against_first(alembic),
    ]


def fresh(directory: Path, runs: int) -> list[Comparison]:
    """A fresh clone: seconds of `make migrate` against making the same virtual environment by hand.

    Each run has a new directory and an empty HOME, so no package cache.
    """
    tool, by_hand = "pip", BY_HAND_WITH_PIP
    if shutil.which("uv", path=environment(directory)["PATH"]):
        tool, by_hand = "uv", BY_HAND_WITH_UV
    tasks = [
        Task("make migrate", partial(_fresh_seconds, directory / "migrate", MIGRATE)),
        Task(f"venv and {tool} install", partial(_fresh_seconds, directory / "by-hand", ("sh", "-c", by_hand))),
    ]
    migrate, install = in_turns(tasks, runs)
    return [Comparison("fresh clone", migrate, install, FRESH_BOUND, FRESH_BOUND)]


BENCHMARKS = {
    "rows": Benchmark(roundtrip.rows, 5),
    "incremental": Benchmark(incremental.incremental, 3),
    "lint": Benchmark(lint.lint, 5),
    "clones": Benchmark(clones.clones, 5),
    "roundtrip": Benchmark(roundtrip.roundtrip, 5),
    "drivers": Benchmark(drivers.drivers, 3),
    "trace": Benchmark(roundtrip.trace, 5),
    "gate": Benchmark(gate.gate, 7),
    "project-gate": Benchmark(project_gate.project_gate, 5),
    "stall": Benchmark(gate.stall, 3),
    "backfill": Benchmark(backfill.backfill, 3),
    "stash": Benchmark(stash.stash, 7),
    "restore": Benchmark(restore.restore, 3),
    "sizes": Benchmark(sizes.sizes, 3),
    "preflight": Benchmark(preflight.preflight, 5),
    "peers": Benchmark(roundtrip.peers, 3),
    "revision": Benchmark(revision.revision, 5),
    "noop": Benchmark(noop, 21),
    "fresh": Benchmark(fresh, 3),
    "growth": Benchmark(growth, 15),
    "everyday": Benchmark(everyday.everyday, 7),
}


@contextmanager
def _chained_copy(directory: Path, size: int) -> Iterator[Copy]:
    """A copy whose revisions are a generated chain, all of it applied. The copies share their package cache."""
    with copy_of_project(directory / f"chain-{size}", directory / "home") as copy:
        shutil.rmtree(copy.versions, ignore_errors=True)
        chain.write(copy.versions, size)
        _bring_to_head(copy)
        yield copy


def _bring_to_head(copy: Copy) -> None:
    """Set the copy up, apply everything, and run both commands once more: Python then has its bytecode."""
    copy.run(*MIGRATE)
    copy.run(*ALEMBIC)
    if "nothing to apply" not in copy.run(*MIGRATE):
        raise Failed("`make migrate` still has something to apply after `make migrate`")


def _noop_tasks(copy: Copy) -> list[Task]:
    return [
        Task("make migrate", partial(copy.seconds, *MIGRATE)),
        Task("alembic upgrade head", partial(copy.seconds, *ALEMBIC)),
    ]


def _fresh_seconds(place: Path, command: Sequence[str]) -> float:
    with copy_of_project(place) as copy:
        return copy.seconds(*command)


def _against_first(times: Sequence[Times]) -> list[Comparison]:
    """The same command at each further size against the first size."""
    return [
        Comparison(f"growth, {times[0].label}, {size} by {SIZES[0]}", of_size, times[0])
        for size, of_size in zip(SIZES[1:], times[1:], strict=True)
    ]
