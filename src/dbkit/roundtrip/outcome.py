"""What a round trip found."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from dbkit.catalog import Difference
from dbkit.roundtrip.row_snapshot import RowDifference
from dbkit.trace.records import Trace

WHEN = {
    "up": "after upgrade, ",
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
    LOSSY = "lossy"
    """Rows did not come back, or an upgrade has changed those of a table that it does not name."""
    FAILS_ON_ROWS = "fails on rows"
    """A step works while tables are empty, and fails on planted rows, or on the project's own."""
    BROKEN = "broken"
    """The downgrade or an upgrade failed."""
    IRREVERSIBLE = "irreversible"
    """The downgrade is written so that it raises an error."""
    UNPROVEN = "unproven"
    """It could not be checked: what it follows could not be applied, a copy was in the way, or a table has no rows."""


@dataclass(frozen=True)
class Failure:
    """Why a step failed: the error's words, where in the migration file, and the SQL that the server refused."""

    words: str
    line: int | None = None
    sql: str = ""
    raised: bool = False
    """Whether the migration file itself raised it, with a `raise`."""
    elsewhere: bool = False
    """Whether the reason is in another database of the server, such as the copy that a proof has made."""
    may_be_rows: bool = False
    """Whether it may be that it works where tables are empty."""


@dataclass(frozen=True)
class Finding:
    """What is wrong in one phase.

    `phase` is "up", "down" or "reup" of the revision by itself, "base" or "chain" where it showed in the whole chain,
    "rows" where a table could not be filled, and "file" for a comment in the migration file. It is a difference between
    two states that should be equal, in their schema or in their rows, or an error.
    """

    phase: str
    difference: Difference | None = None
    failure: Failure | None = None
    line: int | None = None
    """The line of the migration file to mend."""
    rows: RowDifference | None = None

    @property
    def words(self) -> str:
        """One line for people; more where a definition has several."""
        if self.difference is not None:
            only_after = "still there" if self.phase in ("down", "base") else "new"
            return f"{WHEN.get(self.phase, '')}{self.difference.words(only_after=only_after)}"
        if self.rows is not None:
            return f"{WHEN.get(self.phase, '')}{self.rows.words}"
        return self.failure.words if self.failure else ""


@dataclass(frozen=True)
class RevisionOutcome:
    """The outcome for one revision. `notes` are residue that PostgreSQL cannot take back, and no failure."""

    revision: str
    down_revisions: tuple[str, ...]
    message: str
    path: Path
    verdict: Verdict
    """The gravest of what is known."""
    seconds: float
    transactional: bool = True
    """False where a step left the transaction, or had to be proven in a clone of the database."""
    findings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    accepted: str | None = None
    """The reason that somebody gave for living with the verdict."""
    also: tuple[Verdict, ...] = ()
    """What it is beside the verdict: its schema can be dirty, and its rows lost."""
    traces: tuple[Trace, ...] = ()
    """Of its first upgrade and its first downgrade, where a trace was asked for."""
    untraced: str = ""
    """Why it was run without a trace that was asked for, although it works."""

    @property
    def name(self) -> str:
        """As people know it: id and message."""
        return f'{self.revision} "{self.message}"'

    @property
    def is_traced(self) -> bool:
        """Whether it is known what its upgrade does."""
        return any(trace.direction == "upgrade" for trace in self.traces)

    @property
    def failed(self) -> bool:
        """Whether it is to be mended or accepted."""
        if any(finding.phase == "file" for finding in self.findings):
            return True
        return self.verdict != Verdict.PROVEN and self.accepted is None

    def with_chain(self, finding: Finding) -> "RevisionOutcome":
        """The outcome with what showed only in the whole chain."""
        worse = Verdict.BROKEN if finding.failure else Verdict.DIRTY
        verdict = worse if self.verdict == Verdict.PROVEN else self.verdict
        return replace(self, verdict=verdict, findings=(*self.findings, finding))


@dataclass(frozen=True)
class SampleRowCount:
    """The rows that were in the tables."""

    rows: int = 0
    """How many a table was given at least; 0 when tables were left empty."""
    filled: frozenset[str] = frozenset()
    """The tables that had rows, of all that there were at any revision."""
    unfilled: tuple[tuple[str, str], ...] = ()
    """The tables that never had rows, each with the reason."""

    def with_other(self, other: "SampleRowCount") -> "SampleRowCount":
        """What there was in this walk and in another one."""
        filled = self.filled | other.filled
        unfilled = {name: reason for name, reason in (*self.unfilled, *other.unfilled) if name not in filled}
        return SampleRowCount(max(self.rows, other.rows), filled, tuple(sorted(unfilled.items())))


@dataclass(frozen=True)
class Outcome:
    """The result of one round trip: each revision by itself, and the whole chain down and up again."""

    project: str
    server: str
    seconds: float
    revisions: tuple[RevisionOutcome, ...]
    chain: str
    """How far the whole chain went, in words."""
    planted: SampleRowCount = SampleRowCount()
    chain_length: int = 0
    """How many revisions that were."""

    def count(self, verdict: Verdict) -> int:
        """How many revisions have this verdict."""
        return sum(outcome.verdict == verdict for outcome in self.revisions)

    @property
    def failed(self) -> Sequence[RevisionOutcome]:
        """The revisions with something that nobody has accepted."""
        return [outcome for outcome in self.revisions if outcome.failed]

    @property
    def passed(self) -> bool:
        """Whether there is nothing that nobody has accepted."""
        return not self.failed
