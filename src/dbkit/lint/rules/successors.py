"""Which table or view takes the name of a table that a revision drops or renames, and what it lacks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dbkit.postgres.sql_text import find_changed_tables, plain, unquote_name
from dbkit.trace.records import Change, ChangeKind, ExecutedStatement, RelationAccess, Trace

KEEPS_ROWS = re.compile(r"\battach partition\b|\binherit\b")
INSTEAD = re.compile(r"\binstead\b")
RENAMES = (ChangeKind.TABLE_RENAMED, ChangeKind.OBJECT_RENAMED)
DROPS = (ChangeKind.TABLE_DROPPED, ChangeKind.OBJECT_DROPPED)
CREATES = (ChangeKind.TABLE_CREATED, ChangeKind.OBJECT_CREATED)
OF_TABLES = (ChangeKind.TABLE_RENAMED, ChangeKind.TABLE_DROPPED, ChangeKind.TABLE_CREATED)


@dataclass(eq=False)
class NamedRelation:
    """A table or a view during a trace, under whatever name."""

    columns: set[str]
    kind: str = "table"
    is_new: bool = False
    is_read_only: bool = False
    """Whether it is a view that cannot be written."""
    is_filled: bool = False
    """Whether rows are written to it."""
    is_read: bool = False
    """Whether another statement than one that alters it reads its rows."""


@dataclass(frozen=True)
class Replacement:
    """A table that is dropped or renamed, and what has its name at the end of the revision."""

    old: NamedRelation
    new: NamedRelation
    keeps_rows: bool
    """Whether the old table becomes a part of the new one."""

    @property
    def loses_rows(self) -> bool:
        """Return whether the new table has none of the rows."""
        is_empty = self.new.kind == "table" and self.new.is_new and not self.new.is_filled
        return is_empty and not (self.old.is_read or self.keeps_rows)


def find_replacement(change: Change, trace: Trace) -> Replacement | None:
    """Return what takes the name of a table; None if nothing does. A table that gets its name back replaces itself."""
    names: dict[str, NamedRelation] = {}
    old = None
    for statement in trace:
        _note_rows(statement, names)
        if any(each is change for each in statement.changes):
            old = names.setdefault(change.table, NamedRelation(set(change.columns)))
        _note_columns(statement, names)
        _note_names(statement, names)
        _note_rows(statement, names)
    new = names.get(change.table)
    if old is None or new is None:
        return None
    texts = [plain(each.sql) for each in trace]
    if any(map(INSTEAD.search, texts)):  # a rule or a trigger that writes elsewhere
        new.is_read_only = False
    return Replacement(old, new, any(map(KEEPS_ROWS.search, texts)))


def _note_rows(statement: ExecutedStatement, names: dict[str, NamedRelation]) -> None:
    """Note which relations a statement has read and filled."""
    inserted = {name for verb, name in find_changed_tables(statement.sql) if verb in ("insert", "merge")}
    altered = {each.table for each in statement.changes}
    reads = any((each.scanned or each.scans) and each.relation not in altered for each in statement.touched)
    for name, access in ((each.relation, each) for each in statement.touched):
        is_written = bool(access.inserted or unquote_name(name.rpartition(".")[2]) in inserted)
        is_read = _reads(access) and name not in altered
        if name not in names and (is_written or is_read):
            names[name] = NamedRelation(set())
        if name in names:
            # a table that a query of another one has made has its rows, if there are any
            names[name].is_filled = names[name].is_filled or is_written or (name in altered and reads)
            names[name].is_read = names[name].is_read or is_read


def _reads(access: RelationAccess) -> bool:
    return bool(access.scanned or access.scans)


def _note_columns(statement: ExecutedStatement, names: dict[str, NamedRelation]) -> None:
    """Follow the columns of tables, by the names that these have before the statement."""
    for each in statement.changes:
        if each.what in (ChangeKind.TABLE_RENAMED, ChangeKind.TABLE_DROPPED):
            names.setdefault(each.table, NamedRelation(set())).columns = set(each.columns)
        relation = names.get(each.table)
        if relation is None:
            continue
        if each.what == ChangeKind.COLUMN_ADDED:
            relation.columns.add(each.name)
        elif each.what == ChangeKind.COLUMN_DROPPED:
            relation.columns.discard(each.name)
        elif each.what == ChangeKind.COLUMN_RENAMED:
            relation.columns = relation.columns - {each.before} | {each.after}


def _note_names(statement: ExecutedStatement, names: dict[str, NamedRelation]) -> None:
    """Follow the names of tables and views: one statement may swap several."""
    changes = [*_name_changes(statement)]
    moved = {
        each.after: names.get(each.table, NamedRelation(set(each.columns), "view"))
        for each in changes
        if each.what in RENAMES
    }
    for each in changes:
        if each.what in DROPS or each.what in RENAMES:
            names.pop(each.table, None)
    names |= moved
    for each in changes:
        if each.what in CREATES:
            kind = "table" if each.what == ChangeKind.TABLE_CREATED else "view"
            is_read_only = kind == "view" and bool(each.detail)
            names[each.table] = NamedRelation(set(each.columns), kind, is_new=True, is_read_only=is_read_only)


def _name_changes(statement: ExecutedStatement) -> Iterator[Change]:
    for each in statement.changes:
        if each.what in OF_TABLES or (each.kind == "view" and each.what in (*RENAMES, *DROPS, *CREATES)):
            yield each
