"""How far standbys are behind, and waiting for them.

The server's own replay_lag stays as it was while a standby replays nothing. So we also note where the log was and when,
and see how long ago it was where the standby is now.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dbkit.backfill.batches import Execute
from dbkit.errors import say

# The position in the log, with each standby: to whom others' rows are not shown, a state is NULL
STANDBYS = """
SELECT (pg_current_wal_lsn() - '0/0')::text, r.pid,
    coalesce(nullif(r.application_name, ''), r.pid::text)::text, r.state,
    (r.replay_lsn - '0/0')::text, extract(epoch FROM r.replay_lag)::float8
FROM (VALUES (true)) AS here LEFT JOIN pg_stat_replication AS r ON true"""
PAUSE = 1.0  # seconds between two looks
REMEMBERED = 3600  # looks


@dataclass(frozen=True)
class Standby:
    """One that is connected. `replayed` is a position in the log; `lag` is in seconds, as the server says."""

    name: str
    replayed: int
    lag: float


@dataclass(frozen=True)
class LagSample:
    """What was seen at one moment."""

    position: int
    standbys: tuple[Standby, ...]
    hidden: int
    """How many there are of which this role is shown nothing."""


class ReplicationLag:
    """Whether standbys are too far behind. A `limit` of 0 seconds is none."""

    def __init__(
        self,
        execute: Execute,
        limit: float,
        tell: Callable[[str], None] = say,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.execute = execute
        self.limit = limit
        self.tell = tell
        self.clock = clock
        self.positions: deque[tuple[float, int]] = deque(maxlen=REMEMBERED)
        self.looked = float("-inf")
        self.told_hidden = False

    def wait(self) -> None:
        """Return when no standby is further behind than the limit. Asks no more than once in a second."""
        if not self.limit or self.clock() - self.looked < PAUSE:
            return
        waiting = False
        while slowest := self.too_far_behind(read_lag(self.execute)):
            if not waiting:
                name, seconds = slowest
                self.tell(f"waiting for the standby {name}, which is {seconds:.0f} s behind (limit {self.limit:g} s)")
            waiting = True
            time.sleep(PAUSE)
        if waiting:
            self.tell("the standby has caught up; going on")

    def too_far_behind(self, seen: LagSample) -> tuple[str, float] | None:
        """The slowest standby and its seconds, where those are too many."""
        now = self.looked = self.clock()
        self.positions.append((now, seen.position))
        if seen.hidden and not self.told_hidden:
            self.told_hidden = True
            self.tell(
                f"warning: how far standbys are behind ({seen.hidden}) is not shown to this role; it needs pg_monitor."
            )
        behind = [(self._seconds(standby, now, seen.position), standby.name) for standby in seen.standbys]
        seconds, name = max(behind, default=(0.0, ""))
        return (name, seconds) if seconds > self.limit else None

    def _seconds(self, standby: Standby, now: float, position: int) -> float:
        if standby.replayed >= position:
            return 0.0
        since = next((then for then, there in self.positions if there > standby.replayed), now)
        return max(now - since, standby.lag)


def read_lag(execute: Execute) -> LagSample:
    """Ask the server."""
    return parse_lag(execute(STANDBYS))


def parse_lag(rows: Sequence[Any]) -> LagSample:
    """What the rows of STANDBYS say. A client that only reads the log, such as a backup, replays nothing."""
    standbys, hidden = [], 0
    for _, pid, name, state, replayed, lag in rows:
        if pid is not None and state is None:
            hidden += 1
        elif replayed is not None:
            standbys.append(Standby(str(name), int(replayed), float(lag or 0)))
    return LagSample(int(rows[0][0]), tuple(standbys), hidden)
