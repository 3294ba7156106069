"""Random faults over repeated upgrades with two runners: in the end everything is there once, whatever happened."""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from dbkit.postgres import scratch_cluster
from dbkit.postgres.cluster import Cluster
from dbkit.settings import Settings
from support.pair import Pair, Project, gone

FAULTS = 80
SEED = int(os.environ.get("TORTURE_SEED", "20261124"))
LONGEST_CALM = 0.5  # seconds until the next fault
# how a runner may end when it was hit; 6 asks for an operator, and SIGTERM may come before there is a handler
CODES = {0, 1, 4, 5, 6, 143, -signal.SIGKILL, -signal.SIGTERM}

BLOCK = "with op.get_context().autocommit_block():\n    "
CHAIN = [
    "op.execute('CREATE TABLE counted (what text)')",
    "op.execute(\"INSERT INTO counted SELECT 'one' FROM pg_sleep(0.2)\")",
    "op.execute('CREATE TABLE t AS SELECT n AS id, n % 7 AS x FROM generate_series(1, 20000) AS n')",
    f"{BLOCK}op.execute('DROP INDEX CONCURRENTLY IF EXISTS ix')\n    op.execute('CREATE INDEX CONCURRENTLY ix ON t (x)')",
    "op.execute('ALTER TABLE t ADD y int')\nop.execute(\"INSERT INTO counted SELECT 'two' FROM pg_sleep(0.1)\")",
    f"{BLOCK}op.execute(\"INSERT INTO counted SELECT 'alone' FROM pg_sleep(0.2)\")",
    "sa.Enum('a', 'b', name='mood').create(op.get_bind())\nop.add_column('t', sa.Column('mood', sa.Enum('a', 'b', name='mood')))",
    "op.execute('UPDATE t SET y = x')\nop.execute(\"INSERT INTO counted SELECT 'three' FROM pg_sleep(0.1)\")",
    f"{BLOCK}op.execute('DROP INDEX CONCURRENTLY IF EXISTS iy')\n    op.execute('CREATE UNIQUE INDEX CONCURRENTLY iy ON t (id)')",
    "op.execute('ALTER TABLE t ALTER x SET NOT NULL')\nop.execute(\"INSERT INTO counted SELECT 'four' FROM pg_sleep(0.1)\")",
]
ALONE = "rev6"


@pytest.fixture
def cluster(local_settings: Settings) -> Iterator[Cluster]:
    """A server of this test's own, to be killed."""
    with scratch_cluster.cluster(local_settings) as made:
        yield made


class Torture:
    """Two runners, one after the other's death, and somebody who does them harm."""

    def __init__(self, project: Project, cluster: Cluster, chance: random.Random) -> None:
        self.project = project
        self.cluster = cluster
        self.chance = chance
        self.runners: list[subprocess.Popen[str] | None] = [None, None]
        self.faults: Counter[str] = Counter()
        self.operated = 0

    def round(self) -> None:
        """Upgrade an empty database under faults until both runners are content."""
        self._renew()
        content = [False, False]
        calm = time.monotonic() + self.chance.uniform(0, LONGEST_CALM)
        while not all(content):
            for number, runner in enumerate(self.runners):
                if runner is None and not content[number]:
                    self.runners[number] = self.project.start("upgrade", "head", env={"MIGRATION_WAIT": "30s"})
                elif runner is not None and runner.poll() is not None:
                    content[number] = self._ended(runner)
                    self.runners[number] = None
            if time.monotonic() > calm:
                self._harm()
                calm = time.monotonic() + self.chance.uniform(0, LONGEST_CALM)
            time.sleep(0.01)
        self._check()

    def stop(self) -> None:
        """End what still runs."""
        for runner in self.runners:
            if runner is not None:
                runner.kill()
                runner.communicate()

    def _renew(self) -> None:
        with psycopg.connect(**self.cluster.target("postgres").parameters(), autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS tortured WITH (FORCE)")
            connection.execute("CREATE DATABASE tortured")

    def _ended(self, runner: "subprocess.Popen[str]") -> bool:
        _, errors = runner.communicate()
        assert runner.returncode in CODES, errors
        assert "Traceback" not in errors or runner.returncode == -signal.SIGKILL, errors
        if runner.returncode == 6:
            self._operate(errors)
        return runner.returncode == 0

    def _operate(self, errors: str) -> None:
        """What the message asks a person to do: look, and say which of the two it is."""
        assert ALONE in errors, errors
        for _ in range(50):
            try:
                done = self.project.query("SELECT count(*) FROM counted WHERE what = 'alone'") == [(1,)]
                break
            except psycopg.OperationalError:
                time.sleep(0.1)  # the server is on its way back
        said = self.project.alembic("stamp", ALONE) if done else self.project.dbkit("resolve", ALONE)
        # the other runner may have asked for the same
        assert said.returncode in (0, 2), said.stderr
        self.operated += 1

    def _harm(self) -> None:
        kind = self.chance.choice(["kill", "kill", "terminate", "terminate", "backend", "backend", "server"])
        runner = self.chance.choice(self.runners)
        if kind in ("kill", "terminate") and runner is not None and runner.poll() is None:
            runner.send_signal(signal.SIGKILL if kind == "kill" else signal.SIGTERM)
        elif kind == "backend":
            if not self._end_backend():
                return
        elif kind == "server":
            self._end_server()
        else:
            return
        self.faults[kind] += 1

    def _end_backend(self) -> bool:
        query = """
            SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE application_name = 'dbkit migrate' AND datname = 'tortured'
        """
        return self.project.query(query) != [(0,)]

    def _end_server(self) -> None:
        postmaster = int((self.cluster.data / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGQUIT)
        while not gone(postmaster):
            time.sleep(0.01)
        self.cluster.ensure_running()

    def _check(self) -> None:
        project = self.project
        assert project.heads() == [f"rev{len(CHAIN)}"]
        counted = project.query("SELECT what, count(*) FROM counted GROUP BY 1 ORDER BY 1")
        assert counted == [(what, 1) for what in ("alone", "four", "one", "three", "two")]
        assert project.query("SELECT count(*), count(y) FROM t") == [(20000, 20000)]
        assert project.query("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [(0,)]
        assert project.query("SELECT heads FROM dbkit_journal WHERE ended_at IS NOT NULL ORDER BY id DESC LIMIT 1") == [
            ([f"rev{len(CHAIN)}"],)
        ]
        done = [row for row in project.journal() if row[0] in ("upgrade", "stamp")]
        assert [revision for _, revision in done] == [f"rev{number}" for number in range(1, len(CHAIN) + 1)]


@pytest.mark.torture
def test_faults_leave_nothing_twice_and_nothing_undone(pair: Pair, cluster: Cluster) -> None:
    pair.write(*CHAIN)
    project = replace(pair.gated, target=cluster.target("tortured"))
    torture = Torture(project, cluster, random.Random(SEED))  # noqa: S311
    rounds = 0
    try:
        while sum(torture.faults.values()) < FAULTS:
            torture.round()
            rounds += 1
    finally:
        torture.stop()
        print(f"{rounds} rounds, {dict(torture.faults)}, an operator {torture.operated} times; seed {SEED}")
