"""The live database of a preflight: a read-only session, and the revisions that it is at."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from dbkit.errors import CheckFailed, InputError, Unreachable, describe_error
from dbkit.postgres.bounded_connection import ReplyLost
from dbkit.postgres.cluster import development_cluster
from dbkit.postgres.connect import connect, current_revisions
from dbkit.postgres.own_statements import OwnConnection
from dbkit.preflight.ask import Limits, read_only
from dbkit.settings import Settings, Target

NAME = "dbkit preflight"
"""The application_name of its sessions."""


def find_target(settings: Settings) -> Target:
    """Return the database that the settings name, else the embedded one. Raises InputError where there is none."""
    if settings.is_foreign:
        from dbkit import project  # they load Alembic
        from dbkit.gate import databases

        settings = databases.choose_settings(project.load_project(settings), settings)
    if settings.target:
        return settings.target
    cluster = development_cluster(settings)
    if not cluster.exists():
        raise InputError(
            "there is no database: DATABASE_URL is not set, and the embedded database was not made yet.",
            "Set DATABASE_URL in the environment. Without a connection: dbkit preflight --sql --from REV",
        )
    return cluster.ensure_running()


@contextmanager
def open_session(target: Target, settings: Settings, limits: Limits) -> Iterator[OwnConnection]:
    """Open a read-only session. Raises Unreachable where the server does not answer, or ends the session."""
    own = {"default_transaction_read_only": "on", "lock_timeout": f"{round(limits.lock_timeout * 1000)}"}
    with connect(target, settings.wait, autocommit=True, settings=own, application_name=NAME) as connection:
        connection.lock_timeout = limits.lock_timeout
        try:
            yield connection
        except ReplyLost:
            raise
        except psycopg.Error as error:
            if not connection.closed:
                raise
            raise Unreachable(
                f'the session in "{target.dbname}" at {target.server()} has ended: '
                f"{describe_error(error, primary=True).rstrip('.')}.",
                "Nothing was changed. Run the same command again.",
            ) from error


def read_position(connection: OwnConnection, limits: Limits) -> tuple[str, ...]:
    """Return the revisions of the database. Raises CheckFailed where the version table cannot be read."""
    try:
        with read_only(connection, limits):
            return current_revisions(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        raise CheckFailed(
            f"the revision of the database cannot be read: {describe_error(error, primary=True)}.",
            "Grant SELECT on it; or, for a user who may read the tables: dbkit preflight --sql --from REV",
        ) from error
