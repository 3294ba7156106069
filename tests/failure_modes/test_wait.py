"""Waiting for a database to come up, or to be at the head."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from dbkit.settings import Settings
from support.failure_modes import (
    TABLE,
    one_line,
)
from support.pair import Pair, url_of
from support.servers import free_port


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
    # env.py connects by itself, and the gate says that it waits
    assert ("does not answer" in typed.stderr) if gated.driver else ("refused" in one_line(typed.stderr))
    wrong = {"DATABASE_URL": url_of(replace(gated.target, dbname="nothing_here")), "MIGRATION_WAIT": "1h"}
    typed = gated.dbkit("wait", env=wrong)
    assert (typed.returncode, "does not exist" in one_line(typed.stderr)) == (4, True)


@pytest.mark.slow
@pytest.mark.kit
def test_wait_shows_dots_on_a_terminal_only(pair: Pair) -> None:
    nobody = {"DATABASE_URL": f"postgresql://u@127.0.0.1:{free_port()}/x", "MIGRATION_WAIT": "1s"}
    pair.gated.dbkit("mark", env=nobody)  # so that the kit is there
    leader, follower = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "dbkit", "wait"],
        cwd=pair.gated.root,
        env={**pair.gated.variables(nobody), "PYTHONPATH": str(pair.gated.root / "src")},
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
