"""The progress of a proof, for a terminal."""

import os
import shutil
import sys
from collections.abc import Callable


def make_progress_line() -> Callable[[str], None]:
    """Return a function that shows its text in one line of the terminal, in place of the last one.

    Where stderr is not a terminal, the function does nothing.
    """
    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return lambda _text: None
    terminal = sys.stderr  # migrations run with another sys.stderr

    def show(text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        print(f"\r{text[:width]:<{width}}\r", end="", file=terminal, flush=True)

    return show
