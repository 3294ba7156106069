"""Compare the states of a database before and after a revision's downgrade and second upgrade."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from alembic.script import Script

from dbkit import catalog
from dbkit.findings.verdict import Verdict
from dbkit.project.revision_source import function_line
from dbkit.roundtrip import row_snapshot
from dbkit.roundtrip.outcome import Failure, Finding
from dbkit.roundtrip.row_snapshot import RowDifference, RowSnapshot

Facts = dict[catalog.Fact, str]
Findings = tuple[Finding, ...]


@dataclass(frozen=True)
class Snapshot:
    """The catalog and the rows of a database at one point of a proof."""

    facts: Facts
    rows: RowSnapshot = field(default_factory=dict)
    """Empty where rows are not compared."""


def compare_down_and_up(
    script: Script,
    before: Snapshot,
    after: Snapshot,
    *,
    run: Callable[[bool], Failure | None],
    read: Callable[[], Snapshot],
    is_named: Callable[[str], bool],
) -> tuple[Verdict, Findings]:
    """Do the second half of a proof: downgrade, compare with `before`; upgrade again, compare with `after`.

    `run(up)` returns why a step failed; `is_named(table)` is whether the revision contains the name of a table.
    """
    unnamed = tuple(_compare_unnamed_tables(script, before, after, is_named))
    failed = run(False)
    if failed:
        return judge_failed_downgrade(failed), (*unnamed, Finding("down", failure=failed, line=failed.line))
    undone = read()
    lost = tuple(_compare_undone_rows(script, before, after, undone))
    tables = {finding.rows.table for finding in lost if finding.rows}
    # rows that came back were changed on purpose: through a partition, a view or a function of the table
    unnamed = tuple(finding for finding in unnamed if finding.rows and finding.rows.table in tables)
    findings = (*unnamed, *_compare_catalogs("down", script, before.facts, undone.facts), *lost)
    failed = run(True)
    if failed:
        return Verdict.BROKEN, (*findings, Finding("reup", failure=failed, line=failed.line))
    again = read()
    known = {(finding.rows.table, finding.rows.column) for finding in findings if finding.rows}
    findings += _compare_catalogs("reup", script, after.facts, again.facts)
    return Verdict.DIRTY, (*findings, *_compare_upgrades(script, before, after, again, known))


def judge_failed_downgrade(failed: Failure) -> Verdict:
    """Return the verdict on a revision whose downgrade fails."""
    return Verdict.IRREVERSIBLE if failed.raised else Verdict.UNPROVEN if failed.elsewhere else Verdict.BROKEN


def _compare_catalogs(phase: str, script: Script, before: Facts, after: Facts) -> Findings:
    """Return a finding for each difference, at downgrade(): that function did not undo everything."""
    line = function_line(script, "downgrade")
    return tuple(Finding(phase, difference, line=line) for difference in catalog.compare_facts(before, after))


def _compare_unnamed_tables(
    script: Script, before: Snapshot, after: Snapshot, is_named: Callable[[str], bool]
) -> Iterator[Finding]:
    """Yield what an upgrade has done to rows of tables that it does not name: by a cascade, or by a trigger."""
    for difference in row_snapshot.compare_rows(before.rows, after.rows):
        if difference.what in ("gone", "lost", "changed") and not is_named(difference.table):
            explained = replace(difference, reason="the revision does not name the table")
            yield Finding("up", rows=explained, line=function_line(script, "upgrade"))


def _compare_undone_rows(script: Script, before: Snapshot, after: Snapshot, undone: Snapshot) -> Iterator[Finding]:
    """Yield the rows and values that did not come back, each with the function that has lost it."""
    by_upgrade = {_subject(each) for each in row_snapshot.compare_rows(before.rows, after.rows)}
    for difference in row_snapshot.compare_rows(before.rows, undone.rows):
        upgraded = after.rows.get(difference.table)
        if upgraded is None or (difference.column and difference.column not in upgraded.columns):
            former = before.rows[difference.table]
            is_new = set(upgraded.columns) - {*former.columns} if upgraded else after.rows.keys() - before.rows.keys()
            verb = "drops or renames" if is_new else "drops"
            function, reason = "upgrade", f"the upgrade {verb} the {'column' if upgraded else 'table'}"
        elif _subject(difference) in by_upgrade:
            function, reason = "upgrade", _upgrade_reason(difference)
        else:
            function, reason = "downgrade", "the downgrade does it"
        yield Finding("down", rows=replace(difference, reason=reason), line=function_line(script, function))


def _subject(difference: RowDifference) -> tuple[str, str, str]:
    """Return what a difference is about: a column, or rows that are gone or new."""
    return difference.table, difference.column, "" if difference.column else difference.what


def _upgrade_reason(difference: RowDifference) -> str:
    if difference.what == "new":
        return "the upgrade adds them, and the downgrade leaves them"
    return "the upgrade does it, and the downgrade does not undo it"


def _compare_upgrades(
    script: Script, before: Snapshot, after: Snapshot, again: Snapshot, known: set[tuple[str, str]]
) -> Iterator[Finding]:
    """Yield how the second upgrade has changed the same rows differently; without the `known` tables and columns."""
    first, second = (row_snapshot.restrict_to_known_keys(each.rows, before.rows) for each in (after, again))
    found = [*row_snapshot.compare_rows(first, second), *row_snapshot.compare_counts(after.rows, again.rows)]
    for difference in found:
        if (difference.table, difference.column) not in known:
            known.add((difference.table, difference.column))
            yield Finding("reup", rows=difference, line=function_line(script, "downgrade"))
