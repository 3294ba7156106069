"""A constraint as Alembic users write it, or as SQL where that cannot express it exactly."""

import re
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic.operations import ops
from sqlalchemy.sql.elements import conv

from dbkit.drafts.changes import Changes
from dbkit.drafts.schema_items import UNQUOTED
from dbkit.drafts.shapes import Column, Constraint, Table, TableName, schema_prefix
from dbkit.postgres.sql_escape import sql

KEY = re.compile(r"(?: DEFERRABLE)?(?: INITIALLY DEFERRED)?")
CHECK_END = re.compile(r"\)( NO INHERIT)?( NOT VALID)?")
REFERENCE_END = re.compile(
    r"(?: MATCH (?P<match>FULL))?(?: ON UPDATE (?:CASCADE|RESTRICT|SET NULL|SET DEFAULT))?"
    r"(?: ON DELETE (?:CASCADE|RESTRICT|SET NULL|SET DEFAULT))?(?: DEFERRABLE)?(?: INITIALLY DEFERRED)?( NOT VALID)?"
)
NOT_VALID = " NOT VALID"
TYPES = {"p": "primary", "u": "unique", "c": "check", "f": "foreignkey"}


def columns_sql(names: tuple[str, ...], columns: Mapping[str, Column]) -> str:
    """The names of columns, quoted where that is necessary."""
    return ", ".join(columns[name].sql for name in names)


def inline_constraint(changes: Changes, table: Table, constraint: Constraint) -> sa.Constraint | None:
    """Return the constraint for CREATE TABLE; None where it must be added by a separate step."""
    name = conv(constraint.name)
    if constraint.index_settings or not constraint.is_valid:
        return None
    if any(table.columns[column].is_inherited for column in constraint.columns):
        return None
    if constraint.kind in "pu" and _is_plain_key(table, constraint):
        if constraint.kind == "p":
            return sa.PrimaryKeyConstraint(*constraint.columns, name=name, **_key_options(constraint))
        return sa.UniqueConstraint(*constraint.columns, name=name, **_key_options(constraint))
    if constraint.kind == "c" and constraint.definition == f"CHECK ({constraint.expression})":
        return sa.CheckConstraint(sql(constraint.expression or ""), name=name)
    if constraint.kind == "f":
        options = _reference_options(changes, table, constraint)
        if options is None or constraint.referred is None:
            return None
        schema = changes.schema(constraint.referred)
        target = f"{schema}.{constraint.referred[1]}" if schema else constraint.referred[1]
        columns = [f"{target}.{column}" for column in constraint.referred_columns]
        return sa.ForeignKeyConstraint(list(constraint.columns), columns, name=name, **options)
    return None


def add_constraint(changes: Changes, table: Table, constraint: Constraint) -> ops.MigrateOperation:
    """Return the operation that adds a constraint to a table."""
    name, schema = conv(constraint.name), changes.schema(table.key)
    columns = list(constraint.columns)
    is_plain_key = (
        _is_plain_key(table, constraint) and not constraint.included
    )  # SQLAlchemy looks these up in the table
    if constraint.kind == "p" and is_plain_key:
        return ops.CreatePrimaryKeyOp(name, table.name, columns, schema=schema, **_key_options(constraint))
    if constraint.kind == "u" and is_plain_key:
        return ops.CreateUniqueConstraintOp(name, table.name, columns, schema=schema, **_key_options(constraint))
    if constraint.kind == "c" and (options := _check_options(constraint)) is not None:
        return ops.CreateCheckConstraintOp(name, table.name, sql(constraint.expression or ""), schema=schema, **options)
    if constraint.kind == "f" and constraint.referred:
        options = _reference_options(changes, table, constraint)
        if options is not None:
            return ops.CreateForeignKeyOp(
                name,
                table.name,
                constraint.referred[1],
                columns,
                list(constraint.referred_columns),
                source_schema=schema,
                referent_schema=changes.schema(constraint.referred),
                **options,
            )
    return ops.ExecuteSQLOp(f"ALTER TABLE {table.sql} ADD CONSTRAINT {constraint.sql} {constraint.definition}")


def index_settings(table: Table, constraint: Constraint) -> list[ops.ExecuteSQLOp]:
    """Return the operations that give the index of a new constraint its settings."""
    schema = schema_prefix(table.sql, table.name)
    return [ops.ExecuteSQLOp(f"ALTER INDEX {schema}{constraint.sql} {each}") for each in constraint.index_settings]


def drop_constraint(changes: Changes, table: Table, constraint: Constraint) -> ops.DropConstraintOp:
    """Return the operation that drops a constraint."""
    return ops.DropConstraintOp(
        conv(constraint.name),
        table.name,
        type_=TYPES.get(constraint.kind),
        schema=changes.schema(table.key),
    )


def _is_plain_key(table: Table, constraint: Constraint) -> bool:
    """Whether a key has no more properties than _key_options() knows."""
    words = "PRIMARY KEY" if constraint.kind == "p" else "UNIQUE"
    if constraint.nulls_not_distinct:
        words += " NULLS NOT DISTINCT"
    start = f"{words} ({columns_sql(constraint.columns, table.columns)})"
    if constraint.included:
        start += f" INCLUDE ({columns_sql(constraint.included, table.columns)})"
    return constraint.definition.startswith(start) and bool(KEY.fullmatch(constraint.definition[len(start) :]))


def _key_options(constraint: Constraint) -> dict[str, Any]:
    options = _deferral(constraint)
    if constraint.included:
        options["postgresql_include"] = list(constraint.included)
    if constraint.nulls_not_distinct:
        options["postgresql_nulls_not_distinct"] = True
    return options


def _deferral(constraint: Constraint) -> dict[str, Any]:
    options: dict[str, Any] = {"deferrable": True} if constraint.is_deferrable else {}
    return options | ({"initially": "DEFERRED"} if constraint.is_deferred else {})


def _check_options(constraint: Constraint) -> dict[str, Any] | None:
    start = f"CHECK ({constraint.expression}"
    end = CHECK_END.fullmatch(constraint.definition[len(start) :])
    if end is None or not constraint.definition.startswith(start) or end[1]:
        return None
    return {"postgresql_not_valid": True} if end[2] else {}


def _reference_options(changes: Changes, table: Table, constraint: Constraint) -> dict[str, Any] | None:
    """The options of a foreign key; None where it has others, or a name that Alembic splits or does not quote."""
    referred = _referred(changes, constraint.referred)
    names = [*(constraint.referred or ()), *constraint.referred_columns]
    if referred is None or any("." in name or name in UNQUOTED for name in names):
        return None
    start = f"FOREIGN KEY ({columns_sql(constraint.columns, table.columns)}) REFERENCES {referred.sql}"
    start += f"({columns_sql(constraint.referred_columns, referred.columns)})"
    end = REFERENCE_END.fullmatch(constraint.definition[len(start) :])
    if end is None or not constraint.definition.startswith(start):
        return None
    options: dict[str, Any] = {}
    if constraint.on_update:
        options["onupdate"] = constraint.on_update
    if constraint.on_delete:
        options["ondelete"] = constraint.on_delete
    options |= _deferral(constraint)
    if end["match"]:
        options["match"] = end["match"]
    return options | ({"postgresql_not_valid": True} if not constraint.is_valid else {})


def _referred(changes: Changes, name: TableName | None) -> Table | None:
    if name is None:
        return None
    return changes.after.tables.get(name) or changes.before.tables.get(name)
