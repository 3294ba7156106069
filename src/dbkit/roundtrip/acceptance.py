"""Acceptance of a revision's verdict, by a comment in its migration file or by a baseline for old history."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from dbkit.findings.comments import Acceptance, parse_acceptances
from dbkit.findings.rule_ids import is_rule_id
from dbkit.project.revision_source import is_bytecode, read_source
from dbkit.roundtrip.outcome import PASSED, Failure, Finding, RevisionOutcome


def read_acceptances(path: Path) -> list[Acceptance]:
    """Return the `# dbkit: ok` comments of a migration file or of env.py; none of bytecode."""
    return [] if is_bytecode(path) or not path.is_file() else parse_acceptances(read_source(str(path)))


def apply_acceptance(outcome: RevisionOutcome, baseline: Collection[str], baseline_name: str) -> RevisionOutcome:
    """Return the outcome with the reason that accepts it, and with a finding for each comment that accepts nothing.

    A revision with two verdicts, such as dirty and lossy, needs a comment for each. `baseline` has the revisions up to
    `baseline_name`.
    """
    reasons: dict[str, str] = {}
    unused = []
    for comment in read_acceptances(outcome.path):
        if comment.problem:
            unused.append(_unused_comment(comment, comment.problem))
        elif is_rule_id(comment.accepts):
            continue
        elif comment.accepts in (outcome.verdict, *outcome.also):
            reasons[comment.accepts] = comment.reason
        else:
            unused.append(
                _unused_comment(comment, f"it accepts {comment.accepts}, and the verdict is {outcome.verdict}")
            )
    accepted = None
    if reasons.keys() >= {outcome.verdict, *outcome.also}:
        accepted = "; ".join(reasons[verdict] for verdict in (outcome.verdict, *outcome.also))
    elif outcome.verdict not in PASSED and outcome.revision in baseline:
        accepted = baseline_reason(baseline_name)
    return replace(outcome, accepted=accepted, findings=(*outcome.findings, *unused))


def _unused_comment(comment: Acceptance, problem: str) -> Finding:
    message = f"the comment in line {comment.line} accepts nothing: {problem}"
    return Finding("file", failure=Failure(message, comment.line))


def report_stale_baseline(outcomes: Sequence[RevisionOutcome], baseline: str) -> tuple[RevisionOutcome, ...]:
    """Return the outcomes with a finding at the baseline's revision if the baseline accepts nothing.

    `outcomes` must be those of all revisions.
    """
    if any(each.accepted == baseline_reason(baseline) for each in outcomes):
        return tuple(outcomes)
    message = f"the baseline {baseline} accepts nothing: remove it"
    return tuple(
        replace(each, findings=(*each.findings, Finding("file", failure=Failure(message))))
        if each.revision.startswith(baseline)
        else each
        for each in outcomes
    )


def baseline_reason(baseline: str) -> str:
    """Return the reason with which a baseline accepts a verdict."""
    return f"baseline {baseline}"
