"""The gate behind env.py: every road to the database passes it, the bare `alembic` too."""

import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from dbkit.postgres.locks import lock_key
from dbkit.settings import Target
from support.kit import Kit
from support.running import foreground, others_slow
from support.servers import HOSTILE_PASSWORD
from support.sessions import connect_as_project as connect
from support.shop_revisions import HEAD, add_revision, wait_for


def url_of(target: Target) -> str:
    return f"postgresql://{target.user}:{quote(target.password or '', safe='')}@{target.host}:{target.port}/{target.dbname}"


def parts_of(target: Target) -> dict[str, str]:
    return {
        "DB_HOST": str(target.host),
        "DB_PORT": str(target.port),
        "DB_NAME": target.dbname,
        "DB_USER": str(target.user),
        "DB_PASSWORD": str(target.password),
    }


@pytest.mark.slow
@pytest.mark.parametrize("environment", [url_of, pytest.param(parts_of, marks=pytest.mark.slow)])
def test_an_external_server_with_a_hostile_password(kit: Kit, password_server: Target, environment: object) -> None:
    """Same results as on the embedded one: up, status, down to base, up; through make and through bare alembic."""
    env = {"DATABASE_URL": url_of(password_server)} if environment is url_of else parts_of(password_server)
    results = [
        kit.make("migrate", env=env),
        kit.make("status", env=env),
        kit.alembic("current", env=env),
        kit.alembic("downgrade", "base", env=env),
        kit.alembic("upgrade", "head", env=env),
        kit.make("rollback", "to=base", env=env),
        kit.make("reset", env=env),
        kit.make("seed", env=env),
        kit.run("make", "psql", env=env, stdin="SELECT count(*) FROM orders;\n"),
        kit.make("rollback", "to=base", env=env),
    ]
    assert [result.returncode for result in results] == [0] * len(results), [result.stderr for result in results]
    assert "26 migrations applied" in results[0].stdout
    assert f'"shop" on 127.0.0.1:{password_server.port} as shop' in results[1].stdout
    assert HEAD in results[2].stdout
    assert "26 migrations applied" in results[6].stdout
    for result in results:
        assert HOSTILE_PASSWORD not in result.stdout + result.stderr
    with connect(password_server) as connection:
        left = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        )
        assert sorted(left.fetchall()) == [("alembic_version",), ("dbkit_journal",)]


