"""A finding of `dbkit lint`: what a migration would do to a live database."""

from dataclasses import dataclass
from pathlib import Path

from dbkit.backports import StrEnum

LONGEST_SQL = 200


class Level(StrEnum):
    """The severity of a finding."""

    DANGER = "danger"
    """Reads or writes wait for as long as a big table takes, or the migration does not do what it seems to do."""
    WARNING = "warning"
    """The effect depends on what else runs: waits that are short by themselves, old code on a new schema."""
    NOTE = "note"
    """For information; also what would be a danger on a bigger table."""


@dataclass(frozen=True)
class LintFinding:
    """One finding of one revision."""

    id: str
    """Of the rule, such as `index-without-concurrently`; of squawk's own rules, `squawk/ban-drop-column`."""
    level: Level
    revision: str
    """Empty for a finding on the whole project."""
    path: Path
    """The migration file; or env.py, or a stray file."""
    line: int | None
    message: str
    """One sentence with the names: "orders: every row is scanned for a NULL in note while reads and writes wait"."""
    blocks: str = ""
    """What waits: "reads and writes", "writes", or nothing."""
    why: str = ""
    fix: str = ""
    """Alembic code to paste."""
    direction: str = "upgrade"
    tables: tuple[str, ...] = ()
    sql: str = ""
    """The statement, shortened."""
    accepted: str | None = None
    """The reason in the comment that accepts it, or the baseline that covers it."""
    by_baseline: bool = False
    lines: tuple[int, int] | None = None
    """First and last line of the code, if it was found in the source of the file."""
    also: tuple[str, ...] = ()
    """Ids of the same finding of other tools, such as squawk."""
    worked_on: tuple[str, ...] = ()
    """The tables whose size decides how long it takes, if not `tables`."""

    @property
    def failed(self) -> bool:
        """Whether it must be fixed or accepted. Notes need neither."""
        return self.level != Level.NOTE and self.accepted is None
