"""Make the review of a run from the outcome of its proof and the findings of lint."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dbkit import journal
from dbkit.backfill import progress
from dbkit.findings.finding import Level
from dbkit.findings.verdict import Verdict
from dbkit.lint.statement_work import LiveSizes
from dbkit.project.git_history import FileHistory, describe_head
from dbkit.redaction import redact
from dbkit.reports.paths import display_path
from dbkit.reports.review.clean import clean
from dbkit.reports.review.losses import list_losses
from dbkit.reports.review.model import (
    Condition,
    DataStatement,
    Gravity,
    Problem,
    Review,
    RevisionReview,
    Risk,
    Tile,
)
from dbkit.reports.review.problems import describe_lint, list_problems
from dbkit.reports.review.schema_changes import list_changes
from dbkit.reports.review.statements import review_run
from dbkit.reports.text import summarize_lint, summarize_roundtrip
from dbkit.roundtrip.outcome import Outcome, RevisionOutcome
from dbkit.trace.records import ChangeKind, Trace
from dbkit.wording import counted

if TYPE_CHECKING:
    from dbkit.findings.finding import LintFinding
    from dbkit.lint.outcome import LintOutcome

GRAVITIES = list(Gravity)
VERDICT_GRAVITY = {Verdict.PROVEN: Gravity.OK, Verdict.PROVEN_IF: Gravity.NOTE}


OWN_TABLES = (journal.TABLE, progress.TABLE)


def find_touched_tables(outcome: Outcome) -> frozenset[str]:
    """Return the tables whose definition or rows the revisions change, by all names that they have had."""
    found: set[str] = set()
    for statement in (each for revision in outcome.revisions for trace in _upgrades(revision) for each in trace):
        for change in statement.changes:
            found |= {change.table, *([change.after] if change.what == ChangeKind.TABLE_RENAMED else ())}
        found |= {each.relation for each in statement.touched if each.kind in "rpf" and each.written}
    return frozenset(found) - {*OWN_TABLES}


def _upgrades(revision: RevisionOutcome) -> Iterator[Trace]:
    return (each for each in revision.traces if each.direction == "upgrade")


def make_review(outcome: Outcome, linted: "LintOutcome", since: str | None, live: LiveSizes | None = None) -> Review:
    """Return the review, without secrets and control characters. `outcome` has traces."""
    live = live or LiveSizes()
    paths = [each.path for each in outcome.revisions]
    history = FileHistory({each.parent for each in paths})
    anchors = _make_anchors([each.revision for each in outcome.revisions])
    by_revision: dict[str, list[LintFinding]] = {}
    for finding in linted.findings:
        by_revision.setdefault(finding.revision, []).append(finding)
    revisions = tuple(
        _review_revision(each, anchors[each.revision], by_revision.get(each.revision, ()), live, history)
        for each in outcome.revisions
    )
    others = [each for each in linted.findings if each.revision not in anchors]
    general = tuple(describe_lint(each, ()) for each in others)
    review = Review(
        project=display_path(Path(outcome.project)),
        since=since or "",
        commit=describe_head(Path(outcome.project).resolve().parent),
        server=outcome.server,
        passed=outcome.passed and not linted.failed,
        headline=_describe_result(revisions, general),
        sentences=tuple(_summarize(outcome, linted)),
        tiles=tuple(_count(outcome, linted)),
        risks=tuple(_list_risks(revisions)),
        general=general,
        revisions=revisions,
        has_sizes=live.rates is not None,
    )
    return clean(review)


def _make_anchors(identifiers: Sequence[str]) -> Mapping[str, str]:
    """Return an id for an element of the page by revision; a revision's own id may have any characters."""
    anchors: dict[str, str] = {}
    taken: set[str] = set()
    for each in identifiers:
        anchor = base = f"rev-{re.sub(r'[^A-Za-z0-9_]+', '-', each)}"
        number = 1
        while anchor in taken:
            number += 1
            anchor = f"{base}--{number}"
        taken.add(anchor)
        anchors[each] = anchor
    return anchors


