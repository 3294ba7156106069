"""Fingerprints and the catalog: where the catalog sees a difference, fingerprints see one, or say that they are not sure."""

import pytest
from psycopg import Connection

from dbkit import catalog
from dbkit.postgres.cluster import Cluster
from dbkit.roundtrip.catalog_fingerprint import FingerprintReader, KnownFingerprints
from dbkit.roundtrip.transaction_guard import mentions_extension
from support.catalog_changes import BASE, CHANGES, Case, case
from support.sessions import connect_as_project as connect

MORE = [
    case("GRANT SELECT (note) ON orders TO app", "grants on column orders.note to app"),
    case("GRANT SELECT ON orders TO PUBLIC", "grants on table orders to PUBLIC"),
    case("ALTER TABLE orders ALTER COLUMN note SET DEFAULT 'x'", "column orders.note"),
]


@pytest.fixture(scope="session")
def template(server: Cluster) -> str:
    """A database with some of everything."""
    target = server.create_database("fingerprint_base")
    with connect(target, autocommit=True) as connection:
        connection.execute("DO $$ BEGIN CREATE ROLE app; EXCEPTION WHEN duplicate_object THEN END $$")
        connection.execute(BASE)
    return target.dbname


def seen(connection: "Connection[tuple[object, ...]]", change: str) -> bool:
    """Whether a change in a transaction of its own is seen, or said not to be covered."""
    reader = FingerprintReader(connection.pgconn, ["alembic_version"])
    connection.commit()
    known = reader.read_all()
    reader.begin("start")
    connection.execute(change)  # type: ignore[call-overload]  # a table of cases
    found = reader.read()
    connection.rollback()
    return not found.is_complete or not known.match(found)


@pytest.mark.spread(9)
@pytest.mark.parametrize(
    "change",
    [each for each in (*CHANGES, *MORE) if each.expected],
    ids=lambda each: each.change[:70],
)
def test_what_the_catalog_sees_fingerprints_see(server: Cluster, template: str, change: Case) -> None:
    if "CONCURRENTLY" in change.change or "VACUUM" in change.change:
        pytest.skip("not in a transaction")
    target = server.create_database(f"fingerprint_{abs(hash(change.change)):x}", template)
    with connect(target) as connection:
        if change.setup:
            connection.execute(change.setup)  # type: ignore[call-overload]
            connection.commit()
        assert seen(connection, change.change) or mentions_extension(change.change)
    server.drop_database(target.dbname)


CLEAN = [
    "CREATE TABLE t (a int); DROP TABLE t",
    "ALTER TABLE customers ADD x int; ALTER TABLE customers DROP x",
    "ALTER TABLE orders RENAME TO o; ALTER TABLE o RENAME TO orders",
    "DROP INDEX ix_lower; CREATE INDEX ix_lower ON orders (lower(note))",
    "CREATE TYPE zz AS ENUM ('a'); DROP TYPE zz",
    "COMMENT ON TABLE audit.orders IS 'x'; COMMENT ON TABLE audit.orders IS NULL",
    "DROP TRIGGER tr_touch ON orders; CREATE TRIGGER tr_touch BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch()",
    "DROP TABLE audit.orders CASCADE; CREATE TABLE audit.orders (id bigint, at timestamptz, what jsonb);"
    " CREATE RULE quiet AS ON DELETE TO audit.orders DO INSTEAD NOTHING",
    "INSERT INTO base VALUES (1)",
    "SELECT * FROM orders",
]  # fmt: skip


@pytest.mark.parametrize("change", CLEAN)
def test_what_comes_back_has_the_same_fingerprints(server: Cluster, template: str, change: str) -> None:
    target = server.create_database(f"fingerprint_{abs(hash(change)):x}", template)
    with connect(target) as connection:
        before = catalog.read_facts(connection)
        assert not seen(connection, change)
        assert catalog.read_facts(connection) == before
    server.drop_database(target.dbname)


def test_rows_that_are_written_are_noticed(server: Cluster, template: str) -> None:
    target = server.create_database("fingerprint_rows", template)
    with connect(target) as connection:
        reader = FingerprintReader(connection.pgconn, ["alembic_version"])
        known: KnownFingerprints = reader.read_all()
        connection.commit()
        for statement, expected in (
            ("SELECT * FROM base", False),
            ("CREATE TABLE made_here (a int); INSERT INTO made_here VALUES (1)", False),
            ("INSERT INTO base VALUES (1)", True),
            ("SELECT nextval('numbers')", True),
            ("INSERT INTO alembic_version VALUES ('x')", False),
        ):
            reader.begin("start")
            connection.execute(statement)  # type: ignore[call-overload]
            assert known.has_rows_written(reader.read()) is expected, statement
            connection.rollback()
    server.drop_database(target.dbname)


def test_another_search_path_is_not_trusted(server: Cluster, template: str) -> None:
    target = server.create_database("fingerprint_path", template)
    with connect(target) as connection:
        assert seen(connection, "SET search_path TO audit")
    server.drop_database(target.dbname)
