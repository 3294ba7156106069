"""A round trip's outcome as text for people."""

import os
from collections.abc import Iterable
from pathlib import Path

from dbkit.findings.verdict import Verdict
from dbkit.gate.alembic_command import count
from dbkit.roundtrip.outcome import Finding, Outcome, RevisionOutcome, SampleRowCount
from dbkit.wording import counted


def render(outcome: Outcome) -> str:
    """What was found, each with the place to mend it, and a summary."""
    parts = [
        render_revision(each)
        for each in outcome.revisions
        if each.verdict != Verdict.PROVEN or each.findings or each.notes
    ]
    return "\n".join([*parts, *unfilled(outcome.sample_rows), summary(outcome)])


def unfilled(sample_rows: SampleRowCount) -> list[str]:
    """A line for each table that never had rows."""
    return [f"no rows in {name}: {reason}" for name, reason in sample_rows.unfilled]


def shown(path: Path) -> str:
    """A path as people would type it here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith(os.pardir) else relative


def render_revision(each: RevisionOutcome) -> str:
    """What was found of one revision."""
    if each.failed:
        head = f"{' and '.join((each.verdict, *each.also))}: {each.name}"
    else:
        head = (
            f"note: {each.name}" if each.accepted is None else f"accepted {each.verdict}: {each.name}: {each.accepted}"
        )
    lines = [*_details(each.path, each.findings), *(note.words for note in each.notes)]
    return "\n  ".join([head, *lines])


def _details(path: Path, findings: Iterable[Finding]) -> Iterable[str]:
    """The findings of a revision; findings with the same place to mend have it once."""
    place = ""
    for finding in findings:
        here = f"{shown(path)}:{finding.line}" if finding.line else ""
        if place and here != place:
            yield f"at {place}"
        yield finding.words
        if finding.failure and finding.failure.sql:
            yield f"SQL: {shortened(finding.failure.sql)}"
        place = here
    if place:
        yield f"at {place}"


def shortened(statement: str, longest: int = 300) -> str:
    """The beginning of a statement that is longer than that."""
    return statement if len(statement) <= longest else f"{statement[:longest]}…"


def summary(outcome: Outcome) -> str:
    """One line with counts and seconds."""
    if not outcome.revisions:
        return "No migration is new, so nothing was proven."
    counts = ", ".join(f"{outcome.count(verdict)} {verdict}" for verdict in Verdict if outcome.count(verdict))
    accepted = sum(each.accepted is not None for each in outcome.revisions)
    parts = [f"{count(len(outcome.revisions))} on {outcome.server}: {counts}"]
    parts += [f"{accepted} of them accepted"] if accepted else []
    parts.append(f"{_chain(outcome)} went down and up again" if outcome.chain else "no chain could go down and up")
    return f"{'; '.join(parts)} ({outcome.seconds:.1f} s; {_rows(outcome.sample_rows)})."


def _chain(outcome: Outcome) -> str:
    """What of the chain went, counted where it was not all that was to be proven."""
    if outcome.chain_length in (0, len(outcome.revisions)):
        return outcome.chain
    return f"{outcome.chain} ({outcome.chain_length} of {count(len(outcome.revisions))})"


def _rows(sample_rows: SampleRowCount) -> str:
    if not sample_rows.rows:
        return "the tables were empty, so nothing is said about rows"
    filled, tables = len(sample_rows.filled), len(sample_rows.filled) + len(sample_rows.unfilled)
    if not tables:
        return "there are no tables"
    return (
        f"{filled} of {counted(tables, 'table')} with rows"
        if sample_rows.unfilled
        else f"rows in {'its one table' if tables == 1 else f'all {tables} tables'}"
    )
