"""`dbkit roundtrip`: prove the chain of migrations on a throw-away database."""

from pathlib import Path

from dbkit.roundtrip.text import render
from dbkit.roundtrip.walk import walk
from dbkit.settings import Settings


def roundtrip(settings: Settings, ini: Path) -> int:
    """Print the outcome; exit code 1 when a state did not come back."""
    outcome = walk(settings, ini)
    print(render(outcome))
    return 1 if outcome.findings else 0
