"""Which of three has moved: the models, the migrations, or the database."""

from collections.abc import Callable, Iterator

import pytest
from psycopg import Connection

from dbkit import catalog
from dbkit.database_url import Target
from dbkit.drafts.comparison import Comparison, State
from dbkit.drafts.scope import Scope
from dbkit.drafts.shapes import Shapes
from dbkit.drift.compare import compare_three
from dbkit.drift.read import Facts, Live
from dbkit.postgres.cluster import Cluster
from support.kit import Kit
from support.sessions import connect_as_project as connect

BASE = """
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE p (id int PRIMARY KEY);
CREATE TABLE t (id int PRIMARY KEY, p_id int REFERENCES p, a int DEFAULT 1, b varchar(10) NOT NULL, m mood, CONSTRAINT ck CHECK (a > 0));
CREATE INDEX ix ON t (a);
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE SEQUENCE s;
CREATE VIEW v AS SELECT id FROM t;
CREATE TABLE logs (id int PRIMARY KEY, note text) PARTITION BY LIST (id);
CREATE INDEX ON logs (note);
"""
# A change, and the object that must be named. What models can say:
MODELLED = {
    "ALTER TABLE t ADD COLUMN c int": "column t.c",
    "ALTER TABLE t DROP COLUMN a": "column t.a",
    "ALTER TABLE t ALTER COLUMN b TYPE varchar(20)": "column t.b",
    "ALTER TABLE t ALTER COLUMN a SET DEFAULT 2": "column t.a",
    "ALTER TABLE t ALTER COLUMN b DROP NOT NULL": "column t.b",
    "CREATE INDEX more ON t (b)": "index more on t",
    "DROP INDEX ix": "index ix on t",
    "ALTER TABLE t ADD CONSTRAINT uq UNIQUE (b)": "constraint uq on t",
    "ALTER TABLE t DROP CONSTRAINT ck": "constraint ck on t",
    "ALTER TABLE t DROP CONSTRAINT t_p_id_fkey": "constraint t_p_id_fkey on t",
    "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'": "enum mood",
}
# And what they cannot
OTHERS = {
    "CREATE VIEW w AS SELECT 1": "view w",
    "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'": "function f()",
    "DROP SEQUENCE s": "sequence s",
    "COMMENT ON TABLE t IS 'x'": "comment on table t",
    "ALTER TABLE t ENABLE ROW LEVEL SECURITY": "t",
}
HARMLESS = [
    "GRANT SELECT ON t TO PUBLIC",
    "ALTER TABLE t ADD x int; ALTER TABLE t DROP x",
    "INSERT INTO p VALUES (1)",
    "ANALYZE t",
    # made by no migration: another team's, an extension's, or a partition that a job has made
    "CREATE TABLE extra (id serial PRIMARY KEY, t int REFERENCES t); CREATE INDEX ON extra (t)",
    "CREATE SCHEMA theirs CREATE TABLE t (id int) CREATE VIEW v AS SELECT 1; CREATE TYPE theirs.mood AS ENUM ('a')",
    "CREATE TABLE logs_1 PARTITION OF logs FOR VALUES IN (1); COMMENT ON TABLE logs_1 IS 'x'",
]
SCOPE = Scope(tables=frozenset({"p", "t"}), left_alone=frozenset({"logs"}))


@pytest.fixture
def connection(server: Cluster) -> Iterator["Connection[tuple[object, ...]]"]:
    target = server.create_database("drift")
    with connect(target) as connection:
        connection.execute(BASE)  # type: ignore[call-overload]
        yield connection
    server.drop_database(target.dbname)


@pytest.fixture
def changed(connection: "Connection[tuple[object, ...]]") -> Callable[[str], Facts]:
    """What there is after a change, which is taken back."""

    def run(change: str) -> Facts:
        with connection.transaction(force_rollback=True):
            connection.execute(change)  # type: ignore[call-overload]
            return catalog.read_facts(connection)

    return run


