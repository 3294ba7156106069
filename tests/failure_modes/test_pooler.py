"""PgBouncer between the gate and the server."""

import signal
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from dbkit.postgres.cluster import Cluster
from support.failure_modes import CONNECT, INSERT, LOCK_IN_ENV, SLEEP, SLEEPING, TABLE, line_with, one_line, together
from support.foreign_pair import DRIVERS, with_driver
from support.held_up import wait_for
from support.pair import Pair, Project, url_of
from support.poolers import LOCKS, PGBOUNCER, pgbouncer, settings_through, through
from support.running import until

pytestmark = pytest.mark.skipif(not PGBOUNCER, reason="PgBouncer is not installed")


SIZES = [pytest.param(1, marks=pytest.mark.slow), 20]


def test_11_a_pooler_keeps_the_lock(pair: Pair, server: Cluster, tmp_path: Path) -> None:
    pair.write(TABLE)
    env_py = pair.bare.env_py.read_text().replace(CONNECT, f"{LOCK_IN_ENV}        connection.commit()\n")
    pair.bare.env_py.write_text(env_py)
    for number, settings in enumerate(([], ["ignore_startup_parameters = options"])):
        with pgbouncer(server, tmp_path / f"pool{number}", "transaction", *settings) as port:
            ini = pair.bare.root / "alembic.ini"
            url = f"sqlalchemy.url = postgresql+psycopg://postgres@127.0.0.1:{port}/{pair.bare.target.dbname}"
            lines = (url if "sqlalchemy.url" in line else line for line in ini.read_text().splitlines())
            ini.write_text("\n".join(lines))
            assert pair.bare.alembic("upgrade", "head").returncode == 0
            assert pair.bare.query(LOCKS) == [(1,)]  # the process has ended, and its lock is still held
            pooled = through(pair.gated, port)
            typed = pair.gated.alembic("upgrade", "head", env=pooled)
            assert typed.returncode == 2
            assert "is a pooler" in one_line(typed.stderr)
            hint = "Give env.py the server's own address" if pair.gated.driver else "Set MIGRATION_DATABASE_URL"
            assert hint in typed.stderr
            assert pair.gated.query(LOCKS) == [(0,)]
            variable = "DATABASE_URL" if pair.gated.driver else "MIGRATION_DATABASE_URL"
            direct = pooled | {variable: url_of(pair.gated.target)}
            assert pair.gated.alembic("upgrade", "head", env=direct).returncode == 0


@pytest.mark.parametrize(
    "settings",
    [
        [],
        pytest.param(["default_pool_size = 1"], marks=pytest.mark.slow),
        ["server_round_robin = 1", "ignore_startup_parameters = options"],
        ["max_prepared_statements = 100", "server_reset_query ="],
    ],
    ids=["plain", "one", "round-robin", "no-reset"],
)
@pytest.mark.parametrize("mode", ["session", "transaction", "statement"])
def test_each_mode(pair: Pair, server: Cluster, tmp_path: Path, mode: str, settings: list[str]) -> None:
    """Only session mode works; in the others nothing is done, and the next client of the pool finds nothing of it."""
    if pair.gated.driver == "asyncpg" and "server_reset_query =" in settings:
        pytest.skip("its prepared statements have the names of those that the former client has left")
    pair.write((TABLE, "op.drop_table('t')"), INSERT)
    project = pair.gated
    with pgbouncer(server, tmp_path / "pool", mode, *(each for each in settings if "prepared" not in each)) as port:
        before = settings_through(project, port)
        typed = project.alembic("upgrade", "head", env=through(project, port))
        assert typed.returncode == (0 if mode == "session" else 2), typed.stderr
        assert project.heads_or_none() == (["rev2"] if mode == "session" else [])
        if mode != "session":
            assert "is a pooler" in one_line(typed.stderr)
        else:
            assert project.alembic("downgrade", "base", env=through(project, port)).returncode == 0
        assert project.query(LOCKS) == [(0,)]
        assert settings_through(project, port) == before


