"""The effects of the pending revisions before another one on the rows that its preconditions are about.

Their traces show it, whatever the style of the statement: the tables that are opened to change rows, and the changes of
the catalog.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

from dbkit.catalog.facts import display_name
from dbkit.postgres.sql_text import SEPARATORS, Kind, tokenize, unquote_name
from dbkit.preconditions.precondition import Precondition
from dbkit.preflight.ask import Status
from dbkit.roundtrip.outcome import RevisionOutcome
from dbkit.trace.records import Change, ChangeKind, ExecutedStatement, Lock, RelationAccess

TABLE_KINDS = ("r", "p", "f")
UPDATES = re.compile(r"\s*update\b", re.IGNORECASE)
ADDS_OR_DELETES = re.compile(
    r"""\s*(?P<verb>insert|delete)\s+(?:into|from)\s+(?:only\s+)?(?P<table>[\w$."]+)""", re.IGNORECASE
)
CONFLICT = re.compile(r"\bon\s+conflict\b", re.IGNORECASE)
Name = tuple[str, ...]
"""The parts of a qualified name."""


@dataclass(frozen=True)
class Decision:
    """Why an earlier revision decides a precondition."""

    words: str
    is_new: bool = False
    """Whether the revision makes a table or a column that the query names, so that it cannot be asked before."""
    final: Status | None = None
    """The answer that stays all the same: `violated` where rows are only added, `holds` where they are only deleted."""


@dataclass(frozen=True)
class Reads:
    """The names of the query of a precondition."""

    names: Sequence[Name]
    source: Name
    """The table that it is about."""

    @cached_property
    def endings(self) -> Counter[Name]:
        """How many names end in each name: `orders` in `app.orders`, too."""
        return Counter(name[start:] for name in self.names for start in range(len(name)))

    @cached_property
    def words(self) -> set[str]:
        """The parts of all names, columns among them."""
        return {part for parts in self.names for part in parts}

    def has_table(self, table: str) -> bool:
        """Whether a table, by its name as the server shows it, is among the names."""
        return self.endings[read_name(table)] > 0

    def is_source(self, table: str) -> bool:
        """Whether the query reads a table once, as the one that it is about."""
        return is_named(table, [self.source]) and self.endings[read_name(table)] == 1


def find_decision(precondition: Precondition, earlier: Sequence[RevisionOutcome]) -> Decision | None:
    """Return what the revisions before do to what a precondition is about; None where they leave it."""
    reads = Reads(list(read_names(precondition.query)), next(read_names(precondition.source.table), ()))
    found = [each for outcome in earlier for each in _decisions(outcome, reads)]
    if not found:
        return None
    first = next((each for each in found if each.is_new), found[0])
    finals = {each.final for each in found}
    return replace(first, final=finals.pop() if len(finals) == 1 else None)


def read_names(query: str) -> Iterator[Name]:
    """Yield each name of a query, qualified as it is there."""
    parts: list[str] = []
    expected = True
    for token in tokenize(query):
        if token.kind in SEPARATORS:
            continue
        if token.kind in (Kind.NAME, Kind.WORD) and expected:
            parts.append(unquote_name(token.text))
            expected = False
        elif token.text == "." and parts:
            expected = True
        else:
            if parts:
                yield tuple(parts)
            is_name = token.kind in (Kind.NAME, Kind.WORD)
            parts, expected = ([unquote_name(token.text)], False) if is_name else ([], True)
    if parts:
        yield tuple(parts)


@cache
def read_name(table: str) -> Name:
    """Return the parts of a table's name."""
    return next(read_names(table), ())


def _decisions(outcome: RevisionOutcome, reads: Reads) -> Iterator[Decision]:
    if not outcome.is_traced:
        yield Decision(f"{outcome.name} comes before, and what it changes could not be traced")
    for trace in outcome.traces:
        for statement in trace if trace.direction == "upgrade" else ():
            yield from (
                each for change in statement.changes if (each := _decide_by_change(outcome.name, change, reads))
            )
            yield from _decide_by_rows(outcome.name, statement, reads)


def _decide_by_rows(name: str, statement: ExecutedStatement, reads: Reads) -> Iterator[Decision]:
    for access in statement.touched:
        tables = [table for table in (access.relation, access.partition_of) if table and reads.has_table(table)]
        if tables and changes_rows(access) and not _sets_other_columns(statement, tables, reads):
            yield Decision(
                f"{name} changes the rows of {_show(tables[-1])} before", final=_find_final(statement, tables, reads)
            )


def _sets_other_columns(statement: ExecutedStatement, tables: Sequence[str], reads: Reads) -> bool:
    """Whether a statement is an UPDATE of one of the tables, of columns that the query does not read."""
    if not UPDATES.match(statement.sql):
        return False
    from dbkit.preflight.row_queries import read_assigned_columns  # it loads the parser of SQL

    table, columns = read_assigned_columns(statement.sql)
    return _is_one_of(table, tables) and bool(columns) and not columns & reads.words


def _find_final(statement: ExecutedStatement, tables: Sequence[str], reads: Reads) -> Status | None:
    """Return the answer that an INSERT or a DELETE of the table that a query is about leaves."""
    match = ADDS_OR_DELETES.match(statement.sql)
    if match is None or CONFLICT.search(statement.sql) or not all(map(reads.is_source, tables)):
        return None
    if not _is_one_of(next(read_names(match["table"]), ("",))[-1], tables):
        return None
    return Status.VIOLATED if match["verb"].lower() == "insert" else Status.HOLDS


def _is_one_of(name: str, tables: Sequence[str]) -> bool:
    """Whether a name without a schema is that of one of the tables."""
    return any(read_name(table)[-1] == name for table in tables)


def changes_rows(access: RelationAccess) -> bool:
    """Whether a statement changes rows of a table, or may change them: it has opened the table for that."""
    if access.kind not in TABLE_KINDS:
        return False
    is_opened = access.opened or access.lock == Lock.ROW_EXCLUSIVE
    return is_opened or access.rewritten or access.written > 0


def _decide_by_change(name: str, change: Change, reads: Reads) -> Decision | None:
    table = change.after if change.what == ChangeKind.TABLE_RENAMED else change.table
    if not (reads.has_table(table) or reads.has_table(change.table)):
        return None
    if change.what == ChangeKind.TABLE_CREATED:
        return Decision(f"{name} creates {_show(table)} before", is_new=True)
    if change.what == ChangeKind.TABLE_RENAMED:
        return Decision(f"{name} renames {_show(change.table)} to {_show(table)} before", is_new=True)
    words = reads.words
    if change.what == ChangeKind.COLUMN_ADDED and change.name in words:
        return Decision(f"{name} adds {_show(table)}.{change.name} before", is_new=True)
    if change.what == ChangeKind.COLUMN_RENAMED and change.after in words:
        return Decision(f"{name} renames {_show(table)}.{change.name} to {change.after} before", is_new=True)
    if change.what == ChangeKind.TYPE_CHANGED and change.name in words:
        return Decision(f"{name} changes the type of {_show(table)}.{change.name} before")
    return None


def is_named(table: str, names: Collection[Name]) -> bool:
    """Whether a table, by its name as the server shows it, is among the names of a query."""
    parts = read_name(table)
    return any(name[-len(parts) :] == parts for name in names)


def _show(table: str) -> str:
    """Return the name of a table for display, whatever the server quotes."""
    return ".".join(map(display_name, read_name(table)))
