"""`dbkit sizes`: a read-only query for whoever may look at the live database."""

from pathlib import Path

from dbkit.settings import Settings
from dbkit.sizes.answer import QUERY


def sizes(_settings: Settings, _ini: Path) -> None:
    """Print it."""
    print(QUERY, end="")
