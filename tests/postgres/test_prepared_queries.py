"""Prepared queries: the rows of several at once, whatever a migration does to the session's prepared statements."""

import psycopg
import pytest

from dbkit.postgres.prepared_queries import read_prepared
from dbkit.settings import Target

NAMES = "SELECT c.relname::text FROM pg_catalog.pg_class AS c WHERE c.oid = ANY ($1) ORDER BY 1"
PATH = "SELECT pg_catalog.current_setting('search_path')"


@pytest.mark.parametrize("autocommit", [True, False])
def test_several_queries_are_read_at_once(database: Target, autocommit: bool) -> None:
    with psycopg.connect(**database.parameters(), autocommit=autocommit) as connection:
        connection.execute("SET search_path = pg_catalog")
        oids = [row[0] for row in connection.execute("SELECT unnest('{pg_class,pg_type}'::regclass[])::oid::int8")]
        for _ in range(2):
            names, path = read_prepared(connection, (NAMES, PATH), oids)
            assert (names, path) == ([("pg_class",), ("pg_type",)], [("pg_catalog",)])
        assert read_prepared(connection, (NAMES,), ()) == [[]]


@pytest.mark.parametrize("statement", ["DEALLOCATE ALL", "DISCARD ALL", "DISCARD PLANS"])
@pytest.mark.parametrize("autocommit", [True, False])
def test_statements_that_were_deallocated_are_prepared_again(
    database: Target, autocommit: bool, statement: str
) -> None:
    with psycopg.connect(**database.parameters(), autocommit=True) as connection:
        assert read_prepared(connection, (PATH,))
        connection.execute(statement.encode())
        connection.autocommit = autocommit
        connection.execute("SELECT 1")
        assert len(read_prepared(connection, (NAMES, PATH), ())) == 2
        assert connection.execute("SELECT 2").fetchone() == (2,)


def test_an_error_of_a_query_is_raised(database: Target) -> None:
    with psycopg.connect(**database.parameters(), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.UndefinedTable):
            read_prepared(connection, ("SELECT 1 FROM missing_table",))
        assert read_prepared(connection, ("SELECT 1",)) == [[(1,)]]
