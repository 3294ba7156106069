"""Render the steps of a draft as the code of a revision file."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from alembic.operations import ops

from dbkit.drafts.operation_code import OperationWriter
from dbkit.drafts.python_code import INDENT, call, indent_code, write_expression
from dbkit.drafts.steps import AutocommitOp, BackfillOp, CommentOp, DraftRevision


@dataclass(frozen=True)
class Code:
    """The parts of a revision file."""

    upgrade: str
    """For a template that has indented its first line; "" for nothing."""
    downgrade: str
    imports: Sequence[str]
    """Lines, sorted, without `import sqlalchemy as sa` and `from alembic import op`."""


def render_revision(revision: DraftRevision, metadata: Sequence[sa.MetaData] = ()) -> Code:
    """Render both directions of a revision."""
    writer = OperationWriter()
    upgrade, downgrade = (
        render_body(writer, [step.operation for step in steps]) for steps in (revision.upgrade, revision.downgrade)
    )
    return Code(upgrade, downgrade, sorted(writer.imports))


def render_body(writer: OperationWriter, operations: Sequence[ops.MigrateOperation]) -> str:
    """Return the body of a function for a template: all lines but the first one are indented."""
    return indent_code(_render_operations(writer, operations)).removeprefix(INDENT)


def _render_operations(writer: OperationWriter, operations: Sequence[ops.MigrateOperation]) -> str:
    code = [_render_operation(writer, each) for each in operations]
    if operations and all(isinstance(each, CommentOp) for each in operations):
        code.append("pass")
    return "\n".join(code)


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
