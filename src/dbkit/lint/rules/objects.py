"""Which names and privileges that running code uses are there at the end of a revision."""

from collections.abc import Iterator

from dbkit.trace.records import Change, ChangeKind, Trace

TRIGGER_FUNCTION, PUBLICATION = "trigger function", "publication"
SEQUENCE_OF_COLUMN = "sequence of a column"
UNUSED_BY_CODE = (TRIGGER_FUNCTION, SEQUENCE_OF_COLUMN)
"""The kinds of objects that go with a table, and that code does not name."""
WITH_WORDS = {"view": "column", "composite type": "column", "enum": "label", PUBLICATION: "table"}


def changes_of(trace: Trace) -> Iterator[Change]:
    """Yield all changes of a trace."""
    return (change for statement in trace for change in statement.changes)


def later_changes(trace: Trace, change: Change) -> Iterator[Change]:
    """Yield the changes of a trace after one of them."""
    is_later = False
    for each in changes_of(trace):
        if is_later:
            yield each
        is_later = is_later or each is change


def is_reused(name: str, trace: Trace) -> bool:
    """Return whether the revision gives a name of a table, a type or another object to a new one."""
    views = (each for statement in trace for each in statement.touched if each.kind in ("v", "m"))
    names = {each.relation for each in views if not each.existed}
    for change in changes_of(trace):
        if change.what in (ChangeKind.TABLE_RENAMED, ChangeKind.OBJECT_RENAMED):
            names.add(change.after)
        elif change.what in (ChangeKind.TABLE_CREATED, ChangeKind.OBJECT_CREATED):
            names.add(change.table)
    return name in names


def find_lost_columns(replaced: Change, name: str, trace: Trace) -> tuple[str, ...]:
    """Return which columns of a table the table or the view does not have that has its name at the end."""
    columns: dict[str, set[str]] = {}
    for change in changes_of(trace):
        if change.what in (ChangeKind.TABLE_CREATED, ChangeKind.OBJECT_CREATED):
            columns[change.table] = set(change.columns)
        elif change.what == ChangeKind.TABLE_RENAMED:
            columns.pop(change.before, None)
            columns[change.after] = set(change.columns)
        elif change.what == ChangeKind.TABLE_DROPPED and change is not replaced:
            columns.pop(change.table, None)
        elif change.what in (ChangeKind.COLUMN_ADDED, ChangeKind.COLUMN_DROPPED, ChangeKind.COLUMN_RENAMED):
            found = columns.get(change.table, set())
            found.discard(change.name)
            found |= {change.name} if change.what == ChangeKind.COLUMN_ADDED else set()
            found |= {change.after} if change.what == ChangeKind.COLUMN_RENAMED else set()
    successor = columns.get(name)
    return tuple(each for each in replaced.columns if each not in successor) if successor else ()


def is_created_as_table(name: str, trace: Trace) -> bool:
    """Return whether the revision creates the table that has a name at its end."""
    created: set[str] = set()
    for change in changes_of(trace):
        if change.what == ChangeKind.TABLE_CREATED:
            created.add(change.table)
        elif change.what == ChangeKind.TABLE_RENAMED and change.before in created:
            created = created - {change.before} | {change.after}
        elif change.what == ChangeKind.TABLE_RENAMED:
            created.discard(change.after)
    return name in created


def find_lost_words(dropped: Change, trace: Trace) -> tuple[str, ...] | None:
    """Return which columns or labels the object that takes the name does not have; None if none takes it."""
    name = _first_name(dropped.table, trace)
    created = [each for each in changes_of(trace) if each.what == ChangeKind.OBJECT_CREATED]
    if "(" in dropped.table:  # a function: it may have more arguments now, with defaults
        signatures = {word for each in created for word in each.columns}
        return () if set(dropped.columns) <= signatures else None
    successors = [each for each in created if each.table == name and each.kind in WITH_WORDS]
    if successors:
        words = {word for each in successors for word in each.columns}
        return tuple(word for word in dropped.columns if word not in words)
    return () if is_reused(name, trace) else None


def _first_name(name: str, trace: Trace) -> str:
    """Return the name that an object had before the revision renamed it."""
    for change in reversed([*changes_of(trace)]):
        if change.what == ChangeKind.OBJECT_RENAMED and change.after == name:
            name = change.before
    return name
