"""A database that may not lose data."""

import subprocess
from dataclasses import replace

import pytest

from dbkit.postgres.binaries import client_program
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.sql_quote import quote_ident
from dbkit.settings import Settings
from support.failure_modes import NO_KEY, SLEEP, SLEEPING, TABLE, one_line
from support.pair import Pair, url_of
from support.running import until


def test_a_protected_database(pair: Pair) -> None:
    pair.write((TABLE, "op.execute('DROP TABLE t')"))
    production = {"APP_ENV": "production"}
    for project in (pair.bare, pair.gated):
        assert project.alembic("upgrade", "head", env=production).returncode == 0
    for arguments in (["downgrade", "base"], ["stamp", "--purge", "base"], ["stamp", "base"]):
        typed = pair.gated.alembic(*arguments, env=production)
        assert (typed.returncode, "it is marked production." in one_line(typed.stderr)) == (3, True)
    assert pair.gated.heads() == ["rev1"]
    typed = pair.bare.alembic("downgrade", "base", env=production)
    assert (typed.returncode, pair.bare.query("SELECT to_regclass('t')")) == (0, [(None,)])


def test_a_restored_dump_stays_marked(pair: Pair, server: Cluster, local_settings: Settings) -> None:
    pair.write((TABLE, "op.execute('DROP TABLE t')"))
    assert pair.gated.alembic("upgrade", "head", env={"APP_ENV": "production"}).returncode == 0
    restored = replace(pair.gated, target=server.create_database(f"restored_{pair.gated.target.dbname}"))
    dump = subprocess.run(
        [client_program(local_settings, "pg_dump"), url_of(pair.gated.target)],
        capture_output=True,
        text=True,
        check=True,
    )
    psql = [client_program(local_settings, "psql"), "-X", "-q", url_of(restored.target)]
    subprocess.run(psql, input=dump.stdout, text=True, check=True, capture_output=True)
    for environment in ("development", "test", "ci"):
        typed = restored.alembic("downgrade", "-1", env={"APP_ENV": environment})
        assert typed.returncode == 3
        assert "it is marked production in the database itself." in one_line(typed.stderr)
    assert restored.driver or restored.dbkit("reset").returncode == 3
    confirmed = {"CONFIRM": restored.target.dbname}
    assert restored.dbkit("mark", "test").returncode == 3
    assert restored.dbkit("mark", "test", env=confirmed).returncode == 0
    assert restored.dbkit("mark").stdout == "test\n"
    typed = restored.alembic("downgrade", "-1")
    assert typed.returncode == 0
    assert f'about to roll back "{restored.target.dbname}" on {server.target().host}: 1 migration, rev1' in typed.stderr


@pytest.mark.slow
def test_who_marks_a_database(pair: Pair) -> None:
    pair.write((TABLE, "op.execute('DROP TABLE t')"), ("op.execute('CREATE TABLE u ()')", "op.execute('DROP TABLE u')"))
    gated = pair.gated
    # a new one is what its first migration says
    assert gated.alembic("upgrade", "rev1", env={"APP_ENV": "development"}).returncode == 0
    assert gated.dbkit("mark").stdout == "development\n"
    # what protects is believed
    typed = gated.alembic("upgrade", "head", env={"APP_ENV": "production"})
    assert "was marked development; from now on it is marked production." in typed.stderr
    # what would take the protection away is not
    assert gated.alembic("downgrade", "-1", env={"CONFIRM": gated.target.dbname, "APP_ENV": "test"}).returncode == 0
    typed = gated.alembic("upgrade", "head", env={"APP_ENV": "development"})
    assert (typed.returncode, "is marked production, and APP_ENV is development" in typed.stderr) == (0, True)
    assert gated.dbkit("mark").stdout == "production\n"
    # nor is it where there is a history already: somebody's settings may point to production
    gated.query("COMMENT ON TABLE alembic_version IS NULL")
    typed = gated.alembic("downgrade", "-1")
    assert typed.returncode == 3
    assert "an existing database without an environment mark" in typed.stderr
    assert gated.suggestion("mark", "test") in typed.stderr
    assert gated.dbkit("mark", "test").returncode == 0
    assert gated.alembic("downgrade", "-1").returncode == 0


