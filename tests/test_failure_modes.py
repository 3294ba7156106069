"""What goes wrong with Alembic as it is, each shown to go wrong there, and what the gate makes of it.

`pair.bare` is a project from `alembic init`, `pair.gated` the same revisions behind the gate.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from conftest import foreground, free_port, others_slow, until
from dbkit import scratch
from dbkit.lock import lock_key
from dbkit.server.binaries import client_program
from dbkit.server.cluster import Cluster
from dbkit.settings import Settings
from pair import REPOSITORY, Pair, Project, gone, url_of

TABLE = "op.execute('CREATE TABLE t (id int PRIMARY KEY, name text)')"
SLEEP = "op.execute('SELECT pg_sleep(600)')"
SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(600)%' AND state = 'active' AND pid <> pg_backend_pid()"
BLOCK = "with op.get_context().autocommit_block():\n    "
LOCK_IN_ENV = (
    'with connectable.connect() as connection:\n        connection.exec_driver_sql("SELECT pg_advisory_lock(42)")\n'
)
CONNECT = "with connectable.connect() as connection:\n"
PGBOUNCER = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")


def line_with(process: "subprocess.Popen[str]", words: str) -> str:
    """Wait until the process has said something, and return that line."""
    assert process.stderr
    for line in process.stderr:
        if words in line:
            return line
    raise AssertionError(f"it never said {words!r}")


def one_line(errors: str) -> str:
    """The line that the kit told; nothing else than its hint and Alembic's log may be beside it."""
    assert "Traceback" not in errors
    lines = [line for line in errors.splitlines() if line.startswith("dbkit: ") and "about to" not in line]
    assert len(lines) == 1, errors
    return lines[0]


# The twelve that surprise


def test_01_sql_before_configure_makes_the_upgrade_a_no_op(pair: Pair) -> None:
    pair.write(TABLE)
    pair.bare.env_py.write_text(pair.bare.env_py.read_text().replace(CONNECT, LOCK_IN_ENV))
    typed = pair.bare.alembic("upgrade", "head")
    assert (typed.returncode, "Running upgrade" in typed.stderr) == (0, True)
    assert pair.bare.query("SELECT to_regclass('t'), to_regclass('alembic_version')") == [(None, None)]

    assert pair.gated.alembic("upgrade", "head").returncode == 0
    assert pair.gated.query("SELECT to_regclass('t')::text") == [("t",)]
    assert pair.gated.heads() == ["rev1"]


def test_02_if_not_exists_hides_an_invalid_index(pair: Pair) -> None:
    create = "op.execute('CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS ux ON t (name)')"
    pair.write(f"{TABLE}\nop.execute(\"INSERT INTO t VALUES (1, 'twice'), (2, 'twice')\")", f"{BLOCK}{create}")
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ux'::regclass"
    assert pair.bare.alembic("upgrade", "head").returncode == 1
    assert pair.bare.alembic("upgrade", "head").returncode == 0
    assert pair.bare.query(valid) == [(False,)]

    for again in (False, True):
        typed = pair.gated.alembic("upgrade", "head")
        assert typed.returncode == 6
        assert "public.ux" in one_line(typed.stderr)
        assert ("rev2 is applied, but" in typed.stderr) == again
        assert "DROP INDEX CONCURRENTLY IF EXISTS public.ux" in typed.stderr
    pair.gated.query("DELETE FROM t WHERE id = 2")
    pair.gated.query("DROP INDEX CONCURRENTLY IF EXISTS ux")
    assert pair.gated.alembic("downgrade", "-1").returncode == 0
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    assert pair.gated.query(valid) == [(True,)]


def together(project: Project, count: int) -> list[subprocess.CompletedProcess[str]]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: project.alembic("upgrade", "head"), range(count)))


# a transactional one, one with rows, and one outside of a transaction, which nothing but the lock keeps to once
EIGHT = (
    "op.execute('CREATE TABLE IF NOT EXISTS counted (what text)')",
    "op.execute(\"INSERT INTO counted SELECT 'data' FROM pg_sleep(0.2)\")",
    f"{BLOCK}op.execute(\"INSERT INTO counted SELECT 'autocommit' FROM pg_sleep(0.3)\")",
    "op.execute('ALTER TABLE counted ADD more int')",
)


def test_03_eight_runners(pair: Pair) -> None:
    # the first revision takes long enough for all of them to have begun
    pair.write(f"op.execute('SELECT pg_sleep(2)')\n{EIGHT[0]}", *EIGHT[1:])
    results = together(pair.bare, 8)
    assert any(result.returncode for result in results)

    results = together(pair.gated, 8)
    assert [result.returncode for result in results] == [0] * 8, [result.stderr for result in results]
    assert pair.gated.query("SELECT what, count(*) FROM counted GROUP BY 1 ORDER BY 1") == [
        ("autocommit", 1),
        ("data", 1),
    ]
    assert pair.gated.journal() == [("upgrade", f"rev{number}") for number in range(1, 5)]


def test_03_an_autocommit_block_runs_once_for_each_runner(pair: Pair) -> None:
    pair.write(TABLE)
    for project in (pair.bare, pair.gated):
        assert project.alembic("upgrade", "head").returncode == 0
        project.query("CREATE TABLE counted (what text)")
    pair.write(EIGHT[2].replace("0.3", "3"))  # so long that all of them have begun
    together(pair.bare, 4)
    [(count,)] = pair.bare.query("SELECT count(*) FROM counted")
    assert isinstance(count, int)
    assert count > 1
    assert [result.returncode for result in together(pair.gated, 4)] == [0] * 4
    assert pair.gated.query("SELECT count(*) FROM counted") == [(1,)]


@pytest.mark.slow
def test_03_eight_runners_twenty_rounds(pair: Pair) -> None:
    pair.write(*EIGHT)
    for _ in range(20):
        for pending in (False, True):
            pair.gated.query("DROP SCHEMA public CASCADE")
            pair.gated.query("CREATE SCHEMA public")
            if pending:
                assert pair.gated.alembic("upgrade", "rev1").returncode == 0
            results = together(pair.gated, 8)
            assert [result.returncode for result in results] == [0] * 8, [result.stderr for result in results]
            counted = pair.gated.query("SELECT what, count(*) FROM counted GROUP BY 1 ORDER BY 1")
            assert counted == [("autocommit", 1), ("data", 1)]
            assert pair.gated.journal() == [("upgrade", f"rev{number}") for number in range(1, 5)]


def test_04_a_message_that_is_run(pair: Pair) -> None:
    for project in (pair.bare, pair.gated):
        message = f'"""\nopen({str(project.root / "was_run")!r}, "w")\n"""'
        project.alembic("revision", "-m", message)
        assert (project.root / "was_run").exists() != project.gated
        project.alembic("revision", "-m", r"C:\users", "--head", "base", "--splice")
        assert (project.alembic("heads").returncode == 0) == project.gated


def test_05_a_colon_becomes_null_in_a_script(pair: Pair) -> None:
    pair.write(TABLE, "op.execute('''INSERT INTO t VALUES (1, '{\"a\":true}')''')")
    script = pair.bare.alembic("upgrade", "head", "--sql")
    assert (script.returncode, '"a"NULL' in script.stdout) == (0, True)
    script = pair.gated.alembic("upgrade", "head", "--sql")
    assert (script.returncode, "a bare :true" in one_line(script.stderr)) == (2, True)


