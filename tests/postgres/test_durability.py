"""What was committed without waiting for the disk is durable after a flush, and the session is as before."""

import psycopg
import pytest

from dbkit.postgres.connect import connect
from dbkit.postgres.durability import FLUSH_WAL, flush_wal
from dbkit.postgres.own_statements import Session
from dbkit.settings import Target

WRITE = "CREATE TABLE IF NOT EXISTS public.t (n int); INSERT INTO public.t SELECT generate_series(1, 1000)"
INSERTED = "SELECT pg_catalog.pg_current_wal_insert_lsn()::text"
FLUSHED = "SELECT pg_catalog.pg_current_wal_flush_lsn() >= %s::pg_catalog.pg_lsn"


def written(connection: psycopg.Connection) -> str:
    """Write without waiting for the disk, and return the position of the log."""
    connection.cursor().execute("SELECT set_config('synchronous_commit', 'off', false)")
    connection.cursor().execute(WRITE)
    connection.commit()
    row = connection.cursor().execute(INSERTED).fetchone()
    assert row
    return str(row[0])


def is_flushed(connection: psycopg.Connection, position: str) -> bool:
    return connection.cursor().execute(FLUSHED, [position]).fetchone() == (True,)


@pytest.mark.parametrize("session", [Session.OWN, Session.SHARED])
@pytest.mark.parametrize("autocommit", [True, False])
def test_a_flush_makes_durable_what_was_committed(database: Target, session: Session, autocommit: bool) -> None:
    with connect(database, autocommit=autocommit, session=session) as connection:
        position = written(connection)
        flush_wal(connection)
        assert is_flushed(connection, position)
        assert connection.cursor().execute("SHOW synchronous_commit").fetchone() == ("off",)


def test_a_driver_with_the_projects_search_path_can_flush(database: Target) -> None:
    with connect(database, autocommit=True, session=Session.SHARED) as connection:
        connection.cursor().execute("SET search_path = public")
        position = written(connection)
        connection.cursor().execute(FLUSH_WAL)
        assert is_flushed(connection, position)


def test_it_is_flushed_where_no_commit_of_the_role_waits(database: Target) -> None:
    with connect(database, autocommit=True) as connection:
        connection.execute("ALTER ROLE CURRENT_USER SET synchronous_commit = off")
    try:
        with connect(database, autocommit=True) as connection:
            position = written(connection)
            flush_wal(connection)
            assert is_flushed(connection, position)
    finally:
        with connect(database, autocommit=True) as connection:
            connection.execute("ALTER ROLE CURRENT_USER RESET synchronous_commit")
