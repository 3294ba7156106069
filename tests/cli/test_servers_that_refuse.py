"""What a server refuses, and what the kit says about it: who may not create, who holds a lock without a session, a
standby, an event trigger, and one connection at a time."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from dbkit.postgres import scratch_cluster
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.connect import NoRoom, connect
from dbkit.settings import Settings, Target
from support.pair import Pair, Project
from support.running import others_slow
from support.servers import running_standby

TABLE = "op.execute('CREATE TABLE t (id int)')"


def as_role(project: Project, server: Cluster, *options: str) -> str:
    """Let the project log in as an ordinary role, which owns its database. Returns its name."""
    name = f"role_{project.target.dbname}"
    with psycopg.connect(**server.target("postgres").parameters(), autocommit=True) as connection:
        role, database = sql.Identifier(name), sql.Identifier(project.target.dbname)
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN {}").format(role, sql.SQL(" ".join(options))))
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, role))
    project.query(f'GRANT ALL ON SCHEMA public TO "{name}"')
    project.target = replace(project.target, user=name)
    return name


def as_superuser(project: Project, statement: str) -> None:
    with psycopg.connect(**replace(project.target, user="postgres").parameters(), autocommit=True) as connection:
        connection.execute(statement)


def test_a_role_that_may_not_create_gets_the_grant(pair: Pair, server: Cluster) -> None:
    pair.write(TABLE, "op.execute('CREATE SCHEMA apart')")
    project = pair.gated
    name = as_role(project, server)
    as_superuser(project, f'ALTER DATABASE "{project.target.dbname}" OWNER TO postgres')
    as_superuser(project, f'REVOKE ALL ON SCHEMA public FROM PUBLIC, "{name}"')
    typed = project.alembic("upgrade", "head")
    assert typed.returncode == 1
    assert f'GRANT USAGE, CREATE ON SCHEMA name TO "{name}"' in typed.stderr
    as_superuser(project, f'GRANT USAGE ON SCHEMA public TO "{name}"')
    typed = project.alembic("upgrade", "head")
    assert "permission denied for schema public" in typed.stderr
    assert f'can allow it: GRANT CREATE ON SCHEMA "public" TO "{name}"' in typed.stderr
    as_superuser(project, f'GRANT CREATE ON SCHEMA public TO "{name}"')
    typed = project.alembic("upgrade", "head")
    assert "permission denied for database" in typed.stderr
    assert f'GRANT CREATE ON DATABASE "{project.target.dbname}" TO "{name}"' in typed.stderr
    as_superuser(project, f'GRANT CREATE ON DATABASE "{project.target.dbname}" TO "{name}"')
    assert project.alembic("upgrade", "head").returncode == 0


def test_who_does_not_own_a_table_is_told_so(pair: Pair, server: Cluster) -> None:
    pair.write("op.execute('ALTER TABLE theirs ADD x int')")
    as_role(pair.gated, server)
    as_superuser(pair.gated, "CREATE TABLE theirs (id int)")
    typed = pair.gated.alembic("upgrade", "head")
    assert "must be owner of table theirs" in typed.stderr
    assert "Only its owner may do that" in typed.stderr


@pytest.mark.parametrize("event", others_slow(1, ["ddl_command_end", "sql_drop"]))
def test_an_event_trigger_that_forbids_it_is_named(pair: Pair, event: str) -> None:
    body = "BEGIN RAISE EXCEPTION 'not during office hours'; END"
    pair.write((TABLE, "op.execute('DROP TABLE t')"))
    if event == "sql_drop":
        assert pair.gated.alembic("upgrade", "head").returncode == 0
    pair.gated.query(f"CREATE FUNCTION no_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $${body}$$")
    pair.gated.query(f'CREATE EVENT TRIGGER "Office hours" ON {event} EXECUTE FUNCTION no_ddl()')
    # of the version table, which the gate makes before any migration; and of the migration's table
    typed = pair.gated.alembic(*(["downgrade", "base"] if event == "sql_drop" else ["upgrade", "head"]))
    assert typed.returncode == 1
    assert "not during office hours" in typed.stderr
    assert "an event trigger, Office hours, whose function no_ddl() forbids it" in typed.stderr
    assert 'ALTER EVENT TRIGGER "Office hours" DISABLE' in typed.stderr
    pair.gated.query('ALTER EVENT TRIGGER "Office hours" DISABLE')


@pytest.fixture(scope="module")
def primary(local_settings: Settings) -> Iterator[tuple[Cluster, Target]]:
    """A server that allows prepared transactions, and a standby of it."""
    with scratch_cluster.cluster(local_settings) as cluster:
        with psycopg.connect(**cluster.target("postgres").parameters(), autocommit=True) as connection:
            settings = (
                "wal_level = replica",
                "max_wal_senders = 4",
                "max_prepared_transactions = 4",
                "hot_standby = on",
            )
            for setting in settings:
                connection.execute(f"ALTER SYSTEM SET {setting}")
            connection.execute("CREATE TABLE rows (id int PRIMARY KEY, x int)")
            connection.execute("INSERT INTO rows VALUES (1, 1)")
        cluster.stop()
        cluster.ensure_running()  # once with this wal_level: a standby cannot begin at what was written before
        cluster.stop()
        data = cluster.directory / "standby"
        subprocess.run(["cp", "-a", cluster.data, data], check=True)
        cluster.ensure_running()
        source = f"host={cluster.socket_directory} port=5432 user=postgres"
        with (data / "postgresql.auto.conf").open("a") as settings_file:
            settings_file.write(f"primary_conninfo = '{source}'\n")
        subprocess.run(["cp", "-a", data / "PG_VERSION", data / "standby.signal"], check=True)
        with running_standby(cluster, data) as target:
            yield cluster, target


def test_a_prepared_transaction_that_holds_a_lock_is_named(pair: Pair, primary: tuple[Cluster, Target]) -> None:
    project = pair.gated
    project.target = primary[0].create_database(project.target.dbname)
    pair.write(TABLE, "op.execute('ALTER TABLE t ADD x int')")
    assert project.alembic("upgrade", "rev1").returncode == 0
    project.query("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'left by ''a'' crash'")
    typed = project.alembic("upgrade", "head", env={"MIGRATION_LOCK_TIMEOUT": "50ms", "MIGRATION_LOCK_BUDGET": "0"})
    assert typed.returncode == 1
    assert "There is a prepared transaction, left by 'a' crash of user postgres" in typed.stderr
    assert "ROLLBACK PREPARED 'left by ''a'' crash'" in typed.stderr
    # and a database that cannot be dropped for it
    typed = project.dbkit("reset", env={"CONFIRM": project.target.dbname})
    assert typed.returncode == 1
    assert "There is a prepared transaction, left by 'a' crash" in typed.stderr
    project.query("ROLLBACK PREPARED 'left by ''a'' crash'")
    assert project.alembic("upgrade", "head").returncode == 0


@pytest.mark.parametrize(
    "command",
    [("mark", "production"), ("backfill", "rows", "--set", "x = 2"), ("migrate",)],
    ids=lambda command: command[0],
)
def test_a_standby_is_called_one(pair: Pair, primary: tuple[Cluster, Target], command: tuple[str, ...]) -> None:
    cluster, standby = primary
    pair.write(TABLE)
    project = pair.gated
    project.target = standby
    with connect(standby, autocommit=True) as connection:
        while not connection.execute("SELECT FROM pg_stat_wal_receiver WHERE sender_host IS NOT NULL").rowcount:
            pass
    typed = project.dbkit(*command, env={"CONFIRM": "postgres"})
    assert typed.returncode == 2, typed.stderr
    assert f"is a standby of {cluster.socket_directory}: it is read-only" in typed.stderr
    assert "Traceback" not in typed.stderr


@pytest.mark.slow
@pytest.mark.parametrize("limit", others_slow(1, ["role", "database"]))
def test_one_connection_at_a_time_is_enough(pair: Pair, server: Cluster, limit: str) -> None:
    pair.write(
        (TABLE, "op.execute('DROP TABLE t')"),
        ("op.execute('ALTER TABLE t ADD x int')", "op.execute('ALTER TABLE t DROP x')"),
        "op.execute('SELECT 1/0')",
    )
    project = pair.gated
    name = as_role(project, server, "CONNECTION LIMIT 1" if limit == "role" else "")
    if limit == "database":
        as_superuser(project, f'ALTER DATABASE "{project.target.dbname}" CONNECTION LIMIT 1')
    typed = project.dbkit("migrate", "--to", "rev2")
    assert typed.returncode == 0, typed.stderr
    assert "2 migrations applied" in typed.stdout
    assert typed.stderr == ""
    # a failure is told as with more of them
    typed = project.alembic("upgrade", "head")
    assert typed.returncode == 1
    assert (
        "division by zero; nothing of it was kept, the database is at rev2, and it is safe to run again" in typed.stderr
    )
    typed = project.dbkit("rollback", "--to", "base", env={"APP_ENV": "test"})
    assert typed.returncode == 0, typed.stderr
    assert project.dbkit("status").returncode == 0
    with psycopg.connect(**project.target.parameters()):
        typed = project.dbkit("status")
        assert typed.returncode == 4
        assert "has no connection left for" in typed.stdout
        assert "does not answer" not in typed.stdout
    assert name in project.target.user


def test_what_is_applied_has_not_failed_because_nobody_may_look(pair: Pair, server: Cluster) -> None:
    """The migration takes from its own role the right to connect once more."""
    project = pair.gated
    name = as_role(project, server)
    pair.write(f'''op.execute('REVOKE CONNECT ON DATABASE "{project.target.dbname}" FROM PUBLIC, "{name}"')''')
    typed = project.alembic("upgrade", "head", env={"MIGRATION_WAIT": "0"})
    project.target = replace(project.target, user="postgres")
    assert project.heads() == ["rev1"]
    assert typed.returncode in (0, 4), typed.stderr
    assert typed.returncode == 0 or "rev1 is applied, but the state of the database could not be read" in typed.stderr


def test_a_connection_that_has_just_been_closed_is_waited_for(server: Cluster, database: Target) -> None:
    role = f"one_{database.dbname}"
    with psycopg.connect(**server.target("postgres").parameters(), autocommit=True) as connection:
        connection.execute(f'CREATE ROLE "{role}" LOGIN CONNECTION LIMIT 1')
    target = replace(database, user=role)
    for _ in range(20):
        connect(target).close()
    with connect(target), pytest.raises(NoRoom):
        connect(target, waits_for_room=False)
