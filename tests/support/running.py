"""Cases that run always or in `nox -s slow`; waiting; and who runs a process."""

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dbkit.postgres.os_account import Account


def others_slow(kept: int, cases: Sequence[Any]) -> list[Any]:
    """Cases of one kind for parametrize: some in every run, the others only in `nox -s slow`."""
    slow = (each if isinstance(each, tuple) else (each,) for each in cases[kept:])
    return [*cases[:kept], *(pytest.param(*each, marks=pytest.mark.slow) for each in slow)]


def spread(items: Iterable[pytest.Item]) -> None:
    """Of a test marked `spread(n)`, leave every `n`th case in every run; the others are for `nox -s slow`."""
    numbers: Counter[str] = Counter()
    for item in items:
        marker = item.get_closest_marker("spread")
        if marker and not (item.get_closest_marker("slow") or item.get_closest_marker("foreign")):
            name = item.nodeid.partition("[")[0]
            if numbers[name] % marker.args[0]:
                item.add_marker("slow")
            numbers[name] += 1


def spread_foreign(step: int, cases: Iterable[tuple[str, Any]]) -> list[Any]:
    """Cases with their names for parametrize: every `step`th in every run, the others only in `nox -s foreign`."""
    foreign = pytest.mark.foreign
    return [
        pytest.param(each, id=name, marks=foreign if number % step else ()) for number, (name, each) in enumerate(cases)
    ]


def until(condition: Callable[[], object]) -> None:
    """Wait for something that must come; for three minutes at most."""
    deadline = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def python_for_everyone() -> str:
    """A Python with venv that another account may run; root's own may be below /root."""
    nobody = Account("nobody", 65534, 65534)
    for name in ("python3", "/usr/bin/python3", "/usr/local/bin/python3"):
        python = shutil.which(name)
        if python and nobody.can(os.X_OK, Path(python).resolve()):
            enough = subprocess.run(
                [python, "-c", "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"], check=False
            )
            if enough.returncode == 0:
                return python
    pytest.skip("no Python 3.11 with venv that another account may run")


def foreground() -> None:
    """For a child: take Ctrl-C as a program in the foreground does, also where the tests run in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
