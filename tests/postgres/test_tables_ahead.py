"""The models' tables that are created while the migrations run, and when they are used."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from dbkit.database_url import History
from dbkit.drafts.tables_ahead import creating_tables
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.connect import connect

PLPGSQL = ("plpgsql", "pg_catalog")
CITEXT = ("citext", "public")


class CIText(sa.types.UserDefinedType[str]):
    """A type of an extension."""

    def get_col_spec(self, **_: object) -> str:
        return "citext"


def models(*columns: sa.Column) -> sa.MetaData:
    metadata = sa.MetaData()
    sa.Table("people", metadata, sa.Column("id", sa.Integer, primary_key=True), *columns)
    return metadata


def test_they_are_there_when_the_migrations_have_run(server: Cluster) -> None:
    with creating_tables(server, "ahead_plain", [models()], []) as creation:
        migrated = server.create_database("ahead_migrated")
    assert creation.result
    assert creation.result.tables.names == {("public", "people")}
    assert creation.result.suits(migrated, ["public", "audit"], [PLPGSQL])
    with connect(creation.result.target) as connection:
        assert connection.execute("SELECT count(*) FROM public.people").fetchone() == (0,)


def test_an_extension_that_a_revision_names_is_there_first(server: Cluster) -> None:
    sources = ["op.execute('CREATE EXTENSION IF NOT EXISTS \"citext\"')", "op.execute('create extension nothing_such')"]
    with creating_tables(server, "ahead_citext", [models(sa.Column("name", CIText()))], sources) as creation:
        pass
    assert creation.result
    assert creation.result.suits(creation.result.target, ["public"], [PLPGSQL, CITEXT])


@pytest.mark.parametrize(
    ("schemas", "extensions", "path"),
    [
        pytest.param(["public"], [PLPGSQL, CITEXT], None, id="an extension that no revision names"),
        pytest.param(["public", "postgres"], [PLPGSQL], None, id="a schema that is found before public"),
        pytest.param(["public"], [PLPGSQL], "app, public", id="a search path"),
    ],
)
def test_they_are_not_used_where_the_migrations_may_matter(
    server: Cluster, schemas: list[str], extensions: list[tuple[str, str]], path: str | None
) -> None:
    name = f"ahead_{len(schemas)}_{len(extensions)}_{path is None}"
    with creating_tables(server, name, [models()], []) as creation:
        pass
    assert creation.result
    migrated = replace(creation.result.target, history=History(search_path=path))
    assert not creation.result.suits(migrated, schemas, extensions)


def test_what_fails_is_left_to_the_migrations(server: Cluster) -> None:
    default = sa.Column("at", sa.Integer, server_default=sa.text("next_of_a_migration()"))
    with creating_tables(server, "ahead_failed", [models(default)], []) as creation:
        pass
    assert creation.result is None


def test_an_interrupt_cancels_them(server: Cluster) -> None:
    metadata = models()
    sa.event.listen(metadata, "after_create", sa.DDL("SELECT pg_sleep(600)"))
    with pytest.raises(KeyboardInterrupt), creating_tables(server, "ahead_interrupted", [metadata], []):
        raise KeyboardInterrupt
    server.drop_database("ahead_interrupted")
