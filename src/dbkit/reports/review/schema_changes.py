"""The changes of the schema that an upgrade has made, as lines with a sign."""

from collections.abc import Iterator

from dbkit.reports.review.model import SchemaChange
from dbkit.trace.records import Change, ChangeKind, ExecutedStatement, Trace

ADDED = {
    ChangeKind.TABLE_CREATED: "table",
    ChangeKind.COLUMN_ADDED: "column",
    ChangeKind.CONSTRAINT_ADDED: "constraint",
    ChangeKind.INDEX_ADDED: "index",
    ChangeKind.TRIGGER_ADDED: "trigger",
    ChangeKind.RULE_ADDED: "rule",
    ChangeKind.OBJECT_CREATED: "",
    ChangeKind.LABEL_ADDED: "label",
    ChangeKind.PRIVILEGE_GRANTED: "privilege",
}
DROPPED = {
    ChangeKind.TABLE_DROPPED: "table",
    ChangeKind.COLUMN_DROPPED: "column",
    ChangeKind.CONSTRAINT_DROPPED: "constraint",
    ChangeKind.INDEX_DROPPED: "index",
    ChangeKind.TRIGGER_DROPPED: "trigger",
    ChangeKind.RULE_DROPPED: "rule",
    ChangeKind.OBJECT_DROPPED: "",
    ChangeKind.POLICY_DROPPED: "policy",
    ChangeKind.PARTITION_DETACHED: "partition",
    ChangeKind.PRIVILEGE_REVOKED: "privilege",
}
# what PostgreSQL writes beside the change that the migration makes
NOT_SHOWN = (
    ChangeKind.CATALOG_WRITTEN,
    ChangeKind.SEQUENCE_ASSIGNED,
    ChangeKind.SEQUENCE_SET,
    ChangeKind.SETTING_CHANGED,
    ChangeKind.TABLE_TRUNCATED,
)
NOT_NULL = {ChangeKind.NOT_NULL_SET: "NOT NULL set", ChangeKind.NOT_NULL_DROPPED: "NOT NULL dropped"}
OF_A_COLUMN = "sequence of a column"
WITHIN_TABLE = (ChangeKind.COLUMN_ADDED, ChangeKind.COLUMN_DROPPED, ChangeKind.COLUMN_RENAMED)


def list_changes(trace: Trace) -> Iterator[SchemaChange]:
    """Yield the changes in the order in which they were made, each once."""
    created: set[str] = set()
    seen: set[SchemaChange] = set()
    for statement in trace:
        created |= {each.table for each in statement.changes if each.what == ChangeKind.TABLE_CREATED}
        for change in statement.changes:
            if _is_shown(change, statement, created):
                line = _describe(change)
                if line not in seen:
                    seen.add(line)
                    yield line


def _is_shown(change: Change, statement: ExecutedStatement, created: set[str]) -> bool:
    if change.what in NOT_SHOWN or change.kind == OF_A_COLUMN:
        return False
    if change.kind == "not null" and change.what in (ChangeKind.CONSTRAINT_ADDED, ChangeKind.CONSTRAINT_DROPPED):
        # PostgreSQL 18 has a constraint beside the property of the column
        kinds = (*NOT_NULL, ChangeKind.COLUMN_ADDED)
        columns = {each.name for each in statement.changes if each.what in kinds and each.table == change.table}
        if any(change.after.split()[2:3] == [column] for column in columns):
            return False
    if change.what == ChangeKind.CONSTRAINT_ADDED:
        # the statement that creates the table has them; and a change of type makes a constraint again
        return not (change.kind == "not null" and change.table in created) and change.before != change.after
    if change.what == ChangeKind.CONSTRAINT_DROPPED:
        return not any(
            each.what == ChangeKind.CONSTRAINT_ADDED and (each.table, each.name) == (change.table, change.name)
            for each in statement.changes
        )
    return True


def _describe(change: Change) -> SchemaChange:
    if change.what in NOT_NULL:
        return SchemaChange("~", f"column {change.table}.{change.name}: {NOT_NULL[change.what]}")
    if change.what == ChangeKind.COLUMN_ADDED:
        not_null = " NOT NULL" if change.kind == "not null" else ""
        return SchemaChange("+", _name("column", change), f"{change.before}{not_null}")
    if change.what in ADDED:
        return SchemaChange("+", _name(ADDED[change.what], change), change.after)
    if change.what in DROPPED:
        return SchemaChange("-", _name(DROPPED[change.what], change), change.after or change.before)
    noun, _, happened = change.what.value.partition(" ")
    subject = _name(change.kind if noun == "object" else noun, change)
    if change.before or change.after:
        return SchemaChange("~", f"{subject}: {happened}", f"{change.before or 'none'} → {change.after or 'none'}")
    return SchemaChange("~", f"{subject}: {happened}")


def _name(noun: str, change: Change) -> str:
    """Return the noun and the name of what a change is about, such as "column orders.note"."""
    noun = noun or change.kind or "object"
    if not change.name:
        return f"{noun} {change.table}"
    if change.what in WITHIN_TABLE or noun in ("type", "default", "not", "label"):
        noun = {"not": "column", "type": "column", "default": "column"}.get(noun, noun)
        return f"{noun} {change.table}.{change.name}"
    kind = f"{change.kind} " if change.kind and noun in ("constraint", "index") else ""
    return f"{kind}{noun} {change.name} on {change.table}"
