"""What a proof of one revision comes to."""

from dataclasses import dataclass

from alembic.script import Script

from dbkit import catalog
from dbkit.roundtrip.outcome import Finding, Verdict
from dbkit.roundtrip.steps import line_of

Facts = dict[catalog.Fact, str]


@dataclass(frozen=True)
class Result:
    """The verdict on a revision; DIRTY findings may turn out to be nothing but residue."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    seconds: float
    transactional: bool = True


def compared(phase: str, script: Script, before: Facts, after: Facts) -> tuple[Finding, ...]:
    """A finding for each difference, at the function to mend: always downgrade(), which did not undo all."""
    line = line_of(script, "downgrade")
    return tuple(Finding(phase, difference, line=line) for difference in catalog.differences(before, after))