def test_the_password_is_in_no_process_list(kit: Kit, password_server: Target) -> None:
    shell = subprocess.Popen(
        ["make", "psql"],
        cwd=kit.path,
        env={**kit.environment, "DATABASE_URL": url_of(password_server)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert shell.stdin
    assert shell.stdout
    shell.stdin.write("SELECT 'ready';\n")
    shell.stdin.flush()
    while "ready" not in shell.stdout.readline():
        assert shell.poll() is None
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    shell.communicate("")
    assert any(b"psql" in command for command in commands)
    assert not any(HOSTILE_PASSWORD.encode() in command for command in commands)


def test_psql_of_the_embedded_server(kit: Kit, tmp_path: Path) -> None:
    """It looks for itself on PATH, where a fresh machine has none."""
    env = {"PATH": str(tmp_path)}
    typed = kit.run("venv/bin/python", "-m", "dbkit", "psql", "-c", "SELECT 1 AS found", env=env)
    assert typed.returncode == 0, typed.stderr
    assert "found" in typed.stdout


@pytest.mark.spread(3)
@pytest.mark.parametrize(
    ("arguments", "cwd"),
    [
        (["venv/bin/alembic", "upgrade", "head"], "."),
        (["../venv/bin/alembic", "upgrade", "head"], "backend"),
        (["venv/bin/python", "-m", "alembic", "upgrade", "head"], "."),
        (["../venv/bin/python", "-m", "alembic", "upgrade", "head"], "backend"),
        (["{root}/venv/bin/alembic", "-c", "{root}/alembic.ini", "upgrade", "head"], "/"),
        (["{root}/venv/bin/alembic", "-c", "{root}/backend/alembic.ini", "upgrade", "head"], "/"),
        (["{root}/venv/bin/dbkit", "migrate"], "/"),
    ],
)
def test_every_road_leads_to_the_same_database(kit: Kit, arguments: list[str], cwd: str) -> None:
    kit.set_database("template0")
    typed = kit.run(*(argument.format(root=kit.path) for argument in arguments), cwd=cwd)
    assert typed.returncode == 0, typed.stderr
    assert kit.query("SELECT version_num FROM alembic_version") == [(HEAD,)]


def test_bare_alembic_starts_a_stopped_server(kit: Kit) -> None:
    assert kit.make("db-stop").stdout == "Stopped. The data stay.\n"
    shown = kit.alembic("current")
    assert shown.returncode == 0
    assert HEAD in shown.stdout


@pytest.mark.slow
def test_applying_migrations_needs_neither_the_app_nor_its_dependencies(kit: Kit) -> None:
    models = kit.path / "backend/app/models/__init__.py"
    models.write_text("import a_package_that_is_not_installed\n")
    kit.set_database("template0")
    for command in (["upgrade", "head"], ["current"], ["history"], ["downgrade", "-1"], ["upgrade", "head", "--sql"]):
        typed = kit.alembic(*command)
        assert typed.returncode == 0, typed.stderr
    assert kit.make("migrate").returncode == 0
    assert "a_package_that_is_not_installed" in kit.alembic("check").stderr


@pytest.mark.parametrize(
    ("environment", "code", "line"),
    [
        ({"DATABASE_URL": ""}, 2, "DATABASE_URL in the environment is empty"),
        ({"DATABASE_URL": "sqlite:///x.db"}, 2, "begins with sqlite://; this kit is for PostgreSQL"),
        ({"DATABASE_URL": "postgresql://u@127.0.0.1:1/x", "MIGRATION_WAIT": "0"}, 4, "does not answer"),
        ({"DATABASE_URL": "postgresql://u@name.invalid/x", "MIGRATION_WAIT": "0"}, 4, "does not answer"),
        ({"MIGRATION_WAIT": "soon"}, 2, "'soon' is not a time"),
    ],
)
def test_bad_settings_get_the_same_line_and_exit_code_on_every_road(
    kit: Kit, environment: dict[str, str], code: int, line: str
) -> None:
    for typed in (
        kit.alembic("upgrade", "head", env=environment),
        kit.dbkit("migrate", env=environment),
        kit.dbkit("migrate", "--to", "+1", env=environment),
    ):
        assert typed.returncode == code, typed.stderr
        assert line in typed.stderr
        assert "Traceback" not in typed.stderr
    assert not (kit.path / "backend/x.db").exists()


def test_a_read_only_server_is_named(kit: Kit) -> None:
    target = kit.cluster.target()
    url = f"postgresql://{target.user}@/{target.dbname}?host={quote(str(target.host))}"
    assert kit.alembic("downgrade", "-1").returncode == 0
    kit.query("ALTER DATABASE app SET default_transaction_read_only = on")
    typed = kit.alembic("upgrade", "head", env={"DATABASE_URL": url, "APP_ENV": "ci"})
    assert (typed.returncode, "read-only" in typed.stderr) == (2, True)


@pytest.mark.parametrize("app_env", others_slow(1, ["production", "staging", "prod"]))
def test_a_protected_database_is_not_rolled_back(kit: Kit, app_env: str) -> None:
    roads = [
        ["venv/bin/alembic", "downgrade", "-1"],
        ["venv/bin/python", "-m", "dbkit", "rollback"],
        ["venv/bin/python", "-m", "dbkit", "redo"],
        ["venv/bin/python", "-m", "dbkit", "reset"],
        ["venv/bin/python", "-m", "dbkit", "seed"],
    ]
    for road in roads:
        typed = kit.run(*road, env={"APP_ENV": app_env})
        assert typed.returncode == 3, typed.stderr
        assert f'"app" on {kit.cluster.target().host}:5432'.replace(":5432", "") in typed.stderr
        assert "CONFIRM=app" in typed.stderr
    assert kit.query("SELECT version_num FROM alembic_version") == [(HEAD,)]
    assert kit.alembic("downgrade", "-1", env={"APP_ENV": app_env, "CONFIRM": "other"}).returncode == 3
    assert kit.alembic("downgrade", "-1", env={"APP_ENV": app_env, "CONFIRM": "app"}).returncode == 0
    assert kit.alembic("upgrade", "head", env={"APP_ENV": app_env}).returncode == 0


def test_a_protected_database_is_not_stamped(kit: Kit) -> None:
    for command in (["stamp", "base"], ["stamp", "--purge", "7c3228c8b0cb"], ["stamp", "--purge", "base"]):
        refused = kit.alembic(*command, env={"APP_ENV": "production"})
        assert (refused.returncode, "CONFIRM=app" in refused.stderr) == (3, True)
        assert kit.query("SELECT version_num FROM alembic_version") == [(HEAD,)]
    assert (
        kit.alembic("stamp", "--purge", "7c3228c8b0cb", env={"APP_ENV": "production", "CONFIRM": "app"}).returncode == 0
    )
    assert kit.query("SELECT version_num FROM alembic_version") == [("7c3228c8b0cb",)]


def test_an_external_database_that_nothing_marks_is_protected(kit: Kit, password_server: Target) -> None:
    (kit.path / ".env").write_text("")
    env = {"DATABASE_URL": url_of(password_server)}
    assert kit.alembic("upgrade", "+1", env=env).returncode == 0
    refused = kit.alembic("downgrade", "base", env=env)
    assert refused.returncode == 3
    assert "APP_ENV is not set" in refused.stderr
    assert "set APP_ENV=development in .env" in refused.stderr
    assert kit.alembic("downgrade", "base", env=env | {"CONFIRM": "shop"}).returncode == 0


def test_runners_wait_for_each_other_and_apply_everything_once(kit: Kit) -> None:
    kit.set_database("template0")
    add_revision(kit, 'op.execute("CREATE TABLE once AS SELECT 1 AS x FROM pg_sleep(0.5)")')
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: kit.alembic("upgrade", "head"), range(4)))
    assert [result.returncode for result in results] == [0] * 4, [result.stderr for result in results]
    applied = [result.stderr.count("Running upgrade") for result in results]
    assert sorted(applied) == [0, 0, 0, 27]
    assert any("waiting for another migration: backend" in result.stderr for result in results)


