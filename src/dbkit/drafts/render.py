"""Render the steps of a draft as the code of a revision file."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from alembic.operations import ops

from dbkit.drafts.batch_code import group_by_table, write_in_batch, write_opening
from dbkit.drafts.operation_code import OperationWriter
from dbkit.drafts.python_code import INDENT, call, indent_code, write_expression
from dbkit.drafts.render_options import USUAL, RenderOptions
from dbkit.drafts.steps import AutocommitOp, BackfillOp, CommentOp, DraftRevision


@dataclass(frozen=True)
class Code:
    """The parts of a revision file."""

    upgrade: str
    """For a template that has indented its first line; "" for nothing."""
    downgrade: str
    imports: Sequence[str]
    """Lines, sorted, without `import sqlalchemy as sa` and `from alembic import op`."""


def render_revision(revision: DraftRevision, options: RenderOptions = USUAL) -> Code:
    """Render both directions of a revision."""
    writer = OperationWriter(options)
    upgrade, downgrade = (
        render_body(writer, [step.operation for step in steps]) for steps in (revision.upgrade, revision.downgrade)
    )
    return Code(upgrade, downgrade, sorted(writer.imports))


def render_body(writer: OperationWriter, operations: Sequence[ops.MigrateOperation]) -> str:
    """Return the body of a function for a template: all lines but the first one are indented."""
    code = writer.options.replace_prefixes(_render_operations(writer, operations))
    return indent_code(code).removeprefix(INDENT)


def _render_operations(writer: OperationWriter, operations: Sequence[ops.MigrateOperation]) -> str:
    code = list(_render_batches(writer, operations) if writer.options.is_batch else _render_each(writer, operations))
    if operations and all(isinstance(each, CommentOp) for each in operations):
        code.append("pass")
    return "\n".join(code)


def _render_each(writer: OperationWriter, operations: Sequence[ops.MigrateOperation]) -> Iterator[str]:
    yield from (_render_operation(writer, each) for each in operations)


def _render_batches(writer: OperationWriter, operations: Sequence[ops.MigrateOperation]) -> Iterator[str]:
    """Yield the operations, those that follow each other on one table in one block."""
    for table, group in group_by_table(operations):
        calls = [(each, writer.write_call(each)) for each in group] if table else []
        if table is None or any(written is None for _, written in calls):
            yield from _render_each(writer, group)
        else:
            lines = [write_in_batch(each, written) for each, written in calls if written is not None]
            body = indent_code("\n".join(lines))
            yield f"{write_opening(table)}\n{body}\n"


def _render_operation(writer: OperationWriter, operation: ops.MigrateOperation) -> str:
    if isinstance(operation, CommentOp):
        return "\n".join(f"# {_printable(line)}".rstrip() for line in operation.text.splitlines())
    if isinstance(operation, AutocommitOp):
        body = _render_operations(writer, operation.ops) or "pass"
        return f"with op.get_context().autocommit_block():\n{indent_code(body)}"
    if isinstance(operation, BackfillOp):
        writer.imports.add("from dbkit.backfill import backfill")
        arguments = (operation.table, operation.assignments)
        return write_expression(call("backfill", ast.Name("op"), *arguments, where=operation.where))
    if isinstance(operation, ops.OpContainer):
        return _render_operations(writer, operation.ops)
    return writer.write(operation)


def _printable(line: str) -> str:
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)
