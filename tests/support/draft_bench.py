"""Two databases, used again and again: models are created in one, and drafted and migrated in the other."""

import asyncio
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy.ext.asyncio import create_async_engine

import dbkit.gate.offline  # noqa: F401  # the scripts of the gate
from dbkit.catalog import Difference, Fact, compare_facts, object_name, read_facts
from dbkit.drafts.comparison import Comparison, State
from dbkit.drafts.draft import make_draft
from dbkit.drafts.orphans import find_orphans
from dbkit.drafts.read_objects import read_catalog, split_row_security
from dbkit.drafts.read_shapes import read_shapes
from dbkit.drafts.renames import apply_renames, execute_rename
from dbkit.drafts.render import Code, render_revision
from dbkit.drafts.scope import Scope
from dbkit.drafts.steps import Draft, Rename
from dbkit.drafts.taken_names import free_names
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.sql_quote import quote_ident

REST = """
    SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace
    WHERE nspname NOT LIKE 'pg\\_%' AND nspname NOT IN ('information_schema', 'public')
    UNION ALL
    SELECT format('DROP TABLE IF EXISTS %I CASCADE', relname)
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
    UNION ALL
    SELECT format('DROP SEQUENCE IF EXISTS %I CASCADE', relname)
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'
    UNION ALL
    SELECT format('DROP TYPE IF EXISTS %I CASCADE', typname)
    FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd')
"""
WAYS = ("psycopg", "psycopg2", "asyncpg", "script")
"""How a revision reaches the server."""


class Database:
    """One database, with a connection of each driver."""

    def __init__(self, server: Cluster, name: str) -> None:
        self.target = server.create_database(name)
        self.connection = psycopg.connect(**self.target.parameters(), autocommit=True)
        parameters = self.target.parameters()
        query = {"host": str(parameters["host"]), "port": str(parameters["port"])}
        self.url = sa.URL.create("postgresql+psycopg", parameters["user"], database=parameters["dbname"], query=query)
        self.engine = sa.create_engine(self.url)
        self.engines = {
            "psycopg": self.engine,
            "psycopg2": sa.create_engine(self.url.set(drivername="postgresql+psycopg2")),
        }
        self.loop = asyncio.new_event_loop()
        self.async_engine = create_async_engine(self.url.set(drivername="postgresql+asyncpg"))

    def close(self) -> None:
        self.connection.close()
        for engine in self.engines.values():
            engine.dispose()
        self.loop.run_until_complete(self.async_engine.dispose())
        self.loop.close()

    def empty(self) -> None:
        self.connection.rollback()
        for (statement,) in self.connection.execute(REST).fetchall():
            self.connection.execute(statement.encode())

    def create(self, metadata: sa.MetaData) -> None:
        """Create the models' tables, and their schemas."""
        with self.engine.begin() as connection:
            types = [column.type for table in metadata.tables.values() for column in table.columns]
            named = [getattr(getattr(each, "item_type", each), "schema", None) for each in types]
            for schema in filter(None, {*named, *(table.schema for table in metadata.tables.values())}):
                connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {quote_ident(schema).replace('%', '%%')}")
            metadata.create_all(connection)

    def read(self) -> State:
        facts, objects = read_catalog(self.connection)
        return State(self.target, facts, read_shapes(self.connection), objects)

    def read_facts(self) -> Mapping[Fact, str]:
        return split_row_security(read_facts(self.connection))

    def run(self, code: str, imports: Sequence[str], way: str) -> None:
        """Run the body of a function of a revision."""
        source = "\n".join([*imports, "def run():", f"    {code or 'pass'}"])
        names: dict[str, Any] = {"sa": sa}
        exec(compile(source, "<revision>", "exec"), names)  # noqa: S102  # that is what a revision is for

        def migrate(connection: sa.Connection) -> None:
            context = MigrationContext.configure(connection)
            names["op"] = Operations(context)
            with context.begin_transaction():
                names["run"]()

        if way == "script":
            self.connection.execute(f"BEGIN; {write_script(names)}; COMMIT".encode())
        elif way == "asyncpg":
            self._run_async(migrate)
        else:
            with self.engines[way].connect() as connection:
                migrate(connection)

    def _run_async(self, migrate: Callable[[sa.Connection], None]) -> None:
        async def run() -> None:
            async with self.async_engine.connect() as connection:
                await connection.run_sync(migrate)

        self.loop.run_until_complete(run())


