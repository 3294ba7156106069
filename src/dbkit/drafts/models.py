"""Create what the models define in a scratch database: their tables and types, and the objects of the SQL files."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
import sqlalchemy as sa

from dbkit import catalog
from dbkit.catalog import Fact, object_name
from dbkit.drafts.create_tables import (
    EXTENSIONS,
    CreatedTables,
    create_engine,
    create_tables,
    modelled_tables,
    named_types,
)
from dbkit.drafts.missing_extensions import create_missing
from dbkit.drafts.name_clashes import Clash, left_out
from dbkit.drafts.shapes import TableName
from dbkit.drafts.sql_files import SqlSource
from dbkit.drafts.tables_ahead import TablesAhead
from dbkit.drafts.unmodelled import TABLES, drop_unmodelled
from dbkit.errors import InputError, describe_error
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.connect import connect
from dbkit.postgres.own_statements import Session
from dbkit.postgres.sql_quote import quote_ident
from dbkit.project.initial import Initial
from dbkit.settings import Target

RELATIONS = {"r": "TABLE", "p": "TABLE", "v": "VIEW", "m": "MATERIALIZED VIEW", "f": "FOREIGN TABLE"}
RELATION_KIND = "SELECT relkind::pg_catalog.text FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass(%(name)s)"
SCHEMAS = """
    SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname <> 'information_schema' AND NOT pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_')
"""


class ModelsNotCreated(Exception):
    """The models' tables cannot be created, also not with the functions of the migrations; str() is the reason."""


