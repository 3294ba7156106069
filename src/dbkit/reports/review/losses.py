"""List the rows and values that a rollback of a revision would lose, as its traced downgrade shows."""

from collections.abc import Iterator, Mapping

from dbkit.lint.estimate import format_rows
from dbkit.lint.table_sizes import TableSize
from dbkit.trace.records import ChangeKind, Trace

ROWS = "rpm"
LOST = {
    ChangeKind.TABLE_DROPPED: "table {table}: all its rows",
    ChangeKind.COLUMN_DROPPED: "column {table}.{name}: its values",
    ChangeKind.TABLE_TRUNCATED: "table {table}: all its rows (TRUNCATE)",
    ChangeKind.TYPE_CHANGED: "column {table}.{name}: what {after} cannot hold of {before}",
}


def list_losses(downgrade: Trace, sizes: Mapping[str, TableSize]) -> Iterator[str]:
    """Yield what is lost, one line each; rows of the proof are not counted, since live tables have others."""
    seen: set[str] = set()
    made: set[str] = set()
    for statement in downgrade:
        made |= {each.table for each in statement.changes if each.what == ChangeKind.TABLE_CREATED}
        for change in statement.changes:
            words = LOST.get(change.what, "")
            if not words or change.table in made:
                continue
            if change.what == ChangeKind.TYPE_CHANGED and change.before == change.after:
                continue
            line = words.format(table=change.table, name=change.name, before=change.before, after=change.after)
            if line not in seen:
                seen.add(line)
                yield line + _describe_size(change.table, sizes)
        for each in statement.touched:
            if not each.existed or each.kind not in ROWS or each.relation in made:
                continue
            effects = [word for word, rows in (("deletes", each.deleted), ("changes", each.updated)) if rows]
            line = f"table {each.relation}: rows that the downgrade {' and '.join(effects)}"
            if effects and line not in seen:
                seen.add(line)
                yield line + _describe_size(each.relation, sizes)


def _describe_size(table: str, sizes: Mapping[str, TableSize]) -> str:
    return f" ({format_rows(sizes[table].rows)} in the live table)" if table in sizes else ""
