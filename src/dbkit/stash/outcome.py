"""The outcome of a restore: the rows of each table of a stash, counted."""

from dataclasses import dataclass

from dbkit.stash.manifest import SavedTable
from dbkit.wording import counted


@dataclass(frozen=True)
class TableOutcome:
    """The outcome for one table of a stash, in numbers of rows."""

    entry: SavedTable
    matched: int
    """Rows of the stash that were in the table."""
    put_back: int
    there: int
    """Rows that needed no change."""
    newer: int
    """Rows with a value that another session has written since the rollback, which stays."""
    gone: int
    """Rows that another session has deleted since the rollback."""
    blocked: int
    """Rows that could not be put back, since another row has the same value of a unique key."""
    new: int
    """Rows of the table that are not in the stash."""

    @property
    def same(self) -> bool:
        """Whether the columns must now be as before the rollback, value for value."""
        return not (self.newer or self.gone or self.blocked or self.new)

    def __str__(self) -> str:
        what = self.entry.label
        if not self.entry.whole:
            what += f" ({', '.join(self.entry.lost)})"
        parts = [f"{counted(self.matched, 'row')} matched", f"{self.put_back:,} put back"]
        optional = {
            "already there": self.there,
            "with newer values, which stay": self.newer,
            "gone since": self.gone,
            "new since": self.new,
            "in the way of a unique key, and not put back": self.blocked,
        }
        parts += [f"{count:,} {words}" for words, count in optional.items() if count]
        return f"{what}: {', '.join(parts)}{'; the same as before, by fingerprint' if self.same else ''}"
