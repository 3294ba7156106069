"""Create the tables of models, with their schemas and types, in a database that has none of them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from dbkit.drafts.shapes import TableName
from dbkit.drafts.unmodelled import TABLES
from dbkit.errors import describe_error
from dbkit.postgres.connect import connect
from dbkit.postgres.own_statements import Session
from dbkit.settings import Target

IS_VIEW = "is_view"
"""The key of `Table.info` that marks a model of a view: it is neither created nor dropped."""

CONCURRENTLY = re.compile(r"^(\s*CREATE (?:UNIQUE )?INDEX )CONCURRENTLY ")
EXTENSIONS = """
    SELECT e.extname::pg_catalog.text, n.nspname::pg_catalog.text
    FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
    ORDER BY e.oid
"""


@dataclass(frozen=True)
class CreatedTables:
    """The tables that were created."""

    names: frozenset[TableName]
    """As the database names them."""
    failed: Mapping[sa.Table, str] = field(default_factory=dict)
    """Why others could not be created."""


def modelled_tables(metadata: Sequence[sa.MetaData]) -> list[sa.Table]:
    """Return the tables that the models define, without those that stand for views."""
    return [table for each in metadata for table in each.tables.values() if not is_view(table)]


def is_view(table: sa.Table) -> bool:
    """Whether a model is marked as one of a view."""
    return bool(table.info.get(IS_VIEW))


def create_engine(target: Target) -> sa.Engine:
    """Return an engine that executes CREATE INDEX CONCURRENTLY, of a model's option, without that word."""
    engine = sa.create_engine(
        "postgresql+psycopg://", creator=lambda: connect(target, session=Session.PROJECT), poolclass=sa.NullPool
    )

    def wait_for_index(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> tuple[str, Any]:
        return CONCURRENTLY.sub(r"\1", statement), parameters

    sa.event.listen(engine, "before_cursor_execute", wait_for_index, retval=True)
    return engine


def create_tables(
    connection: sa.Connection, metadata: Sequence[sa.MetaData], *, is_tolerant: bool = False
) -> CreatedTables:
    """Create all tables, in one transaction; `is_tolerant` leaves out those that cannot be created."""
    failed: dict[sa.Table, str] = {}
    with connection.begin():
        for schema in sorted(_find_schemas(metadata)):
            connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
        former = set(connection.exec_driver_sql(TABLES))
        for each in metadata:
            if is_tolerant:
                failed |= _create_each(connection, each)
            else:
                has_views = any(map(is_view, each.tables.values()))
                each.create_all(connection, tables=_sorted(each) if has_views else None)
        made = set(connection.exec_driver_sql(TABLES)) - former
    return CreatedTables(frozenset((row[0], row[1]) for row in made), failed)


def _find_schemas(metadata: Sequence[sa.MetaData]) -> set[str]:
    """Return the schemas of the tables, the types and the sequences of models."""
    tables = modelled_tables(metadata)
    named: list[Any] = [*tables, *(each for one in metadata for each in one._sequences.values())]
    named += [each for table in tables for column in table.columns for each in named_types(column.type)]
    # types that belong to a MetaData; SQLAlchemy 2.1 has them in a collection
    named += [each for one in metadata for each in getattr(one, "_objects", ())]
    return {each.schema for each in named if getattr(each, "schema", None)}


def _sorted(metadata: sa.MetaData) -> list[sa.Table]:
    return [table for table in metadata.sorted_tables if not is_view(table)]


def _create_each(connection: sa.Connection, metadata: sa.MetaData) -> dict[sa.Table, str]:
    """Create each table by itself. Returns why the others could not be."""
    failed = {}
    for table in _sorted(metadata):
        try:
            with connection.begin_nested():
                metadata.create_all(connection, tables=[table])
        except sa.exc.SQLAlchemyError as error:
            failed[table] = describe_error(error)
    return failed


def named_types(type_: Any) -> list[Any]:
    """Return the enum and domain types that a column's type brings."""
    inner = [getattr(type_, name, None) for name in ("item_type", "impl_instance", "impl")]
    # the name of a Boolean, and of an Enum that is a text, is that of a CHECK
    is_type = isinstance(type_, sa.types.SchemaType) and not isinstance(type_, sa.Boolean)
    found = [type_] if is_type and getattr(type_, "name", None) and getattr(type_, "native_enum", True) else []
    return found + [each for one in inner if one is not None and one is not type_ for each in named_types(one)]
