"""The findings of the round trip and of lint as problems of a review."""

from collections.abc import Iterator, Sequence

from dbkit.findings.finding import Level, LintFinding
from dbkit.findings.verdict import Verdict
from dbkit.reports.review.model import BLOCKED, Gravity, Problem
from dbkit.roundtrip.outcome import Finding, RevisionOutcome

BY_LEVEL = {Level.DANGER: Gravity.BAD, Level.WARNING: Gravity.WARN, Level.NOTE: Gravity.NOTE}
# the gravest first; findings of lint come behind all verdicts
VERDICTS = (
    Verdict.BROKEN,
    Verdict.FAILS_ON_ROWS,
    Verdict.LOSSY,
    Verdict.DIRTY,
    Verdict.IRREVERSIBLE,
    Verdict.UNPROVEN,
)
OF_LINT = 10


def list_problems(outcome: RevisionOutcome, linted: Sequence[LintFinding], source: Sequence[str]) -> Iterator[Problem]:
    """Yield the problems of one revision: verdicts first. `source` has the lines of its file."""
    label = " and ".join((outcome.verdict, *outcome.also))
    rank = VERDICTS.index(outcome.verdict) if outcome.verdict in VERDICTS else len(VERDICTS)
    for each in outcome.findings:
        is_open = outcome.accepted is None or each.phase == "file"
        gravity = Gravity.BAD if is_open else Gravity.NOTE
        accepted = "" if is_open else outcome.accepted or ""
        yield _describe_finding(each, label, gravity, rank, accepted, source)
    if outcome.failed and not outcome.findings:
        yield Problem(label, Gravity.BAD, f"the verdict is: {label}", rank)
    for each in outcome.warnings:
        yield _describe_finding(each, "extreme values", Gravity.WARN, 2 * OF_LINT, "", source)
    yield from (describe_lint(each, source) for each in linted)


def describe_lint(each: LintFinding, source: Sequence[str]) -> Problem:
    """Return a finding of lint as a problem."""
    also = f" ({', '.join(each.also)})" if each.also else ""
    rank = OF_LINT + (len(BLOCKED) - BLOCKED.index(each.blocks) if each.blocks in BLOCKED else len(BLOCKED))
    return Problem(
        f"{each.level} {each.id}{also}",
        BY_LEVEL[each.level] if each.accepted is None else Gravity.NOTE,
        each.message,
        rank,
        each.line,
        _find_excerpt(each.line, source),
        each.direction,
        each.why,
        each.fix,
        each.sql,
        each.accepted or "",
    )


def _describe_finding(
    each: Finding, label: str, gravity: Gravity, rank: int, accepted: str, source: Sequence[str]
) -> Problem:
    return Problem(
        label,
        gravity,
        each.words,
        rank,
        each.line,
        _find_excerpt(each.line, source),
        "downgrade" if each.phase == "down" else "upgrade",
        sql=each.failure.sql if each.failure else "",
        accepted=accepted,
    )


def _find_excerpt(line: int | None, source: Sequence[str]) -> str:
    return source[line - 1].strip()[:200] if line and line <= len(source) else ""
