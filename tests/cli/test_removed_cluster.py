"""The embedded server runs, and its files are removed: nothing hangs, and no server is left or made without a word."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.kit import SHOP_HEAD, Kit
from support.pair import gone
from support.running import until


@pytest.fixture
def own(kit: Kit, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    """A checkout with a cluster of its own, which may be removed."""
    path = kit.path.with_name("removed cluster")
    shutil.copytree(kit.path, path, symlinks=True, ignore=shutil.ignore_patterns("venv", ".dbkit"))
    (path / "venv").symlink_to(kit.path / "venv")
    made = Kit(path, {**kit.environment, "PYTHONPATH": str(path / "src")}, server=kit.server)
    yield made
    made.cluster.process.end_orphan()
    if made.cluster.exists():
        made.cluster.stop()
    shutil.rmtree(path)


def postmaster(kit: Kit) -> int:
    return int((kit.cluster.data / "postmaster.pid").read_text().split()[0])


def dbkit(kit: Kit, *arguments: str) -> tuple[int, str]:
    """Raises TimeoutExpired for a verb that hangs."""
    typed = kit.dbkit(*arguments, timeout=120)
    return typed.returncode, typed.stdout + typed.stderr


NEW = "creating a new cluster"


@pytest.mark.parametrize(
    "verbs",
    [
        [("db-start", NEW), ("db-stop", "Ended the server")],
        pytest.param([("migrate", NEW), ("reset", NEW)], marks=pytest.mark.slow),
    ],
)
def test_a_server_whose_files_were_removed_is_ended_and_named(own: Kit, verbs: list[tuple[str, str]]) -> None:
    assert dbkit(own, "db-start")[0] == 0
    for verb, words in verbs:
        pid = postmaster(own)
        shutil.rmtree(own.path / ".dbkit")
        code, told = dbkit(own, "status")
        assert (code, f"its data directory was removed while its server (pid {pid}) ran" in told) == (0, True), told
        assert not gone(pid)  # status changes nothing
        code, told = dbkit(own, verb)
        assert (code, words in told, f"pid {pid}" in told) == (0, True, True), told
        assert "Traceback" not in told
        until(lambda pid=pid: gone(pid))  # type: ignore[misc]
        if verb == "migrate":
            assert own.query("SELECT version_num FROM alembic_version") == [(SHOP_HEAD,)]
    assert own.cluster.process.find_orphan() is None


@pytest.mark.slow
def test_a_server_whose_socket_was_removed_is_started_again(own: Kit) -> None:
    assert dbkit(own, "db-start")[0] == 0
    own.query("CREATE TABLE kept (id int)")
    pid = postmaster(own)
    shutil.rmtree(own.cluster.socket_directory)
    code, told = dbkit(own, "status")
    assert (code, f"the socket of the embedded server (pid {pid}) was removed" in told) == (0, True), told
    assert gone(pid)
    assert own.query("SELECT count(*) FROM kept") == [(0,)]


@pytest.mark.slow
def test_a_cluster_that_was_moved_away_is_not_ended(own: Kit, tmp_path: Path) -> None:
    assert dbkit(own, "db-start")[0] == 0
    pid = postmaster(own)
    elsewhere = own.path / "moved"
    (own.path / ".dbkit").rename(elsewhere)
    try:
        assert own.cluster.process.find_orphan() is None
        assert not gone(pid)
    finally:
        (own.path / ".dbkit").rename(own.path / "made by asking") if (own.path / ".dbkit").exists() else None
        elsewhere.rename(own.path / ".dbkit")
