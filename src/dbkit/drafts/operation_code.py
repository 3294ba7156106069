"""Write the operations of Alembic as the Python of a revision.

Alembic's own renderers write SQL as the driver is given it, with its percent signs doubled and its colons bare, and
leave out some options. Operations that are not here, such as those of a plugin, are left to them.
"""

import ast
import re
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic.ddl.postgresql import CreateExcludeConstraintOp
from alembic.operations import ops
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.elements import ClauseElement, TextClause

from dbkit.drafts.alembic_code import compile_operation, render_operation
from dbkit.drafts.python_code import call, write_block, write_expression
from dbkit.drafts.schema_items import (
    SchemaItems,
    write_constraint_name,
    write_name,
    write_schema,
    write_sql,
)
from dbkit.postgres.sql_escape import escape

LOOKS_BOUND = re.compile(r"%\([^)]+\)s")
"""Text that SQLAlchemy 2.0 takes for a parameter in a text() for asyncpg."""
RAW_OPTIONS = ("postgresql_using", "postgresql_partition_by", "postgresql_with", "postgresql_ops", "ops", "ondelete")


class OperationWriter(SchemaItems):
    """Writes operations, each as one call."""

    def write_call(self, operation: ops.MigrateOperation) -> ast.Call | None:
        """Return an operation on a table as a call of Alembic's function; None where it takes other statements."""
        write = None if _has_raw_percent(operation) else WRITERS.get(type(operation))
        written = write(self, operation) if write else None
        return written if isinstance(written, ast.Call) else None

    def write(self, operation: ops.MigrateOperation) -> str:
        """Return the statements of an operation."""
        if _has_raw_percent(operation):
            return "\n".join(self.write_execute(ops.ExecuteSQLOp(each)) for each in compile_operation(operation))
        write = WRITERS.get(type(operation))
        if write is None:
            return render_operation(operation, self.imports, self.options)
        written = write(self, operation)
        return write_expression(written) if isinstance(written, ast.expr) else written

    def write_execute(self, operation: ops.ExecuteSQLOp) -> str:
        """SQL: a string is what the server must get, a text() is taken as it is."""
        given = operation.sqltext
        text = given.text if isinstance(given, TextClause) else escape(str(given))
        if isinstance(given, str) and LOOKS_BOUND.search(given):
            return write_expression(call("op.execute", call("sa.DDL", given.replace("%", "%%"))))
        block = write_block(text.strip("\n")) if "\n" in text else None
        return f"op.execute({block})" if block else write_expression(call("op.execute", text))

    def write_create_table(self, operation: ops.CreateTableOp) -> str:
        table = operation.to_table()
        order = {each.name: number for number, each in enumerate(operation.columns) if isinstance(each, sa.Constraint)}
        constraints = sorted(
            table.constraints,
            key=lambda each: (not isinstance(each, sa.PrimaryKeyConstraint), order.get(each.name, 0), str(each.name)),
        )
        items = list(filter(None, map(self.write_column, table.columns)))
        items += filter(None, map(self.write_constraint, constraints))
        options = {
            "schema": write_schema(operation.schema),
            "comment": table.comment,
            "info": table.info or None,
            "prefixes": table._prefixes or None,
            "if_not_exists": getattr(operation, "if_not_exists", None),
        }
        options |= self.write_options({name: value for name, value in operation.kw.items() if name not in options})
        expression = call("op.create_table", write_name(operation.table_name), *items, **options)
        return write_expression(expression, expand=True)

    def write_drop_table(self, operation: ops.DropTableOp) -> ast.expr:
        options = {"schema": write_schema(operation.schema), "if_exists": getattr(operation, "if_exists", None)}
        return call("op.drop_table", write_name(operation.table_name), **options)

    def write_rename_table(self, operation: ops.RenameTableOp) -> ast.expr:
        names = (write_name(operation.table_name), write_name(operation.new_table_name))
        return call("op.rename_table", *names, schema=write_schema(operation.schema))

    def write_table_comment(self, operation: ops.CreateTableCommentOp) -> ast.expr:
        options = {"existing_comment": operation.existing_comment, "schema": write_schema(operation.schema)}
        return call("op.create_table_comment", write_name(operation.table_name), operation.comment, **options)

    def write_drop_table_comment(self, operation: ops.DropTableCommentOp) -> ast.expr:
        options = {"existing_comment": operation.existing_comment, "schema": write_schema(operation.schema)}
        return call("op.drop_table_comment", write_name(operation.table_name), **options)

    def write_add_column(self, operation: ops.AddColumnOp) -> ast.expr:
        options = {"schema": write_schema(operation.schema)}
        for name in ("if_not_exists", "inline_references", "inline_primary_key"):
            options[name] = getattr(operation, name, None) or None
        return call("op.add_column", write_name(operation.table_name), self.write_column(operation.column), **options)

    def write_drop_column(self, operation: ops.DropColumnOp) -> ast.expr:
        options = {"schema": write_schema(operation.schema), "if_exists": getattr(operation, "if_exists", None)}
        options |= self.write_options(operation.kw)
        return call("op.drop_column", write_name(operation.table_name), write_name(operation.column_name), **options)

    def write_alter_column(self, operation: ops.AlterColumnOp) -> ast.expr:
        options: dict[str, Any] = {
            "existing_type": operation.existing_type and self.write_type(operation.existing_type)
        }
        if operation.modify_server_default is not False:
            default = self.write_default(operation.modify_server_default)
            options["server_default"] = ast.Constant(None) if default is None else default
        if operation.modify_name is not None:
            options["new_column_name"] = write_name(operation.modify_name)
        if operation.modify_type is not None:
            options["type_"] = self.write_type(operation.modify_type)
        options["nullable"] = operation.modify_nullable
        if operation.modify_comment is not False:
            options["comment"] = ast.Constant(operation.modify_comment)
        options["existing_comment"] = operation.existing_comment
        if operation.modify_nullable is None:
            options["existing_nullable"] = operation.existing_nullable
        if operation.modify_server_default is False and operation.existing_server_default:
            options["existing_server_default"] = self.write_default(operation.existing_server_default)
        options |= self.write_options(operation.kw) | {"schema": write_schema(operation.schema)}
        names = (write_name(operation.table_name), write_name(operation.column_name))
        return call("op.alter_column", *names, **options)

    def write_create_index(self, operation: ops.CreateIndexOp) -> ast.expr:
        options = {"unique": operation.unique, "schema": write_schema(operation.schema)}
        options["if_not_exists"] = getattr(operation, "if_not_exists", None)
        columns = [self.write_element(each) for each in operation.columns]
        names = (write_constraint_name(operation.index_name), write_name(operation.table_name))
        return call("op.create_index", *names, columns, **options, **self.write_options(operation.kw))

    def write_drop_index(self, operation: ops.DropIndexOp) -> ast.expr:
        options = {"schema": write_schema(operation.schema), "if_exists": getattr(operation, "if_exists", None)}
        if operation.table_name is not None:
            options["table_name"] = write_name(operation.table_name)
        name = write_constraint_name(operation.index_name)
        return call("op.drop_index", name, **options, **self.write_options(operation.kw))

    def write_primary_key(self, operation: ops.CreatePrimaryKeyOp) -> ast.expr:
        return self.write_key("op.create_primary_key", operation)

    def write_unique(self, operation: ops.CreateUniqueConstraintOp) -> ast.expr:
        return self.write_key("op.create_unique_constraint", operation)

    def write_key(self, function: str, operation: Any) -> ast.expr:
        names = (write_constraint_name(operation.constraint_name), write_name(operation.table_name))
        columns = [write_name(each) for each in operation.columns]
        options = self.write_options(operation.kw)
        return call(function, *names, columns, schema=write_schema(operation.schema), **options)

    def write_check(self, operation: ops.CreateCheckConstraintOp) -> ast.expr:
        names = (write_constraint_name(operation.constraint_name), write_name(operation.table_name))
        options = {"schema": write_schema(operation.schema)} | self.write_options(operation.kw)
        return call("op.create_check_constraint", *names, write_sql(operation.condition), **options)

    def write_foreign_key(self, operation: ops.CreateForeignKeyOp) -> ast.expr:
        tables = (write_name(operation.source_table), write_name(operation.referent_table))
        columns = [[write_name(each) for each in names] for names in (operation.local_cols, operation.remote_cols)]
        schemas = ("source_schema", "referent_schema")
        options = {name: write_schema(operation.kw.get(name)) for name in schemas}
        options |= self.write_options({name: value for name, value in operation.kw.items() if name not in schemas})
        name = write_constraint_name(operation.constraint_name)
        return call("op.create_foreign_key", name, *tables, *columns, **options)

    def write_exclude_constraint(self, operation: CreateExcludeConstraintOp) -> ast.expr:
        where = operation.where
        options = {"schema": write_schema(operation.schema)} | self.write_options(operation.kw)
        options["where"] = call("sa.text", write_sql(where)) if isinstance(where, ClauseElement) else where
        options["ops"] = options.get("ops") or getattr(operation._orig_constraint, "ops", None) or None
        elements = [(self.write_excluded(each), operator) for each, operator in operation.elements]
        names = (write_constraint_name(operation.constraint_name), write_name(operation.table_name))
        return call("op.create_exclude_constraint", *names, *elements, **options)

    def write_drop_constraint(self, operation: ops.DropConstraintOp) -> ast.expr:
        options = {"schema": write_schema(operation.schema), "type_": operation.constraint_type}
        options["if_exists"] = getattr(operation, "if_exists", None)
        names = (write_constraint_name(operation.constraint_name), write_name(operation.table_name))
        return call("op.drop_constraint", *names, **options)


