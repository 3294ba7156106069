"""Read the three states that should agree: the models' tables, the result of the migrations, and a live database."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import psycopg
import sqlalchemy as sa

from dbkit import catalog
from dbkit.catalog import Fact
from dbkit.database_url import History
from dbkit.errors import InputError
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.connect import connect, current_revisions
from dbkit.postgres.own_statements import Session, place_of
from dbkit.postgres.sql_quote import quote_ident
from dbkit.project import Project, require_known
from dbkit.project.initial import Initial
from dbkit.roundtrip.scratch_migrations import ScratchMigrations
from dbkit.settings import Target

Facts = dict[Fact, str]


class ModelsNotCreated(Exception):
    """The models' tables cannot be created without the migrations; str() is the server's reason."""


@dataclass(frozen=True)
class Models:
    """The catalog facts of the models' tables, and the names of these, as in Fact.identity."""

    facts: Facts
    tables: tuple[str, ...]


@dataclass(frozen=True)
class Live:
    """The catalog facts of a database, and the revisions in its version table."""

    facts: Facts
    revisions: tuple[str, ...]


def read_models(
    cluster: Cluster, metadata: Sequence[sa.MetaData], initial: Initial | None, history: History, name: str = ""
) -> Models:
    """Create the models' tables in a scratch database and read it. Raises ModelsNotCreated.

    They are created with the search path of env.py's session, which is in `history`. `name` is that of the database,
    where the project has several.
    """
    target = replace(cluster.create_database(f"modelled{name}"), history=history)
    if initial:
        initial.apply(target)
    engine = sa.create_engine(
        "postgresql+psycopg://", creator=lambda: connect(target, session=Session.PROJECT), poolclass=sa.NullPool
    )
    try:
        tables = [table for each in metadata for table in each.sorted_tables]
        with engine.begin() as connection:
            for schema in sorted({table.schema for table in tables if table.schema}):
                connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
            for table in tables if initial else ():
                # the initial state may have it as it was before the first revision
                quoted = quote_ident(*filter(None, [table.schema, table.name]))
                connection.exec_driver_sql(f"DROP TABLE IF EXISTS {quoted} CASCADE")
            for each in metadata:
                each.create_all(connection)
    except sa.exc.SQLAlchemyError as error:
        raise ModelsNotCreated(str(getattr(error, "orig", None) or error)) from error
    with connect(target) as reader:
        first = place_of(reader).current_schema or "public"
        names = tuple(catalog.object_name(table.name, table.schema or first) for table in tables)
        return Models(catalog.select_model_facts(catalog.read_facts(reader), names), names)


def read_migrated(scratch: ScratchMigrations, revisions: tuple[str, ...]) -> Facts:
    """Run the migrations up to `revisions` in a scratch database and read it."""
    scratch.upgrade(revisions)
    return read_facts(scratch.target)


def read_facts(target: Target) -> Facts:
    """Read a database, without its version table."""
    with connect(target) as connection:
        return catalog.read_facts(connection, version_tables=[target.history.table])


def read_live(target: Target, wait: float, patience: float | None = None) -> Live:
    """Read a database in a read-only transaction. Raises Unreachable."""
    own = {"default_transaction_read_only": "on"}
    with connect(target, wait, patience=patience, settings=own) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        revisions = current_revisions(connection)
        return Live(catalog.read_facts(connection, version_tables=[target.history.table]), revisions)


def require_comparable(loaded: Project, live: Live) -> None:
    """Raise InputError for a database without a revision, DatabaseAhead for one at a revision unknown here."""
    require_known(loaded.script, live.revisions)
    if not live.revisions:
        raise InputError("no migration was applied to the database, so there is nothing to compare.", "`make migrate`")
