"""Write operations on one table as `with op.batch_alter_table(…)`, for a project with render_as_batch."""

import ast
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from alembic.operations import ops

from dbkit.drafts.python_code import call, write_expression
from dbkit.drafts.schema_items import write_name, write_schema

TABLE_ARGUMENTS: dict[type, tuple[str, int]] = {
    ops.AddColumnOp: ("table_name", 0),
    ops.DropColumnOp: ("table_name", 0),
    ops.AlterColumnOp: ("table_name", 0),
    ops.CreateIndexOp: ("table_name", 1),
    ops.DropIndexOp: ("table_name", 1),
    ops.CreatePrimaryKeyOp: ("table_name", 1),
    ops.CreateUniqueConstraintOp: ("table_name", 1),
    ops.CreateCheckConstraintOp: ("table_name", 1),
    ops.CreateForeignKeyOp: ("source_table", 1),
    ops.DropConstraintOp: ("table_name", 1),
}
"""The attribute with the table, and its place among the arguments."""
OF_TABLE = ("schema", "source_schema", "table_name")
NAME = "batch_op"


def group_by_table(
    operations: Sequence[ops.MigrateOperation],
) -> Iterator[tuple[tuple[str, str | None] | None, list[ops.MigrateOperation]]]:
    """Yield operations that follow each other on one table, with its name and schema; others with None."""
    for key, group in groupby(operations, _find_table):
        yield key, list(group)


def _find_table(operation: Any) -> tuple[str, str | None] | None:
    found = TABLE_ARGUMENTS.get(type(operation))
    if found is None or getattr(operation, found[0]) is None:
        return None
    schema = getattr(operation, "schema", None) or getattr(operation, "kw", {}).get("source_schema")
    return getattr(operation, found[0]), schema


def write_opening(table: tuple[str, str | None]) -> str:
    """Return the line that begins a block."""
    options: dict[str, Any] = {"schema": write_schema(table[1])}
    begin = write_expression(call("op.batch_alter_table", write_name(table[0]), **options))
    return f"with {begin} as {NAME}:"


def write_in_batch(operation: ops.MigrateOperation, written: ast.Call) -> str:
    """Return an operation as a call of the block's object: without the table."""
    _, place = TABLE_ARGUMENTS[type(operation)]
    function = ast.Attribute(ast.Name(NAME), written.func.attr)  # type: ignore[attr-defined]
    arguments = [each for number, each in enumerate(written.args) if number != place]
    options = [each for each in written.keywords if each.arg not in OF_TABLE]
    return write_expression(ast.Call(function, arguments, options))
