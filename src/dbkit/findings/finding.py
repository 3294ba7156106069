"""A finding of the advice: what a migration would do to a live database."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

LONGEST_SQL = 200


class Level(StrEnum):
    """How grave it is."""

    DANGER = "danger"
    """Reads or writes wait for as long as a big table takes; or a migration does not do what it says."""
    WARNING = "warning"
    """It depends on what else runs: waits that are short by themselves, old code that meets a new schema."""
    NOTE = "note"
    """To know; nothing fails because of it. What would be graver on a bigger table, too."""


@dataclass(frozen=True)
class LintFinding:
    """One finding of one revision."""

    id: str
    """Stable: `index-without-concurrently`; squawk's own are `squawk/ban-drop-column`."""
    level: Level
    revision: str
    """Empty for what is about the whole project."""
    path: Path
    """The migration file; env.py, or a stray file, where it is about those."""
    line: int | None
    message: str
    """One sentence, with the names and what was measured: "orders: 5 rows scanned while reads and writes wait"."""
    blocks: str = ""
    """What waits meanwhile: "reads and writes", "writes", or nothing."""
    why: str = ""
    fix: str = ""
    """Alembic code to paste."""
    direction: str = "upgrade"
    tables: tuple[str, ...] = ()
    sql: str = ""
    """The statement, shortened."""
    accepted: str | None = None
    """The reason that somebody gave for living with it, or the baseline that covers it."""
    by_baseline: bool = False
    lines: tuple[int, int] | None = None
    """The first and the last line of what it is about, where it was found in the text of the file."""
    also: tuple[str, ...] = ()
    """Ids of the same finding elsewhere, such as squawk's."""

    @property
    def failed(self) -> bool:
        """Whether it is to be mended or accepted. Notes are neither."""
        return self.level != Level.NOTE and self.accepted is None
