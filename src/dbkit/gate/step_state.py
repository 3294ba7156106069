"""The state of one migration step: its effects on its transaction and its session so far."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dbkit.errors import CheckFailed
from dbkit.journal import DOWNGRADE, JournalEntry, VersionChange

# In a transaction these fail, or what they have made cannot be used yet
OUTSIDE = re.compile(
    r"(?:(?:create (?:unique )?|drop )index concurrently|reindex\b.*\bconcurrently|vacuum|alter system"
    r"|alter table\b.*\bdetach partition\b.*\bconcurrently|alter type\b.*\badd value|(?:create|drop) database)\b",
    re.DOTALL,
)


@dataclass
class StepState:
    """One try of a migration step: made when the step begins, and changed by the monitor only."""

    entry: JournalEntry
    row_id: int = 0
    """Its row in the journal; 0 until one is written, which is at its end, or before it leaves its transaction."""
    version_change: VersionChange | None = None
    """The last change of the version table, which is executed together with the journal row."""
    transaction: str = ""
    """The mark of the transaction that it began in, where the monitor has to compare that."""
    left_transaction: bool = False
    """Whether it has left the transaction that it began in."""
    rolled_back: bool = False
    """Whether it has rolled back by hand what it had done."""
    half_applied: bool = False
    """Whether something that it did stays when it fails, and cannot simply be done again."""
    has_executed: bool = False
    """Whether it has executed anything since its last commit."""
    has_savepoint: bool = False
    """Whether it has set a savepoint."""
    refusal: CheckFailed | None = None
    """Why a statement of its transaction was refused: what comes after that cannot succeed, whatever it catches."""
    has_changed_session: bool = False
    """Whether it may have changed the settings of the session."""
    is_done: bool = False
    """Whether the hook was called after it."""
    is_recorded: bool = False
    """Whether the version table has its revision, so that only its commit is left."""

    @cached_property
    def is_rerunnable(self) -> bool:
        """Whether its file declares that it may be run again after an interruption: `# dbkit: rerunnable, why`."""
        # not loaded where no step runs
        from dbkit.findings.comments import is_declared_rerunnable

        path = self.entry.path
        return path is not None and is_declared_rerunnable(Path(path).read_bytes())


def half_applied_hint(entry: JournalEntry) -> str:
    """Return what to do about a step of which a part was committed."""
    before, after = ("after", "before") if entry.action == DOWNGRADE else ("before", "after")
    return (
        f"Look at what it has done. Either undo that by hand, so that the database is as {before}\n"
        f"{entry.revision}, and record it: python -m dbkit resolve {entry.revision}\nand run the same command again. "
        f"Or finish it by hand, so that the database is as {after} it,\nand record where it is: alembic stamp REV"
    )