def _has_raw_percent(operation: Any) -> bool:
    """Whether SQLAlchemy would give a driver SQL whose percent signs it has not doubled."""
    options = dict(getattr(operation, "kw", {}))
    raw = [options[name] for name in RAW_OPTIONS if name in options]
    if isinstance(operation, CreateExcludeConstraintOp):
        raw += [operator for _, operator in operation.elements]
    for each in getattr(operation, "columns", ()):
        if isinstance(each, postgresql.ExcludeConstraint):
            raw += [[operator for _, _, operator in each._render_exprs], each.ops]
        elif isinstance(each, sa.ForeignKeyConstraint):
            raw.append(each.ondelete)
    return any("%" in repr(each) for each in raw)


WRITERS: dict[type, Callable[[OperationWriter, Any], ast.expr | str]] = {
    ops.ExecuteSQLOp: OperationWriter.write_execute,
    ops.CreateTableOp: OperationWriter.write_create_table,
    ops.DropTableOp: OperationWriter.write_drop_table,
    ops.RenameTableOp: OperationWriter.write_rename_table,
    ops.CreateTableCommentOp: OperationWriter.write_table_comment,
    ops.DropTableCommentOp: OperationWriter.write_drop_table_comment,
    ops.AddColumnOp: OperationWriter.write_add_column,
    ops.DropColumnOp: OperationWriter.write_drop_column,
    ops.AlterColumnOp: OperationWriter.write_alter_column,
    ops.CreateIndexOp: OperationWriter.write_create_index,
    ops.DropIndexOp: OperationWriter.write_drop_index,
    ops.CreatePrimaryKeyOp: OperationWriter.write_primary_key,
    ops.CreateUniqueConstraintOp: OperationWriter.write_unique,
    ops.CreateCheckConstraintOp: OperationWriter.write_check,
    ops.CreateForeignKeyOp: OperationWriter.write_foreign_key,
    CreateExcludeConstraintOp: OperationWriter.write_exclude_constraint,
    ops.DropConstraintOp: OperationWriter.write_drop_constraint,
}
