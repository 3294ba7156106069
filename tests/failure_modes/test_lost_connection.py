"""The connection, or the server, is gone in the middle of a run."""

import os
import re
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest

from dbkit.postgres import scratch_cluster
from dbkit.settings import Settings
from support.failure_modes import (
    SLEEP,
    SLEEPING,
    TABLE,
    one_line,
    terminate,
)
from support.pair import Pair, Project, gone
from support.running import others_slow, until


def time_out(project: Project, _process: "subprocess.Popen[str]") -> None:
    project.query(
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()"
    )


@pytest.mark.spread(2)
@pytest.mark.parametrize(("fault", "words"), [(terminate, "terminating connection"), (time_out, "canceling statement")])
def test_a_connection_that_ends_is_told_in_one_line(pair: Pair, fault: Callable[..., None], words: str) -> None:
    pair.write(TABLE, f"op.execute(\"INSERT INTO t VALUES (1, 'x')\")\n{SLEEP}")
    for project in (pair.bare, pair.gated):
        process = project.start("upgrade", "head")
        until(lambda project=project: project.query(SLEEPING) == [(1,)])  # type: ignore[misc]
        fault(project, process)
        _, errors = process.communicate(timeout=180)
        assert process.returncode == 1
        if not project.gated:
            assert len(errors.splitlines()) > 50
    line = one_line(errors)
    # psycopg2, while it waits for a result, learns no more than that the connection has ended
    if pair.gated.driver == "psycopg2" and fault is terminate:
        words = "server closed the connection"
    assert words in line
    assert line.endswith("nothing of it was kept, the database is at rev1, and it is safe to run again.")
    assert pair.gated.query("SELECT count(*) FROM t") == [(0,)]
    assert pair.gated.journal() == [("upgrade", "rev1")]


@pytest.mark.slow
@pytest.mark.parametrize("comes_back", others_slow(1, [True, False]))
def test_a_server_that_is_killed(pair: Pair, local_settings: Settings, comes_back: bool) -> None:
    pair.write(TABLE, SLEEP)
    with scratch_cluster.cluster(replace(local_settings)) as cluster:
        project = replace(pair.gated, target=cluster.target())
        process = project.start("upgrade", "head", env={"MIGRATION_WAIT": "5s" if comes_back else "0"})
        until(lambda: project.query(SLEEPING) == [(1,)])
        postmaster = int((cluster.data / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGQUIT)
        if comes_back:
            until(lambda: gone(postmaster))
            cluster.ensure_running()
        _, errors = process.communicate(timeout=180)
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
