"""Rules on names that running code may still use after the migration."""

from collections.abc import Iterator

from dbkit.findings.finding import Level
from dbkit.lint.rules.rule import Violation, change_rule
from dbkit.lint.trace_reader import TracedStatement
from dbkit.trace.records import Change, ChangeKind, Trace


@change_rule("rename-breaks-code", Level.WARNING)
def rename_breaks_code(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report a renamed table or column, unless a view or another table takes the old name."""
    is_table = change.what == ChangeKind.TABLE_RENAMED
    if not (is_table or change.what == ChangeKind.COLUMN_RENAMED) or change.table not in traced.tables:
        return
    if f"{change.table}.{change.name}" in traced.created or (is_table and _is_reused(change.before, traced.trace)):
        return
    what = "table" if is_table else "column"
    name = f"{change.table}.{change.before}" if change.name else change.before
    yield Violation(
        f"{name}: the {what} is renamed to {change.after}, and running code uses the old name",
        "Until the last process has restarted, old code runs on the new schema.",
        _keep_both_names(change),
        tables=(change.table,),
    )


def _keep_both_names(change: Change) -> str:
    if change.name:
        return "# add the new column, write both, backfill, read the new one; drop the old one in a later release"
    view = f"CREATE VIEW {change.before} AS SELECT * FROM {change.after}"  # noqa: S608
    return f'# in the same transaction: keep the old name for as long as old code runs\nop.execute("{view}")'


@change_rule("drop-breaks-code", Level.WARNING)
def drop_breaks_code(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report a dropped table or column that existed before the revision."""
    is_table = change.what == ChangeKind.TABLE_DROPPED
    if not (is_table or change.what == ChangeKind.COLUMN_DROPPED) or change.table not in traced.tables:
        return
    if f"{change.table}.{change.name}" in traced.created or (is_table and _is_reused(change.table, traced.trace)):
        return
    name = f"{change.table}.{change.name}" if change.name else change.table
    what = "table" if is_table else "column"
    yield Violation(
        f"{name}: the {what} is dropped, and running code may still use it",
        "Models name all columns in their SELECTs: old code fails until its last process has restarted."
        " Its data is lost, too.",
        "# first release code that does not use it; then drop it, and accept this: # dbkit: ok drop-breaks-code, …",
        tables=(change.table,),
    )


def _is_reused(table: str, trace: Trace) -> bool:
    """Return whether the revision gives the old name of a table to a view or to another table."""
    views = (each for statement in trace for each in statement.touched if each.kind in ("v", "m"))
    names = {each.relation for each in views if not each.existed}
    for change in (each for statement in trace for each in statement.changes):
        names |= {change.after} if change.what == ChangeKind.TABLE_RENAMED else set()
        names |= {change.table} if change.what == ChangeKind.TABLE_CREATED else set()
    return table in names
