"""Write new, dropped and changed columns."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from alembic.operations import ops

from dbkit.catalog import Fact
from dbkit.drafts import column_sequences
from dbkit.drafts.casts import conversion, is_assignable
from dbkit.drafts.changes import Changes
from dbkit.drafts.column_code import column_sql, make_column
from dbkit.drafts.comparison import Comparison
from dbkit.drafts.fill import fill_new_column, fill_nulls
from dbkit.drafts.shapes import Column, Table
from dbkit.drafts.steps import Phase, Step
from dbkit.drafts.table_comments import comment_on_column
from dbkit.postgres.sql_escape import sql


def write_columns(comparison: Comparison) -> Iterator[Step]:
    """Yield the steps for columns of tables that are on both sides."""
    changes = Changes(comparison)
    new = list(_find_columns(changes, [(after, before) for before, after in changes.kept]))
    gone = list(_find_columns(changes, changes.kept))
    remade = [each for each in changes.columns() if (each[0].key, each[3].name) in changes.remade_columns]
    # the columns that a generated one is computed from cannot change while it is there
    first = [(table, column) for table, _, column, _ in remade] + [each for each in gone if each[1].generated]
    last = [(table, column) for _, table, _, column in remade] + [each for each in new if each[1].generated]
    for table, column in new:
        if not column.generated:
            yield from add_column(changes, table, column)
    for table, column in sorted(first, key=lambda each: not each[1].generated):
        yield _drop(changes, table, column, Phase.ALTER_COLUMN)
    yield from _change(changes)
    for table, column in sorted(last, key=lambda each: bool(each[1].generated)):
        yield from add_column(changes, table, column, Phase.ALTER_COLUMN)
    for table, column in gone:
        if not column.generated:
            yield _drop(changes, table, column, Phase.DROP_COLUMN)


def _change(changes: Changes) -> Iterator[Step]:
    """Yield the steps for columns that are on both sides."""
    for former, table, before, after in changes.columns():
        is_changed = changes.differs(table.column_fact(after.name)) and not before.is_inherited
        if is_changed and (table.key, after.name) not in changes.remade_columns:
            yield from _alter(changes, table, before, after)
        if before.serial and after.serial and any(map(changes.differs, after.sequence_facts)):
            # a table takes its sequences with it
            is_unlogged = before.sequence_is_unlogged if former.is_unlogged == table.is_unlogged else table.is_unlogged
            yield from column_sequences.change_serial(before, after, is_unlogged=is_unlogged)


def _find_columns(changes: Changes, tables: list[tuple[Table, Table]]) -> Iterator[tuple[Table, Column]]:
    """Yield the columns that the second table of each pair does not have."""
    for table, other in tables:
        for name, column in table.columns.items():
            is_missing = name not in other.columns and changes.differs(table.column_fact(name))
            if is_missing and not column.is_inherited:
                yield table, column


def add_column(changes: Changes, table: Table, column: Column, phase: Phase = Phase.ADD_COLUMN) -> Iterator[Step]:
    """Yield the steps that add a column."""
    facts = (table.column_fact(column.name), *column.sequence_facts)
    if column.serial:
        if column.is_plain_serial:
            statement = f"ALTER TABLE {table.sql} ADD COLUMN {column_sql(column, as_serial=True)}"
            yield Step(phase, ops.ExecuteSQLOp(statement), facts)
        else:
            yield Step(phase, column_sequences.create_sequence(column), facts)
            yield Step(phase, _add(changes, table, column), facts)
            yield Step(phase, column_sequences.own_sequence(table, column), facts)
    elif column.is_required and column.default is None and not column.identity:
        yield from fill_new_column(changes, table, column, phase, _add)
    else:
        yield Step(phase, _add(changes, table, column), facts)
    type_ = changes.new_type(table.key, column)
    if column.comment is not None and (column.is_plain_serial or make_column(column, type_) is None):
        yield comment_on_column(table, column)


def _add(changes: Changes, table: Table, column: Column, is_required: bool | None = None) -> ops.MigrateOperation:
    made = make_column(column, changes.new_type(table.key, column), is_required=is_required)
    if made is None:
        text = column_sql(column, is_required=is_required)
        return ops.ExecuteSQLOp(f"ALTER TABLE {table.sql} ADD COLUMN {text}")
    return ops.AddColumnOp(table.name, made, schema=changes.schema(table.key))


def _drop(changes: Changes, table: Table, column: Column, phase: Phase) -> Step:
    facts = (table.column_fact(column.name), *column.sequence_facts)
    operation = ops.DropColumnOp(table.name, column.name, schema=changes.schema(table.key))
    drops = "" if column.generated else f"column {table.fact.identity}.{column.name}"
    return Step(phase, operation, facts, drops)


def _alter(changes: Changes, table: Table, before: Column, after: Column) -> Iterator[Step]:
    """Yield the steps that change a column of a table."""
    fact = table.column_fact(after.name)
    alter = f"ALTER TABLE {table.sql} ALTER COLUMN {after.sql}"
    facts = (fact, *before.sequence_facts)
    if before.generated and not after.generated:
        yield Step(Phase.ALTER_COLUMN, ops.ExecuteSQLOp(f"{alter} DROP EXPRESSION"), facts)
        before = replace(before, generated="", default=None)
    if before.identity and not after.identity:
        yield Step(Phase.ALTER_COLUMN, ops.ExecuteSQLOp(f"{alter} DROP IDENTITY"), facts)
        before = replace(before, identity="", identity_options="")
    if before.serial and not after.serial and not after.identity:
        yield Step(Phase.ALTER_COLUMN, ops.ExecuteSQLOp(f"{alter} DROP DEFAULT"), facts)
        yield Step(Phase.ALTER_COLUMN, ops.ExecuteSQLOp(f"DROP SEQUENCE {before.serial}"), facts)
        before = replace(before, serial=None, default=None)
    fill = list(fill_nulls(changes, table, after)) if after.is_required and not before.is_required else []
    if fill and changes.is_retyped(table, before, after):
        # its values are of the new type
        typed = replace(after, is_required=False)
        yield from _alter_properties(changes, table, before, typed, fact)
        before = replace(typed, serial=before.serial, identity=before.identity)
    yield from fill
    yield from _alter_properties(changes, table, before, after, fact)
    if before.serial and after.identity:
        yield from column_sequences.serial_to_identity(table, before, after)
    elif before.identity and after.identity:
        yield from column_sequences.change_identity(table, before, after)
    elif after.identity:
        yield from column_sequences.add_identity(table, before, after)
    elif after.serial and not before.serial:
        yield from column_sequences.add_serial(table, after)
    else:
        yield from column_sequences.raise_sequence(table, before, after)
    if before.unvalidated != after.unvalidated:
        yield from _validate(table, before, after, fact)


def _alter_properties(changes: Changes, table: Table, before: Column, after: Column, fact: Fact) -> Iterator[Step]:
    """Yield one operation for type, NOT NULL and default, and one before it for a default that cannot be converted."""
    changed: dict[str, Any] = {}
    keeps_sequence = bool(before.serial or after.serial or after.identity or after.generated or before.generated)
    default_changes = before.default != after.default and not keeps_sequence
    if default_changes:
        changed["modify_server_default"] = None if after.default is None else sql(after.default)
    if before.is_required != after.is_required:
        changed["modify_nullable"] = not after.is_required
    if changes.is_retyped(table, before, after):
        using = _using(changes, table, before, after)
        undecided = "" if using is not None else _describe_undecided(changes, table, before, after)
        using = f"{after.sql}::text::{after.type}" if using is None else using
        has_default = before.default is not None and not before.serial and not before.generated
        if has_default and not is_assignable(before, after, changes.before.casts):
            drop = ops.AlterColumnOp(
                table.name,
                after.name,
                schema=changes.schema(table.key),
                modify_server_default=None,
                existing_type=changes.old_type(before),
            )
            yield Step(Phase.ALTER_COLUMN, drop, (fact,))
            if after.default is not None and not keeps_sequence:
                changed["modify_server_default"] = sql(after.default)
            else:
                changed.pop("modify_server_default", None)
        first, *more = _retype(changes, table, before, after, using, changed, fact)
        yield from (replace(first, undecided=undecided), *more)
        return
    if changed:
        yield Step(Phase.ALTER_COLUMN, _operation(changes, table, before, after, changed), (fact,))


def _retype(
    changes: Changes, table: Table, before: Column, after: Column, using: str, changed: dict[str, Any], fact: Fact
) -> Iterator[Step]:
    old, new = changes.old_type(before), changes.new_type(table.key, after)
    if old is None or new is None or "%" in using:
        parts = [f"ALTER TABLE {table.sql} ALTER COLUMN {after.sql} TYPE {after.type}"]
        parts += [f"COLLATE {after.collation}"] if after.collation else []
        parts += [f"USING {using}"] if using else []
        yield Step(Phase.ALTER_COLUMN, ops.ExecuteSQLOp(" ".join(parts)), (fact,))
    else:
        changed = {"modify_type": new, **changed}
        changed |= {"postgresql_using": using} if using else {}
    if changed:
        yield Step(Phase.ALTER_COLUMN, _operation(changes, table, before, after, changed), (fact,))


def _operation(
    changes: Changes, table: Table, before: Column, after: Column, changed: dict[str, Any]
) -> ops.MigrateOperation:
    existing: dict[str, Any] = {}
    type_ = changes.old_type(before)
    if type_ is not None:
        existing["existing_type"] = type_
    if "modify_nullable" not in changed:
        existing["existing_nullable"] = not before.is_required
    return ops.AlterColumnOp(table.name, after.name, schema=changes.schema(table.key), **existing, **changed)


def _using(changes: Changes, table: Table, before: Column, after: Column) -> str | None:
    """The expression that the model declares, or that follows from the types; None where a person must decide."""
    info = changes.column_info(table.key, after.name)
    declared = info.get("postgresql_using_downgrade" if changes.is_reversed else "postgresql_using")
    if declared:
        return str(declared)
    return conversion(before, after, changes.before.casts, is_downgrade=changes.is_reversed)


def _describe_undecided(changes: Changes, table: Table, before: Column, after: Column) -> str:
    key = "postgresql_using_downgrade" if changes.is_reversed else "postgresql_using"
    direction = "the downgrade" if changes.is_reversed else "the upgrade"
    return (
        f"column {table.fact.identity}.{after.name}: PostgreSQL has no cast from {before.type} to {after.type};"
        f' give the model\'s column info={{"{key}": "an SQL expression"}} for {direction}.'
    )


def _validate(table: Table, before: Column, after: Column, fact: Fact) -> Iterator[Step]:
    """Validate a NOT NULL that is NOT VALID: PostgreSQL 18."""
    if before.unvalidated and after.is_required and not after.unvalidated:
        statement = f"ALTER TABLE {table.sql} VALIDATE CONSTRAINT {before.unvalidated}"
        yield Step(Phase.ALTER_COLUMN, ops.ExecuteSQLOp(statement), (fact,))
    elif after.unvalidated and before.is_required and not before.unvalidated:
        alter = f"ALTER TABLE {table.sql}"
        for action in (
            f"ALTER COLUMN {after.sql} DROP NOT NULL",
            f"ADD CONSTRAINT {after.unvalidated} NOT NULL {after.sql} NOT VALID",
        ):
            yield Step(Phase.ALTER_COLUMN, ops.ExecuteSQLOp(f"{alter} {action}"), (fact,))
