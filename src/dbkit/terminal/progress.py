"""One line on stderr that shows how far a command has come. What is printed next, or the end, takes it off."""

import re
import sys
import time
from contextlib import suppress
from typing import TextIO

from dbkit.redaction import outputs, redact
from dbkit.redaction.control_characters import show_controls
from dbkit.terminal import person

COUNT = re.compile(r"(\d+)/(\d+) ")
PAUSE = 0.1
"""Seconds between two drawings."""
SURE = 2.0
"""Seconds after which the time left is shown."""
BAR = 20
LEAST_FOR_BAR = 60
"""Columns of a terminal that has room for a bar."""
MOST = 120


class Progress:
    """A line of a terminal that is replaced. Nothing is written where stderr is no terminal.

    The cursor is never hidden, and a narrower window is measured before each drawing.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        # migrations run with another sys.stderr, and its redaction holds lines back
        found = sys.stderr if stream is None else stream
        self.stream: TextIO | None = getattr(found, "stream", found) if person.looks_at(found) else None
        self.begun = time.monotonic()
        self.drawn_at = 0.0
        self.length = 0
        """Columns of the line that is on the screen."""
        if self.stream is not None:
            outputs.before_writing.append(self.erase)

    @property
    def is_shown(self) -> bool:
        """Whether a person looks at stderr."""
        return self.stream is not None

    def __call__(self, text: str) -> None:
        """Show a step, whose text may begin with `3/20 `."""
        found = COUNT.match(text)
        if found:
            self.show(text[found.end() :], int(found[1]) - 1, int(found[2]))
        else:
            self.show(text)

    def show(self, text: str, done: int = 0, total: int = 0) -> None:
        """Show that `done` of `total` steps are over; without a total, only the text."""
        now = time.monotonic()
        if self.stream is None or (total and now - self.drawn_at < PAUSE):
            return
        self.drawn_at = now
        width = min(person.read_width() - 1, MOST)
        shown = " ".join(show_controls(redact.text(text)).split())
        if total:
            counted = f"{min(done + 1, total)}/{total}"
            left = describe_time_left(now - self.begun, done, total)
            bar = f"[{'#' * (BAR * done // total):<{BAR}}] " if width >= LEAST_FOR_BAR else ""
            shown = f"{bar}{counted}{left} {shown}"
        self._write(cut(shown, width))

    def erase(self) -> None:
        """Take the line off the screen."""
        self._write("")

    def _write(self, line: str) -> None:
        if self.stream is None or not (line or self.length):
            return
        # in a window that was made narrower, the line before has taken several rows
        rows = max(0, self.length - 1) // person.read_width()
        clear = f"\x1b[{rows}A\x1b[J" if rows else "\x1b[K"
        self.length = count_columns(line)
        with suppress(OSError):
            self.stream.write(f"\r{clear}{line}")
            self.stream.flush()


def describe_time_left(seconds: float, done: int, total: int) -> str:
    """Return `, about 12 s left`, by the seconds that the steps before have taken; "" where too few are over."""
    if not done or seconds < SURE or done >= total:
        return ""
    left = seconds / done * (total - done)
    return f", about {left:.0f} s left" if left < 100 else f", about {left / 60:.0f} min left"


def count_columns(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # only a person needs it

    return cell_len(text)


def cut(text: str, width: int) -> str:
    """Return the beginning of a text that has room in so many columns."""
    if text.isascii():
        return text[:width]
    from rich.cells import set_cell_size  # only a person needs it

    return text if count_columns(text) <= width else set_cell_size(text, width).rstrip()