@dataclass(frozen=True)
class CreatedModels:
    """A scratch database with what the models define, and no more."""

    target: Target
    tables: frozenset[TableName]
    """The tables of the models, as the database names them."""
    before: Collection[Fact] = ()
    """The objects that it had before, besides schemas and extensions."""
    failed: Mapping[tuple[str | None, str], str] = field(default_factory=dict)
    """Why tables could not be created, by their schema, if they have one, and name."""
    origins: Mapping[Fact, str] = field(default_factory=dict)
    """By the object, the SQL file that it is from."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """By the name of an SQL file, its text."""
    kept: Mapping[TableName, str] = field(default_factory=dict)
    """Why tables of the migrations, which no model has, could not be left out."""
    clashes: Sequence[Clash] = ()
    """The indexes and constraints that could not be created, since another of the models has their name."""


def create_models(
    cluster: Cluster,
    migrated: Target,
    metadata: Sequence[sa.MetaData],
    initial: Initial | None,
    name: str = "",
    source: SqlSource | None = None,
    ahead: TablesAhead | None = None,
) -> CreatedModels:
    """Create the models in a scratch database, as far as their names are not given twice. Raises ModelsNotCreated."""
    with left_out(metadata) as clashes:
        created = _create_models(cluster, migrated, metadata, initial, name, source, ahead)
    return replace(created, clashes=clashes)


def _create_models(
    cluster: Cluster,
    migrated: Target,
    metadata: Sequence[sa.MetaData],
    initial: Initial | None,
    name: str,
    source: SqlSource | None,
    ahead: TablesAhead | None,
) -> CreatedModels:
    """Create the models' tables, and the objects of the SQL files, in a scratch database. Raises ModelsNotCreated.

    They are created in an empty database with the schemas and extensions of the migrations. Where that fails, in a copy
    of the migrations' database without the tables and types of the models, since a default may call a function of a
    migration; and where that fails, too, each table by itself, without those that cannot be created. The session has
    env.py's search path, which is in the target's history. `name` is that of the database, where the project has
    several. `ahead` has the tables already, where the migrations make no difference to them.
    """
    with connect(migrated) as connection:
        schemas = [row[0] for row in connection.execute(SCHEMAS)]
        extensions = connection.execute(EXTENSIONS).fetchall()
    is_ahead = ahead is not None and ahead.suits(migrated, schemas, extensions)
    try:
        empty = ahead.target if ahead and is_ahead else cluster.create_database(f"modelled{name}")
        target = replace(empty, history=migrated.history)
        if initial:
            initial.apply(target)
        _create_schemas(target, schemas, extensions)
        return _create(target, metadata, source, drops=bool(initial), made=ahead.tables if ahead and is_ahead else None)
    except (sa.exc.DBAPIError, psycopg.Error) as error:
        first = error
    except sa.exc.SQLAlchemyError as error:  # no database would take them
        raise InputError(f"the models' tables cannot be created: {error}") from error
    for number, is_tolerant in enumerate((False, True)):
        try:
            copied = cluster.create_database(f"modelled{name}_{number}", migrated.dbname)
            copied = replace(copied, history=migrated.history)
            return _create(copied, metadata, source, drops=True, is_copy=not initial, is_tolerant=is_tolerant)
        except (sa.exc.SQLAlchemyError, psycopg.Error):
            pass
    raise ModelsNotCreated(describe_error(first)) from first


def _create_schemas(target: Target, schemas: Sequence[str], extensions: Sequence[tuple[str, str]]) -> None:
    """Create the schemas and extensions that a database lacks."""
    with connect(target) as connection:
        for schema in schemas:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote_ident(schema)}".encode())
        for extension, schema in extensions:
            statement = f"CREATE EXTENSION IF NOT EXISTS {quote_ident(extension)} SCHEMA {quote_ident(schema)}"
            connection.execute(statement.encode())


def _create(
    target: Target,
    metadata: Sequence[sa.MetaData],
    source: SqlSource | None,
    *,
    drops: bool,
    is_copy: bool = False,
    is_tolerant: bool = False,
    made: CreatedTables | None = None,
) -> CreatedModels:
    """Create the models' tables, unless they were `made`; `drops` first what the database has under their names.

    `is_copy` drops then the other tables and the types of the migrations, as far as nothing needs them.

    `is_tolerant` leaves out the tables that cannot be created.
    """
    engine = create_engine(target)
    before: Mapping[Fact, str] = {}
    files = source.open_files(target.history.table) if source else None
    with connect(target, session=Session.PROJECT, autocommit=True) as own:
        if drops:
            with engine.begin() as connection:
                _drop(connection, metadata)
            if files and source:
                files.drop_former(own, source.written)
            before = catalog.read_facts(own, version_tables=[target.history.table])
        try:
            if made is None:
                with engine.connect() as connection:
                    made = create_tables(connection, metadata, is_tolerant=is_tolerant)
        except sa.exc.SQLAlchemyError as error:
            # a table may need a function or an extension
            if files:
                files.apply(own)
            made = _create_with_extensions(engine, metadata, own, error, is_tolerant=is_tolerant)
        kept = drop_unmodelled(own, made.names, target.history.table) if is_copy else {}
        if files:
            files.apply(own)
            files.require_applied()
            _require_tables(own, made.names)
        origins, texts = (files.find_origins(own), files.read_texts()) if files else ({}, {})
    reasons = {(table.schema, table.name): reason for table, reason in made.failed.items()}
    return CreatedModels(target, made.names, before.keys(), reasons, origins, texts, kept=kept)


def _require_tables(connection: psycopg.Connection[Any], made: Collection[TableName]) -> None:
    """Raise InputError for a table of a model that an SQL file has dropped or renamed."""
    there = set(connection.execute(TABLES.encode()).fetchall())
    for schema, name in sorted(set(made) - there):
        raise InputError(
            f"an SQL file drops or renames the table {object_name(name, schema)}, which is in a model.",
            "SQL files create objects, one a file. What a migration has to do otherwise is written into the migration.",
        )


def _create_with_extensions(
    engine: sa.Engine,
    metadata: Sequence[sa.MetaData],
    own: psycopg.Connection[Any],
    error: sa.exc.SQLAlchemyError,
    *,
    is_tolerant: bool,
) -> CreatedTables:
    """Create all tables again after an error, with the extensions that have what is missing."""
    while True:
        try:
            with engine.connect() as connection:
                return create_tables(connection, metadata, is_tolerant=is_tolerant)
        except sa.exc.SQLAlchemyError as again:
            original = getattr(again, "orig", None)
            if not isinstance(original, psycopg.Error) or not create_missing(own, original):
                raise again from error


def _drop(connection: sa.Connection, metadata: Sequence[sa.MetaData]) -> None:
    """Drop what the models are about to create, and what depends on it."""
    tables = modelled_tables(metadata)
    names = [(table.schema, table.name) for table in tables]
    types = {
        (type_.schema, type_.name) for table in tables for column in table.columns for type_ in named_types(column.type)
    }
    sequences = {(each.schema, each.name) for one in metadata for each in one._sequences.values()}
    for kind, found in (("TABLE", names), ("TYPE", types), ("SEQUENCE", sequences)):
        for schema, name in found:
            quoted = quote_ident(*filter(None, [schema, name]))
            word = kind
            if kind == "TABLE":
                # that of a model that is not marked as one of a view may be one all the same
                has = connection.exec_driver_sql(RELATION_KIND, {"name": quoted}).scalar()
                word = RELATIONS.get(has or "", kind)
            connection.exec_driver_sql(f"DROP {word} IF EXISTS {quoted} CASCADE".replace("%", "%%"))