def test_who_waits_too_long_gives_up_and_says_for_whom(kit: Kit) -> None:
    with psycopg.connect(**kit.cluster.target().parameters(), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [lock_key(Target("app"))])
        typed = kit.alembic("downgrade", "-1", env={"MIGRATION_WAIT": "300ms"})
        assert typed.returncode == 5
        assert f"backend {holder.info.backend_pid}, user postgres" in typed.stderr
        assert kit.alembic("current").returncode == 0
    assert kit.alembic("downgrade", "-1").returncode == 0


def test_a_migration_that_fails_is_told_in_one_line_with_its_place(kit: Kit) -> None:
    path = add_revision(kit, 'op.execute("ALTER TABLE nowhere ADD x int")')
    for typed in (kit.alembic("upgrade", "head"), kit.dbkit("migrate")):
        assert typed.returncode == 1
        first = next(line for line in typed.stderr.splitlines() if line.startswith("dbkit:"))
        assert f'upgrade of 0123456789ab failed, at {path.name}:13: relation "nowhere" does not exist' in first
        assert "Traceback" not in typed.stderr
    assert "Traceback" in kit.alembic("--raiseerr", "upgrade", "head").stderr
    assert "Traceback" in kit.run("venv/bin/python", "-m", "dbkit", "--debug", "migrate").stderr
    assert kit.query("SELECT version_num FROM alembic_version") == [(HEAD,)]
    path.unlink()
    add_revision(kit, "raise ValueError('two words')")
    assert f"{path.name}:13: ValueError: two words" in kit.alembic("upgrade", "head").stderr


def test_a_fault_in_the_middle_keeps_what_came_before(kit: Kit) -> None:
    kit.set_database("template0")
    add_revision(kit, 'op.execute("CREATE TABLE half (x int)"); op.execute("SELECT 1 / 0")')
    typed = kit.make("migrate")
    assert "division by zero" in typed.stderr
    assert kit.query("SELECT version_num, to_regclass('half') FROM alembic_version") == [(HEAD, None)]


def test_a_lock_that_is_not_granted_ends_the_wait(kit: Kit) -> None:
    add_revision(kit, 'op.add_column("orders", sa.Column("x", sa.Integer))')
    with psycopg.connect(**kit.cluster.target().parameters()) as reader:
        reader.execute("SELECT 1 FROM orders")
        typed = kit.alembic("upgrade", "head", env={"MIGRATION_LOCK_TIMEOUT": "200ms", "MIGRATION_LOCK_BUDGET": "1s"})
    assert (typed.returncode, "lock timeout" in typed.stderr) == (1, True)
    assert kit.alembic("upgrade", "head").returncode == 0


def test_a_statement_that_takes_too_long_is_ended(kit: Kit) -> None:
    add_revision(kit, 'op.execute("SELECT pg_sleep(600)")')
    typed = kit.alembic("upgrade", "head", env={"MIGRATION_STATEMENT_TIMEOUT": "200ms"})
    assert (typed.returncode, "statement timeout" in typed.stderr) == (1, True)


