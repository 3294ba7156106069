"""The embedded server: one, whoever asks; found by connecting; nobody else's process touched."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from dbkit.errors import CheckFailed, InputError
from dbkit.postgres import scratch_cluster
from dbkit.postgres.binaries import client_program, program_major, server_bindir
from dbkit.postgres.cluster import Cluster, development_cluster
from dbkit.postgres.os_account import Account, server_account
from dbkit.postgres.private_dirs import private_directory
from dbkit.settings import Settings
from support.kit import REPOSITORY
from support.running import foreground, needs_root, others_slow, until
from support.servers import DEBIAN
from support.sessions import connect_as_project as connect

START = "from dbkit.settings import load; from dbkit.postgres.cluster import development_cluster; from pathlib import Path; "
START += "import sys; development_cluster(load(Path(sys.argv[1]), {})).ensure_running()"


@pytest.fixture
def project(workspace: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """An empty project directory whose cluster is removed afterwards."""
    path = workspace / f"project {abs(hash(request.node.nodeid)):x}"
    path.mkdir()
    yield path
    shutil.rmtree(path)


@pytest.fixture
def cluster(project: Path, local_settings: Settings) -> Iterator[Cluster]:
    made = development_cluster(replace(local_settings, root=project))
    yield made
    made.remove()


def postmaster(cluster: Cluster) -> int:
    return int((cluster.data / "postmaster.pid").read_text().split()[0])


def give(cluster: Cluster, path: Path) -> None:
    os.chown(path, cluster.account.uid, cluster.account.gid)


def marked(cluster: Cluster) -> Cluster:
    """A running cluster with a row in it that must survive."""
    with connect(cluster.ensure_running()) as connection:
        connection.execute("CREATE TABLE mark AS SELECT 42 AS answer")
    return cluster


def read_mark(cluster: Cluster) -> object:
    with connect(cluster.ensure_running()) as connection:
        return connection.execute("SELECT answer FROM mark").fetchone()


def test_data_survive_a_stop(cluster: Cluster) -> None:
    marked(cluster)
    assert cluster.stop()
    assert not cluster.stop()
    assert read_mark(cluster) == (42,)


def test_it_listens_on_a_private_socket_only(cluster: Cluster) -> None:
    with connect(cluster.ensure_running()) as connection:
        shown = [connection.execute(f"SHOW {name}").fetchone() for name in ("listen_addresses", "fsync", "timezone")]
    assert shown == [("",), ("on",), ("UTC",)]
    found = cluster.socket_directory.lstat()
    assert (found.st_uid, found.st_mode & 0o777) == (cluster.account.uid, 0o700)


@pytest.mark.slow
def test_text_is_utf8_and_sorts_by_code_point(cluster: Cluster) -> None:
    with connect(cluster.ensure_running()) as connection:
        row = connection.execute(
            "SELECT upper('ü'), 'Z' < 'a', pg_encoding_to_char(encoding) FROM pg_database"
        ).fetchone()
    assert row == ("Ü", True, "UTF8")


def test_many_at_once_start_one_server(project: Path, cluster: Cluster) -> None:
    command = [sys.executable, "-c", START, str(project)]
    with ThreadPoolExecutor(6) as pool:
        results = list(
            pool.map(lambda _: subprocess.run(command, capture_output=True, text=True, check=False), range(6))
        )
    assert [result.stderr for result in results] == [""] * 6
    log = (cluster.directory / "server.log").read_text()
    assert log.count("ready to accept connections") == 1
    assert not list(cluster.directory.glob("data.new-*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "env",
    others_slow(
        1, [{"LANG": "xx_YY.UTF-8", "LC_ALL": "xx_YY"}, {"PGHOST": "/nowhere", "PGDATA": "/nowhere", "PGPORT": "1"}]
    ),
)
def test_the_callers_locale_and_variables_do_not_matter(project: Path, cluster: Cluster, env: dict[str, str]) -> None:
    command = [sys.executable, "-c", START, str(project)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **env})
    assert result.returncode == 0, result.stderr
    assert cluster.stop()


@pytest.mark.slow
def test_after_a_crash_it_starts_again(cluster: Cluster) -> None:
    marked(cluster)
    os.kill(postmaster(cluster), signal.SIGKILL)
    assert read_mark(cluster) == (42,)


@pytest.mark.slow
def test_a_pid_file_that_names_somebody_else_is_ignored_and_he_lives(cluster: Cluster) -> None:
    """After a reboot the old pid belongs to another process, here one of the server's own user."""
    marked(cluster)
    pid_file = cluster.data / "postmaster.pid"
    content = pid_file.read_text()
    cluster.stop()
    bystander = subprocess.Popen(["sleep", "600"], **cluster.account.popen_options)  # type: ignore[call-overload]
    try:
        pid_file.write_text(content.replace(content.split()[0], str(bystander.pid), 1))
        give(cluster, pid_file)
        assert not cluster.stop()
        assert read_mark(cluster) == (42,)
        assert postmaster(cluster) != bystander.pid
        assert cluster.stop()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.spread(2)
