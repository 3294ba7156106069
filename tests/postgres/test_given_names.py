"""Constraints that no model names, and sequences of serials, keep the names that the migrations have given them."""

import pytest
import sqlalchemy as sa

from dbkit.catalog import Fact, read_facts
from dbkit.drafts.given_names import take_over_names
from dbkit.drafts.read_shapes import read_shapes
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.connect import connect
from dbkit.postgres.own_statements import Session

MIGRATIONS = """
CREATE TABLE parents (id serial PRIMARY KEY);
CREATE TABLE first (
    id serial CONSTRAINT key_of_first PRIMARY KEY,
    a int CONSTRAINT uq_first_a UNIQUE,
    parent int CONSTRAINT fk_first_parent REFERENCES parents (id),
    CONSTRAINT positive CHECK (a > 0)
);
ALTER TABLE first RENAME TO t;
"""


@pytest.fixture(name="facts")
def read_both(server: Cluster) -> tuple[dict[Fact, str], dict[Fact, str]]:
    """The facts of the migrations, and those of models whose only name is that of the CHECK."""
    metadata = sa.MetaData()
    sa.Table("parents", metadata, sa.Column("id", sa.Integer, primary_key=True))
    sa.Table(
        "t",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("a", sa.Integer, unique=True),
        sa.Column("parent", sa.ForeignKey("parents.id")),
        sa.CheckConstraint("a > 0", name="more_than_nothing"),
    )
    migrated, modelled = server.create_database("given_names"), server.create_database("given_names_models")
    with connect(migrated, session=Session.PROJECT) as connection:
        connection.execute(MIGRATIONS)
    engine = sa.create_engine(
        "postgresql+psycopg://", creator=lambda: connect(modelled, session=Session.PROJECT), poolclass=sa.NullPool
    )
    metadata.create_all(engine)
    with connect(migrated, session=Session.PROJECT) as connection, connect(modelled, session=Session.PROJECT) as models:
        take_over_names(models, [metadata], read_shapes(connection), read_shapes(models))
        return read_facts(connection), read_facts(models)


def test_only_a_given_name_differs(facts: tuple[dict[Fact, str], dict[Fact, str]]) -> None:
    migrated, modelled = facts
    differing = {str(fact) for fact in migrated.keys() ^ modelled.keys()}
    assert differing == {"constraint positive on t", "constraint more_than_nothing on t"}
    changed = {str(fact) for fact in migrated.keys() & modelled.keys() if migrated[fact] != modelled[fact]}
    assert changed == set()
