"""Root follows no link of the server's account, and no other user can hold up, or lead astray, what is below /tmp."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from dbkit.errors import DbkitError, InputError
from dbkit.postgres import cluster as cluster_module
from dbkit.postgres import private_dirs
from dbkit.postgres.binaries import server_bindir
from dbkit.postgres.cluster import development_cluster
from dbkit.postgres.file_lock import hold_file_lock
from dbkit.postgres.os_account import Account
from dbkit.settings import Settings
from support.running import needs_root, others_slow
from support.servers import DEBIAN

pytestmark = needs_root
OTHER = Account("daemon", 1, 1)


def as_other(action: Callable[[], object], account: Account = OTHER) -> bool:
    """Do it as another user; whether it went well."""
    return account._try(lambda: bool(action()))


@pytest.fixture
def shared(workspace: Path, request: pytest.FixtureRequest) -> Path:
    """A directory as /dev/shm is: anybody may write there."""
    path = workspace / f"shared {abs(hash(request.node.nodeid)):x}"
    path.mkdir()
    path.chmod(0o1777)
    return path


@pytest.fixture
def project(workspace: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Root's own project, whose server runs as an account without rights."""
    path = workspace / f"roots {abs(hash(request.node.nodeid)):x}"
    path.mkdir()
    yield path
    shutil.rmtree(path)


INITDB = """\
#!/bin/sh
# initdb of somebody who has got into the server's account
"{bindir}/initdb" "$@" || exit
{trick}
"""
TRICKS = {
    "the file": 'mv "$2/postgresql.conf" "$2/former" && ln -s "{kept}/postgresql.conf" "$2/postgresql.conf"',
    "its directory": 'mv "$2" "$2.former" && ln -s "{kept}" "$2"',
    "a hard link": 'rm "$2/postgresql.conf" && ln "{kept}/postgresql.conf" "$2/postgresql.conf" || exit 0',
}


@pytest.mark.slow
@pytest.mark.parametrize("trick", others_slow(2, list(TRICKS)))
def test_what_initdb_left_is_written_to_as_the_servers_account(
    trick: str, project: Path, workspace: Path, local_settings: Settings
) -> None:
    """Each trick lets `postgresql.conf` be a file, or in a directory, that only root may write to."""
    kept = workspace / f"kept {trick}"
    kept.mkdir()
    (kept / "postgresql.conf").write_text("root's\n")
    programs = workspace / f"programs {trick}"
    programs.mkdir()
    bindir = server_bindir(local_settings)
    for name in ("postgres", "pg_ctl"):
        (programs / name).symlink_to(bindir / name)
    (programs / "initdb").write_text(INITDB.format(bindir=bindir, trick=TRICKS[trick].format(kept=kept)))
    (programs / "initdb").chmod(0o755)
    made = replace(development_cluster(replace(local_settings, root=project)), bindir=programs)
    try:
        with suppress(OSError, DbkitError):  # whether it starts does not matter
            made.ensure_running()
        assert (kept / "postgresql.conf").read_text() == "root's\n"
        assert sorted(path.name for path in kept.iterdir()) == ["postgresql.conf"]
    finally:
        made.kill()
        shutil.rmtree(made.directory)


@pytest.mark.slow
def test_root_reads_and_removes_nothing_through_a_link(
    project: Path, workspace: Path, local_settings: Settings
) -> None:
    """The pid file and the version are links to root's own files, or pipes that nobody writes to."""
    made = development_cluster(replace(local_settings, root=project))
    made.ensure_running()
    try:
        made.stop()
        own = workspace / "roots pid"
        own.write_text("1\n")
        own.chmod(0o600)
        for name in ("postmaster.pid", "PG_VERSION"):
            path = made.data / name
            kept = path.read_bytes() if path.exists() else b""
            for replaced in (lambda path=path: path.symlink_to(own), lambda path=path: os.mkfifo(path)):
                path.unlink(missing_ok=True)
                replaced()
                with pytest.raises((OSError, InputError), match=r"symbolic link|not a regular file"):
                    made.ensure_running()
            path.unlink()
            if kept:
                path.write_bytes(kept)
                os.chown(path, made.account.uid, made.account.gid)
        assert own.read_text() == "1\n"
        made.ensure_running()
    finally:
        made.remove()


def test_no_other_user_can_hold_a_lock(project: Path, local_settings: Settings, shared: Path) -> None:
    """Who can open a file for reading can lock it."""
    locks = [project / ".dbkit/postgres.lock", shared / ".lock"]
    (project / ".dbkit").mkdir()
    for path in locks:
        path.touch(mode=0o644)  # as versions before this one have made it
    development_cluster(replace(local_settings, root=project)).stop()
    with hold_file_lock(locks[1]):
        for path in locks:
            assert not as_other(lambda path=path: path.open())
            assert path.stat().st_mode & 0o777 == 0o600