@pytest.mark.parametrize("content", others_slow(2, ["", "\n", "12x", "-5\n"]))
def test_a_half_written_pid_file_recovers(cluster: Cluster, content: str) -> None:
    marked(cluster).stop()
    (cluster.data / "postmaster.pid").write_text(content)
    give(cluster, cluster.data / "postmaster.pid")
    assert read_mark(cluster) == (42,)


@pytest.mark.slow
def test_a_zombie_in_the_pid_file_recovers(cluster: Cluster) -> None:
    marked(cluster)
    pid_file = cluster.data / "postmaster.pid"
    content = pid_file.read_text()
    cluster.stop()
    zombie = subprocess.Popen(["true"], **cluster.account.popen_options)  # type: ignore[call-overload]
    until(lambda: Path(f"/proc/{zombie.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
    pid_file.write_text(content.replace(content.split()[0], str(zombie.pid), 1))
    give(cluster, pid_file)
    assert read_mark(cluster) == (42,)
    zombie.wait()


@pytest.mark.slow
def test_a_project_that_is_moved_takes_its_server_along(cluster: Cluster, project: Path) -> None:
    marked(cluster).stop()
    moved = project.with_name(f"{project.name} moved")
    project.rename(moved)
    there = development_cluster(replace(SETTINGS, root=moved))
    try:
        assert read_mark(there) == (42,)
    finally:
        there.remove()
        moved.rename(project)


@pytest.mark.slow
def test_a_copy_of_a_running_cluster_is_another_server(cluster: Cluster, project: Path) -> None:
    marked(cluster)
    copy = project.with_name(f"{project.name} copy")
    subprocess.run(["cp", "-a", project, copy], check=True)
    other = development_cluster(replace(SETTINGS, root=copy))
    try:
        assert read_mark(other) == (42,)
        assert postmaster(other) != postmaster(cluster)
    finally:
        other.remove()
        shutil.rmtree(copy)
    assert read_mark(cluster) == (42,)


SETTINGS = Settings(
    root=REPOSITORY,
    ini=REPOSITORY / "alembic.ini",
    target=None,
    app_env="test",
    lock_timeout=0,
    lock_budget=0,
    statement_timeout=0,
    wait=0,
    pg_bindir=None,
    confirm=None,
)


@pytest.mark.slow
def test_a_path_too_long_for_a_socket_works(workspace: Path) -> None:
    root = workspace / ("long" * 20) / ("path" * 20)
    root.mkdir(parents=True)
    cluster = development_cluster(replace(SETTINGS, root=root))
    try:
        assert len(str(cluster.data)) > 150
        assert read_mark(marked(cluster)) == (42,)
        assert len(str(cluster.socket_directory)) < 60
    finally:
        cluster.remove()
    assert not cluster.socket_directory.exists()


@pytest.mark.slow
def test_another_major_gets_a_clear_message_and_keeps_the_data(cluster: Cluster) -> None:
    marked(cluster).stop()
    (cluster.data / "PG_VERSION").write_text("12\n")
    with pytest.raises(InputError, match=r"created by PostgreSQL 12, .* has PostgreSQL 18"):
        cluster.ensure_running()


@pytest.mark.slow
def test_a_server_that_cannot_start_says_why(cluster: Cluster) -> None:
    marked(cluster).stop()
    with (cluster.data / "postgresql.conf").open("a") as config:
        config.write("no_such_setting = on\n")
    with pytest.raises(CheckFailed, match="no_such_setting"):
        cluster.ensure_running()


def test_somebody_elses_directory_is_not_used(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    link = tmp_path / "link"
    link.symlink_to(target)
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    for path in (link, open_to_all):
        with pytest.raises(InputError, match="is not a directory that belongs to"):
            private_directory(path, 0o700)


@needs_root
def test_root_runs_the_server_as_somebody_else_without_opening_anything(cluster: Cluster, project: Path) -> None:
    before = [parent.stat().st_mode for parent in project.parents]
    marked(cluster)
    status = Path(f"/proc/{postmaster(cluster)}/status").read_text()
    assert f"Uid:\t{cluster.account.uid}\t" in status
    assert "Groups:\t \n" in status or f"Groups:\t{cluster.account.gid} \n" in status
    assert [parent.stat().st_mode for parent in project.parents] == before


@pytest.mark.slow
@needs_root
def test_root_follows_no_link_that_the_servers_account_put_there(cluster: Cluster, tmp_path: Path) -> None:
    marked(cluster).stop()
    roots_own = tmp_path / "roots-own"
    roots_own.touch()
    for name in ("server.log", "data/dbkit.conf"):
        link = cluster.directory / name
        kept = link.rename(link.with_suffix(".kept"))
        link.symlink_to(roots_own)
        with pytest.raises(OSError, match="symbolic link"):
            cluster.ensure_running()
        kept.rename(link)
    assert (roots_own.stat().st_uid, roots_own.read_text()) == (0, "")


@pytest.mark.slow
@needs_root
def test_root_in_a_directory_that_only_root_may_enter(tmp_path: Path) -> None:
    """tmp_path is 0700 and root's: the cluster goes to a place that the server's account can reach."""
    tmp_path.chmod(0o700)
    cluster = development_cluster(replace(SETTINGS, root=tmp_path))
    try:
        assert not cluster.directory.is_relative_to(tmp_path)
        assert read_mark(marked(cluster)) == (42,)
        assert tmp_path.stat().st_mode & 0o777 == 0o700
    finally:
        cluster.remove()


@pytest.mark.slow
@needs_root
def test_programs_that_the_servers_account_cannot_reach_are_copied(tmp_path: Path, project: Path) -> None:
    """A venv below /root: the whole installation, with the libraries beside it, goes where the account can read it."""
    tmp_path.chmod(0o700)
    package = server_bindir(SETTINGS).parents[1]
    shutil.copytree(package / "pginstall", tmp_path / package.name / "pginstall", symlinks=True)
    shutil.copytree(package.with_name(f"{package.name}.libs"), tmp_path / f"{package.name}.libs")
    bindir = tmp_path / package.name / "pginstall" / "bin"
    cluster = development_cluster(replace(SETTINGS, root=project, pg_bindir=bindir))
    copy = cluster.bindir.parents[2]
    try:
        assert not cluster.bindir.is_relative_to(tmp_path)
        assert (copy.stat().st_uid, copy.stat().st_mode & 0o777) == (0, 0o755)
        assert read_mark(marked(cluster)) == (42,)
    finally:
        cluster.remove()
        shutil.rmtree(copy)


COPY = "from pathlib import Path; import sys; from dbkit.postgres import binaries, os_account; "
COPY += "print(binaries.reachable_bindir(Path(sys.argv[1]), os_account.server_account(Path('/'))))"


@pytest.mark.slow
@needs_root
def test_the_copy_is_made_once_and_runs_whatever_the_umask_was(tmp_path: Path) -> None:
    """pip with umask 077 leaves directories that nobody else can enter; several may find out at once."""
    tmp_path.chmod(0o700)
    package = server_bindir(SETTINGS).parents[1]
    subprocess.run(["cp", "-r", package, package.with_name(f"{package.name}.libs"), tmp_path], check=True)
    subprocess.run(["chmod", "-R", "go-rwx", tmp_path], check=True)
    command = [sys.executable, "-c", COPY, str(tmp_path / package.name / "pginstall/bin")]
    with ThreadPoolExecutor(4) as pool:
        results = list(
            pool.map(lambda _: subprocess.run(command, capture_output=True, text=True, check=False), range(4))
        )
    assert [result.stderr for result in results] == [""] * 4
    (bindir,) = {Path(result.stdout.strip()) for result in results}
    try:
        assert server_account(Path("/")).can(os.X_OK, bindir / "initdb")
        assert not list(bindir.parents[2].parent.glob("*.unfinished"))
    finally:
        shutil.rmtree(bindir.parents[2])


@pytest.mark.slow
@needs_root
def test_a_server_of_somebody_else_is_not_talked_to(workspace: Path, local_settings: Settings) -> None:
    """In a path that is too special for a socket, the directory is below /tmp, where anybody may have been first."""
    root = workspace / "squatted, ü"
    root.mkdir()
    cluster = development_cluster(replace(local_settings, root=root))
    with scratch_cluster.cluster(replace(local_settings, root=workspace)) as other:
        cluster.socket_directory.symlink_to(other.socket_directory)
        try:
            with pytest.raises(InputError, match="is not a directory that belongs to"):
                cluster.ensure_running()
        finally:
            cluster.socket_directory.unlink()
        stranger = replace(other, account=Account("daemon", 1, 1))
        with pytest.raises(psycopg.OperationalError, match="requirepeer"):
            psycopg.connect(**stranger.target().parameters())
    shutil.rmtree(root)


@pytest.mark.slow
@needs_root
def test_another_users_cluster_is_told_apart(cluster: Cluster, project: Path) -> None:
    marked(cluster)
    stranger = replace(cluster, account=Account("daemon", 1, 1))

    def is_refused() -> bool:
        with pytest.raises(InputError, match=f"belongs to uid {cluster.account.uid}|cannot "):
            stranger.ensure_running()
        return True

    assert stranger.account._try(is_refused)
    assert read_mark(cluster) == (42,)


@pytest.mark.slow
@pytest.mark.skipif(not DEBIAN, reason="no PostgreSQL in /usr/lib/postgresql")
def test_pg_bindir_chooses_the_programs(project: Path) -> None:
    bindir = DEBIAN[-1].parent
    cluster = development_cluster(replace(SETTINGS, root=project, pg_bindir=bindir))
    try:
        with connect(cluster.ensure_running()) as connection:
            assert connection.info.server_version // 10000 == program_major(bindir / "postgres")
    finally:
        cluster.remove()


def test_a_pg_bindir_without_postgres_is_named(project: Path) -> None:
    with pytest.raises(InputError, match=f"no postgres and initdb in {project}"):
        server_bindir(replace(SETTINGS, pg_bindir=project))


def test_where_nothing_is_installed_the_setting_to_make_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A production image: no wheel; and a server that happens to be on PATH is not taken."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="DATABASE_URL is not set, and the embedded server is not installed here"):
        server_bindir(replace(SETTINGS, app_env="production"))


def test_a_client_older_than_the_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"pg_dump 18 cannot read a server of version 99"):
        client_program(SETTINGS, "pg_dump", 99)


def test_an_account_that_is_us_needs_no_change(project: Path) -> None:
    account = server_account(project)
    assert account.uid != 0
    assert account.can(os.R_OK, Path("/"))


SCRATCH = """
import sys, time
from pathlib import Path
from dbkit.postgres import scratch_cluster
from dbkit.signals import raise_on_signals
from dbkit.settings import load
raise_on_signals()
with scratch_cluster.cluster(load(Path(sys.argv[1]), {})) as cluster:
    print(cluster.directory, (cluster.data / "postmaster.pid").read_text().split()[0], flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", others_slow(1, [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]))
def test_a_throw_away_cluster_is_gone_after_a_signal(project: Path, number: int) -> None:
    process, directory, server = start_scratch(project)
    process.send_signal(number)
    process.wait(timeout=180)
    assert not directory.exists()
    assert not alive(server)


@pytest.mark.slow
def test_what_a_killed_process_left_behind_is_removed_by_the_next(project: Path) -> None:
    process, directory, server = start_scratch(project)
    process.kill()
    process.wait()
    assert directory.exists()
    second, other, _ = start_scratch(project)
    assert not directory.exists()
    assert not alive(server)
    second.terminate()
    second.wait()
    assert not other.exists()


def test_what_was_killed_before_its_server_started_is_removed_too(local_settings: Settings) -> None:
    directory = scratch_cluster._base_directory() / "dbkit-scratch-killed-early"
    directory.mkdir()
    directory.with_suffix(".owner").touch()
    with scratch_cluster.cluster(local_settings):
        assert not directory.exists()
        assert not directory.with_suffix(".owner").exists()


@pytest.mark.slow
@needs_root
def test_what_another_accounts_server_left_behind_is_removed(project: Path, workspace: Path) -> None:
    shutil.chown(project, "nobody")
    process, directory, server = start_scratch(project)
    assert directory.owner() == "nobody"
    process.kill()
    process.wait()
    with scratch_cluster.cluster(replace(SETTINGS, root=workspace)):
        assert not directory.exists()
        assert not alive(server)


def start_scratch(project: Path) -> tuple["subprocess.Popen[str]", Path, int]:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRATCH, str(project)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=foreground,
    )
    assert process.stdout
    directory, _, pid = process.stdout.readline().strip().rpartition(" ")
    return process, Path(directory), int(pid)


def alive(pid: int) -> bool:
    try:
        return "postgres" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False
