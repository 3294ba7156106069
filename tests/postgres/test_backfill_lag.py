"""A backfill waits for standbys."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dbkit.backfill.replication_lag import ReplicationLag, parse_lag
from dbkit.postgres import scratch_cluster
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.process import run_program
from dbkit.settings import Settings, Target
from support import pair as pair_module
from support.backfill_tables import FEW, counted
from support.running import until
from support.servers import running_standby

NOBODY = ("1000", None, None, None, None, None)


def standby(position: int, replayed: int | None, lag: float | None = None) -> tuple[object, ...]:
    return (str(position), 1, "east", "streaming", None if replayed is None else str(replayed), lag)


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lag(clock: Clock) -> ReplicationLag:
    return ReplicationLag(lambda _statement: [NOBODY], 10.0, clock=clock)


def test_nobody_is_connected(lag: ReplicationLag) -> None:
    assert lag.too_far_behind(parse_lag([NOBODY])) is None


def test_one_that_has_replayed_all_is_not_behind(lag: ReplicationLag) -> None:
    """Whatever the server has measured last."""
    assert lag.too_far_behind(parse_lag([standby(1000, 1000, 99.0)])) is None


def test_what_the_server_has_measured(lag: ReplicationLag) -> None:
    assert lag.too_far_behind(parse_lag([standby(1000, 900, 9.0)])) is None
    assert lag.too_far_behind(parse_lag([standby(1000, 900, 11.0), standby(1000, 990, 1.0)])) == ("east", 11.0)


def test_one_that_replays_nothing(lag: ReplicationLag, clock: Clock) -> None:
    """The server's own measure then stays as it was."""
    for clock.now in range(12):
        position = 1000 + round(clock.now)
        assert lag.too_far_behind(parse_lag([standby(position, 1000, 0.001)])) is None
    clock.now = 12
    assert lag.too_far_behind(parse_lag([standby(1012, 1000, 0.001)])) == ("east", 11.0)
    assert lag.too_far_behind(parse_lag([standby(1012, 1011, 0.001)])) is None


def test_a_reader_of_the_log_replays_nothing(lag: ReplicationLag) -> None:
    assert lag.too_far_behind(parse_lag([standby(1000, None)])) is None


def test_what_is_not_shown_is_told_once(lag: ReplicationLag, capsys: pytest.CaptureFixture[str]) -> None:
    hidden = ("1000", 1, "1", None, None, None)
    for _ in range(2):
        assert lag.too_far_behind(parse_lag([hidden])) is None
    said = capsys.readouterr().err
    assert said == "dbkit: warning: the lag of 1 standby is not shown to this role; it needs pg_monitor.\n"


@pytest.fixture
def replicated(local_settings: Settings, tmp_path: Path) -> Iterator[tuple[Cluster, Target]]:
    """A server, and a standby of it that replays at once."""
    with scratch_cluster.cluster(local_settings) as cluster:
        with psycopg.connect(**cluster.target("postgres").parameters(), autocommit=True) as connection:
            for setting in ("wal_level = replica", "max_wal_senders = 4", "fsync = off"):
                connection.execute(f"ALTER SYSTEM SET {setting}")
        cluster.stop()
        cluster.ensure_running()
        data = cluster.directory / "standby"
        source = f"host={cluster.socket_directory} port=5432 user=postgres"
        options = ("-D", str(data), "-R", "-X", "stream", "-c", "fast", "-d", source)
        run_program(cluster.bindir / "pg_basebackup", *options, account=cluster.account)
        with running_standby(cluster, data) as target:
            yield cluster, target


@pytest.mark.slow
def test_a_real_standby(replicated: tuple[Cluster, Target], tmp_path: Path) -> None:
    cluster, target = replicated
    project = pair_module.make(tmp_path, *(cluster.create_database(name) for name in ("bare", "gated"))).gated
    project.query("CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0)")
    project.query(f"INSERT INTO t SELECT generate_series(1, {FEW})")
    command = ("backfill", "t", "--set", "n = n + 1", "--max-lag", "0.5")
    assert project.dbkit(*command).returncode == 0
    with psycopg.connect(**target.parameters(), autocommit=True) as standing:
        standing.execute("SELECT pg_wal_replay_pause()")
        # a row that takes its time, so that the second look comes while it runs
        project.query(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.005); RETURN NEW; END'"
        )
        project.query("CREATE TRIGGER slow BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION slow()")
        process = project.start_dbkit(*command, "--again", "--batch", "10")
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        assert any("waiting for the standby walreceiver, which is" in line for line in lines)
        project.query("DROP TRIGGER slow ON t")
        assert process.poll() is None
        standing.execute("SELECT pg_wal_replay_resume()")
        rest = process.communicate()[1]
        assert process.returncode == 0, rest
        assert "the standby has caught up; continuing" in rest
        assert counted(project) == [(2, FEW)]
    copy = Target(project.target.dbname, user="postgres", host=target.host, port=target.port)
    with psycopg.connect(**copy.parameters(), autocommit=True) as connection:
        query = "SELECT n, count(*) FROM t GROUP BY n"
        until(lambda: connection.execute(query).fetchall() == [(2, FEW)])
