"""What a proof of one revision comes to."""

from collections.abc import Callable
from dataclasses import dataclass

from alembic.script import Script

from dbkit import catalog
from dbkit.roundtrip.outcome import Failure, Finding, Verdict
from dbkit.roundtrip.steps import line_of

Facts = dict[catalog.Fact, str]


@dataclass(frozen=True)
class Result:
    """The verdict on a revision; DIRTY findings may turn out to be nothing but residue."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    seconds: float
    transactional: bool = True


def down_and_up(
    script: Script, before: Facts, after: Facts, run: Callable[[bool], Failure | None], read: Callable[[], Facts]
) -> tuple[Verdict, tuple[Finding, ...]]:
    """The second half of a proof: down from `after`, which must be `before`, and up again, which must be `after`.

    `run` takes whether to go up, and returns why that failed.
    """
    failed = run(False)
    if failed:
        verdict = Verdict.IRREVERSIBLE if failed.raised else Verdict.UNPROVEN if failed.elsewhere else Verdict.BROKEN
        return verdict, (Finding("down", failure=failed, line=failed.line),)
    findings = compared("down", script, before, read())
    failed = run(True)
    if failed:
        return Verdict.BROKEN, (*findings, Finding("reup", failure=failed, line=failed.line))
    return Verdict.DIRTY, (*findings, *compared("reup", script, after, read()))


def compared(phase: str, script: Script, before: Facts, after: Facts) -> tuple[Finding, ...]:
    """A finding for each difference, at the function to mend: always downgrade(), which did not undo all."""
    line = line_of(script, "downgrade")
    return tuple(Finding(phase, difference, line=line) for difference in catalog.differences(before, after))
