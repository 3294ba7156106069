"""Write columns, constraints and their parts as the Python of a revision."""

import ast
from collections.abc import Mapping
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.elements import ClauseElement, ColumnClause, TextClause

from dbkit.drafts.autogenerate_context import make_autogenerate_context
from dbkit.drafts.column_types import DIALECT
from dbkit.drafts.python_code import call
from dbkit.drafts.render_options import MODEL_TYPE, USUAL, RenderOptions
from dbkit.drafts.type_code import POSTGRESQL_IMPORT, render_type
from dbkit.errors import InputError
from dbkit.postgres.sql_escape import escape

UNQUOTED = {"collation", "concurrently", "lateral", "system_user", "tablesample"}
"""Reserved words of PostgreSQL that SQLAlchemy does not quote."""
IDENTITY_OPTIONS = (
    *("always", "on_null", "start", "increment", "minvalue", "maxvalue"),
    *("nominvalue", "nomaxvalue", "cycle", "cache", "order"),
)
ITEM_KINDS: Mapping[type[sa.Constraint], str] = {
    sa.PrimaryKeyConstraint: "primary_key",
    sa.ForeignKeyConstraint: "foreign_key",
    sa.UniqueConstraint: "unique",
    sa.CheckConstraint: "check",
}
"""What render_item calls them."""
FOREIGN_KEY_OPTIONS = ("onupdate", "ondelete", "deferrable", "initially", "match")


