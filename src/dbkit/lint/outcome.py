"""The outcome of lint."""

from dataclasses import dataclass, replace

from dbkit.findings.finding import Level, LintFinding
from dbkit.roundtrip.outcome import SampleRowCount


@dataclass(frozen=True)
class LintOutcome:
    """The findings in all requested revisions."""

    project: str
    server: str
    seconds: float
    revisions: int
    findings: tuple[LintFinding, ...]
    sample_rows: SampleRowCount
    """The rows on which the migrations ran; without rows, changes of data are not seen."""
    kept: int = 0
    """The number of revisions whose findings are those of an earlier run."""
    not_kept: str = ""
    """Why a later run cannot use the findings; "" where it can, or where nothing was to be kept."""

    def marked(self, seconds: float | None, problem: str) -> "LintOutcome":
        """Return the outcome with how it was found: in so many seconds, where it was kept; or why it is not kept."""
        if seconds is None:
            return replace(self, not_kept=problem)
        return replace(self, seconds=seconds, kept=self.revisions)

    @property
    def failed(self) -> list[LintFinding]:
        """The findings to fix or to accept."""
        return [each for each in self.findings if each.failed]

    def of_level(self, least: Level) -> list[LintFinding]:
        """Return the findings of a level and above."""
        order = list(Level)
        return [each for each in self.findings if order.index(each.level) <= order.index(least)]
