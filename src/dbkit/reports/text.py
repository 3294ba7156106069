"""Outcomes of round trips, lint and traces as text for people."""

import textwrap
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from dbkit.coverage.facts import StatementCoverage, count_coverage
from dbkit.findings.finding import Level, LintFinding
from dbkit.findings.verdict import Verdict
from dbkit.preconditions.precondition import Precondition
from dbkit.redaction import redact
from dbkit.reports.paths import display_path
from dbkit.roundtrip.outcome import PASSED, Finding, Outcome, RevisionOutcome, SampleRowCount
from dbkit.trace.records import Lock, RelationAccess, Trace
from dbkit.wording import counted

if TYPE_CHECKING:
    from dbkit.lint.outcome import LintOutcome
    from dbkit.plan import Plan
    from dbkit.preflight.outcome import PreflightOutcome

LONGEST_FAILED_SQL = 300
LONGEST_TRACED_SQL = 110
WIDTH = 116


def render_roundtrip(outcome: Outcome) -> str:
    """Render each finding with its place in the file, and a summary."""
    parts = [
        render_revision(each)
        for each in outcome.revisions
        if each.verdict != Verdict.PROVEN or each.findings or each.warnings or each.notes or each.preconditions
    ]
    return redact.text("\n".join([*parts, *_empty_tables(outcome.sample_rows), summarize_roundtrip(outcome)]))


def render_revision(each: RevisionOutcome) -> str:
    """Render the verdict and the findings of one revision."""
    if each.failed:
        heading = f"{' and '.join((each.verdict, *each.also))}: {each.name}"
    elif each.accepted is None:
        what = "warning" if each.warnings else Verdict.PROVEN_IF if each.preconditions else "note"
        heading = f"{what}: {each.name}"
    else:
        heading = f"accepted {each.verdict}: {each.name}: {each.accepted}"
    found = (*each.findings, *each.warnings)
    lines = [*_finding_lines(each.path, found), *map(_describe_precondition, each.preconditions)]
    lines += [f"note: {note.words}" if each.preconditions else note.words for note in each.notes]
    coverage = "" if each.verdict in PASSED else describe_coverage(each.coverage)
    return "\n  ".join(filter(None, [heading, *lines, coverage]))


def _describe_precondition(each: Precondition) -> str:
    """Return what the rows must satisfy, with the query for those that do not."""
    doubt = "" if each.is_proven else " (not tried with a row that violates it)"
    return f"if {each.words}{doubt}\n    {each.query};"


def _finding_lines(path: Path, findings: Iterable[Finding]) -> Iterator[str]:
    """Yield the lines of findings; consecutive ones at the same line of the file have that once, below them."""
    place = ""
    for finding in findings:
        here = f"{display_path(path)}:{finding.line}" if finding.line else ""
        if place and here != place:
            yield f"at {place}"
        yield finding.words
        if finding.failure and finding.failure.sql:
            yield f"SQL: {_truncate(finding.failure.sql, LONGEST_FAILED_SQL)}"
        place = here
    if place:
        yield f"at {place}"


def describe_coverage(coverage: Iterable[StatementCoverage], noun: str = "statement") -> str:
    """Return how many statements met rows, such as "2 of 3 statements met rows"; "" where none can meet any."""
    met, can_meet = count_coverage(coverage)
    return f"{met} of {counted(can_meet, noun)} met rows" if can_meet else ""