class SchemaItems:
    """Writes them, and remembers the imports that they need."""

    def __init__(self, options: RenderOptions = USUAL) -> None:
        self.options = options
        self.imports: set[str] = set()

    def ask_project(self, kind: str, item: Any) -> ast.expr | Literal[False] | None:
        """Return the expression of the project's render_item; None to leave the item out, False for no answer.

        Raises InputError for a text that is no expression.
        """
        if self.options.render_item is None:
            return False
        context = make_autogenerate_context(self.options)
        rendered = self.options.render_item(kind, item, context)
        self.imports |= context.imports
        if rendered is None or rendered is False:
            return rendered
        try:
            return ast.parse(str(rendered), mode="eval").body
        except SyntaxError as error:
            raise InputError(
                f"render_item of env.py returns {rendered!r}, which is no expression of Python."
            ) from error

    def write_type(self, type_: Any, model: Any = None) -> ast.expr:
        made = sa.types.to_instance(type_)
        asked = self.ask_project("type", model or getattr(made, MODEL_TYPE, made))
        if asked:
            return asked
        code = render_type(made, self.options.user_prefix)
        self.imports |= code.imports
        return ast.parse(code.text, mode="eval").body

    def write_column(self, column: sa.Column[Any]) -> ast.expr | None:
        """A column; None where the project leaves it out."""
        asked = self.ask_project("column", column)
        if asked is not False:
            return asked
        arguments: list[Any] = [write_name(column.name), self.write_type(column.type, column.info.get(MODEL_TYPE))]
        options: dict[str, Any] = {}
        if isinstance(column.server_default, sa.Computed | sa.Identity):
            arguments.append(self.write_default(column.server_default))
        elif column.server_default is not None:
            options["server_default"] = self.write_default(column.server_default)
        if column.autoincrement not in (None, "auto"):
            options["autoincrement"] = column.autoincrement
        options |= {"nullable": column.nullable, "comment": column.comment}
        return call("sa.Column", *arguments, **options, **self.write_options(column.dialect_kwargs))

    def write_default(self, default: Any) -> ast.expr | str | None:
        """A server default: a string is a value, a text() is SQL."""
        if isinstance(default, sa.DefaultClause):
            asked = self.ask_project("server_default", default)
            if asked is not False:
                return asked
            default = default.arg
        if isinstance(default, sa.Computed):
            return call("sa.Computed", write_sql(default.sqltext), persisted=default.persisted)
        if isinstance(default, sa.Identity):
            return call("sa.Identity", **read_attributes(default, IDENTITY_OPTIONS))
        if isinstance(default, ClauseElement):
            return call("sa.text", write_sql(default))
        return call("sa.FetchedValue") if isinstance(default, sa.FetchedValue) else default

    def write_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The dialect's options: their SQL as text()."""
        return {name: self.write_option(name, value) for name, value in options.items()}

    def write_option(self, name: str, value: Any) -> Any:
        if isinstance(value, ClauseElement) and not isinstance(value, ColumnClause):
            return call("sa.text", write_sql(value))
        if isinstance(value, list | tuple):
            return type(value)(self.write_option(name, each) for each in value)
        value = str(value.name) if isinstance(value, ColumnClause) else value
        return write_name(value) if name == "postgresql_include" else value

    def write_constraint(self, constraint: sa.Constraint) -> ast.expr | None:
        """A constraint of a new table; None for one that the table or a type makes."""
        kind = next((name for each, name in ITEM_KINDS.items() if isinstance(constraint, each)), "")
        asked = self.ask_project(kind, constraint) if kind else False
        if asked is not False:
            return asked
        options = {"name": write_constraint_name(constraint.name)} | self.write_options(constraint.dialect_kwargs)
        deferring = read_attributes(constraint, ("deferrable", "initially"))
        match constraint:
            case sa.PrimaryKeyConstraint():
                names = [str(each.name) for each in constraint.columns]
                return call("sa.PrimaryKeyConstraint", *names, **options, **deferring) if names else None
            case sa.ForeignKeyConstraint():
                local = [str(each.parent.name) for each in constraint.elements]
                referred = [str(each.target_fullname) for each in constraint.elements]
                options |= read_attributes(constraint, FOREIGN_KEY_OPTIONS)
                return call("sa.ForeignKeyConstraint", local, referred, **options)
            case sa.UniqueConstraint():
                names = [str(each.name) for each in constraint.columns]
                return call("sa.UniqueConstraint", *names, **options, **deferring)
            case postgresql.ExcludeConstraint():
                self.imports.add(POSTGRESQL_IMPORT)
                options |= self.write_exclude_options(constraint)
                elements = [(self.write_excluded(each), operator) for each, _, operator in constraint._render_exprs]
                return call("postgresql.ExcludeConstraint", *elements, **options, **deferring)
            case sa.CheckConstraint() if not getattr(constraint, "_type_bound", False):
                return call("sa.CheckConstraint", write_sql(constraint.sqltext), **options, **deferring)
        return None

    def write_excluded(self, element: Any) -> ast.expr | str:
        """An element of an EXCLUDE constraint; Alembic takes no text() there."""
        if isinstance(element, ClauseElement) and not isinstance(element, ColumnClause):
            return call("sa.literal_column", compile_sql(element))
        return self.write_element(element)

    def write_exclude_options(self, constraint: postgresql.ExcludeConstraint) -> dict[str, Any]:
        where = None if constraint.where is None else call("sa.text", write_sql(constraint.where))
        return {"where": where, "using": constraint.using, "ops": constraint.ops or None}

    def write_element(self, element: Any) -> ast.expr | str:
        """An element of an index: a column or an expression."""
        if isinstance(element, ColumnClause) and not element.is_literal:
            return write_name(element.name)
        if isinstance(element, TextClause):
            return call("sa.text", write_sql(element))
        if isinstance(element, ClauseElement):
            return call("sa.literal_column", compile_sql(element))
        return write_name(element)


def write_name(name: Any) -> ast.expr | str:
    """The name of a table, a column or the like."""
    text = str(name)
    return call("sa.quoted_name", text, quote=True) if text in UNQUOTED else text


def write_schema(name: Any) -> ast.expr | str | None:
    """The name of a schema; Alembic would take a dot in it for the end of a part."""
    if name is None:
        return None
    return call("sa.quoted_name", str(name), quote=True) if "." in name else write_name(name)


def write_constraint_name(name: Any) -> ast.expr | None:
    """A name to which no naming convention is applied."""
    return call("op.f", write_name(name)) if isinstance(name, str) else None


def write_sql(value: Any) -> str:
    """Return the argument of text() for an expression."""
    if isinstance(value, TextClause):
        return value.text
    return escape(compile_sql(value)) if isinstance(value, ClauseElement) else str(value)


def compile_sql(value: ClauseElement) -> str:
    """The SQL of an expression as the server gets it."""
    return str(value.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True, "include_table": False}))


def read_attributes(item: object, names: Any) -> dict[str, Any]:
    """Those attributes of an object that are not None."""
    values = {name: getattr(item, name, None) for name in names}
    return {name: value for name, value in values.items() if value is not None}
