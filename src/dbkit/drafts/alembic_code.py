"""Ask Alembic for the DDL of an operation, and for the code that its renderers write."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import render_op
from alembic.operations import Operations, ops
from alembic.runtime.migration import MigrationContext

from dbkit.drafts.column_types import DIALECT
from dbkit.drafts.schema_items import compile_sql, write_sql


def compile_operation(operation: ops.MigrateOperation) -> list[str]:
    """Return the statements of an operation, as the server gets them."""
    context = _make_context()
    statements: list[str] = []

    def keep(construct: Any, *_arguments: object, **_options: object) -> None:
        clause = sa.text(construct) if isinstance(construct, str) else construct
        statements.append(str(clause.compile(dialect=DIALECT)).strip())

    context.impl._exec = keep  # type: ignore[method-assign]
    Operations(context).invoke(operation)
    return statements


def render_operation(operation: ops.MigrateOperation, imports: set[str]) -> str:
    """Return the code that Alembic's renderer, or that of a plugin, writes for an operation."""
    context = _make_context()
    context.impl.render_ddl_sql_expr = _render_expression  # type: ignore[method-assign,assignment]
    options = {"sqlalchemy_module_prefix": "sa.", "alembic_module_prefix": "op.", "user_module_prefix": None}
    autogenerate = AutogenContext(context, opts={**options, "render_item": None, "render_as_batch": False})
    autogenerate.imports = set()
    code = "\n".join(render_op(autogenerate, operation))
    imports |= autogenerate.imports
    return code


def _render_expression(expression: Any, *_arguments: object, is_index: bool = False, **_options: object) -> str:
    return compile_sql(expression) if is_index else write_sql(expression)


def _make_context() -> MigrationContext:
    with _silent_log():
        return MigrationContext.configure(dialect=DIALECT, opts={"as_sql": True})


@contextmanager
def _silent_log() -> Iterator[None]:
    log = logging.getLogger("alembic.runtime.migration")
    former, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = former
