"""Candidate values of conditions: with one the condition is true, with another it is not, whatever its shape."""

from collections.abc import Iterator

import psycopg
import pytest
import sqlglot

from dbkit.coverage.candidates import MOST, find_candidates, literals_in
from dbkit.postgres.cluster import Cluster
from dbkit.sample_data.constraints import Type, read_tables
from support.conditions import CONDITIONS, UNSOLVED
from support.sessions import IS_HOSTILE, make_usual
from support.sessions import connect_as_project as connect

NEWEST = 180000
"""The major version that has all types and functions of the table."""
SETUP = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text);
-- a value that the type refuses, or for which the condition fails, counts as neither
CREATE FUNCTION ask(type_sql text, condition text, candidates text[], OUT met boolean, OUT not_met boolean, OUT invalid text)
AS $$
DECLARE
    candidate text;
    answer boolean;
BEGIN
    met := false;
    not_met := false;
    FOREACH candidate IN ARRAY candidates LOOP
        BEGIN
            EXECUTE format('SELECT (%s) IS TRUE FROM (SELECT %L::%s AS x) AS row', condition, candidate, type_sql)
                INTO answer;
            met := met OR answer;
            not_met := not_met OR NOT answer;
            EXIT WHEN met AND not_met;
        EXCEPTION
            WHEN syntax_error_or_access_rule_violation THEN invalid := SQLERRM; EXIT;
            WHEN OTHERS THEN CONTINUE;
        END;
    END LOOP;
END $$ LANGUAGE plpgsql;
"""


def parse(condition: str) -> sqlglot.exp.Expression:
    expression = sqlglot.parse_one(f"SELECT {condition}", dialect="postgres").expressions[0]
    assert isinstance(expression, sqlglot.exp.Expression)
    return expression


@pytest.fixture(scope="session")
def connection(server: Cluster) -> Iterator[psycopg.Connection]:
    """A database with a table that has a column of each type."""
    database = server.create_database("candidates")
    if IS_HOSTILE:
        make_usual(database)  # the conditions are written for the usual settings
    with connect(database) as opened:
        opened.execute(SETUP)
        known = [
            kind
            for kind in CONDITIONS
            if opened.execute("SELECT to_regtype(%s)", [kind.partition("(")[0]]).fetchone() != (None,)
        ]
        columns = [f'"{kind}" {kind}' for kind in known]
        opened.execute(f"CREATE TABLE every_type ({', '.join(columns)})")
        yield opened


@pytest.fixture(scope="session")
def types(connection: psycopg.Connection) -> dict[str, Type]:
    """The types by their SQL."""
    (oid,) = connection.execute("SELECT 'every_type'::regclass::oid").fetchone() or ()
    (table,) = read_tables(connection, [oid])
    return {column.name: column.type for column in table.columns}


@pytest.mark.spread(6)
@pytest.mark.parametrize("kind", CONDITIONS)
def test_candidates_meet_both_sides_of_each_condition(
    connection: psycopg.Connection, types: dict[str, Type], kind: str
) -> None:
    version = connection.info.server_version
    if version < NEWEST and kind not in types:
        pytest.skip(f"PostgreSQL {version // 10000} has no {kind}")
    missed = {}
    for condition in CONDITIONS[kind]:
        found = find_candidates(types[kind], "x", parse(condition))
        assert len(found) <= MOST
        assert len(found) == len(set(found))
        answer = connection.execute("SELECT * FROM ask(%s, %s, %s)", [kind, condition, found]).fetchone()
        met, not_met, invalid = answer or ()
        if not (met and not_met) and not (invalid and version < NEWEST):
            missed[condition] = invalid or found
    assert not missed, "\n".join(missed)


@pytest.mark.parametrize("kind", UNSOLVED)
def test_what_is_not_found_is_listed(connection: psycopg.Connection, types: dict[str, Type], kind: str) -> None:
    for condition in UNSOLVED[kind]:
        found = find_candidates(types[kind], "x", parse(condition))
        assert connection.execute("SELECT * FROM ask(%s, %s, %s)", [kind, condition, found]).fetchone() == (
            False,
            True,
            None,
        )


@pytest.mark.parametrize(
    "kind", ["varchar(8)", "varchar(20)", "char(3)", "char(1)", "smallint", "numeric(8,2)", "numeric(3,0)", "bit(4)"]
)
def test_candidates_fit_the_length_and_precision_of_a_column(
    connection: psycopg.Connection, types: dict[str, Type], kind: str
) -> None:
    found = {each for condition in CONDITIONS[kind] for each in find_candidates(types[kind], "x", parse(condition))}
    with connection.transaction(force_rollback=True):
        connection.cursor().executemany(f'INSERT INTO every_type ("{kind}") VALUES (%s)', [[each] for each in found])


@pytest.mark.parametrize(
    "expression",
    [
        "count(*) > 2",
        "x + 1",
        "lower(x)",
        "y = z",
        "x = y",
        "x > y + 5 AND y IS NULL",
        "x ->> y = lower(z)",
        "some_function(x, 'a', $1)",
        "x OPERATOR(pg_catalog.=) 'a'",
        "x ~ '('",
        "x LIKE '\\'",
        "x = 1e400",
        "x = 99999999999999999999999999999999",
        "x[99999999999999999999] = 1",
        "extract(nothing from x) = 'a'",
        "x = '2020-99-99'",
        "x = '0001-01-01 00:00+00' OR x = '9999-12-31 23:59:59+00'",
        "x < now() - interval '999999999 years'",
        "x AT TIME ZONE 'No/Where' > now()",
        "CASE WHEN x THEN y END",
        "EXISTS (SELECT 1 FROM other WHERE other.id = x AND other.name = 'n')",
        "row_number() OVER (PARTITION BY x ORDER BY y) > 1",
    ],
)
def test_no_expression_raises(types: dict[str, Type], expression: str) -> None:
    for kind in types.values():
        found = find_candidates(kind, "x", parse(expression))
        assert len(found) <= MOST
        assert all(isinstance(each, str) for each in found)


def test_the_literal_comes_first_and_unknown_expressions_give_theirs(types: dict[str, Type]) -> None:
    assert find_candidates(types["text"], "x", parse("x = 'sent'"))[0] == "sent"
    assert "needle" in find_candidates(types["text"], "x", parse("some_function(x, y, 'needle')"))
    assert find_candidates(types["mood"], "x", parse("x = 'happy'"))[0] == "happy"


def test_a_name_is_in_small_letters_unless_it_is_quoted(types: dict[str, Type]) -> None:
    assert find_candidates(types["text"], "status", parse("Orders.STATUS = 'sent'"))[0] == "sent"
    assert find_candidates(types["text"], "userId", parse("\"userId\" = 'u' OR userId = 'v'"))[0] == "u"


def test_the_literals_of_an_expression() -> None:
    assert literals_in(parse("x = 'sent' OR n > -5 AND lower(y) IN ('a', 'sent')")) == ["sent", "-5", "a"]
