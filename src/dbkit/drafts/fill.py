"""Fill columns that become NOT NULL: as the model declares, with the default, or neutrally in a downgrade."""

import re
from collections.abc import Callable, Iterator

from alembic.operations import ops

from dbkit.drafts.changes import Changes
from dbkit.drafts.shapes import Column, Table
from dbkit.drafts.steps import Phase, Step

NEUTRAL = (
    (r"smallint|integer|bigint|numeric|real|double precision|money|oid", "0"),
    (r"text|character varying|character|citext|name|\"char\"", "''"),
    (r"boolean", "false"),
    (r"date|timestamp without time zone|timestamp with time zone", "'2000-01-01'"),
    (r"time without time zone|time with time zone", "'00:00'"),
    (r"interval", "'0'"),
    (r"uuid", "'00000000-0000-0000-0000-000000000000'"),
    (r"jsonb?", "'{}'"),
    (r"bytea|tsvector|hstore|ltree", "''"),
    (r"inet|cidr", "'0.0.0.0'"),
    (r"macaddr", "'00:00:00:00:00:00'"),
    (r"int4range|int8range|numrange|tsrange|tstzrange|daterange", "'empty'"),
    (r"\w+multirange", "'{}'"),
    (r"point", "'(0,0)'"),
    (r"xml", "'<a/>'"),
)
NUMBERED = (
    (r"smallint|integer|bigint|numeric|real|double precision|oid", "{n}"),
    (r"text|character varying|character|citext", "{n}::text"),
    (r"date", "date '2000-01-01' + {n}::integer"),
    (r"timestamp without time zone|timestamp with time zone", "timestamp '2000-01-01' + {n} * interval '1 day'"),
    (r"uuid", "md5({n}::text)::uuid"),
    (r"bytea", "decode(md5({n}::text), 'hex')"),
)
AddColumn = Callable[[Changes, Table, Column, bool | None], ops.MigrateOperation]


def fill_new_column(changes: Changes, table: Table, column: Column, phase: Phase, add: AddColumn) -> Iterator[Step]:
    """Yield the steps that add a NOT NULL column without a default."""
    facts = (table.column_fact(column.name),)
    value = None if changes.is_reversed else changes.column_info(table.key, column.name).get("backfill")
    update = f"UPDATE {table.sql} SET {column.sql} = {value}" if value else _neutral_update(changes, table, column)
    if update is None:
        sentence = (
            f"column {table.fact.identity}.{column.name} is NOT NULL without a default, so that it cannot be added to a"
            ' table with rows: give the model\'s column a server_default, or info={"backfill": "an SQL expression"}.'
        )
        yield Step(phase, add(changes, table, column, None), facts, undecided="" if changes.is_reversed else sentence)
        return
    yield Step(phase, add(changes, table, column, False), facts)
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


def _neutral_update(changes: Changes, table: Table, column: Column) -> str | None:
    """The UPDATE for a column that comes back in a downgrade: its former values are gone."""
    if not changes.is_reversed:
        return None
    for constraint in table.constraints.values():
        if constraint.kind == "f" and column.name in constraint.columns and constraint.referred:
            referred = changes.after.tables.get(constraint.referred)
            if referred is None:
                return None
            name = constraint.referred_columns[constraint.columns.index(column.name)]
            order = ", ".join(referred.columns[each].sql for each in constraint.referred_columns)
            value = f"(SELECT {referred.columns[name].sql} FROM {referred.sql} ORDER BY {order} LIMIT 1)"
            return f"UPDATE {table.sql} SET {column.sql} = {value}"
    if _is_unique(table, column):
        numbered = _lookup(NUMBERED, column)
        if numbered is None:
            return None
        rows = f"(SELECT ctid AS row, row_number() OVER () AS number FROM {table.sql}) AS numbered"
        return (
            f"UPDATE {table.sql} SET {column.sql} = {numbered.format(n='numbered.number')} FROM {rows}"
            f" WHERE {table.sql}.ctid = numbered.row"
        )
    neutral = _neutral_value(column)
    return None if neutral is None else f"UPDATE {table.sql} SET {column.sql} = {neutral}"


def _neutral_value(column: Column) -> str | None:
    if column.element:
        return "'{}'"
    if column.uses and column.uses.kind == "enum":
        return f"(enum_range(NULL::{column.type}))[1]"
    return _lookup(NEUTRAL, column)


def _lookup(values: tuple[tuple[str, str], ...], column: Column) -> str | None:
    return next((value for pattern, value in values if re.fullmatch(pattern, column.type_name)), None)


def _is_unique(table: Table, column: Column) -> bool:
    keys = [each.columns for each in table.constraints.values() if each.kind in "pux"]
    keys += [tuple(map(str, each.columns)) for each in table.indexes.values() if each.is_unique]
    return any(column.name in key for key in keys)
