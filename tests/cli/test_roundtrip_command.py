"""`dbkit roundtrip` as people type it: exit codes, what goes where, and what is left when it is ended."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from dbkit.postgres.cluster import Cluster
from support.battery import NOTHING, Planted, make_project
from support.kit import REPOSITORY
from support.pair import run_python
from support.running import foreground, others_slow, until

FINE = Planted(
    "fine", "python:print('from a migration')\n    op.execute('CREATE TABLE a (x int)')", "DROP TABLE a", "proven"
)
FAULT = Planted("fault", "CREATE INDEX IF NOT EXISTS ix ON a (x)", NOTHING, "dirty")


def command(*arguments: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "dbkit", "roundtrip", *arguments]


def run(*arguments: str | Path, cwd: Path = REPOSITORY, **environment: str) -> subprocess.CompletedProcess[str]:
    return run_python(*command(*arguments)[1:], cwd=cwd, env=os.environ | environment)


def url(server: Cluster) -> str:
    return f"postgresql://postgres@/postgres?host={server.target().host}"


def test_a_clean_chain_exits_0_and_says_so(tmp_path: Path, server: Cluster) -> None:
    result = run("-c", make_project(tmp_path / "p", [FINE]), "--server", url(server))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("1 migration on PostgreSQL 18")


def test_a_finding_exits_1(tmp_path: Path, server: Cluster) -> None:
    result = run("-c", make_project(tmp_path / "p", [FINE, FAULT]), "--server", url(server))
    assert (result.returncode, result.stderr) == (1, "")
    assert 'dirty: case01 "fault"\n  after downgrade, index ix on a is still there\n  at ' in result.stdout


def test_json_is_all_of_standard_output(tmp_path: Path, server: Cluster) -> None:
    """Whatever the migrations print."""
    result = run("-c", make_project(tmp_path / "p", [FINE]), "--server", url(server), "--format", "json")
    assert json.loads(result.stdout)["summary"]["proven"] == 1


@pytest.mark.slow
def test_this_project_is_the_one_without_config() -> None:
    result = run(cwd=Path("/"))
    assert result.returncode == 0
    assert "the whole chain went down and up again" in result.stdout


@pytest.mark.spread(4)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-c", "nowhere.ini"), "there is no nowhere.ini."),
        (("-c", "LICENSE"), "LICENSE is not the settings file of an Alembic project: File contains no section headers"),
        (("-c", "noxfile.py"), "is not the settings file of an Alembic project"),
        (("-n", "nope"), "alembic.ini has no section [nope], which --name names"),
        (("--only",), "expected at least one argument"),
        (("--only", ""), "--only is empty"),
        (("--since", ""), "--since is empty"),
        (("--server", ""), "--server is empty"),
        (("--url-env", "A=B"), "'A=B' is not the name of a variable"),
        (("--jobs", "0"), "write a number from 1 to 999, not '0'"),
        (("--rows", "many"), "write a number from 0 to 999999, not 'many'"),
        (("--seed", "-1"), "write a number from 0 to 999999, not '-1'"),
        (("--set-env", "NAME"), "write NAME=VALUE, not 'NAME'"),
        (("--driver", "mysql"), "invalid choice: 'mysql'"),
        (("--format", "xml"), "invalid choice: 'xml'"),
        (("--from", "nope"), "nope"),
        (("--server", "postgresql://me:secret@host/db"), "--server has a password in it"),
        (("--server", "mysql://host/db"), "--server begins with mysql://"),
        (("--since", "nowhere"), "--since nowhere"),
        (("extra",), "unrecognized arguments: extra"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_bad_input_exits_2(arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr
    assert "secret" not in result.stderr
    assert "Traceback" not in result.stderr


def test_a_server_that_is_not_there_exits_4() -> None:
    result = run("--server", "postgresql://nobody@127.0.0.1:1/postgres")
    assert result.returncode == 4
    assert "127.0.0.1:1 does not answer" in result.stderr


def test_an_extension_that_the_server_lacks_is_told_with_the_way_out(tmp_path: Path) -> None:
    case = Planted("extension", "CREATE EXTENSION pgcrypto", "DROP EXTENSION pgcrypto", "broken")
    result = run("-c", make_project(tmp_path / "p", [case]))
    assert result.returncode == 1
    assert 'extension "pgcrypto" is not available' in result.stdout
    assert "--server URL" in result.stdout


def test_a_project_with_relative_paths_runs_from_anywhere(tmp_path: Path, server: Cluster) -> None:
    ini = make_project(tmp_path / "p", [FINE])
    ini.write_text(ini.read_text().replace("%(here)s/backend/alembic", "backend/alembic"))
    result = run("-c", "p/alembic.ini", "--server", url(server), cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_terminal_gets_a_line_that_moves_and_a_pipe_none(tmp_path: Path, server: Cluster) -> None:
    ours, theirs = pty.openpty()
    ini = make_project(tmp_path / "p", [FINE])
    subprocess.run(
        command("-c", ini, "--server", url(server)),
        stderr=theirs,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    assert b'1/1 case00 "fine"' in os.read(ours, 10_000)
    os.close(theirs)
    os.close(ours)


# What is left


@pytest.fixture
def sleeper(tmp_path: Path) -> tuple[Path, Path]:
    """A chain that does not end, and the file that says where it is: data directory, and the server's pid."""
    started = tmp_path / "started"
    where = "SELECT current_setting('data_directory')"
    up = f"python:path = op.get_bind().exec_driver_sql({where!r}).scalar()\n    open({str(started)!r}, 'a').write(path + chr(10))\n    op.execute('SELECT pg_sleep(600)')"
    return make_project(tmp_path / "p", [FINE, Planted("sleeps", up, NOTHING, "proven")]), started