def test_06_a_script_that_goes_on_after_an_error(pair: Pair, local_settings: Settings) -> None:
    pair.write(TABLE, f"{BLOCK}op.execute('CREATE INDEX CONCURRENTLY ix ON t (nothing)')")
    for project in (pair.bare, pair.gated):
        script = project.alembic("upgrade", "head", "--sql").stdout
        psql = [client_program(local_settings, "psql"), "-X", "-q", url_of(project.target)]
        subprocess.run(psql, input=script, text=True, capture_output=True, check=False)
        assert project.heads() == (["rev1"] if project.gated else ["rev2"])


def test_06_a_script_writes_the_journal(pair: Pair, local_settings: Settings) -> None:
    pair.write(TABLE, "op.execute('ALTER TABLE t ADD x int')")
    script = pair.gated.alembic("upgrade", "head", "--sql").stdout
    psql = [client_program(local_settings, "psql"), "-X", "-q", url_of(pair.gated.target)]
    subprocess.run(psql, input=script, text=True, check=True)
    assert pair.gated.journal() == [("upgrade", "rev1"), ("upgrade", "rev2")]
    assert pair.gated.alembic("upgrade", "head").returncode == 0


@pytest.mark.skipif(
    subprocess.run(["unshare", "--pid", "--fork", "true"], check=False, capture_output=True).returncode != 0,
    reason="unshare may not make a process namespace here",
)
def test_07_as_the_first_process_of_a_container(pair: Pair) -> None:
    pair.write(SLEEP)
    first: dict[bool, int] = {}
    for project in (pair.bare, pair.gated):
        wrapped = ["unshare", "--pid", "--fork", "--kill-child", *project.command("upgrade", "head")]
        process = subprocess.Popen(
            wrapped, cwd=project.root, env=project.variables(), stderr=subprocess.PIPE, text=True
        )
        until(lambda project=project: project.query(SLEEPING) == [(1,)])  # type: ignore[misc]
        [first[project.gated]] = map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
        os.kill(first[project.gated], signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "interrupted in the upgrade of rev1" in one_line(errors)
    until(lambda: pair.gated.query(SLEEPING) == [(0,)])
    assert pair.bare.query(SLEEPING) == [(1,)]
    os.kill(first[False], signal.SIGKILL)
    terminate(pair.bare, process)


def test_07_a_dead_clients_statement_goes_on(pair: Pair) -> None:
    pair.write(SLEEP)
    for project in (pair.bare, pair.gated):
        process = project.start("upgrade", "head")
        until(lambda project=project: project.query(SLEEPING) == [(1,)])  # type: ignore[misc]
        process.kill()
        process.communicate()
    until(lambda: pair.gated.query(SLEEPING) == [(0,)])
    assert pair.bare.query(SLEEPING) == [(1,)]
    pair.bare.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()"
    )
    assert pair.gated.query("SELECT to_regclass('t')") == [(None,)]


def test_08_a_raw_at_sign_in_the_password(pair: Pair) -> None:
    pair.write(TABLE)
    url = "postgresql://u:se@cret@127.0.0.1:1/x"
    ini = pair.bare.root / "alembic.ini"
    ini.write_text(
        "\n".join(
            f"sqlalchemy.url = {url.replace('postgresql', 'postgresql+psycopg')}" if "sqlalchemy.url" in line else line
            for line in ini.read_text().splitlines()
        )
    )
    assert "cret" in pair.bare.alembic("upgrade", "head").stderr
    typed = pair.gated.alembic("upgrade", "head", env={"DATABASE_URL": url})
    assert (typed.returncode, "cret" in typed.stdout + typed.stderr) == (2, False)


def test_09_another_kind_of_database(pair: Pair) -> None:
    pair.write("op.create_table('t', sa.Column('id', sa.Integer))")
    ini = pair.bare.root / "alembic.ini"
    ini.write_text(
        "\n".join(
            "sqlalchemy.url = sqlite:///x.db" if "sqlalchemy.url" in line else line
            for line in ini.read_text().splitlines()
        )
    )
    assert pair.bare.alembic("upgrade", "head").returncode == 0
    assert (pair.bare.root / "x.db").exists()
    typed = pair.gated.alembic("upgrade", "head", env={"DATABASE_URL": "sqlite:///x.db"})
    assert (typed.returncode, "begins with sqlite://" in one_line(typed.stderr)) == (2, True)
    assert not (pair.gated.root / "x.db").exists()


def test_09_a_parents_dotenv_is_not_read(pair: Pair) -> None:
    (pair.gated.root.parent / ".env").write_text("DATABASE_URL=sqlite:///x.db\n")
    pair.write(TABLE)
    assert pair.gated.alembic("upgrade", "head").returncode == 0


def test_10_a_blocking_lock_and_an_index_built_concurrently(pair: Pair) -> None:
    """A waiter in pg_advisory_lock() has a snapshot, which the build in the holder waits for."""
    pair.write(TABLE)
    for project in (pair.bare, pair.gated):
        assert project.alembic("upgrade", "head").returncode == 0
    block = f"op.execute('SELECT pg_sleep(1)')\n{BLOCK}op.execute('CREATE INDEX CONCURRENTLY ix ON t (name)')"
    pair.write(block)
    env_py = pair.bare.env_py.read_text().replace(CONNECT, f"{LOCK_IN_ENV}        connection.commit()\n")
    pair.bare.env_py.write_text(env_py)
    assert any(result.returncode for result in together(pair.bare, 2))
    assert [result.returncode for result in together(pair.gated, 2)] == [0, 0]
    assert pair.gated.query("SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix'::regclass") == [(True,)]


@contextmanager
def pgbouncer(cluster: Cluster, directory: Path, *settings: str) -> Iterator[int]:
    """PgBouncer in transaction mode before a cluster, on a port of its own."""
    assert PGBOUNCER
    port = free_port()
    directory.mkdir()
    target = cluster.target()
    (directory / "users.txt").write_text('"postgres" ""\n')
    (directory / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={target.host}\n[pgbouncer]\npool_mode = transaction\nauth_type = trust\n"
        f"auth_file = {directory}/users.txt\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        + "\n".join(settings)
    )
    user = []
    if os.geteuid() == 0:
        user = ["-u", cluster.account.name]
        for path in (directory, *directory.iterdir()):
            os.chown(path, cluster.account.uid, cluster.account.gid)
        for path in directory.parents:
            if path.owner() == "root" and path != Path("/"):
                path.chmod(path.stat().st_mode | 0o011)
    process = subprocess.Popen([PGBOUNCER, *user, directory / "pgbouncer.ini"], stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: _answers(port, process))
        yield port
    finally:
        process.terminate()
        process.communicate()


def _answers(port: int, process: "subprocess.Popen[str]") -> bool:
    assert process.poll() is None, process.stderr and process.stderr.read()
    try:
        # not psycopg.connect, which has options in `nox -s hostile`: PgBouncer refuses them
        psycopg.Connection.connect(host="127.0.0.1", port=port, dbname="postgres", user="postgres").close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.skipif(not PGBOUNCER, reason="PgBouncer is not installed")
