"""What a round trip found."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dbkit.catalog import Difference

WHEN = {
    "down": "after downgrade, ",
    "reup": "after the second upgrade, ",
    "base": "at base, ",
    "chain": "after the whole chain, ",
}


class Verdict(StrEnum):
    """What is known of one revision."""

    PROVEN = "proven"
    """After down the schema is that of before, and after the second upgrade that of after the first."""
    DIRTY = "dirty"
    """A schema did not come back."""
    BROKEN = "broken"
    """The downgrade or an upgrade failed."""
    IRREVERSIBLE = "irreversible"
    """The downgrade is written so that it raises an error."""
    UNPROVEN = "unproven"
    """A revision that it follows could not be applied."""


@dataclass(frozen=True)
class Finding:
    """What is wrong in one phase: "up", "down" or "reup" of a revision, "base" or the end of the whole "chain".

    Either a difference between two states that should be equal, or the words of an error.
    """

    phase: str
    difference: Difference | None = None
    error: str = ""

    @property
    def words(self) -> str:
        """One line for people; more where a definition has several."""
        if self.difference is None:
            return self.error
        only_after = "still there" if self.phase in ("down", "base") else "new"
        return f"{WHEN[self.phase]}{self.difference.words(only_after=only_after)}"


@dataclass(frozen=True)
class RevisionOutcome:
    """The outcome for one revision. `line` is where its downgrade() begins; `notes` are residue."""

    revision: str
    message: str
    path: Path
    line: int
    verdict: Verdict
    seconds: float
    findings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """The result of one round trip: each revision by itself, and the whole chain down to base and up again."""

    server_version: str
    seconds: float
    revisions: tuple[RevisionOutcome, ...]
    chain: tuple[Finding, ...]
    chain_stopped_at: str | None
    """The revision whose downgrade cannot be run, so that the chain went down to there only; None for base."""

    def count(self, verdict: Verdict) -> int:
        """How many revisions have this verdict."""
        return sum(outcome.verdict == verdict for outcome in self.revisions)

    @property
    def failed(self) -> Sequence[RevisionOutcome]:
        """The revisions that are not proven."""
        return [outcome for outcome in self.revisions if outcome.verdict != Verdict.PROVEN]

    @property
    def passed(self) -> bool:
        """Whether every revision is proven and the chain came back."""
        return not self.failed and not self.chain
