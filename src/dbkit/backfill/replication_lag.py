"""Replication lag: how far standbys are behind, and waiting for them.

The server's own replay_lag does not change while a standby replays nothing. So the position of the log is also sampled
with its time, which shows how long ago the log was where the standby is now.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dbkit.backfill.batches import Execute
from dbkit.errors import say
from dbkit.wording import counted

# The position in the log, with each standby; its state is NULL for a role without pg_monitor
STANDBYS = """
SELECT (pg_current_wal_lsn() - '0/0')::text, r.pid,
    coalesce(nullif(r.application_name, ''), r.pid::text)::text, r.state,
    (r.replay_lsn - '0/0')::text, extract(epoch FROM r.replay_lag)::float8
FROM (VALUES (true)) AS here LEFT JOIN pg_stat_replication AS r ON true"""
PAUSE = 1.0  # seconds between two samples
REMEMBERED = 3600  # samples


@dataclass(frozen=True)
class Standby:
    """A connected standby. `replayed` is its position in the log; `lag` is in seconds, as the server reports it."""

    name: str
    replayed: int
    lag: float


@dataclass(frozen=True)
class LagSample:
    """The position of the log and the standbys at one moment."""

    position: int
    standbys: tuple[Standby, ...]
    hidden: int
    """How many standbys this role may not see."""


class ReplicationLag:
    """Waits for standbys that are too far behind. A `limit` of 0 seconds is no limit."""

    def __init__(
        self,
        execute: Execute,
        limit: float,
        report: Callable[[str], None] = say,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.execute = execute
        self.limit = limit
        self.report = report
        self.clock = clock
        self.positions: deque[tuple[float, int]] = deque(maxlen=REMEMBERED)
        self.sampled_at = float("-inf")
        self.has_reported_hidden = False

    def wait(self) -> None:
        """Wait until no standby is further behind than the limit. Samples no more than once in a second."""
        if not self.limit or self.clock() - self.sampled_at < PAUSE:
            return
        waiting = False
        while slowest := self.too_far_behind(read_lag(self.execute)):
            if not waiting:
                name, seconds = slowest
                self.report(f"waiting for the standby {name}, which is {seconds:.0f} s behind (limit {self.limit:g} s)")
            waiting = True
            time.sleep(PAUSE)
        if waiting:
            self.report("the standby has caught up; continuing")

    def too_far_behind(self, sample: LagSample) -> tuple[str, float] | None:
        """Return the slowest standby and its seconds where these are over the limit."""
        now = self.sampled_at = self.clock()
        self.positions.append((now, sample.position))
        if sample.hidden and not self.has_reported_hidden:
            self.has_reported_hidden = True
            hidden = counted(sample.hidden, "standby")
            self.report(f"warning: the lag of {hidden} is not shown to this role; it needs pg_monitor.")
        behind = [(self._seconds(standby, now, sample.position), standby.name) for standby in sample.standbys]
        seconds, name = max(behind, default=(0.0, ""))
        return (name, seconds) if seconds > self.limit else None

    def _seconds(self, standby: Standby, now: float, position: int) -> float:
        if standby.replayed >= position:
            return 0.0
        since = next((then for then, there in self.positions if there > standby.replayed), now)
        return max(now - since, standby.lag)


def read_lag(execute: Execute) -> LagSample:
    """Read a sample from the server."""
    return parse_lag(execute(STANDBYS))


def parse_lag(rows: Sequence[Any]) -> LagSample:
    """Parse the rows of STANDBYS. A client that only reads the log, such as a backup, replays nothing."""
    standbys, hidden = [], 0
    for _, pid, name, state, replayed, lag in rows:
        if pid is not None and state is None:
            hidden += 1
        elif replayed is not None:
            standbys.append(Standby(str(name), int(replayed), float(lag or 0)))
    return LagSample(int(rows[0][0]), tuple(standbys), hidden)
