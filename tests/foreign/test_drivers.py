"""What an env.py of its own does to transactions, on each driver, and what the gate makes of it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from dbkit.postgres.cluster import Cluster
from dbkit.settings import Target
from support.failure_modes import BLOCK, INSERT, NO_KEY, SLEEP, SLEEPING, TABLE, line_with, one_line
from support.foreign_pair import DRIVERS, with_driver
from support.held_up import wait_for
from support.pair import Pair, Project
from support.running import until
from support.servers import free_port
from support.starting_server import starting_server

BEGIN = ("connectable.connect() as connection", "connectable.begin() as connection")
RAISE = "raise ValueError('on purpose')"
RAW_COMMIT = "cursor = op.get_bind().connection.cursor()\ncursor.execute('CREATE TABLE v ()')\ncursor.execute('COMMIT')"
RAW_ROLLBACK = """
raw = op.get_bind().connection
raw.cursor().execute('CREATE TABLE v ()')
raw.rollback()
raw.cursor().execute('CREATE TABLE w ()')"""
COUNTED = "op.execute('CREATE TABLE counted AS SELECT 1 AS n')"
AGAIN = "op.execute('INSERT INTO counted VALUES (2)')"
ALTER = "op.execute('ALTER TABLE t ADD x int')"

Make = Callable[..., Project]


@pytest.fixture(params=DRIVERS)
def make(pair: Pair, request: pytest.FixtureRequest) -> Make:
    """Write revisions, and an env.py for one of the drivers. Returns the project behind the gate."""

    def run(
        *revisions: str | tuple[str, str], changes: tuple[tuple[str, str], ...] = (), per_migration: bool = False
    ) -> Project:
        pair.write(*revisions)
        return with_driver(pair, request.param, *changes, per_migration=per_migration).gated

    return run


def upgrade(project: Project, to: str = "head", **env: str) -> None:
    typed = project.alembic("upgrade", to, env=env)
    assert typed.returncode == 0, typed.stderr


def exists(project: Project, table: str) -> bool:
    return project.query(f"SELECT to_regclass('{table}') IS NOT NULL") == [(True,)]


# All migrations of a run in one transaction, as it is by default


def test_a_run_in_one_transaction_is_retried_as_a_whole(make: Make) -> None:
    project = make(TABLE, f"{COUNTED}\n{AGAIN}", ALTER)
    upgrade(project, "rev1")
    with psycopg.connect(**project.target.parameters()) as reader:
        reader.execute("SELECT FROM t")
        process = project.start("upgrade", "head", env={"MIGRATION_LOCK_TIMEOUT": "100ms"})
        line_with(process, "(try 1)")
        with psycopg.connect(**project.target.parameters()) as other:
            assert other.execute("SELECT to_regclass('counted')").fetchone() == (None,)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert project.query("SELECT count(*) FROM counted") == [(2,)]
    assert project.journal() == [("upgrade", f"rev{number}") for number in (1, 2, 3)]


@pytest.mark.parametrize("changes", [(), (BEGIN,)], ids=["alembic-begins", "env-begins"])
def test_a_lock_that_does_not_come_ends_a_run_in_one_transaction(
    make: Make, changes: tuple[tuple[str, str], ...]
) -> None:
    """It is retried until the time is over, and ends in one line, whoever has begun the transaction."""
    project = make(TABLE, COUNTED, ALTER, changes=changes)
    upgrade(project, "rev1")
    limits = {"MIGRATION_LOCK_TIMEOUT": "100ms", "MIGRATION_LOCK_BUDGET": "1s"}
    with psycopg.connect(**project.target.parameters()) as reader:
        reader.execute("SELECT FROM t")
        typed = project.alembic("upgrade", "head", env=limits)
    assert typed.returncode == 1, typed.stderr
    assert "upgrade of rev3 failed" in typed.stderr
    assert "the database is at rev1, and it is safe to run again" in typed.stderr
    assert (project.heads(), project.journal(), exists(project, "counted")) == (["rev1"], [("upgrade", "rev1")], False)
    upgrade(project)
    assert project.journal() == [("upgrade", f"rev{number}") for number in (1, 2, 3)]


def test_an_error_takes_the_whole_run_back(make: Make) -> None:
    project = make(TABLE, COUNTED, RAISE)
    typed = project.alembic("upgrade", "head")
    assert typed.returncode == 1
    line = one_line(typed.stderr)
    assert "upgrade of rev3 failed, at rev3.py:" in line
    assert "ValueError: on purpose" in line
    assert "the database is at base (nothing is applied), and it is safe to run again" in line
    assert (project.heads_or_none(), exists(project, "t"), exists(project, "counted")) == ([], False, False)


def test_a_run_that_leaves_its_transaction_keeps_what_came_before(make: Make) -> None:
    """An autocommit_block() commits the migrations before its own, too."""
    create = f"{BLOCK}op.execute('CREATE UNIQUE INDEX CONCURRENTLY ux ON t (name)')"
    twice = "op.execute(\"INSERT INTO t VALUES (1, 'twice'), (2, 'twice')\")"
    project = make(TABLE, twice, create, COUNTED)
    typed = project.alembic("upgrade", "head")
    assert typed.returncode == 6, typed.stderr
    assert "public.ux" in one_line(typed.stderr)
    assert "DROP INDEX CONCURRENTLY IF EXISTS public.ux" in typed.stderr
    assert (project.heads(), exists(project, "counted")) == (["rev2"], False)
    assert project.journal() == [("upgrade", "rev1"), ("upgrade", "rev2")]
    project.query("DROP INDEX CONCURRENTLY ux")
    project.query("DELETE FROM t WHERE id = 2")
    upgrade(project)
    assert project.journal() == [("upgrade", f"rev{number}") for number in (1, 2, 3, 4)]


@pytest.mark.parametrize("commit", [RAW_COMMIT, "op.execute('CREATE TABLE v ()')\nop.get_bind().commit()"])
def test_a_commit_in_one_transaction_leaves_a_half(make: Make, commit: str) -> None:
    project = make(TABLE, f"{INSERT}\n{commit}\n{RAISE}" if "get_bind().commit" in commit else f"{commit}\n{RAISE}")
    for _ in range(2):
        typed = project.alembic("upgrade", "head")
        assert typed.returncode == 6, typed.stderr
        assert "a part of it was committed: not safe to run again" in one_line(typed.stderr)
    assert exists(project, "v")
    assert "half done" in project.dbkit("status").stdout
    project.query("DROP TABLE v")
    project.query("DELETE FROM t")
    assert project.dbkit("resolve", "rev2").returncode == 0
    assert project.heads() == ["rev1"]


AFTER_COMMIT = """
op.execute('COMMIT')
op.execute('CREATE INDEX CONCURRENTLY ix ON t (name)')
op.execute("ALTER TYPE mood ADD VALUE 'glad'")
op.execute("INSERT INTO felt VALUES ('glad')")"""


@pytest.mark.parametrize("per_migration", [True, False])
def test_a_commit_by_hand_before_what_needs_no_transaction(make: Make, per_migration: bool) -> None:
    """The idiom from before autocommit_block(): psycopg2 and asyncpg begin no transaction after it, and psycopg does."""
    mood = "op.execute(\"CREATE TYPE mood AS ENUM ('sad')\")\nop.execute('CREATE TABLE felt (mood mood)')"
    project = make(f"{TABLE}\n{mood}", AFTER_COMMIT, COUNTED, per_migration=per_migration)
    typed = project.alembic("upgrade", "head")
    if project.driver == "psycopg":
        assert typed.returncode == 6
        assert "cannot run inside a transaction block" in one_line(typed.stderr)
        return
    assert typed.returncode == 0, typed.stderr
    assert (project.heads(), exists(project, "ix"), exists(project, "counted")) == (["rev3"], True, True)
    assert project.query("SELECT mood::text FROM felt") == [("glad",)]
    assert project.journal() == [("upgrade", f"rev{number}") for number in (1, 2, 3)]


def test_an_error_after_a_commit_by_hand_takes_back_what_follows_it(make: Make) -> None:
    project = make(TABLE, f"op.execute('COMMIT')\nop.execute('CREATE TABLE v ()')\n{RAISE}")
    typed = project.alembic("upgrade", "head")
    assert typed.returncode == 6, typed.stderr
    assert (project.heads(), exists(project, "v")) == (["rev1"], False)


def test_what_one_migration_sets_ends_with_it_in_one_transaction(make: Make) -> None:
    seen = (
        "op.execute(\"CREATE TABLE public.seen AS SELECT current_setting('lock_timeout') AS lock, "
        "current_setting('search_path') AS path, current_setting('statement_timeout') AS time\")"
    )
    sets = "op.execute(\"SET LOCAL lock_timeout = '1h'\")\nop.execute(\"SET statement_timeout = '1h'\")\n"
    project = make(f"{sets}op.execute('SET search_path = pg_catalog')", seen)
    upgrade(project)
    assert project.query("SELECT * FROM seen") == [("1s", '"$user", public', "0")]
    assert project.journal() == [("upgrade", "rev1"), ("upgrade", "rev2")]


# A transaction that env.py begins and ends itself


def test_an_external_transaction(make: Make) -> None:
    project = make(TABLE, COUNTED, changes=(BEGIN,))
    upgrade(project)
    assert (project.heads(), exists(project, "counted")) == (["rev2"], True)
    assert project.journal() == [("upgrade", "rev1"), ("upgrade", "rev2")]
    assert project.alembic("downgrade", "base").returncode == 0


@pytest.mark.parametrize("commit", ["op.get_bind().commit()", "op.execute('COMMIT')"])
def test_a_commit_in_a_transaction_of_env_py(make: Make, commit: str) -> None:
    """SQL before configure() without a commit; a revision commits in the middle, and another connection does a part."""
    project = make(
        TABLE,
        f"{INSERT}\n{commit}\nop.execute('CREATE TABLE v ()')",
        f"{COUNTED}\nop.execute('SELECT pg_sleep(1)')",
        per_migration=False,
    )
    env_py = project.env_py.read_text()
    configure = "        context.configure(\n            connection=connection"
    if configure not in env_py:
        configure = "    context.configure(connection=connection"
    indent = configure[: len(configure) - len(configure.lstrip())]
    env_py = env_py.replace(configure, f"{indent}connection.exec_driver_sql('SET search_path TO public')\n{configure}")
    run = "context.run_migrations()\n"
    head, _, tail = env_py.rpartition(f"{indent}    {run}")
    project.env_py.write_text(f"{head}{indent}    {run}{indent}connection.commit()\n{tail}")
    runners = [project.start("upgrade", "head") for _ in range(3)]
    errors = [runner.communicate(timeout=60)[1] for runner in runners]
    assert [runner.returncode for runner in runners] == [0] * 3, errors
    assert (project.heads(), exists(project, "v"), exists(project, "counted")) == (["rev3"], True, True)
    assert project.journal() == [("upgrade", f"rev{number}") for number in (1, 2, 3)]


def test_an_error_in_an_external_transaction(make: Make) -> None:
    project = make(TABLE, COUNTED, RAISE, changes=(BEGIN,))
    typed = project.alembic("upgrade", "head")
    assert typed.returncode == 1
    line = one_line(typed.stderr)
    assert "upgrade of rev3 failed, at rev3.py:" in line
    assert "it is safe to run again" in line
    assert (project.heads_or_none(), exists(project, "t")) == ([], False)


def test_several_runners_with_external_transactions(make: Make) -> None:
    project = make(f"{TABLE}\nop.execute('SELECT pg_sleep(1)')", f"{COUNTED}\n{AGAIN}", changes=(BEGIN,))
    processes = [project.start("upgrade", "head") for _ in range(4)]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    assert project.query("SELECT count(*) FROM counted") == [(2,)]
    assert project.journal() == [("upgrade", "rev1"), ("upgrade", "rev2")]


def test_an_env_py_that_rolls_back_is_no_success(make: Make) -> None:
    """It does so for a run that was only to be tried; the version table says that nothing was applied."""
    if "asyncpg" in (project := make(TABLE)).driver:
        pytest.skip("the same code on the synchronous connection")
    env_py = project.env_py.read_text()
    begins = "with connectable.connect() as connection:\n"
    ends = "        with context.begin_transaction():\n            context.run_migrations()\n\n\nif context"
    assert begins in env_py
    assert ends in env_py
    text = env_py.replace(begins, f"{begins}        outer = connection.begin()\n")
    project.env_py.write_text(text.replace(ends, ends.replace("\n\n\nif", "\n        outer.rollback()\n\n\nif")))
    typed = project.alembic("upgrade", "head")
    assert typed.returncode == 1, typed.stderr
    assert "no error was raised, but the database is at base" in one_line(typed.stderr)
    assert not exists(project, "t")


# Below SQLAlchemy


@pytest.mark.parametrize("per_migration", [False, True])
def test_a_rollback_below_sqlalchemy_is_not_recorded(make: Make, per_migration: bool) -> None:
    project = make(TABLE, RAW_ROLLBACK, per_migration=per_migration)
    upgrade(project, "rev1")
    typed = project.alembic("upgrade", "head")
    assert typed.returncode == 1
    assert "it has rolled back by hand what it had done" in one_line(typed.stderr)
    assert (project.heads(), project.journal()) == (["rev1"], [("upgrade", "rev1")])
    assert not any(exists(project, table) for table in ("v", "w"))


def test_a_commit_below_sqlalchemy_while_a_stash_waits(make: Make) -> None:
    project = make(TABLE, (COUNTED, "op.execute('DROP TABLE counted')"), RAW_COMMIT)
    upgrade(project, "rev2")
    assert project.dbkit("rollback").returncode == 0
    upgrade(project)
    assert (project.heads(), exists(project, "v")) == (["rev3"], True)
    assert project.dbkit("restore").returncode == 0
    assert project.query("SELECT count(*) FROM counted") == [(1,)]


# The journal, and the version table


@pytest.mark.parametrize("per_migration", [True, False])
@pytest.mark.parametrize("table", ["dbkit_journal", "alembic_version"])
def test_a_step_its_revision_and_its_journal_row_are_one(make: Make, table: str, per_migration: bool) -> None:
    project = make(TABLE, COUNTED, per_migration=per_migration)
    upgrade(project, "rev1")
    project.query(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$"
    )
    project.query(f"CREATE TRIGGER wait BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION wait()")
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
        " AND state = 'active'"
    )
    process = project.start("upgrade", "head")
    wait_for(process, lambda: project.query(waiting) == [(1,)])
    process.kill()
    process.communicate()
    until(lambda: project.query(waiting) == [(0,)])
    assert (project.heads(), project.journal(), exists(project, "counted")) == (["rev1"], [("upgrade", "rev1")], False)
    project.query(f"DROP TRIGGER wait ON {table}")
    upgrade(project)
    assert project.journal() == [("upgrade", "rev1"), ("upgrade", "rev2")]
    assert project.query("SELECT count(*) FROM counted") == [(1,)]


@pytest.mark.parametrize("per_migration", [True, False])
def test_an_error_at_the_commit(make: Make, per_migration: bool) -> None:
    deferred = (
        "op.execute('CREATE TABLE parent (id int PRIMARY KEY)')\n"
        "op.execute('CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)')\n"
        "op.execute('INSERT INTO child VALUES (1)')"
    )
    project = make(TABLE, deferred, per_migration=per_migration)
    upgrade(project, "rev1")
    typed = project.alembic("upgrade", "head")
    assert typed.returncode == 1
    line = one_line(typed.stderr)
    assert "violates foreign key constraint" in line
    assert "the database is at rev1, and it is safe to run again" in line
    assert (project.heads(), project.journal(), exists(project, "child")) == (["rev1"], [("upgrade", "rev1")], False)


@pytest.mark.parametrize("per_migration", [True, False])
def test_another_session_that_writes_the_version_table(make: Make, per_migration: bool) -> None:
    project = make(TABLE, f"{COUNTED}\nop.execute('SELECT pg_advisory_lock(7)')", per_migration=per_migration)
    upgrade(project, "rev1")
    with psycopg.connect(**project.target.parameters(), autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(7)")
        process = project.start("upgrade", "head")
        blocked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 7"
        wait_for(process, lambda: project.query(blocked) == [(1,)])
        other.execute("UPDATE alembic_version SET version_num = 'elsewhere'")
        other.execute("SELECT pg_advisory_unlock(7)")
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1, errors
    assert "the version table changed while the migration ran: another session writes to it" in one_line(errors)
    assert (project.heads(), exists(project, "counted")) == (["elsewhere"], False)
    assert project.journal() == [("upgrade", "rev1")]


def test_a_killed_run_that_holds_the_lock_gives_way(make: Make) -> None:
    """The server sees that the client is gone, so the next run need not wait for its statement."""
    project = make(NO_KEY, SLEEP)
    upgrade(project, "rev1")
    process = project.start("upgrade", "head")
    wait_for(process, lambda: project.query(SLEEPING) == [(1,)])
    waiter = project.start("upgrade", "rev1", env={"MIGRATION_WAIT": "1h"})
    second = project.start("upgrade", "+1", env={"MIGRATION_WAIT": "1h"})
    assert waiter.communicate(timeout=60) is not None
    assert waiter.returncode == 0
    line_with(second, "waiting for another migration")
    process.kill()
    process.communicate()
    wait_for(second, lambda: project.query(SLEEPING) == [(1,)])
    second.terminate()
    _, errors = second.communicate(timeout=20)
    assert second.returncode == 143, errors
    until(lambda: project.query(SLEEPING) == [(0,)])
    assert project.heads() == ["rev1"]


def test_a_signal_while_no_migration_runs(make: Make) -> None:
    project = make(TABLE, ALTER)
    upgrade(project, "rev1")
    waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'dbkit_journal'::regclass AND NOT granted"
    with psycopg.connect(**project.target.parameters()) as other:
        other.execute("LOCK TABLE dbkit_journal IN ACCESS EXCLUSIVE MODE")
        process = project.start("upgrade", "head", env={"MIGRATION_LOCK_TIMEOUT": "1h"})
        wait_for(process, lambda: other.execute(waiting).fetchall() == [(1,)])
        process.terminate()
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 143, errors
    assert "interrupted" in one_line(errors)
    assert project.heads() == ["rev1"]


# The connection that env.py opens


def test_a_server_that_is_starting_up_is_waited_for(make: Make, server: Cluster, tmp_path: Path) -> None:
    project = make(TABLE)
    with starting_server(tmp_path, server.socket_directory, refusals=2) as starting:
        there = replace(project, target=replace(project.target, host=str(tmp_path), query=()))
        typed = there.alembic("upgrade", "head", env={"MIGRATION_WAIT": "1min"})
        assert starting.refused == 2
    assert typed.returncode == 0, typed.stderr
    assert project.heads() == ["rev1"]


def test_a_server_that_does_not_answer(make: Make) -> None:
    project = make(TABLE)
    nobody = {"DATABASE_URL": f"postgresql://u:secret@127.0.0.1:{free_port()}/x", "MIGRATION_WAIT": "500ms"}
    typed = project.alembic("upgrade", "head", env=nobody)
    assert typed.returncode == 4, typed.stderr
    waiting, line = (line for line in typed.stderr.splitlines() if line.startswith("dbkit: "))
    assert "waiting up to 0.5 s for 127.0.0.1:" in waiting
    assert "does not answer" in line
    assert "secret" not in typed.stderr


def test_a_login_that_is_refused_is_not_repeated(make: Make, password_server: Target) -> None:
    project = replace(make(TABLE), target=replace(password_server, password="hunter2"))
    typed = project.alembic("upgrade", "head", env={"MIGRATION_WAIT": "1h"})
    assert typed.returncode == 4, typed.stderr
    assert "password authentication failed" in one_line(typed.stderr)
    assert "hunter2" not in typed.stderr
    missing = replace(project, target=replace(password_server, dbname="nothing_here"))
    typed = missing.alembic("upgrade", "head", env={"MIGRATION_WAIT": "1h"})
    assert (typed.returncode, "does not exist" in one_line(typed.stderr)) == (4, True)


def test_a_password_with_every_character(make: Make, password_server: Target) -> None:
    project = replace(make(TABLE, RAISE), target=password_server)
    typed = project.alembic("upgrade", "head")
    try:
        assert typed.returncode == 1, typed.stderr
        assert "ValueError: on purpose" in one_line(typed.stderr)
        assert password_server.password
        assert password_server.password not in typed.stderr
    finally:
        project.query("DROP TABLE IF EXISTS t, alembic_version, dbkit_journal")
