"""How the text of executed statements is read."""

import datetime
import decimal
import uuid

import pytest

from dbkit.postgres.sql_text import statements
from dbkit.trace.statement_text import ends_own_transactions, render_statement


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;", ["SELECT 1"]),
        ("SELECT 1; SELECT 2;\n", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';'; SELECT 2", ["SELECT ';'", "SELECT 2"]),
        (r"SELECT E'\';'; SELECT 2", [r"SELECT E'\';'", "SELECT 2"]),
        ("SELECT 'it''s;'; SELECT 2", ["SELECT 'it''s;'", "SELECT 2"]),
        ('SELECT 1 AS "a;b"; SELECT 2', ['SELECT 1 AS "a;b"', "SELECT 2"]),
        ("DO $$ BEGIN; END $$; SELECT 2", ["DO $$ BEGIN; END $$", "SELECT 2"]),
        ("DO $a$ $$;$$ $a$; SELECT 2", ["DO $a$ $$;$$ $a$", "SELECT 2"]),
        ("SELECT 1 -- one;\n; SELECT 2", ["SELECT 1 -- one;", "SELECT 2"]),
        ("SELECT 1 /* one; */; SELECT 2", ["SELECT 1 /* one; */", "SELECT 2"]),
        ("CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3",
         ["CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", "SELECT 3"]),
        ("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END", ["CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END"]),
        ("-- nothing", ["-- nothing"]),
        (";", [";"]),
    ],
)  # fmt: skip
def test_a_string_is_split_where_its_statements_end(text: str, expected: list[str]) -> None:
    assert statements(text) == expected


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX CONCURRENTLY ix ON t (a)",
        "create unique index concurrently if not exists ix on t (a)",
        "DROP INDEX CONCURRENTLY ix",
        "-- a comment\nREINDEX TABLE CONCURRENTLY t",
        "REINDEX (VERBOSE) SCHEMA public",
        "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY",
        "VACUUM FULL t",
        "CLUSTER",
        "CREATE DATABASE x",
        "CALL work()",
        "DO $$ BEGIN COMMIT; END $$",
        "do 'begin perform ''x''; rollback; end'",
        "DO LANGUAGE plpython3u $$ plpy.commit() # it's $$",
        "COMMIT",
        "BEGIN",
        "COMMIT PREPARED 'x'",
        "DISCARD ALL",
        "CLUSTER VERBOSE",
    ],
)
def test_what_has_its_own_transactions(statement: str) -> None:
    assert ends_own_transactions(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX ix ON t (a)",
        "COMMENT ON INDEX ix IS 'built CONCURRENTLY'",
        "REINDEX TABLE t",
        "ALTER TABLE p DETACH PARTITION p1",
        "CLUSTER t USING ix",
        "DO $$ BEGIN PERFORM 1; END $$",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY m",
        "SELECT 'COMMIT'",
        "ROLLBACK TO SAVEPOINT x",
        "DO $$ BEGIN RAISE NOTICE 'COMMIT'; END $$ -- COMMIT",
        "DO $$ BEGIN NULL; -- no ROLLBACK\n /* COMMIT */ END $$",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END",
        r"SELECT E'it\'s; COMMIT'",
        "DISCARD PLANS",
    ],
)
def test_what_runs_in_a_transaction(statement: str) -> None:
    assert not ends_own_transactions(statement)


def test_parameters_are_written_as_literals() -> None:
    values = (1, "it's", None, True, decimal.Decimal("1.50"), datetime.date(2026, 1, 2))
    assert render_statement("SELECT %s, %s, %s, %s, %s, %s, 'a %%'", values, "format") == (
        "SELECT 1, 'it''s', NULL, true, 1.50, '2026-01-02'::date, 'a %'"
    )
    assert render_statement("SELECT %(a)s, %(b)s", {"a": 1, "b": "x"}, "pyformat") == "SELECT 1, 'x'"
    assert render_statement("SELECT $1, $2, $1", (1, "x"), "numeric_dollar") == "SELECT 1, 'x', 1"
    assert (
        render_statement("SELECT $1, '$1', $a$ $1 $a$ -- $1", (1,), "numeric_dollar")
        == "SELECT 1, '$1', $a$ $1 $a$ -- $1"
    )


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("ALTER ROLE app PASSWORD 's3cr''et'", "ALTER ROLE app PASSWORD '***'"),
        ("CREATE ROLE app LOGIN ENCRYPTED PASSWORD E's3cret' VALID UNTIL 'x'", "CREATE ROLE app LOGIN ENCRYPTED PASSWORD E'***' VALID UNTIL 'x'"),
        ("DO 'BEGIN ALTER ROLE app PASSWORD ''s3cret''; END'", "DO 'BEGIN ALTER ROLE app PASSWORD ''***''; END'"),
        ("CREATE SUBSCRIPTION s CONNECTION 'host=h password=s3cret dbname=d'", "CREATE SUBSCRIPTION s CONNECTION 'host=h password=*** dbname=d'"),
        ("SELECT dblink('postgresql://me:s3cret@host/db', 'x')", "SELECT dblink('postgresql://me:***@host/db', 'x')"),
        ("UPDATE u SET password = 's3cret'", "UPDATE u SET password = '***'"),
        ("CREATE TABLE u (password varchar(20) DEFAULT '', url text)", "CREATE TABLE u (password varchar(20) DEFAULT '', url text)"),
        ("SELECT '12:30' AS at, 'a@b'", "SELECT '12:30' AS at, 'a@b'"),
    ],
)  # fmt: skip
def test_a_password_is_not_shown(statement: str, told: str) -> None:
    assert render_statement(statement, (), "format") == told
    assert render_statement("ALTER ROLE app PASSWORD %s", ("s3cret",), "format") == "ALTER ROLE app PASSWORD '***'"


def test_of_many_sets_of_parameters_the_first_is_shown() -> None:
    assert render_statement("INSERT INTO t VALUES (%s)", [(1,), (2,)], "format") == "INSERT INTO t VALUES (1)"


def test_without_parameters_a_percent_sign_is_one() -> None:
    assert render_statement("SELECT 'a' LIKE '%%a'", (), "format") == "SELECT 'a' LIKE '%a'"


def test_a_value_without_a_literal_is_written_as_its_text() -> None:
    class Odd:
        def __str__(self) -> str:
            return "odd's"

    assert render_statement("SELECT %s, %s", (Odd(), uuid.UUID(int=1)), "format") == (
        "SELECT 'odd''s', '00000000000000000000000000000001'::uuid"
    )