def start(ini: Path, started: Path, *arguments: str) -> tuple["subprocess.Popen[str]", Path, int]:
    process = subprocess.Popen(
        command("-c", ini, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=foreground,
    )
    until(lambda: started.exists() and started.read_text().endswith("\n"))
    data = Path(started.read_text().splitlines()[0])
    return process, data, int((data / "postmaster.pid").read_text().split()[0])


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.spread(2)
@pytest.mark.parametrize("jobs", others_slow(1, ["2", "1"]))
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_proof_leaves_nothing(sleeper: tuple[Path, Path], number: int, code: int, jobs: str) -> None:
    process, data, server = start(*sleeper, "--jobs", jobs)
    process.send_signal(number)
    _, errors = process.communicate(timeout=180)
    assert (process.returncode, errors) == (code, "dbkit: interrupted\n")
    assert not data.parent.exists()
    assert not alive(server)


@pytest.mark.slow
@pytest.mark.parametrize("jobs", others_slow(1, ["2", "1"]))
def test_a_killed_proof_leaves_nothing_running(sleeper: tuple[Path, Path], jobs: str) -> None:
    process, data, server = start(*sleeper, "--jobs", jobs)
    children = [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    process.kill()
    process.communicate(timeout=180)
    until(lambda: not data.exists())  # root's guardian is another account, and leaves the empty directory
    until(lambda: not any(map(alive, [server, *children])))


def databases(server: Cluster) -> list[tuple[str]]:
    with psycopg.connect(**server.target("postgres").parameters()) as connection:
        query = "SELECT datname FROM pg_database WHERE datname ~ '^dbkit_proof_[0-9a-f]{16}_'"
        rows: list[tuple[str]] = connection.execute(query).fetchall()
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_proof_leaves_no_database_on_a_named_server(
    sleeper: tuple[Path, Path], server: Cluster, number: int
) -> None:
    process, _, _ = start(*sleeper, "--server", url(server))
    assert databases(server)
    process.send_signal(number)
    process.communicate(timeout=180)
    assert databases(server) == []


@pytest.mark.slow
def test_what_a_killed_proof_left_on_a_named_server_goes_with_the_next(
    sleeper: tuple[Path, Path], server: Cluster, tmp_path: Path
) -> None:
    process, _, _ = start(*sleeper, "--server", url(server))
    process.kill()
    process.communicate(timeout=180)
    assert databases(server)
    assert run("-c", make_project(tmp_path / "other", [FINE]), "--server", url(server)).returncode == 0
    assert databases(server) == []
