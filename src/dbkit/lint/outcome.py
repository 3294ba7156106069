"""The outcome of lint."""

from dataclasses import dataclass

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

    @property
    def failed(self) -> list[LintFinding]:
        """The findings to fix or to accept."""
        return [each for each in self.findings if each.failed]

    def of_level(self, least: Level) -> list[LintFinding]:
        """Return the findings of a level and above."""
        order = list(Level)
        return [each for each in self.findings if order.index(each.level) <= order.index(least)]
