"""Which names and privileges that running code uses are there at the end of a revision."""

from collections.abc import Iterator

from dbkit.trace.records import Change, ChangeKind, Trace

TRIGGER_FUNCTION, PUBLICATION = "trigger function", "publication"
SEQUENCE_OF_COLUMN = "sequence of a column"
UNUSED_BY_CODE = (TRIGGER_FUNCTION, SEQUENCE_OF_COLUMN)
"""The kinds of objects that go with a table, and that code does not name: a default has the sequence by its OID."""
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


def find_lost_words(dropped: Change, trace: Trace) -> tuple[str, ...] | None:
    """Return which columns or labels the object that takes the name does not have; None if none takes it."""
    name = _first_name(dropped.table, trace)
    created = [each for each in changes_of(trace) if each.what == ChangeKind.OBJECT_CREATED]
    if "(" in dropped.table:  # a function: it may have more arguments now, with defaults
        signatures = {word for each in created for word in each.columns}
        return () if set(dropped.columns) <= signatures else None
    if dropped.kind == "view":
        created += [each for each in changes_of(trace) if each.what == ChangeKind.TABLE_CREATED]
    successors = [each for each in created if each.table == name and (each.kind in WITH_WORDS or not each.kind)]
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