def test_who_does_not_own_the_version_table_migrates_all_the_same(pair: Pair) -> None:
    pair.write(TABLE)
    gated = pair.gated
    assert gated.alembic("upgrade", "head").returncode == 0
    gated.query("CREATE ROLE migrator LOGIN")
    gated.query("GRANT ALL ON SCHEMA public TO migrator")
    gated.query("GRANT ALL ON ALL TABLES IN SCHEMA public TO migrator")
    pair.write("op.execute('CREATE TABLE u ()')")
    try:
        typed = replace(gated, target=replace(gated.target, user="migrator")).alembic(
            "upgrade", "head", env={"APP_ENV": "production"}
        )
        assert (typed.returncode, "warning: the database cannot be marked production" in typed.stderr) == (0, True), (
            typed
        )
    finally:
        gated.query("DROP OWNED BY migrator")
        gated.query("DROP ROLE migrator")


@pytest.mark.slow
@pytest.mark.kit
def test_reset_drops_only_what_migrations_made(pair: Pair, server: Cluster) -> None:
    gated = pair.gated
    pair.write(TABLE)
    gated.query("CREATE TABLE somebodys (id int)")
    sure = {"CONFIRM": gated.target.dbname}
    for env in ({}, sure):
        typed = gated.dbkit("reset", env=env)
        assert typed.returncode == 3
        assert "it has tables, and no migration has created them." in typed.stderr
    gated.query("DROP TABLE somebodys")
    assert gated.dbkit("reset").returncode == 0
    assert gated.dbkit("reset").returncode == 0
    maintenance = replace(gated, target=server.target("postgres"))
    typed = maintenance.dbkit("reset", env={"CONFIRM": "postgres"})
    assert (typed.returncode, "it is the server's own." in typed.stderr) == (3, True)
    gated.query("CREATE ROLE another")
    gated.query("CREATE ROLE owner LOGIN CREATEDB")
    name = quote_ident(gated.target.dbname)
    gated.query(f"ALTER DATABASE {name} OWNER TO owner")
    gated.query("ALTER TABLE t OWNER TO another")
    try:
        typed = replace(gated, target=replace(gated.target, user="owner")).dbkit("reset", env=sure)
        assert (
            typed.returncode,
            "it has a table of another role, public.alembic_version of postgres." in typed.stderr,
        ) == (3, True), typed
    finally:
        gated.query("DROP OWNED BY another")
        gated.query(f"ALTER DATABASE {name} OWNER TO postgres")
        gated.query("DROP ROLE another")
        gated.query("DROP ROLE owner")


def test_a_promoted_database_is_marked_where_nothing_is_pending(pair: Pair) -> None:
    pair.write((TABLE, "op.execute('DROP TABLE t')"))
    gated = pair.gated
    for road in (gated.alembic, gated.dbkit):
        gated.query("DROP SCHEMA public CASCADE")
        gated.query("CREATE SCHEMA public")
        assert gated.alembic("upgrade", "head", env={"APP_ENV": "development"}).returncode == 0
        arguments = ["upgrade", "head"] if road == gated.alembic else ["migrate"]
        typed = road(*arguments, env={"APP_ENV": "production"})
        assert (typed.returncode, "from now on it is marked production" in typed.stderr) == (0, True)
        assert gated.alembic("downgrade", "base", env={"APP_ENV": "development"}).returncode == 3


def test_of_two_marks_the_one_that_protects_counts(pair: Pair) -> None:
    pair.write((TABLE, "op.execute('DROP TABLE t')"))
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    pair.gated.query(
        "COMMENT ON TABLE alembic_version IS E'ours\ndbkit environment: test\ndbkit environment: production'"
    )
    assert pair.gated.alembic("downgrade", "base").returncode == 3


@pytest.mark.slow
@pytest.mark.kit
def test_reset_waits_for_a_running_migration(pair: Pair) -> None:
    pair.write(NO_KEY, SLEEP)
    process = pair.gated.start("upgrade", "head")
    until(lambda: pair.gated.query(SLEEPING) == [(1,)])
    assert pair.gated.dbkit("reset", env={"MIGRATION_WAIT": "0"}).returncode == 5
    process.terminate()
    process.communicate()
    assert pair.gated.heads() == ["rev1"]
