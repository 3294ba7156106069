"""Ctrl-C in a real terminal, at several moments of `make setup` and `make test`: no traceback, and nothing half made."""

import contextlib
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.kit import Kit, copy_checkout, plain_environment
from support.running import until

BOUND = 120  # seconds; what does not end by then has hung


def typed_in_a_terminal(
    directory: Path, environment: dict[str, str], command: list[str], moment: Callable[[bytes], bool]
) -> tuple[int, str]:
    """Run a command in a terminal of its own, and type Ctrl-C when `moment`, called with what it has said, is there."""
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.chdir(directory)
        os.execvpe(command[0], command, environment)
    said, is_interrupted, deadline = b"", False, time.monotonic() + BOUND
    with contextlib.suppress(OSError):  # which a terminal raises that nobody is at any more
        while time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.01)[0]:
                part = os.read(terminal, 65536)
                if not part:
                    break
                said += part
            if not is_interrupted and moment(said):
                os.write(terminal, b"\x03")
                is_interrupted = True
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert is_interrupted, said.decode()
    return os.waitstatus_to_exitcode(status), said.decode()


def processes_in(directory: Path) -> list[str]:
    """The command lines that name a directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(entry.name) != str(os.getpid()) and os.fsencode(directory) in (entry / "cmdline").read_bytes():
                found.append(f"{entry.name} {(entry / 'cmdline').read_bytes()!r}")
    return found


def assert_quiet(said: str) -> None:
    assert "Traceback" not in said
    assert "KeyboardInterrupt" not in said
    assert "most recent call" not in said


@pytest.mark.spread(2)
@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(lambda path, _said: (path / ".env").exists(), id="at once"),
        pytest.param(lambda path, _said: any(path.glob("venv/lib/*/site-packages/pip")), id="making the venv"),
        pytest.param(lambda _path, said: b"installing packages" in said, id="installing", marks=pytest.mark.slow),
        pytest.param(lambda _path, said: b"installing packages: 2" in said, id="later", marks=pytest.mark.slow),
    ],
)
def test_in_make_setup(workspace: Path, home: Path, moment: Callable[[Path, bytes], bool]) -> None:
    path = copy_checkout(workspace / f"interrupted {time.monotonic_ns()}")
    environment = plain_environment(home) | {"TERM": "xterm"}  # bash has "dumb" without, which gets no progress
    code, said = typed_in_a_terminal(path, environment, ["make", "setup"], lambda text: moment(path, text))
    assert code not in (0, None)
    assert_quiet(said)
    until(lambda: not processes_in(path))
    # nothing there is taken for a finished venv
    assert not (path / "venv/.dbkit-stamp").exists()
    assert not (path / "venv").exists() or (path / "venv/.dbkit-unfinished").exists() or not any(path.glob("venv/*"))


def test_in_make_setup_while_another_one_runs(workspace: Path, home: Path) -> None:
    path = copy_checkout(workspace / f"waiting {time.monotonic_ns()}")
    (path / ".dbkit").mkdir()
    with subprocess.Popen(
        ["flock", path / ".dbkit/venv.lock", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as other:
        waits = path / ".dbkit/venv.lock"
        until(waits.exists)
        code, said = typed_in_a_terminal(
            path, plain_environment(home), ["make", "setup"], lambda _: any("flock(9" in each for each in waiting(path))
        )
        assert code != 0
        assert_quiet(said)
        assert other.stdin
        other.stdin.close()


def waiting(path: Path) -> list[str]:
    """The Pythons that wait in a directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "cwd").readlink() == path:
                found.append((entry / "cmdline").read_text())
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(lambda path, _said: any("pytest" in each for each in waiting(path)), id="at once"),
        pytest.param(lambda _path, said: b"test session starts" in said, id="as the workers start"),
        pytest.param(lambda path, _said: (path / ".dbkit/tests-begun").exists(), id="in the tests"),
    ],
)
def test_in_make_test(kit: Kit, moment: Callable[[Path, bytes], bool]) -> None:
    code, said = typed_in_a_terminal(
        kit.path, dict(kit.environment), ["make", "test"], lambda text: moment(kit.path, text)
    )
    assert code != 0
    assert "Traceback" not in said
    assert "most recent call" not in said
