"""The verdicts of the round trip."""

from dbkit.backports import StrEnum


class Verdict(StrEnum):
    """The result of the proof for one revision."""

    PROVEN = "proven"
    """After downgrade the schema equals that before upgrade, and after the second upgrade that after the first."""
    PROVEN_IF = "proven, if"
    """As proven, if the rows that exist satisfy the preconditions that it has."""
    DIRTY = "dirty"
    """The schema differs."""
    LOSSY = "lossy"
    """Rows differ, or an upgrade changed rows of a table that it does not name."""
    FAILS_ON_ROWS = "fails on rows"
    """A step works while tables are empty, and fails on the sample rows or on the project's own rows."""
    BROKEN = "broken"
    """The downgrade or an upgrade failed."""
    IRREVERSIBLE = "irreversible"
    """The downgrade raises an error on purpose, or the file has none."""
    UNPROVEN = "unproven"
    """The proof was not possible: a parent revision failed, a clone was in the way, or a table has no rows."""
