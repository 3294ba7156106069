"""SQL that goes through SQLAlchemy's text() and comes out as it was."""

from itertools import product

import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import asyncpg, psycopg, psycopg2

from dbkit.postgres.sql_escape import escape, sql

# named is that of a script: no driver reads it
DIALECTS = (postgresql.dialect(paramstyle="named"), psycopg.dialect(), psycopg2.dialect(), asyncpg.dialect())


@pytest.mark.matrix
@pytest.mark.parametrize("length", range(6))
def test_each_text_of_hostile_letters_comes_out_as_it_was(length):
    for text in map("".join, product(":\\a$% é", repeat=length)):
        clause = sql(text)
        assert not clause._bindparams, text
        for dialect in DIALECTS:
            compiled = str(clause.compile(dialect=dialect))
            if dialect.identifier_preparer._double_percents:
                assert compiled.count("%") == 2 * text.count("%")
                compiled = compiled.replace("%%", "%")
            assert compiled == text, clause.text


@pytest.mark.parametrize("text", ["'a'::text", "'12:30'", "a[1:2]", "x IN ('a: b', '50%')", "'C:\\dir'", "a.b::c.d[]"])
def test_what_is_no_parameter_stays_readable(text):
    assert escape(text) == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("':none'", "'\\:none'"),
        ("'\\:none'", "'\\\\:none'"),
        ("a[:2]", "a[\\:2]"),
        ("'{\"a\":true}'", "'{\"a\"\\:true}'"),
        ("':a:b'", "'\\:a\\:b'"),
    ],
)
def test_what_is_a_parameter_is_escaped(text, escaped):
    assert escape(text) == escaped
