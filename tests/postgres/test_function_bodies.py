"""Functions and triggers as they are read from the catalog, for the statements in them."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from dbkit.coverage.function_bodies import FunctionBody, called_names, read_functions, trigger_functions
from dbkit.coverage.plpgsql import inner_statements, trigger_statements
from dbkit.settings import Target
from support.sessions import connect_as_project
from support.sql_bodies import SQL_BODIES

OBJECTS = """
CREATE SCHEMA other;
CREATE TABLE t (id int PRIMARY KEY, state text);
CREATE TABLE "Big t" (id int PRIMARY KEY, n int);
CREATE FUNCTION plain(a int, OUT b int, INOUT c text, VARIADIC d int[]) LANGUAGE sql AS 'SELECT 1, c';
CREATE FUNCTION unnamed(int, text) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION rows_of(kind text) RETURNS TABLE (id int) LANGUAGE plpgsql AS
    $$ BEGIN RETURN QUERY SELECT t.id FROM t WHERE state = kind; END $$;
CREATE FUNCTION other.hidden() RETURNS void LANGUAGE sql AS 'DELETE FROM public.t WHERE state = ''other''';
CREATE FUNCTION other.plain(x int) RETURNS int LANGUAGE sql AS 'SELECT 2';
CREATE FUNCTION outer_one() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM middle_one(1); END $$;
CREATE FUNCTION middle_one(p int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN CALL "Inner one"(p); END $$;
CREATE PROCEDURE "Inner one"(p int) LANGUAGE sql AS 'UPDATE t SET state = ''seen'' WHERE id = p';
CREATE FUNCTION upper(int) RETURNS int LANGUAGE sql AS 'SELECT 3';
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN UPDATE t SET state = 'noted' WHERE id = NEW.id; RETURN NEW; END $$;
CREATE TRIGGER a_note AFTER INSERT OR UPDATE OF n ON "Big t" FOR EACH ROW
    WHEN (NEW.n > 3 AND NEW.n IS NOT NULL) EXECUTE FUNCTION noted();
CREATE TRIGGER b_statement AFTER DELETE ON "Big t" FOR EACH STATEMENT EXECUTE FUNCTION noted();
CREATE TRIGGER c_off BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION noted();
ALTER TABLE t DISABLE TRIGGER c_off;
"""


@pytest.fixture
def connection(database: Target) -> Iterator[psycopg.Connection[Any]]:
    with connect_as_project(database, autocommit=True) as found:
        found.execute(OBJECTS)  # type: ignore[call-overload]
        yield found


def test_the_arguments_of_functions(connection: psycopg.Connection[Any]) -> None:
    found = read_functions(connection, ["plain", "unnamed", "rows_of"])
    assert found["plain"] == FunctionBody("plain", ("a", "c", "d"), "sql", "SELECT 1, c")
    assert found["unnamed"].arguments == ("", "")
    assert (found["rows_of"].arguments, found["rows_of"].language) == (("kind",), "plpgsql")


def test_a_function_in_a_schema_outside_of_the_path(connection: psycopg.Connection[Any]) -> None:
    found = read_functions(connection, ["hidden"])
    assert inner_statements("SELECT other.hidden()", found) == ["DELETE FROM public.t WHERE state = 'other'"]


def test_functions_that_are_called_in_functions(connection: psycopg.Connection[Any]) -> None:
    found = read_functions(connection, called_names("DO $$ BEGIN PERFORM outer_one(); END $$"))
    assert sorted(found) == ["Inner one", "middle_one", "outer_one"]
    assert inner_statements("DO $$ BEGIN PERFORM outer_one(); END $$", found) == [
        "UPDATE t SET state = 'seen' WHERE id = 1"
    ]


def test_functions_of_postgresql_and_aggregates_are_left_out(connection: psycopg.Connection[Any]) -> None:
    assert not read_functions(connection, ["now", "lower", "total", "count", "unknown"])


def test_the_search_path_decides_nothing(connection: psycopg.Connection[Any]) -> None:
    expected = read_functions(connection, ["plain", "rows_of"])
    # an operator that PostgreSQL would prefer to its own
    connection.execute(
        "CREATE FUNCTION other.never(name, name) RETURNS boolean LANGUAGE sql AS 'SELECT false';"
        "CREATE OPERATOR other.= (LEFTARG = name, RIGHTARG = name, FUNCTION = other.never);"
        "SET search_path = public, other, pg_catalog"
    )
    assert read_functions(connection, ["plain", "rows_of"]) == expected


def test_a_body_that_the_catalog_has_as_a_tree(connection: psycopg.Connection[Any]) -> None:
    if connection.info.server_version < SQL_BODIES:
        pytest.skip("BEGIN ATOMIC came with PostgreSQL 14")
    connection.execute(
        "CREATE PROCEDURE atomic(p text) LANGUAGE sql"
        " BEGIN ATOMIC DELETE FROM t WHERE t.state = p; UPDATE t SET state = 'x' WHERE t.id = 7; END;"
        "CREATE FUNCTION returned() RETURNS bigint LANGUAGE sql RETURN (SELECT count(*) FROM t WHERE state = 'y')"
    )
    found = read_functions(connection, ["atomic", "returned"])
    assert inner_statements("CALL atomic('k')", found) == [
        "DELETE FROM t WHERE (t.state = 'k')",
        "UPDATE t SET state = CAST('x' AS TEXT) WHERE (t.id = 7)",
    ]
    assert len(inner_statements("SELECT returned()", found)) == 1


def test_the_row_triggers_of_tables(connection: psycopg.Connection[Any]) -> None:
    rows = connection.execute("SELECT oid::bigint FROM pg_class WHERE relname IN ('t', 'Big t')").fetchall()
    triggers, called = trigger_functions(connection, [row[0] for row in rows])
    (trigger,) = triggers
    assert (trigger.table, trigger.events, trigger.function.name) == ('public."Big t"', ("INSERT", "UPDATE"), "noted")
    assert trigger_statements(trigger, called) == [
        "UPDATE t SET state = 'noted' FROM public.\"Big t\" AS new"
        " WHERE t.id = new.id AND ((new.n > 3) AND (new.n IS NOT NULL))"
    ]
