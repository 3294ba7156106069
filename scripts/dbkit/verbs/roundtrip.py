"""`dbkit roundtrip`: prove on a throw-away database that each migration can be undone and redone."""

import shutil
import sys
from pathlib import Path

from dbkit.roundtrip.text import render
from dbkit.roundtrip.walk import walk
from dbkit.settings import Settings


def roundtrip(settings: Settings, ini: Path) -> int:
    """Print the outcome; exit code 1 when a revision is not proven or the chain did not come back."""
    outcome = walk(settings, ini, _show if sys.stderr.isatty() else lambda _text: None)
    if sys.stderr.isatty():
        _show("")
    print(render(outcome))
    return 0 if outcome.passed else 1


def _show(text: str) -> None:
    """Replace the line that the terminal's cursor is in."""
    width = shutil.get_terminal_size().columns - 1
    print(f"\r{text[:width]:<{width}}\r", end="", file=sys.stderr, flush=True)
