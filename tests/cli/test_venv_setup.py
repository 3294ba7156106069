"""venv-setup.sh: one venv from the lock, instant when nothing changed, sound again after whatever happened to it."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.kit import Kit, copy_checkout, plain_environment
from support.running import until

# One package is enough to see what the script does, and takes a second instead of ten.
SMALL_LOCK = "iniconfig"


@pytest.fixture
def checkout(workspace: Path, home: Path, request: pytest.FixtureRequest) -> Iterator[Kit]:
    """A checkout whose lock holds one small package."""
    path = workspace / f"set-up {abs(hash(request.node.nodeid)):x}"
    path.mkdir()
    source = copy_checkout(path / "kit")
    shrink(source / "lock" / "dev.txt", SMALL_LOCK)
    (source / "lock" / "embedded.txt").write_text("")
    yield Kit(source, plain_environment(home))
    shutil.rmtree(path)


def shrink(lock: Path, package: str) -> None:
    """Keep one package of a lock, with its hashes."""
    kept: list[str] = []
    for line in lock.read_text().splitlines():
        if not line.startswith(" "):
            keeping = line.startswith(f"{package}==")
        if keeping:
            kept.append(line)
    lock.write_text("\n".join(kept) + "\n")


def set_up(kit: Kit, **env: str) -> subprocess.CompletedProcess[str]:
    return kit.run(str(kit.path / "venv-setup.sh"), cwd="backend", env=env)


def installed(kit: Kit) -> list[str]:
    shown = kit.run("venv/bin/python", "-c", f"import {SMALL_LOCK}, dbkit, sys; print(dbkit.__file__)")
    assert shown.returncode == 0, shown.stderr
    return shown.stdout.splitlines()


def test_it_makes_a_venv_and_then_does_nothing(checkout: Kit) -> None:
    first = set_up(checkout)
    assert first.returncode == 0, first.stderr
    assert "making ./venv" in first.stderr
    assert installed(checkout) == [str(checkout.path / "src/dbkit/__init__.py")]
    second = set_up(checkout)
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")


def test_the_console_script_works_from_anywhere(kit: Kit) -> None:
    shown = kit.run(str(kit.path / "venv/bin/dbkit"), "status", cwd="/")
    assert shown.returncode == 0, shown.stderr
    assert "next" in shown.stdout


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["", "1"])
def test_packages_are_compiled_where_no_command_would(checkout: Kit, variable: str) -> None:
    assert set_up(checkout, PYTHONDONTWRITEBYTECODE=variable).returncode == 0
    compiled = list(checkout.path.glob(f"venv/lib/python*/site-packages/{SMALL_LOCK}/__pycache__/__init__.*.pyc"))
    assert bool(compiled) == bool(variable)


@pytest.mark.slow
def test_a_changed_lock_refreshes_and_keeps_what_else_is_there(checkout: Kit) -> None:
    set_up(checkout)
    mark = checkout.path / "venv" / "mine"
    mark.touch()
    with (checkout.path / "lock" / "dev.txt").open("a") as lock:
        lock.write("# changed\n")
    again = set_up(checkout)
    assert "installing packages" in again.stderr
    assert "making ./venv" not in again.stderr
    assert mark.exists()


@pytest.mark.slow
def test_a_wrong_hash_is_refused_and_the_next_run_recovers(checkout: Kit) -> None:
    lock = checkout.path / "lock" / "dev.txt"
    good = lock.read_text()
    lock.write_text(good.replace("sha256:", "sha256:0000"))
    broken = set_up(checkout)
    assert broken.returncode != 0
    assert "hash" in broken.stderr.lower()
    lock.write_text(good)
    assert set_up(checkout).returncode == 0
    assert installed(checkout)


def of_session(leader: int) -> list[int]:
    """The processes of a session, in all of its process groups."""
    stats = (path.read_text().rpartition(")") for path in Path("/proc").glob("[0-9]*/stat"))
    return [int(name.split()[0]) for name, _, rest in stats if int(rest.split()[3]) == leader]


@pytest.mark.slow
def test_interrupted_half_way_it_recovers(checkout: Kit) -> None:
    process = subprocess.Popen(
        ["./venv-setup.sh"],
        cwd=checkout.path,
        env=dict(checkout.environment),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(lambda: (checkout.path / "venv" / "bin").exists())
    for pid in of_session(process.pid):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    assert not (checkout.path / "venv" / ".dbkit-stamp").exists()
    again = set_up(checkout)
    assert again.returncode == 0, again.stderr
    assert "making ./venv" in again.stderr
    assert installed(checkout)


@pytest.mark.slow
def test_killed_while_an_old_venv_is_taken_apart_it_recovers(checkout: Kit) -> None:
    set_up(checkout)
    (checkout.path / "venv").rename(checkout.path / ".dbkit/venv.old.1")
    (checkout.path / ".dbkit/venv.old.1/pyvenv.cfg").unlink()
    assert set_up(checkout).returncode == 0
    assert installed(checkout)
    assert not list((checkout.path / ".dbkit").glob("venv.old.*"))


@pytest.mark.slow
def test_a_checkout_that_was_moved_gets_a_venv_of_its_own(checkout: Kit) -> None:
    set_up(checkout)
    moved = checkout.path.with_name("moved")
    checkout.path.rename(moved)
    kit = Kit(moved, checkout.environment)
    assert "making ./venv" in set_up(kit).stderr
    assert installed(kit) == [str(moved / "src/dbkit/__init__.py")]


@pytest.mark.slow
def test_a_venv_somebody_made_by_hand_is_used(checkout: Kit) -> None:
    checkout.run("python3", "-m", "venv", "venv")
    mark = checkout.path / "venv" / "mine"
    mark.touch()
    assert set_up(checkout).returncode == 0
    assert mark.exists()
    assert installed(checkout)


def test_a_directory_that_is_no_venv_is_left_alone(checkout: Kit) -> None:
    (checkout.path / "venv").mkdir()
    (checkout.path / "venv" / "precious").touch()
    refused = set_up(checkout)
    assert refused.returncode == 2
    assert "is not a virtual environment" in refused.stderr
    assert (checkout.path / "venv" / "precious").exists()


@pytest.mark.slow
def test_a_dangling_interpreter_is_replaced(checkout: Kit) -> None:
    set_up(checkout)
    python = checkout.path / "venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3")
    assert "making ./venv" in set_up(checkout).stderr
    assert installed(checkout)


@pytest.mark.slow
def test_python_that_is_too_old_or_missing_is_named(checkout: Kit) -> None:
    old = checkout.path / "old-python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.8.1 && exit\nexit 1\n')
    old.chmod(0o755)
    refused = set_up(checkout, PYTHON=str(old))
    assert refused.returncode == 2
    assert "Python 3.8.1 is too old: 3.11 or newer" in refused.stderr
    missing = set_up(checkout, PYTHON="python9.99")
    assert missing.returncode == 2
    assert "python9.99 is not on PATH" in missing.stderr
    assert not (checkout.path / "venv").exists()


@pytest.mark.slow
def test_python_chooses_the_interpreter(checkout: Kit) -> None:
    other = next((found for name in ("python3.12", "python3.13", "python3.14") if (found := working(name))), None)
    if not other:
        pytest.skip("no second Python on this machine")
    set_up(checkout)
    assert "making ./venv" in set_up(checkout, PYTHON=other).stderr
    version = checkout.run("venv/bin/python", "-c", "import sys; print(*sys.version_info[:2], sep='.')").stdout.strip()
    assert other.endswith(version)
    kept = set_up(checkout)
    assert (kept.returncode, kept.stderr) == (0, "")


def working(name: str) -> str | None:
    """The interpreter behind a name on PATH, which may be a shim that has none."""
    script = "import ensurepip, sys; print(sys.executable)"
    if not shutil.which(name):
        return None
    shown = subprocess.run([name, "-c", script], capture_output=True, text=True, check=False).stdout.strip()
    executable = Path(shown or "/nowhere").with_name(name)
    return str(executable) if executable.exists() else None


@pytest.mark.slow
def test_uv_is_used_when_it_is_there(checkout: Kit) -> None:
    tools = checkout.path / "tools"
    tools.mkdir()
    uv = tools / "uv"
    uv.write_text('#!/bin/sh\necho "$@" >> "$(dirname "$0")/asked"\n')
    uv.chmod(0o755)
    set_up(checkout, PATH=f"{tools}:{checkout.environment['PATH']}")
    assert "pip install --quiet --python venv/bin/python --require-hashes" in (tools / "asked").read_text()
