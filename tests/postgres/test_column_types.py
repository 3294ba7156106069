"""The type of a column, as SQLAlchemy has it: a column that is made with it has the same type in the database."""

import re

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from dbkit.catalog import read_facts
from dbkit.drafts.column_types import DIALECT, make_type
from dbkit.drafts.read_shapes import read_shapes
from dbkit.drafts.type_code import render_type
from dbkit.settings import Target

SETUP = r"""
    CREATE SCHEMA "odd :x %s";
    CREATE TYPE "odd :x %s"."Mood %" AS ENUM (':a', '50%', E'back\\slash', 'it''s');
    CREATE TYPE mood AS ENUM ('a');
    CREATE TYPE text AS ENUM ('a');
    CREATE DOMAIN "Dom" AS numeric(4,1);
    CREATE TYPE pair AS (a int, b int);
"""
TYPES = re.findall(
    r"\S+",
    """
    smallint integer bigint real double_precision numeric numeric(12,2) numeric(5,0) boolean
    varchar varchar(40) char char(3) txt bytea date uuid json jsonb jsonpath
    timestamp timestamp(3) timestamptz timestamptz(0) time time(6) timetz timetz(2)
    interval interval(2) interval_year interval_day_to_second(3) interval_second(0) bit bit(8) varbit varbit(8)
    inet cidr macaddr macaddr8 money oid regclass regconfig tsvector tsquery
    int4range int8range numrange tsrange tstzrange daterange
    int4[] varchar(3)[] numeric(5,2)[][] timestamptz(3)[] bit(2)[]
    mood mood[] "Dom" "Dom"[] public.text
    varchar(3)_COLLATE_"C" txt_COLLATE_"C" txt[]_COLLATE_"C"
    """,
)


@pytest.mark.matrix
def test_each_type_is_made_again_from_its_code(database: Target):
    types = [
        *(each.replace("_", " ").replace("txt", "pg_catalog.text") for each in TYPES),
        '"odd :x %s"."Mood %"',
        '"odd :x %s"."Mood %"[]',
    ]
    with psycopg.connect(**database.parameters(), autocommit=True) as connection:
        connection.execute(SETUP)
        columns = ", ".join(f"c{number} {type_}" for number, type_ in enumerate(types))
        connection.execute(f"CREATE TABLE before ({columns})".encode())
        facts = read_facts(connection)
        before = read_shapes(connection).tables["public", "before"].columns
        codes = {}
        for name, column in before.items():
            type_ = make_type(column, facts)
            assert type_ is not None, column.type
            codes[name] = render_type(type_).text
        made: dict[str, TypeEngine] = {
            name: eval(code, {"sa": sa, "postgresql": postgresql})  # noqa: S307
            for name, code in codes.items()
        }
        columns = ", ".join(f"{name} {type_.compile(dialect=DIALECT)}" for name, type_ in made.items())
        connection.execute(f"CREATE TABLE after ({columns})".encode())
        after = read_shapes(connection).tables["public", "after"].columns
    assert {name: (each.type, each.collation, each.uses) for name, each in after.items()} == {
        name: (each.type, each.collation, each.uses) for name, each in before.items()
    }
    assert codes["c0"] == "sa.SmallInteger()"
    assert list(codes.values())[-2] == (
        "postgresql.ENUM(':a', '50%', 'back\\\\slash', \"it's\", name='Mood %', schema='odd :x %s', create_type=False)"
    )


@pytest.mark.parametrize("type_", ["pair", "xml", "point", '"char"', "name", "bpchar", "pair[]"])
def test_a_type_that_sqlalchemy_does_not_have_is_left_to_sql(database: Target, type_):
    with psycopg.connect(**database.parameters(), autocommit=True) as connection:
        connection.execute("CREATE TYPE pair AS (a int, b int)")
        connection.execute(f"CREATE TABLE t (c {type_})".encode())
        column = read_shapes(connection).tables["public", "t"].columns["c"]
    assert make_type(column) is None
