"""The promise on the first page: clone, `make migrate`, done; whoever and wherever you are."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.kit import SHOP_HEAD, Kit, copy_checkout, plain_environment
from support.running import needs_root, python_for_everyone

HEAD = SHOP_HEAD


def test_make_migrate_on_a_fresh_clone(fresh_clone: tuple[Kit, subprocess.CompletedProcess[str]]) -> None:
    kit, typed = fresh_clone
    assert typed.returncode == 0, typed.stderr
    assert "26 migrations applied" in typed.stdout
    assert HEAD in kit.alembic("current").stdout
    assert (kit.path / ".env").stat().st_mode & 0o777 == 0o600


def test_again_there_is_nothing_to_do(kit: Kit) -> None:
    typed = kit.make("migrate")
    assert (typed.returncode, typed.stderr) == (0, "")
    assert typed.stdout == f'"app" is at {HEAD}, the head: nothing to apply.\n'


@pytest.mark.shop
@pytest.mark.slow
def test_four_at_once_on_a_fresh_clone(workspace: Path, home: Path) -> None:
    kit = Kit(copy_checkout(workspace / "four at once"), plain_environment(home))
    try:
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda _: kit.make("migrate"), range(4)))
        assert [result.returncode for result in results] == [0] * 4, [result.stderr for result in results]
        assert sum(result.stderr.count("making ./venv") for result in results) == 1
        assert sum("26 migrations applied" in result.stdout for result in results) == 1
        assert kit.cluster.log.read_text().count("ready to accept connections") == 1
        assert kit.query("SELECT version_num FROM alembic_version") == [(HEAD,)]
        assert not list(kit.path.glob(".env.*[0-9]"))
    finally:
        kit.cluster.remove()


@pytest.mark.shop
@needs_root
def test_an_unprivileged_user(workspace: Path) -> None:
    python = python_for_everyone()
    path = copy_checkout(workspace / "unprivileged")
    home = workspace / "home of nobody"
    home.mkdir()
    environment = plain_environment(home) | {"PATH": f"{Path(python).parent}:/usr/bin:/bin", "PYTHON": python}
    subprocess.run(["chown", "-R", "nobody", path, home], check=True)
    kit = Kit(path, environment, {"user": "nobody", "group": path.stat().st_gid, "extra_groups": []})
    try:
        typed = kit.make("migrate")
        assert typed.returncode == 0, typed.stderr
        assert HEAD in kit.alembic("current").stdout
        proven = kit.dbkit("roundtrip")
        assert proven.returncode == 0, proven.stdout[-3000:]
        assert (path / ".dbkit/postgres/data").owner() == "nobody"
    finally:
        kit.cluster.remove()


def test_one_base_directory_is_enough(kit: Kit) -> None:
    """Nothing is written outside of the checkout but the socket of a path that is too special for one."""
    assert list(Path(kit.environment["HOME"]).iterdir()) in ([], [Path(kit.environment["HOME"]) / ".cache"])
