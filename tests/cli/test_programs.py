"""PostgreSQL's programs are found whatever PATH and PG_BINDIR are: directories that may not be entered, files, nothing."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from dbkit.errors import InputError
from dbkit.postgres.binaries import client_program, server_bindir
from dbkit.postgres.cluster import Cluster
from dbkit.settings import Settings
from support.pair import url_of
from support.running import needs_root, others_slow

ASK = """
import importlib.util, os, sys
from pathlib import Path
from dbkit import errors, settings
from dbkit.postgres import binaries
importlib.util.find_spec = lambda name: None  # as without the wheel
Path.glob = lambda *_: iter(())  # nor Debian's
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    print(binaries.client_program(settings.load(Path("/"), dict(os.environ)), "psql"))
except errors.DbkitError as error:
    print(error)
"""


def program(path: Path, text: str = "#!/bin/sh\necho 'psql (PostgreSQL) 18.6'\n", mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def ask(env: Mapping[str, str]) -> str:
    """What nobody, who may not enter what is root's, gets for psql."""
    environment = {name: value for name, value in os.environ.items() if name != "PATH"} | dict(env)
    done = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.fixture
def closed(workspace: Path, request: pytest.FixtureRequest) -> Path:
    """A directory with a psql that nobody may enter but root."""
    path = workspace / f"closed {abs(hash(request.node.nodeid)):x}"
    program(path / "psql")
    path.chmod(0o700)
    return path


@needs_root
def test_a_directory_of_path_that_may_not_be_entered_is_passed_over(closed: Path, workspace: Path) -> None:
    good = program(workspace / "good/psql")
    file = program(workspace / "good/file")
    path = ["", str(closed), str(closed / "deeper"), str(file), "/nowhere", str(good.parent), ""]
    assert ask({"PATH": os.pathsep.join(path)}) == str(good)


@needs_root
@pytest.mark.parametrize(
    ("text", "mode"),
    others_slow(
        2,
        [
            ("#!/bin/sh\necho 'Error: You must install at least one postgresql-client-<version> package' >&2\nexit 1\n", 0o755),
            ("#!/bin/sh\necho 'psql (PostgreSQL) 18.6'\n", 0o644),
            ("#!/nowhere/sh\n", 0o755),
            ("no program", 0o755),
        ],
    ),
)  # fmt: skip
def test_a_program_that_does_not_run_is_passed_over(workspace: Path, text: str, mode: int) -> None:
    broken = program(workspace / "broken/psql", text, mode)
    good = program(workspace / "good/psql")
    assert ask({"PATH": f"{broken.parent}{os.pathsep}{good.parent}"}) == str(good)
    told = ask({"PATH": str(broken.parent)})
    assert told.startswith("dbkit: psql was not found.")
    assert (str(broken) in told) == (mode == 0o755)


@needs_root
@pytest.mark.parametrize("env", [{}, {"PATH": ""}, {"PATH": os.pathsep}])
def test_without_path_there_is_an_answer(env: Mapping[str, str]) -> None:
    told = ask(env)
    assert told.startswith("dbkit: psql was not found.") or told in ("/bin/psql", "/usr/bin/psql")


@needs_root
def test_a_pg_bindir_that_may_not_be_entered_is_told(closed: Path) -> None:
    for bindir in (closed, closed / "deeper"):
        assert ask({"PG_BINDIR": str(bindir)}).startswith(f"dbkit: psql was not found in PG_BINDIR, {bindir}")
    assert "to which there is no access" in ask({"PG_BINDIR": str(closed)})


def test_a_pg_bindir_that_is_a_file_has_no_server(tmp_path: Path, local_settings: Settings) -> None:
    file = program(tmp_path / "file")
    with pytest.raises(InputError, match=f"no postgres and initdb in {file}"):
        server_bindir(replace(local_settings, pg_bindir=file))
    with pytest.raises(InputError, match=f"pg_dump was not found in PG_BINDIR, {file}"):
        client_program(replace(local_settings, pg_bindir=file), "pg_dump")


@needs_root
def test_verbs_work_with_such_a_path(closed: Path, server: Cluster, workspace: Path) -> None:
    """`psql` as somebody who may not enter the first directory of PATH."""
    project = workspace / "small"
    project.mkdir(exist_ok=True)
    (project / "alembic.ini").touch()
    code = "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
    code += (
        "from dbkit.settings import load; from dbkit.commands.psql import PsqlOptions, psql; from pathlib import Path\n"
    )
    code += f"psql(load(Path({str(project)!r}), dict(os.environ)), Path(), PsqlOptions(('-c', 'SELECT 42')))"
    env = os.environ | {"PATH": f"{closed}:{os.environ['PATH']}", "DATABASE_URL": url_of(server.target("nowhere"))}
    command = [sys.executable, "-c", f"import dbkit.commands.psql\n{code}"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    # psql itself is running: the socket is not nobody's
    assert done.stderr.startswith("psql: error: ")