def write_script(names: dict[str, Any]) -> str:
    """What `--sql` writes, where env.py names no paramstyle."""
    script = io.StringIO()
    options = {"as_sql": True, "output_buffer": script, "literal_binds": True}
    names["op"] = Operations(MigrationContext.configure(dialect_name="postgresql", opts=options))
    names["run"]()
    return script.getvalue()


class Bench:
    """Compares, drafts and migrates."""

    original: Mapping[Fact, str]
    """The facts of the database of the migrations before."""

    def __init__(self, server: Cluster, name: str) -> None:
        self.server = server
        self.migrated, self.modelled = Database(server, f"{name}_migrated"), Database(server, f"{name}_modelled")

    def close(self) -> None:
        """Drop both: the fixture of a module may be made again later."""
        for each in (self.migrated, self.modelled):
            each.close()
            self.server.drop_database(each.target.dbname)

    def prepare(self, before: sa.MetaData | None, after: sa.MetaData) -> Comparison:
        """Create both states, and compare them."""
        for database, metadata in ((self.migrated, before), (self.modelled, after)):
            database.empty()
            if metadata is not None:
                remove_newer_syntax(metadata, database.connection.info.server_version)
                database.create(metadata)
        modelled = self.modelled.read()
        if before is None:
            migrated = self.migrated.read()
            self.original = migrated.facts
            return compare(migrated, modelled, after)
        self.original = self.migrated.read_facts()
        comparison = self._compare_renamed(modelled, after)
        freed = free_names(comparison)
        return (
            replace(comparison, with_free_names=self._compare_renamed(modelled, after, freed)) if freed else comparison
        )

    def _compare_renamed(self, modelled: State, after: sa.MetaData, freed: Sequence[Rename] = ()) -> Comparison:
        """Compare after the declared renames, and those that free names, which are taken back."""
        connection = self.migrated.connection
        with connection.transaction(force_rollback=True):
            declared, _shapes = apply_renames(connection, [after], read_shapes(connection), modelled.shapes)
            renames = [*declared, *freed]
            for rename in freed:
                execute_rename(connection, rename)
            return compare(self.migrated.read(), modelled, after, renames)

    def compare_with_models(self, comparison: Comparison) -> list[Difference]:
        """Return what still differs from the models."""
        return comparison.scope.find_differences(self.migrated.read_facts(), comparison.modelled.facts)

    def compare_with_original(self) -> list[Difference]:
        """Return what differs from the state before, without what PostgreSQL cannot undo."""
        found = compare_facts(self.original, self.migrated.read_facts())
        return [each for each in found if not each.is_residue]


def remove_newer_syntax(metadata: sa.MetaData, version: int) -> None:
    """Remove from models what a server of this version does not have."""
    for constraint in (each for table in metadata.tables.values() for each in table.constraints):
        if isinstance(constraint, sa.UniqueConstraint) and version < 150000:
            constraint.dialect_options["postgresql"]["nulls_not_distinct"] = None


def compare(migrated: State, modelled: State, metadata: sa.MetaData, renames: Sequence[Any] = ()) -> Comparison:
    scope = Scope(tables=frozenset(object_name(name, schema) for schema, name in modelled.shapes.tables))
    found = scope.find_differences(migrated.facts, modelled.facts)
    orphans = find_orphans(migrated, modelled, found)
    scope = replace(scope, orphans=frozenset(each.fact for each in orphans))
    return Comparison(migrated, modelled, [*found, *orphans], [metadata], renames, scope=scope)


def write(comparison: Comparison) -> tuple[Draft, list[Code]]:
    """The draft of a comparison, and the code of its revisions."""
    draft = make_draft(comparison)
    return draft, [render_revision(each) for each in draft.revisions]
