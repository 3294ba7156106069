"""The first process of a container, and a client that died."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.failure_modes import (
    SLEEP,
    SLEEPING,
    one_line,
    terminate,
)
from support.pair import Pair
from support.running import until


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
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 143
    assert "interrupted in the upgrade of rev1" in one_line(errors)
    until(lambda: pair.gated.query(SLEEPING) == [(0,)])
    assert pair.bare.query(SLEEPING) == [(1,)]
    os.kill(first[False], signal.SIGKILL)
    terminate(pair.bare, process)


@pytest.mark.slow
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