def test_11_a_pooler_keeps_the_lock(pair: Pair, server: Cluster, tmp_path: Path) -> None:
    pair.write(TABLE)
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    env_py = pair.bare.env_py.read_text().replace(CONNECT, f"{LOCK_IN_ENV}        connection.commit()\n")
    pair.bare.env_py.write_text(env_py)
    for number, settings in enumerate(([], ["ignore_startup_parameters = options"])):
        with pgbouncer(server, tmp_path / f"pool{number}", *settings) as port:
            ini = pair.bare.root / "alembic.ini"
            url = f"sqlalchemy.url = postgresql+psycopg://postgres@127.0.0.1:{port}/{pair.bare.target.dbname}"
            lines = (url if "sqlalchemy.url" in line else line for line in ini.read_text().splitlines())
            ini.write_text("\n".join(lines))
            assert pair.bare.alembic("upgrade", "head").returncode == 0
            assert pair.bare.query(locks) == [(1,)]  # the process has ended, and its lock is still held
            pooled = {"DATABASE_URL": f"postgresql://postgres@127.0.0.1:{port}/{pair.gated.target.dbname}"}
            typed = pair.gated.alembic("upgrade", "head", env=pooled)
            assert typed.returncode == 2
            assert "is a pooler" in one_line(typed.stderr)
            assert "MIGRATION_DATABASE_URL" in typed.stderr
            assert pair.gated.query(locks) == [(0,)]
            direct = pooled | {"MIGRATION_DATABASE_URL": url_of(pair.gated.target)}
            assert pair.gated.alembic("upgrade", "head", env=direct).returncode == 0


def test_12_a_waiting_alter_blocks_every_reader(pair: Pair) -> None:
    pair.write(TABLE)
    for project in (pair.bare, pair.gated):
        assert project.alembic("upgrade", "head").returncode == 0
    pair.write("op.execute('ALTER TABLE t ADD x int')")
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass"
    for project in (pair.bare, pair.gated):
        with psycopg.connect(**project.target.parameters()) as reader:
            reader.execute("SELECT FROM t")
            process = project.start("upgrade", "head", env={"MIGRATION_LOCK_TIMEOUT": "300ms"})
            until(lambda project=project: project.query(waiting) != [(0,)])  # type: ignore[misc]
            with psycopg.connect(**project.target.parameters(), autocommit=True) as other:
                if project.gated:
                    other.execute("SELECT FROM t")  # comes through while the first reader is still at it
                    said = line_with(process, "did not get its locks within 0.3 s (try 1)")
                    assert "idle in transaction" in said
                else:
                    other.execute("SET lock_timeout = '2s'")
                    with pytest.raises(psycopg.errors.LockNotAvailable):
                        other.execute("SELECT FROM t")
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert pair.gated.journal() == [("upgrade", "rev1"), ("upgrade", "rev2")]


# Concurrency and faults


def test_a_lock_that_does_not_come_ends_within_its_budget(pair: Pair) -> None:
    pair.write(TABLE)
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    pair.write("op.execute('ALTER TABLE t ADD x int')")
    limits = {"MIGRATION_LOCK_TIMEOUT": "100ms", "MIGRATION_LOCK_BUDGET": "1s"}
    with psycopg.connect(**pair.gated.target.parameters()) as reader:
        reader.execute("SELECT FROM t")
        typed = pair.gated.alembic("upgrade", "head", env=limits)
    assert typed.returncode == 1
    assert "lock timeout; nothing of it was kept, the database is at rev1, and it is safe to run again." in typed.stderr
    assert "(try 2)" in typed.stderr
    assert "MIGRATION_LOCK_BUDGET" in typed.stderr
    assert pair.gated.alembic("upgrade", "head").returncode == 0


def upgrade_behind_a_reader(project: Project, lock_timeout: str) -> None:
    """Upgrade while somebody reads `t`, until the first try is over; then the reader lets go."""
    with psycopg.connect(**project.target.parameters()) as reader:
        reader.execute("SELECT FROM t")
        process = project.start("upgrade", "head", env={"MIGRATION_LOCK_TIMEOUT": lock_timeout})
        line_with(process, "(try 1)")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def test_an_enum_is_created_again_after_a_retry(pair: Pair) -> None:
    """Alembic remembers which types it has created, also when that was rolled back."""
    pair.write(TABLE)
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    pair.write(
        "sa.Enum('a', name='mood').create(op.get_bind())\nop.add_column('t', sa.Column('mood', sa.Enum('a', name='mood')))"
    )
    upgrade_behind_a_reader(pair.gated, "100ms")


def test_a_deadlock_is_tried_again(pair: Pair) -> None:
    pair.write(TABLE, "op.execute('CREATE TABLE u (id int)')")
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    pair.write(
        "op.execute('LOCK TABLE t')\nop.execute('SELECT pg_advisory_lock(7)')\nop.execute('LOCK TABLE u')\nop.execute('SELECT pg_advisory_unlock(7)')"
    )
    with psycopg.connect(**pair.gated.target.parameters()) as other:
        other.execute("SET deadlock_timeout = '1h'")  # the other one shall be the victim
        other.execute("SELECT pg_advisory_lock(7)")
        other.execute("LOCK TABLE u")
        process = pair.gated.start("upgrade", "head", env={"MIGRATION_LOCK_TIMEOUT": "3s"})
        until(
            lambda: (
                pair.gated.query(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 7"
                )
                == [(1,)]
            )
        )
        other.execute("SELECT pg_advisory_unlock(7)")
        other.execute("LOCK TABLE t")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "did not get its locks" in errors


def test_a_revision_that_left_its_transaction_is_not_tried_again(pair: Pair) -> None:
    pair.write(TABLE)
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    pair.write(f"op.execute(\"INSERT INTO t VALUES (1, 'x')\")\n{BLOCK}op.execute('ALTER TABLE t ADD x int')")
    with psycopg.connect(**pair.gated.target.parameters()) as reader:
        reader.execute("SELECT FROM t")
        typed = pair.gated.alembic("upgrade", "head", env={"MIGRATION_LOCK_TIMEOUT": "100ms"})
    assert typed.returncode == 6
    assert "a part of it was committed: not safe to run again" in one_line(typed.stderr)
    assert pair.gated.query("SELECT count(*) FROM t") == [(1,)]


