"""The outcome of a round trip: verdicts, findings and failures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dbkit.catalog import Difference, Fact
from dbkit.coverage.facts import StatementCoverage
from dbkit.findings.verdict import Verdict
from dbkit.preconditions.precondition import Precondition
from dbkit.roundtrip.row_snapshot import RowDifference
from dbkit.trace.records import Trace

WHEN = {
    "up": "after upgrade, ",
    "down": "after downgrade, ",
    "reup": "after the second upgrade, ",
    "base": "at base, ",
    "chain": "after the whole chain, ",
}

RAISE_EXCEPTION = "P0001"
"""The SQLSTATE of RAISE EXCEPTION in PL/pgSQL, where it names none."""
PASSED = (Verdict.PROVEN, Verdict.PROVEN_IF)
"""The verdicts of which nothing has to be fixed or accepted."""


@dataclass(frozen=True)
class Failure:
    """Why a step failed: the error's message, the line of the revision file, and the SQL that the server refused."""

    words: str
    line: int | None = None
    sql: str = ""
    raised: bool = False
    """Whether it is intended: a `raise` statement of the revision file raised it, or the file has no downgrade()."""
    elsewhere: bool = False
    """Whether the cause is in another database of the server, such as the clone of a proof."""
    sqlstate: str = ""
    """The code of the server's error; "" for any other error."""
    is_assertion: bool = False
    """Whether the step has worked, and an assertion of the project does not hold after it."""

    @property
    def refuses(self) -> bool:
        """Whether the step refuses such rows on purpose: then it loses none."""
        return self.raised or self.sqlstate == RAISE_EXCEPTION

    @property
    def is_about_rows(self) -> bool:
        """Whether the server has refused values of rows: a data exception, or a violated constraint."""
        return self.sqlstate[:2] in ("22", "23")


@dataclass(frozen=True)
class Finding:
    """A fault in one phase of a proof.

    `phase` is "up", "down" or "reup" of the revision by itself, "base" or "chain" where it showed in the whole chain,
    "rows" where a table could not be filled, and "file" for a comment in the revision file. A finding is a difference
    between two states that should be equal, in their schema or in their rows, or an error.
    """

    phase: str
    difference: Difference | None = None
    failure: Failure | None = None
    line: int | None = None
    """The line of the revision file to fix."""
    rows: RowDifference | None = None
    is_extreme: bool = False
    """Whether only extreme values cause it."""
    is_note: bool = False
    """Whether it is no fault, as roundtrip/notes.py explains."""

    @property
    def is_assertion(self) -> bool:
        """Whether an assertion of the project does not hold."""
        return self.failure is not None and self.failure.is_assertion

    @property
    def words(self) -> str:
        """Return a line for people; several lines where a definition has several."""
        if self.difference is not None:
            only_after = "still there" if self.phase in ("down", "base") else "new"
            return f"{WHEN.get(self.phase, '')}{self.difference.describe(only_after=only_after)}"
        if self.rows is not None:
            return f"{WHEN.get(self.phase, '')}{self.rows.words}"
        return self.failure.words if self.failure else ""


