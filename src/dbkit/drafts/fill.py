"""Fill columns that become NOT NULL: as the model declares, with the default, or neutrally in a downgrade."""

from collections.abc import Callable, Iterator

from alembic.operations import ops

from dbkit.drafts.changes import Changes
from dbkit.drafts.fill_values import neutral_update
from dbkit.drafts.shapes import Column, Table
from dbkit.drafts.steps import Phase, Step

AddColumn = Callable[[Changes, Table, Column, bool | None], ops.MigrateOperation]


def fill_new_column(changes: Changes, table: Table, column: Column, phase: Phase, add: AddColumn) -> Iterator[Step]:
    """Yield the steps that add a NOT NULL column without a default."""
    facts = (table.column_fact(column.name),)
    value = None if changes.is_reversed else changes.column_info(table.key, column.name).get("backfill")
    update = f"UPDATE {table.sql} SET {column.sql} = {value}" if value else neutral_update(changes, table, column)
    if update is None:
        sentence = (
            f"column {table.fact.identity}.{column.name} is NOT NULL without a default, so that it cannot be added to a"
            ' table with rows: give the model\'s column a server_default, or info={"backfill": "an SQL expression"}.'
        )
        yield Step(phase, add(changes, table, column, None), facts, undecided="" if changes.is_reversed else sentence)
        return
    yield Step(phase, add(changes, table, column, False), facts)
    # a value in a downgrade has to agree with other columns that come back
    phase = Phase.ALTER_COLUMN if changes.is_reversed else phase
    for statement in (update, f"ALTER TABLE {table.sql} ALTER COLUMN {column.sql} SET NOT NULL"):
        yield Step(phase, ops.ExecuteSQLOp(statement), facts)


def fill_nulls(changes: Changes, table: Table, column: Column) -> Iterator[Step]:
    """Yield the UPDATE of a column that becomes NOT NULL, to the value that the model declares, or the default."""
    value = None if changes.is_reversed else changes.column_info(table.key, column.name).get("backfill")
    is_constant = column.default is not None and not column.serial and not column.generated
    value = value or (column.default if is_constant else None)
    if value:
        statement = f"UPDATE {table.sql} SET {column.sql} = {value} WHERE {column.sql} IS NULL"
        yield Step(Phase.ALTER_COLUMN, ops.ExecuteSQLOp(statement), (table.column_fact(column.name),))