def _review_revision(
    each: RevisionOutcome, anchor: str, linted: "Sequence[LintFinding]", live: LiveSizes, history: FileHistory
) -> RevisionReview:
    has_lines = any(found.line for found in (*each.findings, *each.warnings)) or any(found.line for found in linted)
    source = _read_lines(each.path) if has_lines else ()
    problems = tuple(list_problems(each, linted, source))
    downgrade = next((trace for trace in each.traces if trace.direction == "downgrade"), None)
    upgrade = next(_upgrades(each), None)
    # a verdict is BAD by its findings, which may be accepted; a note is nothing to look at
    found = [problem.gravity for problem in problems if problem.gravity != Gravity.NOTE]
    verdict_gravity = VERDICT_GRAVITY.get(each.verdict, Gravity.NOTE)
    gravity = min((*found, verdict_gravity), key=GRAVITIES.index)
    return RevisionReview(
        id=each.revision,
        anchor=anchor,
        message=each.message,
        parents=each.down_revisions,
        path=display_path(each.path),
        authorship=history.find(each.path),
        verdict=" and ".join((each.verdict, *each.also)),
        verdict_gravity=Gravity.BAD if each.failed else verdict_gravity,
        gravity=gravity,
        accepted=each.accepted or "",
        seconds=each.seconds,
        transactional=each.transactional,
        problems=problems,
        notes=tuple(note.words for note in each.notes),
        runs=tuple(review_run(trace, live) for trace in each.traces if trace.statements),
        untraced="" if upgrade else each.untraced or "it could not be run",
        changes=tuple(list_changes(upgrade)) if upgrade else (),
        coverage=tuple(
            DataStatement(found.direction, found.sql, found.line, found.rows, found.is_met, found.reason)
            for found in each.coverage
        ),
        preconditions=tuple(
            Condition(found.words, f"{found.query};", found.line, found.is_proven) for found in each.preconditions
        ),
        losses=tuple(list_losses(downgrade, live.tables)) if downgrade else (),
    )


def _read_lines(path: Path) -> Sequence[str]:
    """Return the lines of a file without secrets; none where it cannot be read."""
    try:
        return redact.lines(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ()


def _list_risks(revisions: Sequence[RevisionReview]) -> list[Risk]:
    """Return what is not accepted, the gravest first; what is equally grave in the order of the revisions."""
    found = [
        Risk(each.id, each.anchor, problem)
        for each in revisions
        for problem in (*each.open_problems, *_describe_conditions(each))
    ]
    return sorted(found, key=lambda risk: (GRAVITIES.index(risk.problem.gravity), risk.problem.rank))


def _describe_conditions(each: RevisionReview) -> Iterator[Problem]:
    for condition in each.preconditions:
        message = f"it works if {condition.words}"
        yield Problem("precondition", Gravity.NOTE, message, line=condition.line, sql=condition.query)


def _describe_result(revisions: Sequence[RevisionReview], general: Sequence[Problem]) -> str:
    if not revisions:
        return "No migration is new"
    bad = sum(each.gravity == Gravity.BAD for each in revisions)
    warned = sum(each.gravity == Gravity.WARN for each in revisions)
    migrations = counted(len(revisions), "migration")
    others = sum(each.gravity in (Gravity.BAD, Gravity.WARN) for each in general)
    if bad:
        return f"{bad} of {migrations} must be fixed or accepted"
    if warned:
        return f"{warned} of {migrations} with warnings"
    if others:
        return f"{migrations} without findings, and {counted(others, 'finding')} on the project"
    return f"{migrations}, and nothing to fix"


def _summarize(outcome: Outcome, linted: "LintOutcome") -> Iterator[str]:
    yield summarize_roundtrip(outcome)
    if outcome.revisions:
        yield summarize_lint(linted, Level.NOTE)
    for name, reason in outcome.sample_rows.unfilled:
        yield f"No rows in {name}: {reason}."


def _count(outcome: Outcome, linted: "LintOutcome") -> Iterator[Tile]:
    accepted = sum(each.accepted is not None for each in outcome.revisions)
    for verdict in Verdict:
        number = sum(each.verdict == verdict and each.accepted is None for each in outcome.revisions)
        if number:
            yield Tile(number, verdict.value, VERDICT_GRAVITY.get(verdict, Gravity.BAD))
    if accepted:
        yield Tile(accepted, "accepted", Gravity.NOTE)
    for level, gravity in ((Level.DANGER, Gravity.BAD), (Level.WARNING, Gravity.WARN), (Level.NOTE, Gravity.NOTE)):
        number = sum(each.level == level and each.accepted is None for each in linted.findings)
        if number:
            yield Tile(number, f"{level}{'' if number == 1 else 's'}", gravity)
