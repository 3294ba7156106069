"""Write the code that rules suggest, for tables in any schema and names with quotes.

The names of tables are those of a trace, which are SQL: schema-qualified where the search path does not find them, and
quoted where they must be. The names of columns, indexes and constraints are those of the catalog, without quotes.
"""

from collections.abc import Sequence

from dbkit.postgres.sql_escape import escape
from dbkit.postgres.sql_quote import split_name
from dbkit.project.python_string import write_string

AUTOCOMMIT_BLOCK = "with op.get_context().autocommit_block():\n    "
LONGEST_NAME = 63
"""Bytes; NAMEDATALEN - 1."""


class Table(str):
    """An argument that is the name of a table in SQL."""

    __slots__ = ()


class Code(str):
    """An argument that is an expression in Python."""

    __slots__ = ()


def operation(name: str, *arguments: str | Sequence[str], **options: bool | str) -> str:
    """Return the call of one of Alembic's operations, with the schema of its table."""
    written = [_write_argument(each) for each in arguments]
    written += [f"{option}={_write_argument(value)}" for option, value in options.items()]
    schemas = [split_name(each)[:-1] for each in arguments if isinstance(each, Table)]
    written += [f"schema={_write_schema(schema)}" for parts in schemas for schema in parts]
    return f"op.{name}({', '.join(written)})"


def _write_argument(value: bool | str | Sequence[str]) -> str:
    if isinstance(value, bool | Code):
        return str(value)
    if isinstance(value, Table):
        return write_string(split_name(value)[-1])
    if isinstance(value, str):
        return write_string(value)
    return f"[{', '.join(map(write_string, value))}]"


def _write_schema(name: str) -> str:
    # a name with a dot would be read as two
    return f"sa.quoted_name({write_string(name)}, quote=True)" if "." in name else write_string(name)


def execute(sql: str) -> str:
    """Return the call that executes SQL."""
    return f"op.execute({write_string(escape(sql))})"


def execute_block(sql: str) -> str:
    """Return the call that executes SQL, in triple quotes."""
    text = escape(sql)
    is_plain = text.isprintable() and "\\" not in text and '"""' not in text
    return f'op.execute("""{text}""")' if is_plain else execute(sql)


def sql_text(sql: str) -> Code:
    """Return the argument for an SQL expression."""
    return Code(f"sa.text({write_string(escape(sql))})")


def column(name: str, *, nullable: bool = False) -> Code:
    """Return the argument for a column, whose type is left to the author."""
    return Code(f"sa.Column({write_string(name)}, …{', nullable=True' if nullable else ''})")


def alter_table(table: str, action: str) -> str:
    """Return the call that executes ALTER TABLE."""
    return execute(f"ALTER TABLE {table} {action}")


def backfill(table: str, assignments: str, where: str) -> str:
    """Return the call that updates a table in batches."""
    return f"backfill(op, {write_string(table)}, {write_string(assignments)}, where={write_string(where)})"


def update_in_batches(*tables: str) -> str:
    """Return code that updates tables in batches."""
    return (
        "from dbkit.backfill import backfill\n\n# in a separate revision: batches by key, each in a short transaction\n"
    ) + "\n".join(backfill(table, "…", "…") for table in tables)


def name_constraint(table: str, column_name: str, kind: str) -> str:
    """Return the name that PostgreSQL gives to a constraint of a column, without quotes; a long one is cut."""
    name = f"{split_name(table)[-1]}_{column_name}_{kind}"
    return name.encode()[:LONGEST_NAME].decode(errors="ignore")