def test_a_lock_in_a_users_project_stays_his(project: Path, local_settings: Settings) -> None:
    """Also when it was root who has made it."""
    shutil.chown(project, OTHER.uid, OTHER.gid)
    (project / ".dbkit").mkdir()
    shutil.chown(project / ".dbkit", OTHER.uid, OTHER.gid)
    path = project / ".dbkit/postgres.lock"
    with hold_file_lock(path):
        assert path.stat().st_uid == OTHER.uid
    assert as_other(lambda: path.open())


HOLD = """
import fcntl, os, sys
os.setgroups([]); os.setgid(1); os.setuid(1)
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o666)
fcntl.flock(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""
NEXT = """
import sys
from pathlib import Path
from dbkit import settings
from dbkit.postgres import scratch_cluster
scratch_cluster._parent_directory = lambda: Path(sys.argv[1])
with scratch_cluster.future_cluster(settings.load(Path(sys.argv[2]), {"APP_ENV": "test"})) as made:
    print(made.directory, flush=True)
"""


@pytest.mark.spread(3)
@pytest.mark.parametrize("taken", ["dbkit-scratch-0.lock", "dbkit-scratch-0", "a link"])
def test_no_other_user_can_hold_up_a_throw_away_cluster(taken: str, shared: Path, project: Path) -> None:
    """Another user has made what we would make, and holds its lock."""
    holder = None
    if taken == "a link":
        (project / "elsewhere").mkdir()
        as_other(lambda: (shared / "dbkit-scratch-0").symlink_to(project / "elsewhere"))
    elif taken == "dbkit-scratch-0":
        assert as_other(lambda: (shared / taken).mkdir() or (shared / taken).chmod(0o777) or True)
    else:
        command = [sys.executable, "-c", HOLD, str(shared / taken)]
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
    try:
        command = [sys.executable, "-c", NEXT, str(shared), str(project)]
        for _ in range(2):
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
            assert done.returncode == 0, done.stderr
            directory = Path(done.stdout.strip())
            assert not directory.exists()
            own = directory.parent
            assert (own.lstat().st_uid, own.lstat().st_mode & 0o777, own.parent) == (0, 0o711, shared)
            assert [path.name for path in own.iterdir()] == [".lock"]
        assert len([path for path in shared.iterdir() if path.lstat().st_uid == 0 and path.is_dir()]) == 1
        assert not (project / "elsewhere").exists() or not list((project / "elsewhere").iterdir())
    finally:
        if holder:
            holder.communicate()


def test_the_state_directory_that_another_user_has_made_is_not_used(
    shared: Path, monkeypatch: pytest.MonkeyPatch, project: Path, local_settings: Settings
) -> None:
    monkeypatch.setattr(private_dirs, "STATE", shared)
    monkeypatch.setattr(cluster_module, "STATE", shared)
    assert as_other(lambda: (shared / "dbkit-0").mkdir() or True)
    project.chmod(0o700)  # the server's account cannot go there
    made = development_cluster(replace(local_settings, root=project))
    assert made.directory.parent.parent == shared
    assert (made.directory.parent.lstat().st_uid, made.directory.parent.name != "dbkit-0") == (0, True)
    assert development_cluster(replace(local_settings, root=project)).directory == made.directory


@pytest.mark.parametrize("content", ["../../elsewhere", "", "0123456789abcdeg"])
def test_an_identity_that_is_a_path_is_refused(content: str, project: Path, local_settings: Settings) -> None:
    (project / ".dbkit").mkdir()
    (project / ".dbkit/identity").write_text(content)
    with pytest.raises(InputError, match="does not contain what dbkit wrote"):
        development_cluster(replace(local_settings, root=project))


UNPRIVILEGED = """
import os, sys
from pathlib import Path
from dbkit import settings
from dbkit.postgres import scratch_cluster
from dbkit.postgres.connect import connect
import dbkit.postgres.cluster, dbkit.postgres.binaries, encodings.idna, psycopg
os.setgroups([]); os.setgid(65534); os.setuid(65534)
os.environ["HOME"] = "/"
scratch_cluster._parent_directory = lambda: Path(sys.argv[1])
with scratch_cluster.cluster(settings.load(Path(sys.argv[2]), {"APP_ENV": "test", "PG_BINDIR": sys.argv[3]})) as made:
    with connect(made.target("postgres")) as connection:
        print(made.directory.parent.name, connection.execute("SELECT 42").fetchone())
print(*os.listdir(made.directory.parent))
"""


@pytest.mark.slow
@pytest.mark.skipif(not DEBIAN, reason="no PostgreSQL that every account can run")
def test_an_unprivileged_user_has_a_directory_of_his_own(shared: Path, project: Path) -> None:
    command = [sys.executable, "-c", UNPRIVILEGED, str(shared), str(project), str(DEBIAN[-1].parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.stdout.splitlines() == ["dbkit-scratch-65534 (42,)", ".lock"], done.stderr
    assert (shared / "dbkit-scratch-65534").stat().st_mode & 0o777 == 0o700
