"""Row versions and the catalog: where the catalog or the rows differ between two states, the versions do."""

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from dbkit.postgres.cluster import Cluster
from dbkit.postgres.connect import connect
from dbkit.roundtrip.row_versions import RowVersions, read_row_versions
from dbkit.settings import Target
from support.catalog_changes import BASE, CHANGES, Case, case

MORE = [
    case("GRANT SELECT (note) ON orders TO app", "grants on column orders.note to app"),
    case("ALTER TABLE orders ALTER COLUMN note SET DEFAULT 'x'", "column orders.note"),
]
ROWS = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN tempers AS mood[];
CREATE TYPE pair AS (one mood, other int);
CREATE TABLE plain (id int PRIMARY KEY, note text);
CREATE TABLE felt (id int PRIMARY KEY, mood mood);
CREATE TABLE nested (id int PRIMARY KEY, tempers tempers, pair pair[]);
CREATE TABLE child () INHERITS (plain);
INSERT INTO plain SELECT n, 'note' FROM generate_series(1, 5) AS n;
INSERT INTO felt VALUES (1, 'good'), (2, 'bad');
INSERT INTO nested VALUES (1, '{good}', ARRAY[ROW('bad', 1)::pair]);
INSERT INTO child VALUES (6, 'note')
"""
WRITES = {
    "UPDATE plain SET note = note WHERE id = 3": {"plain"},
    "INSERT INTO felt VALUES (3, 'good')": {"felt"},
    "DELETE FROM felt WHERE id = 1": {"felt"},
    "DELETE FROM felt WHERE id = 1; INSERT INTO felt VALUES (1, 'good')": {"felt"},
    "TRUNCATE felt": {"felt"},
    "UPDATE child SET note = 'other'": {"child"},
    "ALTER TABLE plain ALTER COLUMN id TYPE bigint": {"plain", "child"},
    "ALTER TYPE mood RENAME VALUE 'bad' TO 'sad'": {"felt", "nested"},
    "ALTER TYPE mood ADD VALUE 'calm' BEFORE 'bad'": {"felt", "nested"},
    "DROP TABLE nested": {"nested"},
    "CREATE TABLE new_one (id int)": {"new_one"},
    "ALTER TABLE felt ADD COLUMN more int DEFAULT 3": {"felt"},
    "ALTER TABLE felt RENAME COLUMN mood TO feeling": {"felt"},
    # nothing that a proof compares
    "VACUUM felt": set(),
    "VACUUM FULL felt": set(),
    "CREATE INDEX CONCURRENTLY ix_note ON plain (note)": set(),
    "ANALYZE": set(),
    "SELECT * FROM plain FOR UPDATE": set(),
    "CREATE TEMPORARY TABLE passing AS SELECT 1 AS id": set(),
    "INSERT INTO alembic_version VALUES ('x')": set(),
}


def read(target: Target) -> RowVersions:
    with connect(target, autocommit=True) as connection:
        return read_row_versions(connection, ["alembic_version"], with_rows=True)


def execute(target: Target, *statements: str) -> None:
    with psycopg.connect(**target.parameters(), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.fixture(scope="module")
def schema(server: Cluster) -> str:
    """A database with some of everything."""
    target = server.create_database("versions_base")
    execute(target, "DO $$ BEGIN CREATE ROLE app; EXCEPTION WHEN duplicate_object THEN END $$", BASE)
    return target.dbname


@pytest.fixture(scope="module")
def filled(server: Cluster) -> str:
    """A database with rows."""
    target = server.create_database("versions_rows")
    execute(target, "CREATE TABLE alembic_version (version_num text)", ROWS)
    return target.dbname


@pytest.fixture
def schema_copy(server: Cluster, schema: str) -> Iterator[Target]:
    yield server.create_database("versions_copy", schema)
    server.drop_database("versions_copy")


@pytest.fixture
def copy(server: Cluster, filled: str) -> Iterator[Target]:
    yield server.create_database("versions_copy", filled)
    server.drop_database("versions_copy")


@pytest.mark.spread(15)
@pytest.mark.parametrize(
    "change",
    [each for each in (*CHANGES, *MORE) if each.expected],
    ids=lambda each: each.change[:70],
)
def test_what_the_catalog_sees_versions_see(schema_copy: Target, change: Case) -> None:
    if change.setup:
        execute(schema_copy, change.setup)
    before = read(schema_copy)
    execute(schema_copy, change.change)
    after = read(schema_copy)
    assert before.changed_relations(after) or before.changed_catalogs(after)


@pytest.mark.parametrize("statement", WRITES)
def test_a_table_whose_rows_differ_is_named(copy: Target, statement: str) -> None:
    before = read(copy)
    execute(copy, *([statement] if "VACUUM" in statement or "CONCURRENTLY" in statement else statement.split("; ")))
    after = read(copy)
    changed = before.changed_rows(after)
    names = {**before.names, **after.names}
    assert {names[oid].removeprefix("public.") for oid in changed} == WRITES[statement]


def test_a_copy_has_the_same_versions(server: Cluster, copy: Target) -> None:
    original = read(copy)
    other = server.create_database("versions_other", copy.dbname)
    assert original.relations
    assert read(other) == original
    server.drop_database(other.dbname)


def test_what_was_made_and_dropped_again_leaves_no_difference(copy: Target) -> None:
    before = read(copy)
    execute(copy, "CREATE INDEX CONCURRENTLY ix_note ON plain (note)", "CREATE EXTENSION hstore", "CREATE SCHEMA apart")
    assert before.changed_relations(read(copy))
    assert before.changed_catalogs(read(copy)) >= {"pg_extension", "pg_namespace"}
    execute(copy, "DROP INDEX CONCURRENTLY ix_note", "DROP EXTENSION hstore", "DROP SCHEMA apart")
    after = read(copy)
    assert (before.changed_relations(after), before.changed_catalogs(after)) == (set(), set())


def test_who_may_not_read_a_system_table_sees_its_changes(database: Target) -> None:
    execute(
        database,
        "CREATE ROLE ordinary LOGIN CREATEROLE",
        "CREATE FOREIGN DATA WRAPPER wrapper; CREATE SERVER far FOREIGN DATA WRAPPER wrapper",
        "GRANT USAGE ON FOREIGN SERVER far TO ordinary",
    )
    try:
        ordinary = replace(database, user="ordinary")
        before = read(ordinary)
        assert before.changed_catalogs(read(ordinary)) == set()
        execute(ordinary, "CREATE USER MAPPING FOR ordinary SERVER far OPTIONS (user 'x')")
        after = read(ordinary)
        assert before.changed_catalogs(after) == {"pg_user_mapping"}
        execute(ordinary, "ALTER USER MAPPING FOR ordinary SERVER far OPTIONS (SET user 'y')", "CREATE ROLE another")
        # who creates a role may get a grant of it
        assert after.changed_catalogs(read(ordinary)) - {"pg_auth_members"} == {"pg_authid", "pg_user_mapping"}
    finally:
        execute(
            database,
            "DROP USER MAPPING IF EXISTS FOR ordinary SERVER far",
            "REVOKE ALL ON FOREIGN SERVER far FROM ordinary",
            "DROP ROLE IF EXISTS another",
            "DROP ROLE ordinary",
        )
