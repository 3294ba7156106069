"""Each project in a database has its own version table, journal, environment mark and migration lock."""

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from dbkit import journal
from dbkit.backfill.progress import Progress
from dbkit.database_url import LONGEST_NAME, History
from dbkit.gate import protection
from dbkit.gate.offline import render_preamble
from dbkit.journal import JournalEntry, VersionChange
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.connect import connect, current_revisions
from dbkit.postgres.locks import find_holder, lock_key, migration_lock
from dbkit.postgres.own_statements import Session, place_of
from dbkit.postgres.sql_quote import as_text
from dbkit.settings import Settings, Target
from dbkit.stash.tables import read_tables

HISTORIES = (
    History(),
    History("billing_version"),
    History("Versions of it", schema="Back Office"),
    History(schema="back"),
    History("x" * LONGEST_NAME),
)


@pytest.fixture(scope="module")
def target(server: Cluster) -> Iterator[Target]:
    """A database with two more schemas, and a role that may use one of them."""
    target = server.create_database("histories")
    with connect(target, autocommit=True) as connection:
        connection.execute('CREATE SCHEMA back; CREATE SCHEMA "Back Office"; CREATE ROLE "The Owner"')
        connection.execute('GRANT ALL ON SCHEMA back TO "The Owner"')
    yield target
    server.drop_database("histories")


def migrate(target: Target, revision: str) -> None:
    """Record a revision as applied, with its mark and a row of the journal."""
    with connect(target) as connection:
        place = place_of(connection)
        table = as_text(place.version_table_sql)
        connection.execute(f"CREATE TABLE {table} (version_num varchar(32) PRIMARY KEY)".encode())
        journal.ensure_table(connection)
        change = VersionChange(f"INSERT INTO {table} (version_num) VALUES (%(new)s)", {"new": revision})
        assert (
            journal.record_step(connection, JournalEntry("upgrade", revision, "test"), [revision], change).rowcount == 1
        )
        protection.write_mark(connection, f"mark of {revision}")
        connection.commit()


def test_histories_in_one_database_are_apart(target: Target) -> None:
    """Version table, journal, mark, lock, and the tables that a stash leaves out."""
    targets = [replace(target, history=history) for history in HISTORIES]
    for number, each in enumerate(targets):
        migrate(each, f"rev{number}")
    for number, each in enumerate(targets):
        with connect(each) as connection:
            assert current_revisions(connection) == (f"rev{number}",)
            assert list(journal.read_latest(connection)) == [f"rev{number}"]
            assert protection.read_mark(connection) == f"mark of rev{number}"
            place = place_of(connection)
            names = {(table.schema, table.name) for table in read_tables(connection).values()}
            assert (place.schema, place.version_table) not in names
            assert (place.schema, each.history.name_beside(journal.TABLE)) not in names
    journals = {(place_schema(each), each.history.name_beside(journal.TABLE)) for each in targets}
    assert len(journals) == len({lock_key(each) for each in targets}) == len(HISTORIES)
    first, second = targets[:2]
    with (
        connect(first) as one,
        connect(second) as other,
        migration_lock(one, first, 0),
        migration_lock(other, second, 0),
    ):
        assert find_holder(one, second)
        assert find_holder(other, first)
        assert find_holder(one, targets[2]) is None


def place_schema(target: Target) -> str:
    """The schema of the version table."""
    with connect(target) as connection:
        return place_of(connection).schema


def test_default_history_is_as_before() -> None:
    """The names, the lock and the script of a project with Alembic's own version table."""
    assert History().name_beside("dbkit_journal") == "dbkit_journal"
    assert lock_key(Target("app")) == lock_key(Target("app", history=History(search_path="a", role="b")))
    assert lock_key(Target("app")) == -7287794734044133854
    assert lock_key(Target("app", history=History(schema="back"))) != lock_key(Target("app"))
    assert Target("app") == Target("app", history=History("other"))


@pytest.mark.parametrize("session", Session)
def test_session_of_the_project(target: Target, session: Session) -> None:
    """The role and the search path of env.py: in every kind of session the place is read with them."""
    history = History("tenant_version", search_path='nowhere, back, "Back Office"', role="The Owner")
    with connect(replace(target, history=history), session=session) as connection:
        place = place_of(connection)
        assert (place.search_path, place.current_schema) == (history.search_path, "back")
        assert (place.schema, place.has_history, place.others) == ("back", False, ())
        (row,) = (
            connection.cursor().execute("SELECT current_user, session_user, current_setting('search_path')").fetchall()
        )
        assert (row[0], row[1]) == ("The Owner", connection.info.user)
        assert row[2] == ("pg_catalog, pg_temp" if session is Session.OWN else history.search_path)
        connection.rollback()
        connection.execute("RESET ROLE")


def test_script_names_the_version_table(target: Target, local_settings: Settings) -> None:
    """The script's own check reads the project's version table, and takes its lock."""
    for history in HISTORIES:
        preamble = render_preamble(("elsewhere",), local_settings, history, writes_journal=True)
        statements = preamble.partition("\n")[2]
        with connect(replace(target, history=history), session=Session.PROJECT) as connection:
            with pytest.raises(
                psycopg.errors.RaiseException, match='begins at "elsewhere", and the database is at "rev'
            ):
                connection.execute(statements.encode())
            connection.rollback()
            with connect(replace(target, history=history)) as other:
                assert find_holder(other, replace(target, history=history))


def test_backfills_are_beside_the_version_table(target: Target) -> None:
    """The progress of each project's backfills is in a table of its own."""
    tables = set()
    for history in HISTORIES:
        with connect(replace(target, history=history), autocommit=True, session=Session.SHARED) as connection:

            def execute(statement: str, connection: psycopg.Connection = connection) -> list[tuple[object, ...]]:
                return connection.cursor().execute(statement.encode()).fetchall()

            tables.add(Progress(execute, execute, history, None).table)
    assert len(tables) == len(HISTORIES)