def test_a_killed_client_leaves_neither_lock_nor_half(pair: Pair, server: Cluster, tmp_path: Path) -> None:
    pair.write(TABLE, f"{INSERT}\n{SLEEP}")
    project = pair.gated
    with pgbouncer(server, tmp_path / "pool", "session") as port:
        process = project.start("upgrade", "head", env=through(project, port))
        wait_for(process, lambda: project.query(SLEEPING) == [(1,)])
        process.kill()
        process.communicate()
        until(lambda: project.query(LOCKS) == [(0,)])
        assert project.heads() == ["rev1"]
        assert project.query("SELECT count(*) FROM t") == [(0,)]


def test_a_signal_cancels_through_the_pooler(pair: Pair, server: Cluster, tmp_path: Path) -> None:
    pair.write(TABLE, f"{INSERT}\n{SLEEP}")
    project = pair.gated
    with pgbouncer(server, tmp_path / "pool", "session") as port:
        process = project.start("upgrade", "head", env=through(project, port))
        wait_for(process, lambda: project.query(SLEEPING) == [(1,)])
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 143, errors
        assert "it is safe to run again" in one_line(errors)
        until(lambda: project.query(LOCKS) == [(0,)])
        assert project.query(SLEEPING) == [(0,)]
        assert project.heads() == ["rev1"]


def test_eight_runners(pair: Pair, server: Cluster, tmp_path: Path) -> None:
    pair.write(TABLE, INSERT, f"{INSERT.replace('1', '2')}\nop.execute('SELECT pg_sleep(0.3)')")
    project = pair.gated
    with pgbouncer(server, tmp_path / "pool", "session") as port:
        project = replace(project, environment=through(project, port) | {"MIGRATION_WAIT": "60"})
        runs = together(project, 8)
        assert [run.returncode for run in runs] == [0] * 8, [run.stderr for run in runs]
        assert project.journal() == [("upgrade", f"rev{number}") for number in (1, 2, 3)]


@pytest.mark.parametrize("size", SIZES)
def test_a_lock_of_another_session_is_tried_again(pair: Pair, server: Cluster, tmp_path: Path, size: int) -> None:
    pair.write(TABLE, "op.execute('ALTER TABLE t ADD x int')")
    project = pair.gated
    assert project.alembic("upgrade", "rev1").returncode == 0
    with pgbouncer(server, tmp_path / "pool", "session", f"default_pool_size = {size}") as port:
        limits = through(project, port) | {"MIGRATION_LOCK_TIMEOUT": "100ms"}
        with psycopg.connect(**project.target.parameters()) as reader:
            reader.execute("SELECT FROM t")
            process = project.start("upgrade", "head", env=limits)
            line_with(process, "(try 1)")
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert project.heads() == ["rev2"]


@pytest.mark.parametrize("size", SIZES)
def test_an_error_is_diagnosed(pair: Pair, server: Cluster, tmp_path: Path, size: int) -> None:
    pair.write(TABLE, "op.execute('SELECT 1 / 0')")
    project = pair.gated
    with pgbouncer(server, tmp_path / "pool", "session", f"default_pool_size = {size}") as port:
        typed = project.alembic("upgrade", "head", env=through(project, port))
        assert typed.returncode == 1, typed.stderr
        line = one_line(typed.stderr)
        assert "division by zero; nothing of it was kept, the database is at rev1, and it is safe to run again" in line


def _verb_works(project: Project, port: int, *arguments: str) -> str:
    typed = project.dbkit(*arguments, env=through(project, port))
    assert typed.returncode == 0, typed.stderr
    return typed.stdout


@pytest.mark.parametrize("size", SIZES)
def test_the_verbs(pair: Pair, server: Cluster, tmp_path: Path, size: int) -> None:
    pair.write((TABLE, "op.drop_table('t')"), (INSERT, "op.execute('DELETE FROM t')"))
    project = pair.gated
    with pgbouncer(server, tmp_path / "pool", "session", f"default_pool_size = {size}") as port:
        _verb_works(project, port, "migrate")
        assert project.heads() == ["rev2"]
        assert "pooler" not in _verb_works(project, port, "status")
        _verb_works(project, port, "rollback")
        assert project.heads() == ["rev1"]
        _verb_works(project, port, "migrate")
        _verb_works(project, port, "log")