def compared(models: Facts, migrations: Facts, database: Facts) -> list[str]:
    migrated, modelled = (State(Target("drift"), facts, Shapes()) for facts in (migrations, models))
    found = SCOPE.find_differences(migrations, models)
    comparison = Comparison(migrated, modelled, found, metadata=(), scope=SCOPE)
    return list(compare_three(comparison, migrations, Live(database, ())))


def test_each_of_the_three_is_told(changed: Callable[[str], Facts]) -> None:
    before = changed("SELECT 1")
    for change, named in MODELLED.items():
        after = changed(change)
        for moved, states in {
            "the models moved": (after, before, before),
            "the database moved": (before, before, after),
            "the migrations lack it": (after, before, after),
        }.items():
            told = compared(*states)
            assert told, change
            assert told == [each for each in told if each.startswith(f"{moved}: ")], change
            assert [each for each in told if each.startswith(f"{moved}: {named} ")], change


def test_what_models_cannot_say_is_compared_between_the_other_two(changed: Callable[[str], Facts]) -> None:
    before = changed("SELECT 1")
    for change, named in OTHERS.items():
        told = compared(before, before, changed(change))
        assert told, change
        assert all(each.startswith("the database moved: ") and named in each for each in told), change


def test_all_three_differ(changed: Callable[[str], Facts]) -> None:
    states = [changed(f"ALTER TABLE t ALTER COLUMN a SET DEFAULT {number}") for number in (1, 2, 3)]
    (told,) = compared(*states)
    assert told.startswith("all three differ: column t.a is ")


@pytest.mark.parametrize("change", HARMLESS)
def test_what_is_no_drift_is_not_told(changed: Callable[[str], Facts], change: str) -> None:
    before = changed("SELECT 1")
    assert compared(before, before, changed(change)) == []


def test_from_the_models_to_the_database(kit: Kit) -> None:
    agreed = kit.make("drift")
    assert (
        agreed.stdout
        == "The models, the migrations and the database agree; the database is at c96d09ae7993, the head.\n"
    )
    kit.query("CREATE TABLE theirs (id int)")
    for verb in ("drift", "check"):
        agreed = kit.make(verb)
        said = "dbkit: ignored, since no migration creates them: table theirs\n"
        assert (agreed.returncode, agreed.stderr) == (0, said)
    kit.query("CREATE INDEX ix_by_hand ON orders (currency)")
    models = kit.path / "backend/app/models/stock.py"
    models.write_text(
        models.read_text()
        + "\n\nclass Extra(Base):\n    __tablename__ = 'extra'\n    id: Mapped[int] = mapped_column(primary_key=True)\n"
    )
    moved = kit.make("drift")
    assert moved.returncode != 0
    assert "the database moved: index ix_by_hand on orders is only in the database" in moved.stderr
    assert "the models moved: table extra is only in the models" in moved.stderr
    assert "the database moved: index ix_by_hand on orders" in kit.make("check").stderr


@pytest.mark.slow
def test_a_database_that_is_behind_is_compared_where_it_is(kit: Kit) -> None:
    assert kit.make("rollback").returncode == 0
    assert "1 migration behind the head" in kit.make("drift").stdout
    kit.query("DROP TABLE prices")
    assert "the database moved: table prices is only in the migrations" in kit.make("drift").stderr


@pytest.mark.slow
def test_where_there_is_nothing_to_compare_that_is_said(kit: Kit) -> None:
    kit.query("UPDATE alembic_version SET version_num = 'ffff'")
    assert kit.dbkit("drift").returncode == 7
    checked = kit.make("check")
    assert (checked.returncode, "the database of .env was not compared: the database is at ffff" in checked.stderr) == (
        0,
        True,
    )
    kit.query("DELETE FROM alembic_version")
    assert "no migration was applied to the database" in kit.dbkit("drift").stderr
    nowhere = {"DATABASE_URL": "postgresql://postgres@localhost:1/nowhere"}
    assert kit.dbkit("drift", env={**nowhere, "MIGRATION_WAIT": "0"}).returncode == 4
    checked = kit.make("check", env=nowhere)
    assert (checked.returncode, "was not compared" in checked.stderr) == (0, True)
