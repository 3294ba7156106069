"""What people see of a backfill while it runs."""

import sys
import time
from contextlib import suppress

from dbkit.errors import say
from dbkit.wording import counted

ON_TERMINAL, IN_PIPE = 0.2, 10.0  # seconds between two lines


class ProgressReport:
    """One line on a terminal, replaced; in a pipe, a line each ten seconds."""

    def __init__(self, table: str, estimate: int) -> None:
        """`estimate` is how many rows there are to look at; 0 when nobody knows."""
        self.table = table
        self.estimate = estimate
        self.begun = self.told = time.monotonic()
        self.rows = 0
        self.batches = 0
        self.longest = 0.0
        """Seconds of the longest batch, in which its rows were locked."""
        self.terminal = sys.stderr.isatty()

    def batch(self, rows: int, seconds: float) -> None:
        """A batch was committed."""
        self.rows += rows
        self.batches += 1
        self.longest = max(self.longest, seconds)
        now = time.monotonic()
        if now - self.told < (ON_TERMINAL if self.terminal else IN_PIPE):
            return
        self.told = now
        rate = self.rows / max(now - self.begun, 0.001)
        of = f" of about {self.estimate:,}" if self.estimate else ""
        done = f"{self.rows:,}{of} rows" if of else counted(self.rows, "row")
        line = f"{self.table}: {done}, {rate:,.0f} in a second"
        if self.terminal:
            self._replace_line(f"dbkit: {line}")
        else:
            say(line)

    def tell(self, words: str) -> None:
        """Say something else, in a line that stays."""
        self._replace_line("")
        say(words)

    def end(self) -> None:
        """All is done."""
        seconds = time.monotonic() - self.begun
        self.tell(
            f"{self.table}: {counted(self.rows, 'row')} in {seconds:.1f} s, {counted(self.batches, 'batch', 'batches')}"
            + (f", the longest {self.longest * 1000:.0f} ms" if self.batches > 1 else "")
        )

    def _replace_line(self, line: str) -> None:
        if self.terminal:
            with suppress(OSError):
                print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