def test_verbs_in_transaction_mode(pair: Pair, server: Cluster, tmp_path: Path) -> None:
    """What only reads works; what needs a session is refused."""
    pair.write((TABLE, "op.drop_table('t')"))
    project = pair.gated
    assert project.alembic("upgrade", "head").returncode == 0
    with pgbouncer(server, tmp_path / "pool", "transaction") as port:
        before = settings_through(project, port)
        status = project.dbkit("status", env=through(project, port))
        assert (status.returncode, "session mode" in status.stdout) == (0, True), status.stderr
        assert project.dbkit("log", env=through(project, port)).returncode == 0
        for verb in ("rollback", "preflight"):
            typed = project.dbkit(verb, env=through(project, port))
            assert typed.returncode == 2, typed.stderr
            assert "is a pooler" in one_line(typed.stderr)
        assert project.heads() == ["rev1"]
        assert settings_through(project, port) == before


EXTERNAL = ("connectable.connect() as connection", "connectable.begin() as connection")


@pytest.mark.kit
@pytest.mark.foreign
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(("mode", "size"), [("session", 20), ("session", 1), ("transaction", 20)])
def test_env_py_holds_a_transaction(
    pair: Pair, server: Cluster, tmp_path: Path, driver: str, mode: str, size: int
) -> None:
    """The mode is found out beside its connection, for which the pool needs another one."""
    project = with_driver(pair, driver, EXTERNAL, per_migration=False).gated
    pair.write((TABLE, "op.drop_table('t')"), INSERT)
    works = (mode, size) == ("session", 20)
    with pgbouncer(server, tmp_path / "pool", mode, f"default_pool_size = {size}") as port:
        before = settings_through(project, port)
        typed = project.alembic("upgrade", "head", env=through(project, port))
        assert typed.returncode == (0 if works else 2), typed.stderr
        assert works or size > 1 or "whose mode could not be found out" in one_line(typed.stderr)
        assert project.heads_or_none() == (["rev2"] if works else [])
        assert project.query(LOCKS) == [(0,)]
        assert settings_through(project, port) == before


@pytest.mark.kit
def test_a_proof_through_a_pooler(pair: Pair, server: Cluster, tmp_path: Path) -> None:
    pair.write((TABLE, "op.drop_table('t')"))
    with pgbouncer(server, tmp_path / "pool", "transaction") as port:
        typed = pair.gated.dbkit("roundtrip", "--server", f"postgresql://postgres@127.0.0.1:{port}/postgres")
        assert typed.returncode == 2, typed.stderr
        assert "is a pooler" in one_line(typed.stderr)
        assert "name the server itself" in typed.stderr


@pytest.mark.kit
@pytest.mark.slow
@pytest.mark.parametrize("settings", [[], ["ignore_startup_parameters = options"]], ids=["refused", "ignored"])
def test_a_pool_that_is_used_up(pair: Pair, server: Cluster, tmp_path: Path, settings: list[str]) -> None:
    """The wait for a connection of the pool has an end."""
    pair.write(TABLE)
    project = pair.gated
    limits = ["default_pool_size = 1", "query_wait_timeout = 0"]
    with pgbouncer(server, tmp_path / "pool", "session", *limits, *settings) as port:
        target = replace(project.target, host="127.0.0.1", port=port)
        with psycopg.Connection.connect(**target.parameters()) as other:
            other.execute("SELECT 1")
            typed = project.alembic("upgrade", "head", env=through(project, port) | {"MIGRATION_WAIT": "1"})
            assert typed.returncode == 4, typed.stderr
            assert "a pooler without a free connection" in one_line(typed.stderr)
            status = project.dbkit("status", env=through(project, port) | {"MIGRATION_WAIT": "1"})
            assert status.returncode == 4, status.stderr
        assert project.alembic("upgrade", "head", env=through(project, port)).returncode == 0
