"""The SQLAlchemy engine of the migration connection."""

from typing import Any

import sqlalchemy as sa
from psycopg.types import TypeInfo

from dbkit.gate.monitored_connection import MonitoredConnection, driver_of
from dbkit.postgres import session
from dbkit.postgres.own_statements import place_of
from dbkit.settings import Settings, Target

APPLICATION_NAME = "dbkit migrate"
TYPE_OF_EXTENSION = """
SELECT t.oid::int8, t.typarray::int8 FROM pg_type AS t
JOIN pg_depend AS d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
WHERE t.typname = %s::name LIMIT 1"""


def create_engine(target: Target, settings: Settings) -> sa.Engine:
    """Return an engine whose connections are migration connections with a monitor."""
    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=lambda: session.connect_for_migration(target, settings, APPLICATION_NAME, MonitoredConnection),
        poolclass=sa.NullPool,
        hide_parameters=True,
    )
    _qualify_first_queries(engine)
    return engine


def _qualify_first_queries(engine: sa.Engine) -> None:
    """Run SQLAlchemy's queries at its first connection without the project's search path.

    Its own compare names with varchar, for which anyone may create an operator. It has no public way to replace them.
    """
    dialect: Any = engine.dialect

    def type_info(connection: sa.Connection, name: str) -> TypeInfo | None:
        driver = driver_of(connection)
        row = driver.execute(TYPE_OF_EXTENSION, [name]).fetchone()
        driver.rollback()
        if row is None:
            return None
        # found through its extension: psycopg's own query would have the project's search path
        return TypeInfo(name, *row)

    dialect._type_info_fetch = type_info
    dialect._get_default_schema_name = lambda connection: place_of(driver_of(connection)).current_schema or None
