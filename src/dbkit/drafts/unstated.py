"""Find differences that no model states: SQLAlchemy adds the detail, and that of the migrations is as right.

The order of the columns of a primary key that no PrimaryKeyConstraint lists, and the length of an Enum that is no type
of the database, where none was given.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from dbkit.catalog import Difference, Fact
from dbkit.drafts.shapes import Column, Constraint, Shapes, Table

VARYING = "character varying"


def find_unstated(
    differences: Collection[Difference], migrated: Shapes, modelled: Shapes, metadata: Sequence[sa.MetaData]
) -> frozenset[Fact]:
    """Return the columns and constraints that differ only in what their model does not state."""
    facts = {each.fact for each in differences if each.before is not None and each.after is not None}
    found: set[Fact] = set()
    for model in [table for each in metadata for table in each.tables.values()]:
        key = str(model.schema or modelled.default_schema), str(model.name)
        before, after = migrated.tables.get(key), modelled.tables.get(key)
        if before and after:
            found |= _find_key(model, before, after) | _find_lengths(model, before, after)
    return frozenset(found & facts)


def _find_key(model: sa.Table, before: Table, after: Table) -> set[Fact]:
    """Return the primary key, where only the order of its columns differs, which the model has from its columns."""
    if not model.primary_key._implicit_generated:
        return set()
    keys = [each for each in after.constraints.values() if each.kind == "p" and each.name in before.constraints]
    return {
        after.fact_within("constraint", key.name) for key in keys if _is_reordered(before.constraints[key.name], key)
    }


def _is_reordered(before: Constraint, after: Constraint) -> bool:
    as_after = replace(before, columns=after.columns, definition=after.definition)
    is_same_set = sorted(before.columns) == sorted(after.columns)
    return is_same_set and as_after == after and _behind_columns(before) == _behind_columns(after)


def _behind_columns(key: Constraint) -> str:
    """The end of the definition of a key, such as DEFERRABLE."""
    return key.definition.partition(")")[2] if not any(")" in each for each in key.columns) else key.definition


def _find_lengths(model: sa.Table, before: Table, after: Table) -> set[Fact]:
    """Return the columns of an Enum without a given length, where the migrations' one takes all labels."""
    found = set()
    for column in model.columns:
        old, new = before.columns.get(str(column.name)), after.columns.get(str(column.name))
        labels = _find_labels(column.type)
        if old and new and labels and _takes(old, new, max(map(len, labels))):
            found.add(after.column_fact(new.name))
    return found


def _find_labels(type_: Any) -> list[str]:
    """Return the labels of an Enum that is a VARCHAR of their length; none for another type."""
    while isinstance(type_, sa.types.TypeDecorator):
        type_ = type_.impl_instance
    is_varchar = isinstance(type_, sa.Enum) and not type_.native_enum
    labels = list(type_.enums) if is_varchar else []
    return labels if labels and type_.length == max(map(len, labels)) else []


def _takes(before: Column, after: Column, longest: int) -> bool:
    as_after = replace(before, type=after.type, comment=after.comment)
    if as_after != after or before.type_name != VARYING:
        return False
    limit = before.type.removeprefix(VARYING).strip("()")
    return not limit or int(limit) >= longest
