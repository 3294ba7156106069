"""Report the progress of a backfill while it runs."""

import time

from dbkit.errors import say
from dbkit.terminal.progress import Progress, describe_time_left
from dbkit.wording import counted

ON_TERMINAL, IN_PIPE = 0.2, 10.0  # seconds between two lines


class ProgressReport:
    """One line that is replaced on a terminal; in a pipe, a line every ten seconds."""

    def __init__(self, table: str, estimate: int) -> None:
        """`estimate` is how many rows the table has; 0 when not known."""
        self.table = table
        self.estimate = estimate
        self.begun = self.reported = time.monotonic()
        self.rows = 0
        self.batches = 0
        self.longest = 0.0
        """Seconds of the longest batch, in which its rows were locked."""
        self.progress = Progress()

    def add_batch(self, rows: int, seconds: float) -> None:
        """Count a batch that was committed, and report it now and then."""
        self.rows += rows
        self.batches += 1
        self.longest = max(self.longest, seconds)
        now = time.monotonic()
        if now - self.reported < (ON_TERMINAL if self.progress.is_shown else IN_PIPE):
            return
        self.reported = now
        rate = self.rows / max(now - self.begun, 0.001)
        of = f" of about {self.estimate:,}" if self.estimate else ""
        done = f"{self.rows:,}{of} rows" if of else counted(self.rows, "row")
        line = f"{self.table}: {done}, {rate:,.0f} in a second"
        if self.progress.is_shown:
            self.progress.show(f"dbkit: {line}{describe_time_left(now - self.begun, self.rows, self.estimate)}")
        else:
            say(line)

    def print_line(self, text: str) -> None:
        """Print a line that is not replaced."""
        self.progress.erase()
        say(text)

    def finish(self) -> None:
        """Report the end."""
        seconds = time.monotonic() - self.begun
        self.print_line(
            f"{self.table}: {counted(self.rows, 'row')} in {seconds:.1f} s, {counted(self.batches, 'batch', 'batches')}"
            + (f", the longest {self.longest * 1000:.0f} ms" if self.batches > 1 else "")
        )