@pytest.mark.parametrize(("number", "code"), others_slow(1, [(signal.SIGINT, 130), (signal.SIGTERM, 143)]))
def test_a_signal_stops_the_statement_in_the_server(kit: Kit, number: int, code: int) -> None:
    add_revision(kit, 'op.execute("SELECT pg_sleep(600)")')
    process = subprocess.Popen(
        [kit.path / "venv/bin/python", "-m", "dbkit", "migrate"],
        cwd=kit.path,
        env=dict(kit.environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=foreground,
    )
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(600)'"
    wait_for(kit, sleeping, 1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == code
    assert errors.startswith("dbkit: interrupted in the upgrade of 0123456789ab, at ")
    assert f"nothing of it was kept, the database is at {HEAD}, and it is safe to run again." in errors
    wait_for(kit, sleeping, 0)
    assert kit.query("SELECT version_num FROM alembic_version") == [(HEAD,)]


@pytest.mark.slow
def test_the_database_ahead_of_the_code_is_said_so(kit: Kit) -> None:
    kit.query("UPDATE alembic_version SET version_num = 'fedcba987654'")
    roads = [["python", "-m", "dbkit", verb] for verb in ("migrate", "rollback", "status")]
    roads += [["alembic", *command.split()] for command in ("upgrade head", "downgrade -1", "current")]
    for program, *arguments in roads:
        typed = kit.run(f"venv/bin/{program}", *arguments)
        assert typed.returncode == 7
        assert "fedcba987654" in typed.stdout + typed.stderr


def test_nothing_of_ours_is_left_open(kit: Kit) -> None:
    kit.alembic("downgrade", "-1")
    kit.make("migrate")
    left = kit.query("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dbkit migrate'")
    assert left == [(0,)]


def test_options_of_the_url_are_kept_beside_the_time_outs(kit: Kit, password_server: Target) -> None:
    url = f"{url_of(password_server)}?options=-c%20search_path%3Dapart"
    with connect(password_server, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA apart")
        assert kit.alembic("upgrade", "cd1d761afae9", env={"DATABASE_URL": url}).returncode == 0
        found = connection.execute("SELECT to_regclass('apart.customers')::text, to_regclass('public.customers')::text")
        assert found.fetchone() == ("apart.customers", None)
        connection.execute("DROP SCHEMA apart CASCADE")


def test_a_migration_that_exits_has_failed(kit: Kit) -> None:
    add_revision(kit, "raise SystemExit(0)")
    for typed in (kit.alembic("upgrade", "head"), kit.dbkit("migrate")):
        assert (typed.returncode, "SystemExit" in typed.stderr) == (1, True)
    assert kit.query("SELECT version_num FROM alembic_version") == [(HEAD,)]


@pytest.mark.slow
def test_models_that_cannot_be_imported_are_named(kit: Kit) -> None:
    path = kit.path / "backend/app/models/stock.py"
    path.write_text("import nothing_like_it\n")
    for typed in (kit.alembic("check"), kit.dbkit("check"), kit.dbkit("revision", "-m", "x")):
        assert typed.returncode == 2
        assert "the models cannot be imported: ModuleNotFoundError: No module named 'nothing_like_it'" in typed.stderr
        assert f"{path}, line 1" in typed.stderr
        assert "Traceback" not in typed.stderr


def test_a_role_without_rights_gets_the_servers_words(kit: Kit, password_server: Target) -> None:
    with connect(password_server, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS alembic_version (version_num varchar(32) PRIMARY KEY)")
        connection.execute("REVOKE ALL ON alembic_version FROM shop")
        try:
            env = {"DATABASE_URL": url_of(password_server)}
            for typed in (kit.alembic("current", env=env), kit.dbkit("migrate", env=env), kit.dbkit("status", env=env)):
                assert typed.returncode == 1
                assert "permission denied for table alembic_version" in typed.stdout + typed.stderr
                assert "Traceback" not in typed.stderr
        finally:
            connection.execute("DROP TABLE alembic_version")


@pytest.mark.parametrize("query", ["connect_timeout=abc", "sslmode=bogus", "sslmode=require"])
def test_wrong_parameters_of_the_connection_are_not_waited_for(kit: Kit, password_server: Target, query: str) -> None:
    typed = kit.dbkit("migrate", env={"DATABASE_URL": f"{url_of(password_server)}?{query}", "MIGRATION_WAIT": "1h"})
    assert typed.returncode in (2, 4)
    assert "Traceback" not in typed.stderr
