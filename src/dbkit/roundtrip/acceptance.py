"""What a team has accepted: a comment with a reason in the migration file, or a baseline for old history.

# dbkit: ok dirty, the enum value stays; PostgreSQL cannot remove it

A comment names a verdict of the round trip, or the id of a finding of `dbkit lint`.
"""

import io
import re
import tokenize
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dbkit.findings.rule_ids import is_id
from dbkit.roundtrip.alembic_steps import is_bytecode, read_source
from dbkit.roundtrip.outcome import Failure, Finding, RevisionOutcome, Verdict

COMMENT = re.compile(r"#\s*dbkit:\s*ok\b(.*)")
NAMED = re.compile(r"\s+([a-z][a-z0-9/-]*(?: [a-z]+)*)\s*,\s*(\S.*)")
ACCEPTABLE = frozenset(Verdict) - {Verdict.PROVEN}


@dataclass(frozen=True)
class Acceptance:
    """One comment: on which line, which verdict or id and why. `problem` is what is wrong with it, if anything."""

    line: int
    verdict: str = ""
    reason: str = ""
    problem: str = ""


def read_comments(path: Path) -> list[Acceptance]:
    """The comments of one migration file, or of env.py; none of bytecode."""
    if is_bytecode(path) or not path.is_file():
        return []
    source = read_source(str(path))
    if b"dbkit:" not in source:
        return []
    tokens = tokenize.tokenize(io.BytesIO(source).readline)
    found = ((token.start[0], COMMENT.match(token.string)) for token in tokens if token.type == tokenize.COMMENT)
    return [_read(line, match[1]) for line, match in found if match]


def _read(line: int, text: str) -> Acceptance:
    named = NAMED.fullmatch(text.rstrip())
    if not named:
        return Acceptance(line, problem="a verdict and a reason are needed: # dbkit: ok dirty, <reason>")
    if named[1] not in ACCEPTABLE and not is_id(named[1]):
        words = f"{named[1]!r} is none of {', '.join(sorted(ACCEPTABLE))}, and no id of `dbkit explain`"
        return Acceptance(line, problem=words)
    return Acceptance(line, named[1], named[2].strip())


def apply_acceptance(outcome: RevisionOutcome, baseline: Collection[str], baseline_name: str) -> RevisionOutcome:
    """The outcome with what was accepted of it, and with a finding for each comment that accepts nothing.

    A revision whose schema and rows both have something needs a comment for each.

    `baseline` has the revisions that a baseline covers, and `baseline_name` the one that was named for it.
    """
    reasons: dict[str, str] = {}
    stale = []
    for comment in read_comments(outcome.path):
        if comment.problem:
            stale.append(_finding(comment, comment.problem))
        elif is_id(comment.verdict):
            continue
        elif comment.verdict in (outcome.verdict, *outcome.also):
            reasons[comment.verdict] = comment.reason
        else:
            stale.append(_finding(comment, f"it accepts {comment.verdict}, and the verdict is {outcome.verdict}"))
    accepted = None
    if reasons.keys() >= {outcome.verdict, *outcome.also}:
        accepted = "; ".join(reasons[verdict] for verdict in (outcome.verdict, *outcome.also))
    elif outcome.verdict != Verdict.PROVEN and outcome.revision in baseline:
        accepted = baseline_reason(baseline_name)
    return replace(outcome, accepted=accepted, findings=(*outcome.findings, *stale))


def _finding(comment: Acceptance, problem: str) -> Finding:
    return Finding(
        "file", failure=Failure(f"the comment in line {comment.line} accepts nothing: {problem}", comment.line)
    )


def report_stale_baseline(outcomes: Sequence[RevisionOutcome], baseline: str) -> tuple[RevisionOutcome, ...]:
    """The outcomes, with a finding at the baseline's revision when it accepts nothing.

    `outcomes` are those of all revisions: of some, nothing can be said.
    """
    if any(each.accepted == baseline_reason(baseline) for each in outcomes):
        return tuple(outcomes)
    words = f"the baseline {baseline} accepts nothing: remove it"
    return tuple(
        replace(each, findings=(*each.findings, Finding("file", failure=Failure(words))))
        if each.revision.startswith(baseline)
        else each
        for each in outcomes
    )


def baseline_reason(baseline: str) -> str:
    """The reason that a baseline gives."""
    return f"baseline {baseline}"
