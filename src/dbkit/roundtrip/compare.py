"""What a proof of one revision comes to."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from alembic.script import Script

from dbkit import catalog
from dbkit.roundtrip import row_snapshot
from dbkit.roundtrip.alembic_steps import function_line
from dbkit.roundtrip.outcome import Failure, Finding, Verdict
from dbkit.roundtrip.row_snapshot import RowDifference, RowSnapshot

Facts = dict[catalog.Fact, str]


@dataclass(frozen=True)
class ProofResult:
    """The verdict on a revision; DIRTY findings may turn out to be nothing but residue."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    seconds: float
    transactional: bool = True
    without_rows: Verdict | None = None
    """What a proof without rows found, where it fails on rows."""


@dataclass(frozen=True)
class Snapshot:
    """A database at one point of a proof."""

    facts: Facts
    contents: RowSnapshot = field(default_factory=dict)
    """Empty where no rows were planted."""


def compare_down_and_up(
    script: Script,
    before: Snapshot,
    after: Snapshot,
    run: Callable[[bool], Failure | None],
    read: Callable[[], Snapshot],
    named: Callable[[str], bool],
) -> tuple[Verdict, tuple[Finding, ...]]:
    """The second half of a proof: down from `after`, which must be `before`, and up again, which must be `after`.

    `run` takes whether to go up, and returns why that failed; `named` says whether the revision names a table.
    """
    by_accident = tuple(_accidents(script, before, after, named))
    failed = run(False)
    if failed:
        verdict = Verdict.IRREVERSIBLE if failed.raised else Verdict.UNPROVEN if failed.elsewhere else Verdict.BROKEN
        return verdict, (*by_accident, Finding("down", failure=failed, line=failed.line))
    undone = read()
    lost = tuple(_lost(script, before, after, undone))
    tables = {finding.rows.table for finding in lost if finding.rows}
    # what came back was no accident: a partition, a view or a function can stand for a table
    by_accident = tuple(finding for finding in by_accident if finding.rows and finding.rows.table in tables)
    findings = (*by_accident, *compare_catalogs("down", script, before.facts, undone.facts), *lost)
    failed = run(True)
    if failed:
        return Verdict.BROKEN, (*findings, Finding("reup", failure=failed, line=failed.line))
    again = read()
    known = {(finding.rows.table, finding.rows.column) for finding in findings if finding.rows}
    findings += compare_catalogs("reup", script, after.facts, again.facts)
    return Verdict.DIRTY, (*findings, *_not_again(script, before, after, again, known))


def compare_catalogs(phase: str, script: Script, before: Facts, after: Facts) -> tuple[Finding, ...]:
    """A finding for each difference, at the function to mend: always downgrade(), which did not undo all."""
    line = function_line(script, "downgrade")
    return tuple(Finding(phase, difference, line=line) for difference in catalog.differences(before, after))


def _accidents(script: Script, before: Snapshot, after: Snapshot, named: Callable[[str], bool]) -> Iterator[Finding]:
    """What an upgrade has done to the rows of tables that it does not name: by a cascade, or by a trigger."""
    for differ in row_snapshot.compare_rows(before.contents, after.contents):
        if differ.what in ("gone", "lost", "changed") and not named(differ.table):
            told = replace(differ, reason="the revision does not name the table")
            yield Finding("up", rows=told, line=function_line(script, "upgrade"))


def _lost(script: Script, before: Snapshot, after: Snapshot, undone: Snapshot) -> Iterator[Finding]:
    """Rows and values that did not come back, each with who has lost them."""
    by_upgrade = {_subject(each) for each in row_snapshot.compare_rows(before.contents, after.contents)}
    for differ in row_snapshot.compare_rows(before.contents, undone.contents):
        there = after.contents.get(differ.table)
        if there is None or (differ.column and differ.column not in there.columns):
            reason, line = f"the upgrade drops the {'column' if there else 'table'}", function_line(script, "upgrade")
        elif _subject(differ) in by_upgrade:
            reason, line = _words_of_upgrade(differ), function_line(script, "upgrade")
        else:
            reason, line = "the downgrade does it", function_line(script, "downgrade")
        yield Finding("down", rows=replace(differ, reason=reason), line=line)


def _subject(differ: RowDifference) -> tuple[str, str, str]:
    """What a difference is about: a column, or rows that are gone or new."""
    return differ.table, differ.column, "" if differ.column else differ.what


def _words_of_upgrade(differ: RowDifference) -> str:
    if differ.what == "new":
        return "the upgrade adds them, and the downgrade leaves them"
    return "the upgrade does it, and the downgrade does not undo it"


def _not_again(
    script: Script, before: Snapshot, after: Snapshot, again: Snapshot, known: set[tuple[str, str]]
) -> Iterator[Finding]:
    """How the second upgrade has treated the same rows in another way than the first; without what is told already."""
    first, second = (row_snapshot.restrict_to_known_keys(each.contents, before.contents) for each in (after, again))
    found = [*row_snapshot.compare_rows(first, second), *row_snapshot.compare_counts(after.contents, again.contents)]
    for differ in found:
        if (differ.table, differ.column) not in known:
            known.add((differ.table, differ.column))
            yield Finding("reup", rows=differ, line=function_line(script, "downgrade"))
