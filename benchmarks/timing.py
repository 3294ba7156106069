"""Wall-clock times of whole processes, taken in turns, and the ratio of two of them."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Times:
    """Wall-clock seconds of the same command, one for each run."""

    label: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Comparison:
    """`a` against `b`, run in turns: their ratio should be at most `aim`, and must be at most `bound`."""

    name: str
    a: Times
    b: Times
    aim: float | None = None
    bound: float | None = None

    @property
    def ratio(self) -> float:
        """The median of `a` by the median of `b`: below 1, `a` is the faster one."""
        return self.a.median / self.b.median

    @property
    def ratios(self) -> tuple[float, ...]:
        """`a` by `b` in each turn."""
        return tuple(a / b for a, b in zip(self.a.seconds, self.b.seconds, strict=True))

    def within(self, limit: float | None) -> bool | None:
        """Whether the ratio is at most `limit`; None when there is no limit."""
        return None if limit is None else self.ratio <= limit


@dataclass(frozen=True)
class Task:
    """Something to time: each call of `run` does it once and returns the seconds that it took."""

    label: str
    run: Callable[[], float]


def in_turns(tasks: Sequence[Task], runs: int) -> list[Times]:
    """Run all `tasks` one after the other, `runs` times over, so that what else the machine does hits them alike."""
    turns = [[task.run() for task in tasks] for _ in range(runs)]
    return [Times(task.label, seconds) for task, seconds in zip(tasks, zip(*turns, strict=True), strict=True)]