def _truncate(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"


def _empty_tables(sample_rows: SampleRowCount) -> list[str]:
    """Return a line for each table that had no rows at any revision."""
    return [f"no rows in {name}: {reason}" for name, reason in sample_rows.unfilled]


def summarize_roundtrip(outcome: Outcome) -> str:
    """Return one line with counts and seconds."""
    if not outcome.revisions:
        return "No migration is new, so nothing was proven."
    migrations = counted(len(outcome.revisions), "migration")
    counts = ", ".join(f"{outcome.count(verdict)} {verdict}" for verdict in Verdict if outcome.count(verdict))
    accepted = sum(each.accepted is not None for each in outcome.revisions)
    parts = [f"{migrations} on {outcome.server}: {counts}"]
    parts += [f"{accepted} of them accepted"] if accepted else []
    warned = sum(bool(each.warnings) for each in outcome.revisions)
    parts += [f"{warned} with warnings"] if warned else []
    parts.append(f"{_chain(outcome)} went down and up again" if outcome.chain else "no chain could go down and up")
    coverage = describe_coverage(
        (each for revision in outcome.revisions for each in revision.coverage), "data statement"
    )
    kept = f"{counted(outcome.kept, 'verdict')} kept" if outcome.kept else ""
    if outcome.not_kept:
        kept = f"nothing is kept for the next run: {outcome.not_kept}"
    details = filter(None, [f"{outcome.seconds:.1f} s", kept, _sample_rows(outcome.sample_rows), coverage])
    return f"{'; '.join(parts)} ({'; '.join(details)})."


def _chain(outcome: Outcome) -> str:
    """Return which part of the chain went down and up, with its length where it is not all that was to be proven."""
    if outcome.chain_length in (0, len(outcome.revisions)):
        return outcome.chain
    return f"{outcome.chain} ({outcome.chain_length} of {counted(len(outcome.revisions), 'migration')})"


def _sample_rows(sample_rows: SampleRowCount) -> str:
    if not sample_rows.rows:
        return "the tables were empty, so rows were not compared"
    filled, tables = len(sample_rows.filled), len(sample_rows.filled) + len(sample_rows.unfilled)
    if not tables:
        return "there are no tables"
    if sample_rows.unfilled:
        return f"{filled} of {counted(tables, 'table')} with rows"
    return "rows in its one table" if tables == 1 else f"rows in all {counted(tables, 'table')}"


def render_lint(outcome: "LintOutcome", least: Level) -> str:
    """Render the findings of a level and above by file, with the reason and what to write instead."""
    open_ones = [each for each in outcome.of_level(least) if each.accepted is None]
    lines = []
    for path, findings in groupby(open_ones, key=lambda each: each.path):
        lines.append(display_path(path))
        for each in findings:
            lines += _lint_finding_lines(each)
    return redact.text("\n".join([*lines, *_empty_tables(outcome.sample_rows), summarize_lint(outcome, least)]))


def _lint_finding_lines(each: LintFinding) -> list[str]:
    place = f":{each.line}" if each.line else ""
    direction = " (downgrade)" if each.direction == "downgrade" else ""
    also = f" ({', '.join(each.also)})" if each.also else ""
    lines = [f"  {each.level} {each.id}{also}{place}{direction}", f"    {each.message}"]
    if each.level != Level.NOTE:
        lines += textwrap.wrap(each.why, WIDTH, initial_indent="    ", subsequent_indent="    ")
        lines += [f"      {line}".rstrip() for line in each.fix.splitlines()]
    return lines


def summarize_lint(outcome: "LintOutcome", least: Level) -> str:
    """Return one line with counts."""
    if not outcome.revisions and not outcome.findings:
        return "No migration is new, so nothing was run."
    open_ones = [each for each in outcome.findings if each.accepted is None]
    counts = {level: counted(sum(each.level == level for each in open_ones), level) for level in Level}
    concerned = len({each.revision for each in outcome.failed if each.revision})
    of = f"{concerned} of " if concerned else ""
    migrations = counted(outcome.revisions, "migration")
    parts = [f"{counts[Level.DANGER]}, {counts[Level.WARNING]} in {of}{migrations} on {outcome.server}"]
    accepted = len(outcome.findings) - len(open_ones)
    parts += [f"{accepted} accepted"] if accepted else []
    hidden = " (--level note shows them)" if least != Level.NOTE else ""
    parts += [f"{counts[Level.NOTE]}{hidden}"] if any(each.level == Level.NOTE for each in open_ones) else []
    parts += [] if outcome.sample_rows.rows else ["the tables were empty, so changes of data were not seen"]
    parts += [f"the findings in {counted(outcome.kept, 'migration')} kept"] if outcome.kept else []
    parts += [f"nothing is kept for the next run: {outcome.not_kept}"] if outcome.not_kept else []
    return f"{'; '.join(parts)}."


def render_prove(outcome: Outcome, linted: "LintOutcome", least: Level) -> str:
    """Render the traces, where there are some, then the round trip, then the findings of lint."""
    traces = [render_trace(outcome)] if any(each.traces for each in outcome.revisions) else []
    return "\n".join([*traces, render_roundtrip(outcome), render_lint(linted, least)])


def render_trace(outcome: Outcome) -> str:
    """Render each statement on relations that existed before, by revision and direction, with its effects."""
    lines = []
    for each in outcome.revisions:
        lines.append(each.name)
        lines += [line for trace in each.traces for line in _trace_lines(trace)] or [f"  {_reason_untraced(each)}"]
    return redact.text("\n".join(lines))


def _reason_untraced(each: RevisionOutcome) -> str:
    if each.untraced:
        return f"it works, but not while it is traced: {each.untraced}"
    words = next((finding.words for finding in each.findings if finding.failure), each.verdict.value)
    return f"could not be run: {words}"


def _trace_lines(trace: Trace) -> Iterator[str]:
    yield f"  {trace.direction}"
    transaction = 0
    for statement in trace:
        relations = [each for each in statement.touched if each.existed and _is_notable(each)]
        inherited_locks = [(name, lock) for name, lock in statement.inherited_locks if lock.blocks]
        if statement.transaction != transaction and not statement.in_transaction:
            yield "    in a separate transaction:"
        transaction = statement.transaction
        place = f":{statement.line} " if statement.line else ""
        yield f"    {place}{_truncate(' '.join(statement.sql.split()), LONGEST_TRACED_SQL)}"
        yield from (f"        {_describe_access(each)}" for each in relations)
        if inherited_locks and (relations or statement.changes):
            yield f"        still held: {', '.join(f'{lock} on {name}' for name, lock in inherited_locks)}"


def _is_notable(each: RelationAccess) -> bool:
    is_strong = each.lock is not None and each.lock >= Lock.ROW_EXCLUSIVE
    is_used = is_strong or each.scans > 0 or each.scanned > 0 or each.written > 0
    return (each.kind != "i" and is_used) or each.rewritten


def _describe_access(each: RelationAccess) -> str:
    parts = [str(each.lock)] if each.lock else [f"under {each.held}"] if each.held else []
    if each.lock and each.lock.blocks:
        parts[0] += f" ({each.lock.blocks} wait)"
    if each.rewritten:
        parts.append("rebuilt" if each.kind == "i" else "rewritten")
    parts += ["scanned, and empty"] if each.scans and not each.scanned else []
    parts += [f"{counted(number, 'row')} {effect}" for effect, number in row_counts(each).items() if number]
    return f"{each.relation}: {', '.join(parts)}"


def row_counts(each: RelationAccess) -> dict[str, int]:
    """Return how many rows a statement has scanned and written, by effect."""
    return {
        "scanned": each.scanned,
        "inserted": each.inserted,
        "updated": each.updated,
        "deleted": each.deleted,
    }


def render_preflight(outcome: "PreflightOutcome") -> str:
    """Render the answers of a preflight."""
    from dbkit.reports import preflight_text  # it is loaded for this verb only

    return redact.text(preflight_text.render(outcome))


def render_plan(plan: "Plan") -> str:
    """Render the plan of a migration."""
    from dbkit.reports import plan_text  # it is loaded for this verb only

    return redact.text(plan_text.render(plan))
