"""Find what a draft drops and adds, and that may be a rename: a column or a table with another name and the same type.

Only a person knows. What the person confirms is declared in the models, as long as the process runs.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TypeVar

import sqlalchemy as sa

from dbkit.catalog import object_name
from dbkit.catalog.facts import display_name
from dbkit.drafts.comparison import Comparison
from dbkit.drafts.renames import KEY
from dbkit.drafts.shapes import Column, Table, TableName

T = TypeVar("T")


@dataclass(frozen=True)
class RenameCandidate:
    """A dropped and an added object of one type."""

    table: TableName
    """The table of the models."""
    old: str
    new: str
    is_column: bool

    @property
    def question(self) -> str:
        """The question for a person."""
        if self.is_column:
            place = object_name(self.table[1], self.table[0])
            return f"Was column {place}.{display_name(self.old)} renamed to {display_name(self.new)}?"
        names = (object_name(name, self.table[0]) for name in (self.old, self.new))
        return f"Was table {' renamed to '.join(names)}?"

    def is_about(self, other: "RenameCandidate") -> bool:
        """Whether both are about one object, which is renamed once."""
        is_same_place = self.is_column == other.is_column and (not self.is_column or self.table == other.table)
        return is_same_place and (self.old == other.old or self.new == other.new)


AskRename = Callable[[RenameCandidate], bool]
"""Asks a person whether it is a rename."""


def confirm_renames(comparison: Comparison, ask: AskRename, asked: set[RenameCandidate]) -> Sequence[RenameCandidate]:
    """Ask for each candidate that was not asked before, and return those that are renames, one for each object."""
    confirmed: list[RenameCandidate] = []
    for each in find_candidates(comparison):
        if each in asked or any(map(each.is_about, confirmed)):
            continue
        asked.add(each)
        if ask(each):
            confirmed.append(each)
    return confirmed


def declare_renames(confirmed: Sequence[RenameCandidate], comparison: Comparison) -> None:
    """Declare renames in the models, as `info={"renamed_from": …}` does."""
    default = comparison.modelled.shapes.default_schema
    models = [table for each in comparison.metadata for table in each.tables.values()]
    for each in confirmed:
        for model in models:
            if (str(model.schema or default), str(model.name)) == each.table:
                _find_item(model, each).info[KEY] = each.old


def _find_item(model: sa.Table, candidate: RenameCandidate) -> "sa.Table | sa.Column[object]":
    columns = (column for column in model.columns if column.name == candidate.new)
    return next(columns) if candidate.is_column else model


def find_candidates(comparison: Comparison) -> Iterator[RenameCandidate]:
    """Yield the candidates; for each dropped object those with the most similar names first."""
    dropped = {each.fact for each in comparison.differences if each.after is None}
    added = {each.fact for each in comparison.differences if each.before is None}
    before, after = comparison.migrated.shapes.tables, comparison.modelled.shapes.tables
    gone = {key: each for key, each in before.items() if each.fact in dropped}
    new = {key: each for key, each in after.items() if each.fact in added}
    for key, table in gone.items():
        same = {other[1]: each for other, each in new.items() if other[0] == key[0]}
        for name in _rank(key[1], table, same, _describe_table):
            yield RenameCandidate((key[0], name), key[1], name, is_column=False)
    for key in sorted(before.keys() & after.keys()):
        former, latter = before[key], after[key]
        columns = {name: each for name, each in latter.columns.items() if latter.column_fact(name) in added}
        for name, column in former.columns.items():
            if former.column_fact(name) in dropped:
                for other in _rank(name, column, columns, _describe_column):
                    yield RenameCandidate(key, name, other, is_column=True)


def _rank(name: str, item: T, others: Mapping[str, T], describe: Callable[[T], Collection[object]]) -> Sequence[str]:
    """Return the names of the others that are described as the item is, the most similar ones first."""
    same = [other for other, each in others.items() if describe(each) == describe(item)]
    return sorted(same, key=lambda other: SequenceMatcher(None, name, other).ratio(), reverse=True)


def _describe_table(table: Table) -> Collection[object]:
    return {(name, *_describe_column(column)) for name, column in table.columns.items()}


def _describe_column(column: Column) -> tuple[object, ...]:
    return column.type, column.generated, column.is_inherited
