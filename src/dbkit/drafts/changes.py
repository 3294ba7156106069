"""The tables of a comparison: those that are created, dropped and kept, and the parts that must be made again."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from dbkit.catalog import Fact
from dbkit.drafts.casts import is_comparable
from dbkit.drafts.column_types import make_type
from dbkit.drafts.comparison import Comparison
from dbkit.drafts.render_options import MODEL_TYPE
from dbkit.drafts.shapes import Column, Constraint, Index, Table, TableName
from dbkit.drafts.table_order import sort_tables
from dbkit.postgres.sql_text import tokenize


class Changes:
    """The tables of a comparison, before and after."""

    def __init__(self, comparison: Comparison) -> None:
        self.is_reversed = comparison.is_reversed
        self.before = comparison.migrated.shapes
        self.after = comparison.modelled.shapes
        self.after_target = comparison.modelled.target
        self.facts = {difference.fact: difference for difference in comparison.differences}
        self._metadata = comparison.metadata
        self._former = {rename.new: rename.old for rename in comparison.renames if rename.is_aside}
        self._facts = (comparison.migrated.facts, comparison.modelled.facts)

    def differs(self, fact: Fact) -> bool:
        """Whether this fact is one of the differences."""
        return fact in self.facts

    def schema(self, table: TableName) -> str | None:
        """The schema to write; None for the one that an unqualified name means on both sides."""
        return None if table[0] == self.before.default_schema == self.after.default_schema else table[0]

    def label(self, table: Table) -> str:
        """The name for a sentence."""
        return self._former.get(table.fact, table.fact).identity

    @cached_property
    def created(self) -> list[Table]:
        """The new tables, each after those that it references or inherits from."""
        return sort_tables([table for table in self.after.tables.values() if self._comes(table, self.before.tables)])

    @cached_property
    def dropped(self) -> list[Table]:
        """The dropped tables, each before those that it references or inherits from."""
        return sort_tables([table for table in self.before.tables.values() if self._comes(table, self.after.tables)])[
            ::-1
        ]

    def _comes(self, table: Table, others: Mapping[TableName, Table]) -> bool:
        if table.key in others:
            return False
        if self.differs(table.fact):
            return True
        # a partition is created with its table, also where it is no difference for itself
        parent = table.parents[0] if table.is_partition and table.parents else None
        return any(
            shapes.tables is not others and parent in shapes.tables and self._comes(shapes.tables[parent], others)
            for shapes in (self.before, self.after)
            if parent
        )

    @cached_property
    def kept(self) -> list[tuple[Table, Table]]:
        """The tables that are on both sides."""
        names = [name for name in self.after.tables if name in self.before.tables]
        return [(self.before.tables[name], self.after.tables[name]) for name in names]

    def column_info(self, table: TableName, column: str) -> Mapping[str, Any]:
        """The `info` of a model's column."""
        model = self.models.get(table)
        found = [each for each in model.columns if each.name == column] if model is not None else []
        return found[0].info if found else {}

    def domain_conditions(self, column: Column) -> list[str]:
        """The constraints of the domain that a column has after, as text."""
        if column.uses is None or column.uses.kind != "domain":
            return []
        return [text for fact, text in self._facts[1].items() if fact.kind == "constraint" and column.uses in fact.of]

    def old_type(self, column: Column) -> TypeEngine[Any] | None:
        """SQLAlchemy's type of a column before; None where it has none."""
        return make_type(column, self._facts[0])

    def new_type(self, table: TableName, column: Column) -> TypeEngine[Any] | None:
        """SQLAlchemy's type of a column after; None where it has none."""
        model = self.models.get(table)
        types = [each.type for each in model.columns if each.name == column.name] if model is not None else []
        made = make_type(column, self._facts[1], types[0] if types else None)
        if made is not None and types and not self.is_reversed:
            setattr(made, MODEL_TYPE, types[0])
        return made

    @cached_property
    def models(self) -> Mapping[TableName, sa.Table]:
        """The models' tables by schema and name."""
        default = self.after.default_schema
        return {
            (str(table.schema or default), str(table.name)): table
            for metadata in self._metadata
            for table in metadata.tables.values()
        }

    def columns(self) -> Iterator[tuple[Table, Table, Column, Column]]:
        """Yield the columns that are on both sides, with their tables."""
        for before, after in self.kept:
            for name, column in after.columns.items():
                if name in before.columns:
                    yield before, after, before.columns[name], column

    def is_retyped(self, table: Table, before: Column, after: Column) -> bool:
        """Whether the type or the collation of a column changes."""
        changes = (before.type, before.collation) != (after.type, after.collation)
        return changes and self.differs(table.column_fact(after.name))

    @cached_property
    def retyped(self) -> set[tuple[TableName, str]]:
        """The columns whose type changes."""
        return {
            (table.key, column.name)
            for table, _, column, after in self.columns()
            if self.is_retyped(table, column, after)
        }

    @cached_property
    def remade_columns(self) -> set[tuple[TableName, str]]:
        """The columns that are dropped and added again: generated ones that change, or whose base columns do."""
        found = set()
        for table, _, before, after in self.columns():
            if before.generated != after.generated:
                is_remade = bool(after.generated) or before.generated == "v"
            elif after.generated:
                is_remade = before.default != after.default or before.type != after.type
                is_remade = is_remade or before.collation != after.collation
            else:
                continue
            is_remade = is_remade and self.differs(table.column_fact(after.name))
            if is_remade or (before.generated and after.generated and self._has_changed_base(table, before)):
                found.add((table.key, after.name))
        return found

    def _has_changed_base(self, table: Table, column: Column) -> bool:
        words = {token.text for token in tokenize(column.default or "")}
        return any(
            (table.key, other.name) in self.retyped or self._is_dropped(table, other)
            for other in table.columns.values()
            if other.sql in words
        )

    def _is_dropped(self, table: Table, column: Column) -> bool:
        return column.name not in self.after.tables[table.key].columns

    @cached_property
    def remade(self) -> set[Fact]:
        """Constraints and indexes that are equal on both sides, but must be dropped and made again."""
        found: set[Fact] = set()
        for before, after in self.kept:
            for constraint in before.constraints.values():
                if constraint.name in after.constraints and self._uses_remade(before, constraint):
                    found.add(before.fact_within("constraint", constraint.name))
            for index in before.indexes.values():
                if index.name in after.indexes and self._indexes_remade(before, index):
                    found.add(before.fact_within("index", index.name))
        for before, after in self.kept:
            for constraint in before.constraints.values():
                if constraint.kind != "f" or constraint.is_inherited or constraint.name not in after.constraints:
                    continue
                if self.loses_index(constraint, found) or self._is_incomparable(before, constraint):
                    found.add(before.fact_within("constraint", constraint.name))
        return found

    def _uses_remade(self, table: Table, constraint: Constraint) -> bool:
        used = [(table.key, name) for name in (*constraint.columns, *constraint.included)]
        if constraint.referred:
            used += [(constraint.referred, name) for name in constraint.referred_columns]
        return not constraint.is_inherited and any(column in self.remade_columns for column in used)

    def _indexes_remade(self, table: Table, index: Index) -> bool:
        names = [name for key, name in self.remade_columns if key == table.key]
        words = {token.text for token in tokenize(index.definition)} if names else set()
        return any(table.columns[name].sql in words for name in names)

    def loses_index(self, constraint: Constraint, remade: set[Fact] | None = None) -> bool:
        """Whether the index that a foreign key needs is dropped, or its constraint is."""
        remade = self.remade if remade is None else remade
        referred = self.before.tables.get(constraint.referred) if constraint.referred else None
        if referred is None or constraint.index is None:
            return False
        facts = [referred.fact_within("index", constraint.index)] + [
            referred.fact_within("constraint", other.name)
            for other in referred.constraints.values()
            if other.kind != "f" and other.index == constraint.index
        ]
        return any(fact in remade or self.differs(fact) for fact in facts)

    def _is_incomparable(self, table: Table, constraint: Constraint) -> bool:
        """Whether the columns of a foreign key change type so that they cannot be compared in between."""
        assert constraint.referred  # noqa: S101
        others = (self.before.tables.get(constraint.referred), self.after.tables.get(constraint.referred))
        own = (table, self.after.tables[table.key])
        if None in others:
            return False
        for name, other in zip(constraint.columns, constraint.referred_columns, strict=True):
            if not {(table.key, name), (constraint.referred, other)} & self.retyped:
                continue
            types = [
                side.columns[column]
                for sides, column in ((own, name), (others, other))
                for side in sides
                if side and column in side.columns
            ]
            if not is_comparable(types):
                return True
        return False
