"""A column as Alembic users write it, and as SQL for what that cannot express."""

import re
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from dbkit.drafts.render_options import MODEL_TYPE
from dbkit.drafts.shapes import Column, Table
from dbkit.postgres.sql_escape import sql

OPTION = re.compile(r"(INCREMENT BY|MINVALUE|MAXVALUE|START WITH|CACHE) (-?\d+)|(CYCLE)")
KEYWORDS = {
    "INCREMENT BY": "increment",
    "MINVALUE": "minvalue",
    "MAXVALUE": "maxvalue",
    "START WITH": "start",
    "CACHE": "cache",
    "CYCLE": "cycle",
}
SERIAL_TYPES = {"smallint": "smallserial", "integer": "serial", "bigint": "bigserial"}


def make_column(
    column: Column, type_: TypeEngine[Any] | None, table: Table | None = None, *, is_required: bool | None = None
) -> sa.Column[Any] | None:
    """Make the column for an operation; with `table`, for its CREATE TABLE. None where only SQL can express it."""
    if type_ is None or column.generated == "v":
        return None
    arguments: list[sa.schema.SchemaItem] = []
    options: dict[str, Any] = {} if column.comment is None else {"comment": column.comment}
    if column.generated:
        arguments.append(sa.Computed(sql(column.default or ""), persisted=True))
    elif column.identity:
        arguments.append(make_identity(column))
    elif column.default is not None and not is_key_serial(column, table):
        options["server_default"] = sql(column.default)
    required = column.is_required if is_required is None else is_required
    autoincrement = _autoincrement(column, table, type_)
    if autoincrement is not None:
        options["autoincrement"] = autoincrement
    if hasattr(type_, MODEL_TYPE):
        options["info"] = {MODEL_TYPE: getattr(type_, MODEL_TYPE)}
    return sa.Column(column.name, type_, *arguments, nullable=not required, **options)


def make_identity(column: Column) -> sa.Identity:
    """Make the identity of a column."""
    options: dict[str, Any] = {}
    for keyword, number, cycle in OPTION.findall(column.identity_options):
        options[KEYWORDS[keyword or cycle]] = int(number) if keyword else True
    return sa.Identity(always=column.identity == "a", **options)


def is_key_serial(column: Column, table: Table | None) -> bool:
    """Whether CREATE TABLE makes the sequence of a column, as SQLAlchemy writes it: SERIAL, for a primary key."""
    if table is None or not column.is_plain_serial:
        return False
    key = key_columns(table)
    serials = [name for name in key if table.columns[name].is_plain_serial]
    return serials == [column.name]


def key_columns(table: Table) -> tuple[str, ...]:
    """The columns of the primary key."""
    return next((each.columns for each in table.constraints.values() if each.kind == "p"), ())


def _autoincrement(column: Column, table: Table | None, type_: TypeEngine[Any]) -> bool | None:
    """The `autoincrement` with which SQLAlchemy makes a column of a primary key a serial, or none."""
    if is_key_serial(column, table):
        return True
    is_bare = column.default is None and not column.identity
    is_number = type_._type_affinity is not None and issubclass(type_._type_affinity, sa.Integer)
    if table is not None and key_columns(table) == (column.name,) and is_bare and is_number:
        return False
    return None


def column_sql(column: Column, *, as_serial: bool = False, is_required: bool | None = None) -> str:
    """Return the column as it is in CREATE TABLE and ADD COLUMN."""
    required = column.is_required if is_required is None else is_required
    parts = [column.sql, SERIAL_TYPES[column.type] if as_serial else column.type]
    if column.collation:
        parts.append(f"COLLATE {column.collation}")
    if column.generated:
        parts.append(f"GENERATED ALWAYS AS ({column.default}) {'STORED' if column.generated == 's' else 'VIRTUAL'}")
    elif column.identity:
        parts.append(identity_sql(column))
    elif column.default is not None and not as_serial:
        parts.append(f"DEFAULT {column.default}")
    if required:
        parts.append("NOT NULL")
    return " ".join(parts)


def identity_sql(column: Column) -> str:
    """Return the identity of a column as SQL."""
    options = f" ({column.identity_options})" if column.identity_options else ""
    return f"GENERATED {'ALWAYS' if column.identity == 'a' else 'BY DEFAULT'} AS IDENTITY{options}"
