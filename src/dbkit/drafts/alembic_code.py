"""Ask Alembic for the DDL of an operation, and for the code that its renderers write."""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.render import render_op
from alembic.operations import Operations, ops

from dbkit.drafts.autogenerate_context import make_autogenerate_context, make_context
from dbkit.drafts.column_types import DIALECT
from dbkit.drafts.render_options import ALEMBIC, SQLALCHEMY, RenderOptions
from dbkit.drafts.schema_items import compile_sql, write_sql


def compile_operation(operation: ops.MigrateOperation) -> list[str]:
    """Return the statements of an operation, as the server gets them."""
    context = make_context()
    statements: list[str] = []

    def keep(construct: Any, *_arguments: object, **_options: object) -> None:
        clause = sa.text(construct) if isinstance(construct, str) else construct
        statements.append(str(clause.compile(dialect=DIALECT)).strip())

    context.impl._exec = keep  # type: ignore[method-assign]
    Operations(context).invoke(operation)
    return statements


def render_operation(operation: ops.MigrateOperation, imports: set[str], options: RenderOptions) -> str:
    """Return the code that Alembic's renderer, or that of a plugin, writes for an operation."""
    # the prefixes are replaced in the code of all operations
    usual = replace(options, sqlalchemy_prefix=SQLALCHEMY, alembic_prefix=ALEMBIC)
    autogenerate = make_autogenerate_context(usual)
    context = autogenerate.migration_context
    context.impl.render_ddl_sql_expr = _render_expression  # type: ignore[method-assign,assignment]
    code = "\n".join(render_op(autogenerate, operation))
    imports |= autogenerate.imports
    return code


def _render_expression(expression: Any, *_arguments: object, is_index: bool = False, **_options: object) -> str:
    return compile_sql(expression) if is_index else write_sql(expression)