@dataclass(frozen=True)
class RevisionOutcome:
    """The outcome for one revision. `notes` are residue that PostgreSQL cannot undo, which is no failure."""

    revision: str
    down_revisions: tuple[str, ...]
    message: str
    path: Path
    verdict: Verdict
    """The gravest one."""
    seconds: float
    transactional: bool = True
    """False where the revision was proven in a clone of the database."""
    findings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()
    """Failures that only extreme values cause, which are no verdict unless that is asked for."""
    coverage: tuple[StatementCoverage, ...] = ()
    """Which of its data statements met rows; empty where it was not proven with rows that meet them."""
    preconditions: tuple[Precondition, ...] = ()
    """What the rows that exist must satisfy."""
    accepted: str | None = None
    """The reason why the verdict is accepted."""
    also: tuple[Verdict, ...] = ()
    """Further verdicts: the schema can be dirty, and rows lost."""
    traces: tuple[Trace, ...] = ()
    """The traces of its first upgrade and its first downgrade, with --trace."""
    untraced: str = ""
    """Why there is no trace of it, although it works and --trace was given."""
    ordinary: "RevisionOutcome | None" = None
    """Its outcome before assertions and further rows were tried; None where they were not."""

    @property
    def name(self) -> str:
        """Return id and message, for people."""
        return f'{self.revision} "{self.message}"'

    @property
    def is_traced(self) -> bool:
        """Whether there is a trace of its upgrade."""
        return any(trace.direction == "upgrade" for trace in self.traces)

    @property
    def failed(self) -> bool:
        """Whether it has to be fixed or accepted."""
        if any(finding.phase == "file" for finding in self.findings):
            return True
        return self.verdict not in PASSED and self.accepted is None

    def as_strict(self) -> "RevisionOutcome":
        """Return the outcome with its warnings as findings."""
        if not self.warnings:
            return self
        verdict, *also = dict.fromkeys((Verdict.FAILS_ON_ROWS, self.verdict, *self.also))
        if self.verdict == Verdict.BROKEN:
            verdict, also = Verdict.BROKEN, [Verdict.FAILS_ON_ROWS, *self.also]
        found = tuple(each for each in also if each not in (*PASSED, Verdict.UNPROVEN))
        return replace(self, verdict=verdict, also=found, findings=(*self.warnings, *self.findings), warnings=())

    def with_chain(self, finding: Finding) -> "RevisionOutcome":
        """Return the outcome with a finding that showed only in the whole chain."""
        worse = Verdict.BROKEN if finding.failure else Verdict.DIRTY
        verdict = worse if self.verdict in PASSED else self.verdict
        ordinary = self.ordinary and self.ordinary.with_chain(finding)
        return replace(self, verdict=verdict, findings=(*self.findings, finding), ordinary=ordinary)


@dataclass(frozen=True)
class SampleRowCount:
    """Which tables had sample rows."""

    rows: int = 0
    """The least number of rows that each table got; 0 when tables were left empty."""
    filled: frozenset[str] = frozenset()
    """The tables that had rows at any revision."""
    unfilled: tuple[tuple[str, str], ...] = ()
    """The tables that never had rows, each with the reason."""

    def with_other(self, other: "SampleRowCount") -> "SampleRowCount":
        """Return the tables of this walk and of another one."""
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
    """The part of the chain that went down and up again, in words."""
    sample_rows: SampleRowCount = SampleRowCount()
    chain_length: int = 0
    """The number of revisions in the chain."""
    shares_transaction: bool = False
    """Whether env.py runs all revisions of a command in one transaction; the proof gives each its own."""
    kept: int = 0
    """The number of verdicts that an earlier run has found, and that nothing has changed since."""
    not_kept: str = ""
    """Why this run cannot be kept for the next one; "" where it can."""
    schema: tuple[tuple[Fact, str], ...] = ()
    """The catalog after the last revision, where it was asked for."""

    def count(self, verdict: Verdict) -> int:
        """Return how many revisions have this verdict."""
        return sum(outcome.verdict == verdict for outcome in self.revisions)

    def with_ordinary_rows(self) -> "Outcome":
        """Return the outcome before assertions and further rows were tried."""
        return replace(self, revisions=tuple(each.ordinary or each for each in self.revisions))

    def without_ordinary(self) -> "Outcome":
        """Return the outcome without what only lint needs."""
        return replace(self, revisions=tuple(replace(each, ordinary=None) for each in self.revisions))

    def marked(self, seconds: float | None, problem: str) -> "Outcome":
        """Return the outcome with how it was found: in so many seconds, where it was kept; or why it is not kept."""
        if seconds is None:
            return replace(self, not_kept=problem)
        return replace(self, seconds=seconds, kept=len(self.revisions))

    def without_traces(self) -> "Outcome":
        """Return the outcome without the traces."""
        return replace(self, revisions=tuple(replace(each, traces=()) for each in self.revisions))

    @property
    def failed(self) -> Sequence[RevisionOutcome]:
        """Return the revisions with a verdict that is not accepted."""
        return [outcome for outcome in self.revisions if outcome.failed]

    @property
    def passed(self) -> bool:
        """Whether each verdict is PROVEN or accepted."""
        return not self.failed