def test_an_index_built_concurrently_waits_longer_than_an_alter(pair: Pair) -> None:
    pair.write(TABLE)
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    pair.write(
        f"{BLOCK}op.execute('CREATE INDEX CONCURRENTLY ix ON t (name)')\n    op.execute(\"SET application_name = 'after'\")"
    )
    with psycopg.connect(**pair.gated.target.parameters()) as reader:
        reader.execute("INSERT INTO t VALUES (1, 'x')")
        process = pair.gated.start("upgrade", "head", env={"MIGRATION_LOCK_TIMEOUT": "1ms"})
        until(lambda: pair.gated.query("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(1,)])
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def terminate(project: Project, _process: "subprocess.Popen[str]") -> None:
    project.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()"
    )


def time_out(project: Project, _process: "subprocess.Popen[str]") -> None:
    project.query(
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()"
    )


@pytest.mark.parametrize(("fault", "words"), [(terminate, "terminating connection"), (time_out, "canceling statement")])
def test_a_connection_that_ends_is_told_in_one_line(pair: Pair, fault: Callable[..., None], words: str) -> None:
    pair.write(TABLE, f"op.execute(\"INSERT INTO t VALUES (1, 'x')\")\n{SLEEP}")
    for project in (pair.bare, pair.gated):
        process = project.start("upgrade", "head")
        until(lambda project=project: project.query(SLEEPING) == [(1,)])  # type: ignore[misc]
        fault(project, process)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        if not project.gated:
            assert len(errors.splitlines()) > 50
    line = one_line(errors)
    assert words in line
    assert line.endswith("nothing of it was kept, the database is at rev1, and it is safe to run again.")
    assert pair.gated.query("SELECT count(*) FROM t") == [(0,)]
    assert pair.gated.journal() == [("upgrade", "rev1")]


@pytest.mark.parametrize("comes_back", others_slow(1, [True, False]))
def test_a_server_that_is_killed(pair: Pair, local_settings: Settings, comes_back: bool) -> None:
    pair.write(TABLE, SLEEP)
    with scratch.cluster(replace(local_settings)) as cluster:
        project = replace(pair.gated, target=cluster.target())
        process = project.start("upgrade", "head", env={"MIGRATION_WAIT": "5s" if comes_back else "0"})
        until(lambda: project.query(SLEEPING) == [(1,)])
        postmaster = int((cluster.data / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGQUIT)
        if comes_back:
            until(lambda: gone(postmaster))
            cluster.ensure_running()
        _, errors = process.communicate(timeout=60)
        assert process.returncode == (1 if comes_back else 4)
        line = one_line(errors)
        if comes_back:
            # what was committed within the last moments may be gone with the server, but then all of it
            assert re.search(
                r"the database is at (rev1|base \(nothing is applied\)), and it is safe to run again", line
            )
            assert project.alembic("upgrade", "rev1").returncode == 0
            assert (project.heads(), project.journal()) == (["rev1"], [("upgrade", "rev1")])
        else:
            assert "the server does not answer, so what was committed is not known." in line


@pytest.mark.parametrize(("number", "code"), others_slow(1, [(signal.SIGINT, 130), (signal.SIGTERM, 143)]))
def test_a_signal_to_bare_alembic(pair: Pair, number: int, code: int) -> None:
    pair.write(TABLE, SLEEP)
    process = pair.gated.start("upgrade", "head", preexec_fn=foreground)
    until(lambda: pair.gated.query(SLEEPING) == [(1,)])
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert "interrupted in the upgrade of rev2, at rev2.py:11; nothing of it was kept" in one_line(errors)
    until(lambda: pair.gated.query(SLEEPING) == [(0,)])
    # and as it is without the gate: the statement goes on when its client is gone
    process = pair.bare.start("upgrade", "head")
    until(lambda: pair.bare.query(SLEEPING) == [(1,)])
    process.terminate()
    process.communicate(timeout=30)
    assert pair.bare.query(SLEEPING) == [(1,)]
    terminate(pair.bare, process)


def test_a_full_disk_is_named(pair: Pair, server: Cluster, tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", place], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        os.chown(place, server.account.uid, server.account.gid)
        for path in place.parents:
            if path != Path("/"):
                path.chmod(path.stat().st_mode | 0o011)
        pair.gated.query(f"CREATE TABLESPACE small LOCATION '{place}'")
        pair.write(
            TABLE,
            "op.execute('CREATE TABLE big TABLESPACE small AS SELECT repeat(md5(n::text), 99) FROM generate_series(1, 99999) n')",
        )
        typed = pair.gated.alembic("upgrade", "head")
        assert typed.returncode == 1
        assert "No space left on device" in one_line(typed.stderr)
        assert "; nothing of it was kept, the database is at rev1, and it is safe to run again." in typed.stderr
        assert "Free some space on the server's disk" in typed.stderr
        pair.gated.query("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", place], check=True)


HALF = f"op.execute('ALTER TABLE t ADD x int')\n{BLOCK}op.execute('CREATE INDEX CONCURRENTLY ix ON t (name)')"


def test_killed_in_an_index_after_another_statement(pair: Pair) -> None:
    """Half of the revision is committed. Bare Alembic then says for ever that the column exists."""
    pair.write(TABLE)
    for project in (pair.bare, pair.gated):
        assert project.alembic("upgrade", "head").returncode == 0
    pair.write(HALF)
    for project in (pair.bare, pair.gated):
        with psycopg.connect(**project.target.parameters()) as reader:
            reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            reader.execute("SELECT 1")  # an old snapshot, which only the index waits for
            process = project.start("upgrade", "head")
            until(lambda project=project: project.query("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(1,)])  # type: ignore[misc]
            process.kill()
            process.communicate()
            until(
                lambda project=project: (
                    project.query("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(0,)] or not project.gated
                )
            )  # type: ignore[misc]
    for _ in range(2):
        assert "DuplicateColumn" in pair.bare.alembic("upgrade", "head").stderr
        typed = pair.gated.alembic("upgrade", "head")
        assert typed.returncode == 6
        assert "the upgrade of rev2 of " in one_line(typed.stderr)
        assert "was interrupted, and a part of it was committed: not safe to run again." in typed.stderr
        assert "python -m dbkit resolve rev2" in typed.stderr
    assert "not finished, a part was committed" in pair.gated.dbkit("log").stdout
    status = pair.gated.dbkit("status")
    assert (status.returncode, "half done rev2" in status.stdout) == (6, True)
    pair.gated.query("DROP INDEX CONCURRENTLY ix")
    pair.gated.query("ALTER TABLE t DROP x")
    assert pair.gated.dbkit("resolve", "rev2").returncode == 0
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    assert pair.gated.heads() == ["rev2"]
    assert pair.gated.dbkit("resolve", "rev2").returncode == 2
    found = pair.gated.dbkit("check").stderr
    assert re.search(r"rev2\.py:\d+: autocommit-block-shared: ", found)


def test_a_stamp_settles_what_was_finished_by_hand(pair: Pair) -> None:
    pair.write(TABLE)
    pair.gated.alembic("upgrade", "head")
    pair.write(f"{HALF}\nraise ValueError('on purpose')")
    typed = pair.gated.alembic("upgrade", "head")
    assert typed.returncode == 6
    assert "ValueError: on purpose; the database is at rev1, but a part of it was committed" in typed.stderr
    assert pair.gated.alembic("upgrade", "head").returncode == 6
    assert pair.gated.alembic("stamp", "rev2").returncode == 0
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    assert pair.gated.journal()[-1] == ("stamp", "rev2")


def test_a_block_that_can_be_run_again_needs_nobody(pair: Pair) -> None:
    pair.write(TABLE)
    pair.gated.alembic("upgrade", "head")
    again = (
        "op.execute('DROP INDEX CONCURRENTLY IF EXISTS ix')\n    op.execute('CREATE INDEX CONCURRENTLY ix ON t (name)')"
    )
    pair.write(f"{BLOCK}{again}")
    with psycopg.connect(**pair.gated.target.parameters()) as writer:
        writer.execute("INSERT INTO t VALUES (1, 'x')")
        process = pair.gated.start("upgrade", "head")
        until(lambda: pair.gated.query("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(1,)])
        process.kill()
        process.communicate()
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    pair.write(
        f"# dbkit: rerunnable, it sets what is not set\n{BLOCK}op.execute(\"UPDATE t SET name = 'y'\")\nraise ValueError"
    )
    text = (pair.gated.versions / "rev3.py").read_text()
    marked = text.replace("    # dbkit: rerunnable", "# dbkit: rerunnable")
    (pair.gated.versions / "rev3.py").write_text(marked)
    typed = pair.gated.alembic("upgrade", "head")
    assert typed.returncode == 1
    assert (
        "what it has committed can be done again, the database is at rev2, and it is safe to run again" in typed.stderr
    )
    (pair.gated.versions / "rev3.py").write_text(marked.replace("raise ValueError", "pass"))
    assert pair.gated.alembic("upgrade", "head").returncode == 0


@pytest.mark.parametrize("commit", others_slow(1, ["op.execute('COMMIT')", "op.get_bind().commit()"]))
def test_a_commit_by_hand(pair: Pair, commit: str) -> None:
    pair.write(TABLE, f"op.execute('ALTER TABLE t ADD x int')\n{commit}\nop.execute('SELECT 1 / 0')")
    for project in (pair.bare, pair.gated):
        typed = project.alembic("upgrade", "head")
        columns = project.query(
            "SELECT count(*) FROM information_schema.columns WHERE table_name = 't' AND column_name = 'x'"
        )
        assert columns == [(1,)]  # a half of it stays, and nothing can help that now
        assert typed.returncode == (6 if project.gated else 1)
    assert "a part of it was committed: not safe to run again" in one_line(typed.stderr)
    assert pair.gated.alembic("upgrade", "head").returncode == 6
    assert "it ends Alembic's transaction by hand" in pair.gated.dbkit("check").stderr


def test_a_commit_by_hand_that_loses_the_revision(pair: Pair) -> None:
    pair.write(TABLE, "op.execute('ALTER TABLE t ADD x int')\nop.get_bind().commit()")
    assert pair.bare.alembic("upgrade", "rev1").returncode == 0
    typed = pair.bare.alembic("upgrade", "head")
    assert (typed.returncode, pair.bare.heads()) == (0, ["rev1"])  # no error, and not recorded
    typed = pair.gated.alembic("upgrade", "head")
    assert (typed.returncode, pair.gated.heads()) == (0, ["rev2"])
    assert "warning: rev2 commits by hand; see `make check`." in one_line(typed.stderr)
    assert pair.gated.journal() == [("upgrade", "rev1"), ("upgrade", "rev2")]
    pair.write("op.execute('SELECT 1 / 0')")
    assert pair.gated.alembic("upgrade", "head").returncode == 1
    assert pair.gated.heads() == ["rev2"]


@pytest.mark.parametrize("rollback", others_slow(1, ["op.execute('ROLLBACK')", "op.get_bind().rollback()"]))
def test_a_rollback_by_hand(pair: Pair, rollback: str) -> None:
    pair.write(TABLE, f"op.execute('ALTER TABLE t ADD x int')\n{rollback}")
    typed = pair.gated.alembic("upgrade", "head")
    assert typed.returncode in (1, 6)
    assert "it has rolled back by hand what it had done, and so is not recorded" in typed.stderr
    assert pair.gated.heads() == ["rev1"]


# History and downgrade


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
    assert restored.dbkit("reset").returncode == 3
    confirmed = {"CONFIRM": restored.target.dbname}
    assert restored.dbkit("mark", "test").returncode == 3
    assert restored.dbkit("mark", "test", env=confirmed).returncode == 0
    assert restored.dbkit("mark").stdout == "test\n"
    typed = restored.alembic("downgrade", "-1")
    assert typed.returncode == 0
    assert f'about to roll back "{restored.target.dbname}" on {server.target().host}: 1 migration, rev1' in typed.stderr


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
    assert (typed.returncode, "is marked production, and APP_ENV says development" in typed.stderr) == (0, True)
    assert gated.dbkit("mark").stdout == "production\n"
    # nor is it where there is a history already: somebody's settings may point to production
    gated.query("COMMENT ON TABLE alembic_version IS NULL")
    typed = gated.alembic("downgrade", "-1")
    assert typed.returncode == 3
    assert "an existing database that does not say what it is" in typed.stderr
    assert "python -m dbkit mark test" in typed.stderr
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


def test_reset_drops_only_what_migrations_made(pair: Pair, server: Cluster) -> None:
    gated = pair.gated
    pair.write(TABLE)
    gated.query("CREATE TABLE somebodys (id int)")
    sure = {"CONFIRM": gated.target.dbname}
    for env in ({}, sure):
        typed = gated.dbkit("reset", env=env)
        assert typed.returncode == 3
        assert "it has tables, and no migrations made them." in typed.stderr
    gated.query("DROP TABLE somebodys")
    assert gated.dbkit("reset").returncode == 0
    assert gated.dbkit("reset").returncode == 0
    maintenance = replace(gated, target=server.target("postgres"))
    typed = maintenance.dbkit("reset", env={"CONFIRM": "postgres"})
    assert (typed.returncode, "it is the server's own." in typed.stderr) == (3, True)
    gated.query("CREATE ROLE another")
    gated.query("CREATE ROLE owner LOGIN CREATEDB")
    name = sql.Identifier(gated.target.dbname).as_string()
    gated.query(f"ALTER DATABASE {name} OWNER TO owner")
    gated.query("ALTER TABLE t OWNER TO another")
    try:
        typed = replace(gated, target=replace(gated.target, user="owner")).dbkit("reset", env=sure)
        assert (
            typed.returncode,
            "it has somebody else's table, public.alembic_version of postgres." in typed.stderr,
        ) == (3, True), typed
    finally:
        gated.query("DROP OWNED BY another")
        gated.query(f"ALTER DATABASE {name} OWNER TO postgres")
        gated.query("DROP ROLE another")
        gated.query("DROP ROLE owner")


def test_downgrade_over_a_merge_and_with_two_heads(pair: Pair) -> None:
    pair.add("left", None, "op.execute('CREATE TABLE l ()')", "op.execute('DROP TABLE l')")
    pair.add("right", None, "op.execute('CREATE TABLE r ()')", "op.execute('DROP TABLE r')")
    for project in (pair.bare, pair.gated):
        assert project.alembic("upgrade", "heads").returncode == 0
    assert pair.bare.alembic("downgrade", "-1").returncode == 0
    assert len(pair.bare.heads()) == 1  # it picked one
    typed = pair.gated.alembic("downgrade", "-1")
    assert typed.returncode == 2
    assert "the database is at 2 revisions, left and right: -1 could be either." in one_line(typed.stderr)
    pair.bare.alembic("upgrade", "heads")
    pair.add("merge", ("left", "right"))
    for project in (pair.bare, pair.gated):
        assert project.alembic("upgrade", "heads").returncode == 0
    typed = pair.bare.alembic("downgrade", "-1")
    assert (typed.returncode, "Ambiguous walk" in typed.stdout + typed.stderr) == (255, True)
    typed = pair.gated.alembic("downgrade", "-1")
    assert typed.returncode == 2
    assert "-1 goes back over a merge: merge joins left and right." in one_line(typed.stderr)
    assert pair.gated.heads() == ["merge"]


def test_a_database_newer_than_the_code(pair: Pair) -> None:
    pair.write(TABLE, "op.execute('CREATE TABLE u ()')")
    for project in (pair.bare, pair.gated):
        assert project.alembic("upgrade", "head").returncode == 0
        (project.versions / "rev2.py").unlink()
        typed = project.alembic("upgrade", "head")
        assert typed.returncode == (7 if project.gated else 255)
    assert "the database is at rev2, which this code does not have." in one_line(typed.stderr)


def test_two_heads(pair: Pair) -> None:
    pair.write(TABLE)
    pair.add("left", "rev1")
    pair.add("right", "rev1")
    assert pair.bare.alembic("upgrade", "head").returncode == 255
    typed = pair.gated.alembic("upgrade", "head")
    assert typed.returncode == 1
    one_line(typed.stderr)
    for words in ("2 heads, left and right", "left.py", "right.py", "make merge"):
        assert words in typed.stderr


@pytest.mark.parametrize("fault", others_slow(2, ["twice", "no parent", "cycle", "stray"]))
def test_a_broken_history_names_the_files(pair: Pair, fault: str) -> None:
    pair.write(TABLE)
    for project in (pair.bare, pair.gated):
        file = project.versions / "rev1.py"
        if fault == "twice":
            (project.versions / "copy.py").write_text(file.read_text())
            words = "revision rev1 is in 2 files: copy.py, rev1.py."
        elif fault == "no parent":
            file.write_text(file.read_text().replace("down_revision = None", "down_revision = 'gone'"))
            words = "rev1.py follows revision gone, and no file has that id."
        elif fault == "cycle":
            file.write_text(file.read_text().replace("down_revision = None", "down_revision = 'rev1'"))
            words = "revision rev1 follows itself: rev1.py."
        else:
            (project.versions / "._rev1.py").write_bytes(b"\x00\x05\x16\x07")
            words = "._rev1.py"
        typed = project.alembic("upgrade", "head")
        if project.gated:
            assert typed.returncode == 2
            assert words in one_line(typed.stderr)
        else:
            # warned of at most, or a traceback
            assert typed.returncode == 0 or "Traceback" in typed.stderr or "FAILED" in typed.stdout + typed.stderr


def test_a_file_that_was_edited_after_it_was_applied(pair: Pair) -> None:
    pair.write((TABLE, "op.execute('DROP TABLE t')"))
    for project in (pair.bare, pair.gated):
        assert project.alembic("upgrade", "head").returncode == 0
        file = project.versions / "rev1.py"
        file.write_text(file.read_text().replace("name text", "title text"))
    assert pair.bare.alembic("upgrade", "head").returncode == 0
    gated = pair.gated
    for environment in ("development", "test", "ci"):
        typed = gated.alembic("upgrade", "head", env={"APP_ENV": environment})
        assert (typed.returncode, "rev1.py: edited after it was applied" in one_line(typed.stderr)) == (1, True)
    assert gated.dbkit("migrate").returncode == 1
    typed = gated.alembic("upgrade", "head", env={"APP_ENV": "production"})
    assert (typed.returncode, "warning: rev1.py: edited after it was applied" in typed.stderr) == (0, True)
    assert gated.dbkit("mark", "test", env={"CONFIRM": gated.target.dbname}).returncode == 0
    assert "edited since" in gated.dbkit("log").stdout
    assert gated.dbkit("accept", "rev1").returncode == 0
    assert gated.dbkit("migrate").returncode == 0
    assert "edited since" not in gated.dbkit("log").stdout
    # line ends are git's business
    file = gated.versions / "rev1.py"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert gated.alembic("upgrade", "head").returncode == 0
    # going down and up again applies the file as it is
    file.write_text(file.read_text().replace("title text", "label text"))
    assert gated.alembic("upgrade", "head").returncode == 1
    assert gated.dbkit("redo").returncode == 0
    assert gated.alembic("upgrade", "head").returncode == 0


def test_tables_without_a_history(pair: Pair) -> None:
    pair.write(TABLE)
    for project in (pair.bare, pair.gated):
        project.query("CREATE TABLE t (id int PRIMARY KEY, name text)")
        project.query("CREATE TABLE unrelated (id int)")
    assert "DuplicateTable" in pair.bare.alembic("upgrade", "head").stderr
    typed = pair.gated.alembic("upgrade", "head")
    assert typed.returncode == 2
    assert "has tables that the migrations create (t), but no history." in one_line(typed.stderr)
    assert "alembic stamp REV" in typed.stderr
    assert pair.gated.alembic("stamp", "rev1").returncode == 0
    assert pair.gated.alembic("upgrade", "head").returncode == 0


def test_several_rows_in_the_version_table(pair: Pair) -> None:
    pair.write(TABLE, "op.execute('CREATE TABLE u ()')")
    for project in (pair.bare, pair.gated):
        assert project.alembic("upgrade", "head").returncode == 0
        project.query("INSERT INTO alembic_version VALUES ('rev1')")
    assert "overlaps" in pair.bare.alembic("upgrade", "head").stderr + pair.bare.alembic("upgrade", "head").stdout
    typed = pair.gated.alembic("upgrade", "head")
    assert typed.returncode == 2
    assert "alembic_version has 2 rows, rev1 and rev2, and rev2 already includes rev1." in one_line(typed.stderr)
    pair.gated.query("ALTER TABLE alembic_version DROP CONSTRAINT alembic_version_pkc")
    pair.gated.query("UPDATE alembic_version SET version_num = 'rev2'")
    assert "has rev2 in two rows" in pair.gated.alembic("upgrade", "head").stderr
    assert pair.gated.alembic("stamp", "--purge", "rev2").returncode == 0
    assert pair.gated.alembic("upgrade", "head").returncode == 0


def test_a_project_without_a_journal(pair: Pair) -> None:
    pair.write((TABLE, "op.execute('DROP TABLE t')"))
    ini = pair.gated.root / "alembic.ini"
    text = ini.read_text()
    ini.write_text(f"{text}\n[dbkit]\njournal = off\n")
    for arguments in (["upgrade", "head"], ["downgrade", "-1"], ["upgrade", "head"]):
        assert pair.gated.alembic(*arguments).returncode == 0
    assert pair.gated.query("SELECT to_regclass('dbkit_journal')") == [(None,)]
    assert pair.gated.dbkit("log").stdout == "Nothing is recorded yet.\n"
    assert pair.gated.dbkit("accept", "rev1").returncode == 2
    ini.write_text(f"{text}\n[dbkit]\njournal = perhaps\n")
    assert pair.gated.alembic("downgrade", "-1").returncode == 2


def test_an_up_to_date_database_takes_no_lock(pair: Pair) -> None:
    pair.write(TABLE)
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    with psycopg.connect(**pair.gated.target.parameters(), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [lock_key(pair.gated.target.dbname)])
        assert pair.gated.alembic("upgrade", "head", env={"MIGRATION_WAIT": "0"}).returncode == 0
        pair.write("pass")
        typed = pair.gated.alembic("upgrade", "head", env={"MIGRATION_WAIT": "0"})
        assert typed.returncode == 5
        assert f"backend {holder.info.backend_pid}, user postgres, from this machine, for " in one_line(typed.stderr)


def test_wait(pair: Pair, local_settings: Settings) -> None:
    pair.write(TABLE)
    gated = pair.gated
    typed = gated.dbkit("wait")
    assert (typed.returncode, typed.stdout, typed.stderr) == (0, "", "")
    typed = gated.dbkit("wait", "--at-head", env={"MIGRATION_WAIT": "0"})
    assert typed.returncode == 1
    assert 'is not at the head (waited 0 s): 1 pending, from rev1 "rev1" on.' in typed.stderr
    assert gated.alembic("upgrade", "head").returncode == 0
    typed = gated.dbkit("wait", "--at-head")
    assert (typed.returncode, typed.stdout, typed.stderr) == (0, "", "")
    nobody = {"DATABASE_URL": f"postgresql://u@127.0.0.1:{free_port()}/x", "MIGRATION_WAIT": "500ms"}
    typed = gated.dbkit("wait", env=nobody)
    assert (typed.returncode, typed.stdout) == (4, "")
    assert "refused" in one_line(typed.stderr)
    wrong = {"DATABASE_URL": url_of(replace(gated.target, dbname="nothing_here")), "MIGRATION_WAIT": "1h"}
    typed = gated.dbkit("wait", env=wrong)
    assert (typed.returncode, "does not exist" in one_line(typed.stderr)) == (4, True)


@pytest.mark.slow
def test_wait_shows_dots_on_a_terminal_only(pair: Pair) -> None:
    nobody = {"DATABASE_URL": f"postgresql://u@127.0.0.1:{free_port()}/x", "MIGRATION_WAIT": "1s"}
    pair.gated.dbkit("mark", env=nobody)  # so that the kit is there
    leader, follower = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "dbkit", "wait"],
        cwd=pair.gated.root,
        env={**pair.gated.variables(nobody), "PYTHONPATH": str(pair.gated.root / "scripts")},
        stderr=follower,
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 1000)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(leader)
    assert process.wait(30) == 4
    assert shown.startswith(b"..")
    assert b"does not answer" in shown.splitlines()[-2]


# What an adversary has found


INSERT = "op.execute('INSERT INTO t VALUES (1)')"
RAISE = "raise ValueError('on purpose')"
NO_KEY = "op.execute('CREATE TABLE t (id int)')"


@pytest.mark.parametrize("first", others_slow(1, ["op.get_bind().rollback()", "op.get_bind().commit()"]))
def test_a_failed_migration_is_not_committed_by_the_gate(pair: Pair, first: str) -> None:
    pair.write(NO_KEY, f"{first}\n{INSERT}\n{RAISE}")
    for _ in range(2):
        assert pair.gated.alembic("upgrade", "head").returncode == 1
        assert pair.gated.query("SELECT count(*) FROM t") == [(0,)]


@pytest.mark.parametrize(
    "commit",
    others_slow(
        3,
        [
            "cursor = op.get_bind().connection.cursor()\ncursor.execute('CREATE TABLE v ()')\ncursor.execute('COMMIT')",
            "op.execute('CREATE TABLE v ()')\nop.get_bind().connection.commit()",
            "op.execute('CREATE TABLE v ()')\nop.execute('COMMIT; BEGIN')",
            "op.execute('CREATE TABLE v ()')\nop.execute('COMMIT AND CHAIN')",
            "op.execute('CREATE TABLE v ()')\nop.execute('-- done\\nCOMMIT')",
            "op.execute('CREATE TABLE v ()')\nop.execute('/* done */ END /* of it */')",
            f"{BLOCK}op.get_bind().connection.cursor().execute('CREATE TABLE v ()')",
            f"{BLOCK}op.execute('SET statement_timeout = 0; CREATE TABLE v ()')",
            f"{BLOCK}op.execute('ANALYZE t; CREATE TABLE v ()')",
        ],
    ),
)
def test_what_was_committed_on_any_way_is_known(pair: Pair, commit: str) -> None:
    pair.write(NO_KEY, f"{commit}\n{RAISE}")
    for _ in range(2):
        typed = pair.gated.alembic("upgrade", "head")
        assert typed.returncode == 6
        assert "a part of it was committed: not safe to run again" in one_line(typed.stderr)
    assert pair.gated.query("SELECT to_regclass('v')::text") == [("v",)]


@pytest.mark.parametrize(
    "rollback",
    others_slow(1, ["op.execute('ROLLBACK AND CHAIN')", "op.get_bind().connection.rollback()", "op.execute('ABORT')"]),
)
def test_what_was_rolled_back_on_any_way_is_not_recorded(pair: Pair, rollback: str) -> None:
    pair.write(NO_KEY, f"op.execute('CREATE TABLE v ()')\n{rollback}")
    typed = pair.gated.alembic("upgrade", "head")
    assert "it has rolled back by hand what it had done, and so is not recorded" in one_line(typed.stderr)
    assert (pair.gated.heads(), pair.gated.query("SELECT to_regclass('v')")) == (["rev1"], [(None,)])


def test_savepoints_are_no_commits(pair: Pair) -> None:
    nested = (
        f"with op.get_bind().begin_nested():\n    {INSERT}\n"
        f"op.execute('SAVEPOINT s')\n{INSERT}\nop.execute('ROLLBACK TO SAVEPOINT s')\nop.execute('ROLLBACK TO s')"
    )
    pair.write(NO_KEY, nested)
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    assert pair.gated.query("SELECT count(*) FROM t") == [(1,)]
    assert pair.gated.journal() == [("upgrade", "rev1"), ("upgrade", "rev2")]


@pytest.mark.slow
def test_a_purge_is_one_with_its_stamp(pair: Pair) -> None:
    pair.add("left", None)
    pair.add("right", None)
    gated = pair.gated
    assert gated.alembic("upgrade", "heads").returncode == 0
    gated.query("CREATE SEQUENCE tries")
    gated.query(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF nextval('tries') IN (1, 3) THEN "
        "RAISE EXCEPTION 'no' USING ERRCODE = '55P03'; END IF; RETURN NEW; END $$"
    )
    gated.query("CREATE TRIGGER refuse BEFORE INSERT ON dbkit_journal FOR EACH ROW EXECUTE FUNCTION refuse()")
    typed = gated.alembic("stamp", "--purge", "left", "right", env={"MIGRATION_LOCK_BUDGET": "0"})
    assert typed.returncode == 1
    assert "nothing of it was kept, the database is at left and right" in typed.stderr
    assert gated.heads() == ["left", "right"]
    limits = {"MIGRATION_LOCK_TIMEOUT": "50ms"}
    assert gated.alembic("stamp", "--purge", "left", "right", env=limits).returncode == 0
    assert gated.heads() == ["left", "right"]
    assert gated.alembic("stamp", "--purge", "base").returncode == 0
    assert (gated.heads(), gated.journal()[-1]) == ([], ("stamp", "base"))


def test_a_half_done_downgrade_is_found_where_nothing_is_pending(pair: Pair) -> None:
    gated = pair.gated
    pair.write(NO_KEY, ("pass", f"{BLOCK}{INSERT}\n    {SLEEP}"))
    assert gated.alembic("upgrade", "head").returncode == 0
    process = gated.start("downgrade", "-1")
    until(lambda: gated.query(SLEEPING) == [(1,)])
    status = gated.dbkit("status")
    assert (status.returncode, "half done" in status.stdout) == (0, False)  # it is running
    assert gated.dbkit("resolve", "rev2", env={"MIGRATION_WAIT": "0"}).returncode == 5
    process.kill()
    process.communicate()
    now = {"MIGRATION_WAIT": "5s"}
    assert gated.alembic("upgrade", "head", env=now).returncode == 6
    assert gated.dbkit("migrate", env=now).returncode == 6
    assert gated.dbkit("wait", "--at-head", env={"MIGRATION_WAIT": "1s"}).returncode == 6
    (gated.versions / "rev2.py").rename(gated.versions / "rev2.txt")
    pair.add("rev2b", "rev1")
    assert gated.dbkit("resolve", "rev2", env=now).returncode == 0  # also where its file is gone


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


@pytest.mark.parametrize(
    "statement",
    others_slow(
        3,
        [
            "op.execute('SELECT pg_advisory_unlock_all()')",
            f"{BLOCK}op.execute('DISCARD ALL')",
            "op.execute(\"SET lock_timeout = '10min'\")",
            "op.execute(\"SELECT pg_catalog.set_config('search_path', '', false)\")",
            "op.execute('SET LOCAL search_path = pg_catalog')",
            "op.execute(\"-- more time\\nSET lock_timeout = '10min'\")",
            "op.execute('CREATE ROLE nobody_else')\nop.execute('SET ROLE nobody_else')",
        ],
    ),
)
def test_what_a_migration_sets_ends_with_it(pair: Pair, statement: str) -> None:
    seen = (
        "op.execute(\"CREATE TABLE seen AS SELECT current_setting('lock_timeout') AS lock, current_setting('search_path') AS path, "
        "current_setting('client_connection_check_interval') AS interval, "
        "(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks\")"
    )
    pair.write(statement, seen)
    typed = pair.gated.alembic("upgrade", "head")
    try:
        assert typed.returncode == 0, typed.stderr
        assert pair.gated.query("SELECT * FROM seen") == [("1s", '"$user", public', "500ms", 1)]
        assert pair.gated.journal() == [("upgrade", "rev1"), ("upgrade", "rev2")]
    finally:
        pair.gated.query("DROP ROLE IF EXISTS nobody_else")


def test_the_longer_wait_of_an_index_ends_with_it(pair: Pair) -> None:
    swallowed = (
        f"try:\n    {BLOCK.replace(chr(10), chr(10) + '    ')}op.execute('CREATE INDEX CONCURRENTLY ix ON t (nothing)')\n"
        "except sa.exc.ProgrammingError:\n    pass\n"
        "op.execute(\"CREATE TABLE seen AS SELECT current_setting('lock_timeout') AS lock\")"
    )
    pair.write(NO_KEY, swallowed)
    typed = pair.gated.alembic("upgrade", "head")
    assert typed.returncode == 0, typed.stderr
    assert pair.gated.query("SELECT * FROM seen") == [("1s",)]


def test_a_pause_does_not_end_the_session(pair: Pair) -> None:
    pair.write(TABLE)
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    name = sql.Identifier(pair.gated.target.dbname).as_string()
    pair.gated.query(f"ALTER DATABASE {name} SET idle_session_timeout = '100ms'")
    pair.write("op.execute('ALTER TABLE t ADD x int')")
    upgrade_behind_a_reader(pair.gated, "400ms")


def test_a_database_of_another_encoding(pair: Pair, server: Cluster) -> None:
    pair.write(TABLE)
    (pair.gated.versions / "rev1.py").rename(pair.gated.versions / "rev1_größe_\u4e2d.py")
    name = sql.Identifier(f"latin_{pair.gated.target.dbname}").as_string()
    pair.gated.query(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    latin = replace(pair.gated, target=server.target(f"latin_{pair.gated.target.dbname}"))
    typed = latin.alembic("upgrade", "head")
    assert typed.returncode == 0, typed.stderr
    assert latin.query("SELECT file FROM dbkit_journal") == [("rev1_gr\\xf6\\xdfe_\\u4e2d.py",)]


def test_nobody_listens(pair: Pair) -> None:
    pair.write(
        TABLE, "op.execute('ALTER TABLE t ADD x int')\nop.get_bind().commit()", "op.execute('CREATE TABLE u ()')"
    )
    with Path("/dev/full").open("w") as full:
        subprocess.run(
            pair.gated.command("upgrade", "head"),
            cwd=pair.gated.root,
            env=pair.gated.variables(),
            stderr=full,
            check=False,
        )
    assert pair.gated.heads() == ["rev3"]


def test_reset_waits_for_a_running_migration(pair: Pair) -> None:
    pair.write(NO_KEY, SLEEP)
    process = pair.gated.start("upgrade", "head")
    until(lambda: pair.gated.query(SLEEPING) == [(1,)])
    assert pair.gated.dbkit("reset", env={"MIGRATION_WAIT": "0"}).returncode == 5
    process.terminate()
    process.communicate()
    assert pair.gated.heads() == ["rev1"]


def test_a_script_waits_for_nobody_and_runs_beside_nobody(pair: Pair, local_settings: Settings) -> None:
    pair.write(NO_KEY)
    script = pair.gated.alembic("upgrade", "head", "--sql").stdout
    psql = [client_program(local_settings, "psql"), "-X", "-q", url_of(pair.gated.target)]
    with psycopg.connect(**pair.gated.target.parameters(), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [lock_key(pair.gated.target.dbname)])
        refused = subprocess.run(psql, input=script, text=True, capture_output=True, check=False)
        assert "another migration is running" in refused.stderr
    subprocess.run(psql, input=script, text=True, check=True)


# Autogenerate, and downgrades that leave something

MODELS = """
import sqlalchemy as sa


class Base:
    metadata = sa.MetaData()


sa.Table("t", Base.metadata, sa.Column("id", sa.Integer, primary_key=True), {columns})
"""


def write_models(pair: Pair, columns: str) -> None:
    for project in (pair.bare, pair.gated):
        models = project.root / "backend/app/models.py"
        models.parent.mkdir(exist_ok=True)
        models.write_text(MODELS.format(columns=columns))
        project.environment["PYTHONPATH"] = os.pathsep.join(
            [str(project.root / "backend"), str(REPOSITORY / "scripts")]
        )
    env_py = pair.bare.env_py.read_text()
    metadata = "from app.models import Base\ntarget_metadata = Base.metadata"
    pair.bare.env_py.write_text(env_py.replace("target_metadata = None", metadata))


def generated(project: Project) -> tuple[str, str]:
    """What a new autogenerated revision says, and what was said about it; no text where no file was written."""
    before = set(project.versions.glob("*.py"))
    typed = project.alembic("revision", "--autogenerate", "-m", "generated")
    assert typed.returncode == 0, typed.stderr
    made = set(project.versions.glob("*.py")) - before
    text = "".join(path.read_text() for path in made)
    for path in made:
        path.unlink()
    return text, typed.stderr


@pytest.mark.slow
def test_autogenerate(pair: Pair) -> None:
    pair.write("op.create_table('t', sa.Column('id', sa.Integer, primary_key=True), sa.Column('name', sa.Text))")
    write_models(pair, 'sa.Column("name", sa.Text)')
    for project in (pair.bare, pair.gated):
        assert project.alembic("upgrade", "head").returncode == 0
    # nothing has changed: an empty file, or none; and the journal is no table that the models lack
    assert "pass" in generated(pair.bare)[0]
    text, said = generated(pair.gated)
    assert (text, "no changes found; no file was written" in said) == ("", True)
    assert pair.gated.alembic("check").returncode == 0
    # somebody else's table
    for project in (pair.bare, pair.gated):
        project.query("CREATE TABLE somebodys (id int)")
    assert "drop_table('somebodys')" in generated(pair.bare)[0]
    assert generated(pair.gated)[0] == ""
    # a rename is a drop, said and marked
    write_models(pair, 'sa.Column("title", sa.Text)')
    text, said = generated(pair.bare)
    assert ("drop_column('t', 'name')" in text, "Was it renamed?" in text) == (True, False)
    text, said = generated(pair.gated)
    assert "DROPS column t.name with its data. Was it renamed?" in text
    assert "this revision drops column t.name, with the data in it." in said
    # a server default
    write_models(pair, 'sa.Column("name", sa.Text, server_default="x")')
    assert "server_default" not in generated(pair.bare)[0]
    assert "server_default" in generated(pair.gated)[0]


@pytest.mark.parametrize(
    ("upgrade", "downgrade"),
    others_slow(
        1,
        [
            (
                "op.execute(\"CREATE TYPE mood AS ENUM ('a')\")\nop.execute('CREATE TABLE m (m mood)')",
                "op.execute('DROP TABLE m')",
            ),
            ("op.execute('CREATE TABLE m (id int)')", "pass"),
        ],
    ),
)
def test_a_downgrade_that_leaves_something(pair: Pair, upgrade: str, downgrade: str) -> None:
    pair.write((upgrade, downgrade))
    assert pair.bare.alembic("upgrade", "head").returncode == 0
    assert pair.bare.alembic("downgrade", "base").returncode == 0  # not a word
    assert pair.bare.alembic("upgrade", "head").returncode == 1  # but never again
    proof = pair.gated.dbkit("roundtrip")
    assert proof.returncode == 1, proof.stderr
    assert re.search(r"^(dirty|broken): rev1", proof.stdout, re.MULTILINE), proof.stdout
