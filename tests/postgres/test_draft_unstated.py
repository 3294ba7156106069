"""What a model does not state is no difference; what it states is one."""

from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import CheckConstraint, Column, Enum, Integer, PrimaryKeyConstraint
from sqlalchemy.dialects import postgresql as pg

from dbkit.drafts.compare import compare
from dbkit.postgres.cluster import Cluster
from dbkit.roundtrip.scratch_migrations import Models

X, Y = (Column(name, Integer, primary_key=True) for name in "xy")
KEY = "constraint t_pkey on t"
LABELS = ("a", "abc")


def varchar(**options: object) -> Column[object]:
    kind: Any = Enum
    return Column("e", kind(*LABELS, native_enum=False, **options))


class Decorated(sa.types.TypeDecorator[str]):
    """A type of an application."""

    impl = sa.Enum(*LABELS, native_enum=False)
    cache_ok = True


CHECK = "CONSTRAINT ck CHECK (e IN ('a', 'abc'))"
CASES = [
    ("order of a key", "CREATE TABLE t (x int, y int, PRIMARY KEY (y, x))", (X, Y), ()),
    ("order of a listed key", "CREATE TABLE t (x int, y int, PRIMARY KEY (y, x))", (Column("x", Integer), Column("y", Integer), PrimaryKeyConstraint("x", "y")), (KEY,)),
    ("order of a deferrable key", "CREATE TABLE t (x int, y int, PRIMARY KEY (y, x) DEFERRABLE)", (X, Y), (KEY,)),
    ("key of other columns", "CREATE TABLE t (x int, y int NOT NULL, PRIMARY KEY (x))", (X, Y), (KEY,)),
    ("no length", "CREATE TABLE t (e varchar)", (varchar(),), ()),
    ("a greater length", "CREATE TABLE t (e varchar(9))", (varchar(),), ()),
    ("a length that is too small", "CREATE TABLE t (e varchar(2))", (varchar(),), ("column t.e",)),
    ("a given length", "CREATE TABLE t (e varchar)", (varchar(length=20),), ("column t.e",)),
    ("another given length", "CREATE TABLE t (e varchar(9))", (varchar(length=20),), ("column t.e",)),
    ("no length, with a check", f"CREATE TABLE t (e varchar, {CHECK})", (varchar(create_constraint=True, name="ck"),), ()),
    ("no length, without the check", "CREATE TABLE t (e varchar)", (varchar(create_constraint=True, name="ck"),), ("constraint ck on t",)),
    ("a given length, with a check", f"CREATE TABLE t (e varchar(20), {CHECK})", (varchar(create_constraint=True, name="ck", length=20),), ()),
    ("no length, but required", "CREATE TABLE t (e varchar NOT NULL)", (varchar(),), ("column t.e",)),
    ("no length, of a type of the application", "CREATE TABLE t (e varchar)", (Column("e", Decorated()),), ()),
    ("text", "CREATE TABLE t (e text)", (varchar(),), ("column t.e",)),
    ("a check of other labels", "CREATE TABLE t (e varchar, CONSTRAINT ck CHECK (e IN ('a')))", (varchar(create_constraint=True, name="ck"),), ("constraint ck on t",)),
    ("another check", "CREATE TABLE t (x serial PRIMARY KEY)", (X, CheckConstraint("x > 1", name="ck")), ("constraint ck on t",)),
    ("order of labels", "CREATE TYPE k AS ENUM ('abc', 'a'); CREATE TABLE t (e k)", (Column("e", pg.ENUM(*LABELS, name="k")),), ("enum k",)),
]  # fmt: skip


@pytest.mark.spread(9)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_only_what_a_model_states_differs(
    server: Cluster, case: tuple[str, str, tuple[sa.schema.SchemaItem, ...], tuple[str, ...]]
) -> None:
    title, sql, parts, expected = case
    name = f"unstated_{abs(hash(title)):x}"
    migrated = server.create_database(name)
    with psycopg.connect(**migrated.parameters()) as connection:
        connection.execute(sql.encode())
    metadata = sa.MetaData()
    sa.Table("t", metadata, *(each._copy() if isinstance(each, Column) else each for each in parts))
    try:
        comparison = compare(server, migrated, Models([metadata]), None, {}, name)
    finally:
        server.drop_database(f"modelled{name}")
        server.drop_database(name)
    assert tuple(str(each.fact) for each in comparison.differences) == expected
