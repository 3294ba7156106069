"""Projects that `dbkit adopt` is tried on, what people type there, and what must hold of their files."""

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support.forked import ForkServer
from support.kit import REPOSITORY

# What a process of the tests must not pass on
OURS = ("DATABASE", "MIGRATION", "APP_ENV", "CONFIRM", "STASH", "DB_", "PYTHONPATH", "GIT_", "FLASK_")
IGNORED = {"__pycache__", ".git", ".dbkit"}
INI = "[alembic]\nscript_location = migrations\nprepend_sys_path = .\nsqlalchemy.url = {url}\n"
HEAD = "b2b2b2b2b2b2"
BASE = "a1a1a1a1a1a1"
REVISION = '''\
"""{message}

Revision ID: {revision}
Revises: {revises}
"""
from alembic import op

revision = {revision!r}
down_revision = {down!r}
branch_labels = None
depends_on = None


def upgrade():
    op.execute("{up}")


def downgrade():
    op.execute("{downgrade}")
'''
SCRIPT_MAKO = '''\
"""${message}"""
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade():
    pass


def downgrade():
    pass
'''
# Runs `alembic`, and writes what happened in which order: the gate is called, Alembic is configured, somebody connects
TRACE = """\
import json, os, sys

from alembic.config import main
from alembic.runtime.environment import EnvironmentContext
from sqlalchemy import event
from sqlalchemy.pool import Pool

from dbkit import gate

events = []


def record(name, function):
    def recorded(*arguments, **options):
        events.append(name)
        return function(*arguments, **options)

    return recorded


gate.install, gate.run = record("gate", gate.install), record("gate", gate.run)
EnvironmentContext.configure = record("configure", EnvironmentContext.configure)
event.listen(Pool, "connect", lambda *_: events.append("connect"))
sys.path[0] = os.path.dirname(sys.executable)  # as for the program `alembic`
try:
    main(sys.argv[1:])
finally:
    with open(os.environ["TRACED"], "w") as file:
        json.dump(events, file)
"""


def revision_text(
    revision: str, down: object, message: str = "a change", up: str = "SELECT 1", downgrade: str = "SELECT 1"
) -> str:
    """Return a revision file."""
    return REVISION.format(
        revision=revision, revises=down or "", down=down, message=message, up=up, downgrade=downgrade
    )


CHAIN = {
    f"{BASE}_customers.py": revision_text(
        BASE, None, "customers", "CREATE TABLE customers (id int)", "DROP TABLE customers"
    ),
    f"{HEAD}_orders.py": revision_text(HEAD, BASE, "orders", "CREATE TABLE orders (id int)", "DROP TABLE orders"),
}


@functools.cache
def fork_server() -> ForkServer:
    """Return the process that runs the commands of all these tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return ForkServer(sys.executable, kept)


@dataclass
class AdoptProject:
    """A directory with a project, and a person in front of it."""

    root: Path
    settings: str = "alembic.ini"
    """The settings file, from the root; "" where none is named on the command line."""
    scripts: str = "migrations"
    environment: dict[str, str] = field(default_factory=dict)
    section: str = "alembic"

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Write files, with the directories that they need."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())

    @property
    def env_py(self) -> Path:
        return self.root / self.scripts / "env.py"

    def variables(self, env: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of its processes."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        return {
            **kept,
            "APP_ENV": "development",
            "GIT_CEILING_DIRECTORIES": str(self.root.parent),
            **self.environment,
            **env,
        }

    def python(
        self, *arguments: str, cwd: str = ".", env: Mapping[str, str] = {}
    ) -> "subprocess.CompletedProcess[str]":
        """Run Python in the project, or quickly a fork of one."""
        variables = self.variables(env)
        directory = str(self.root / cwd)
        server = fork_server()
        if server.can_run(variables):
            return server.run(arguments, cwd=directory, environment=variables)
        return subprocess.run(
            [sys.executable, *arguments], cwd=directory, env=variables, capture_output=True, text=True, check=False
        )

    def adopt(
        self, *arguments: str, cwd: str = ".", env: Mapping[str, str] = {}, prove: bool = False
    ) -> "subprocess.CompletedProcess[str]":
        """Run `dbkit adopt`, which proves nothing unless it is to."""
        named = ["-c", os.path.relpath(self.root / self.settings, self.root / cwd)] if self.settings else []
        if self.section != "alembic":
            named += ["-n", self.section]
        proof = [] if prove or {"--check", "--undo"} & {*arguments} else ["--prove", "0"]
        return self.python("-m", "dbkit", "adopt", *named, *proof, *arguments, cwd=cwd, env=env)

    def alembic(
        self, *arguments: str, cwd: str = ".", env: Mapping[str, str] = {}
    ) -> "subprocess.CompletedProcess[str]":
        """Run `alembic`."""
        named = [] if self.settings in ("", "pyproject.toml") else ["-c", self.settings]
        if self.section != "alembic":
            named += ["-n", self.section]
        return self.python("-m", "alembic", *named, *arguments, cwd=cwd, env=env)

    def traced(
        self, *arguments: str, env: Mapping[str, str] = {}
    ) -> "tuple[subprocess.CompletedProcess[str], list[str]]":
        """Run `alembic`, and return what happened in which order, too."""
        program, traced = self.root.parent / "trace.py", self.root.parent / "traced"
        program.write_text(TRACE)
        traced.unlink(missing_ok=True)
        named = [] if self.settings in ("", "pyproject.toml") else ["-c", self.settings]
        ran = self.python(str(program), *named, *arguments, env={**env, "TRACED": str(traced)})
        return ran, json.loads(traced.read_text()) if traced.exists() else []

    def snapshot(self) -> dict[str, object]:
        """Return the mode and the content of each file."""
        return snapshot(self.root)

    def copy(self, name: str) -> "AdoptProject":
        """Return another clone, in which there is nothing but what is tracked."""
        root = self.root.parent / name
        shutil.copytree(self.root, root, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".dbkit"))
        return AdoptProject(root, self.settings, self.scripts, self.environment, self.section)


def snapshot(root: Path) -> dict[str, object]:
    """Return the mode and the content of each file below a directory."""
    found: dict[str, object] = {}
    for directory, below, names in os.walk(root):
        below[:] = sorted({*below} - IGNORED)
        for name in [*names, *(each for each in below if (Path(directory) / each).is_symlink())]:
            path = Path(directory) / name
            key = str(path.relative_to(root))
            found[key] = f"-> {path.readlink()}" if path.is_symlink() else (path.stat().st_mode, path.read_bytes())
    return found


def inserted(before: bytes, after: bytes) -> list[bytes]:
    """Return the lines that were put between those of `before`, none of which was changed."""
    remaining = iter(before.splitlines(keepends=True))
    wanted = next(remaining, None)
    new = []
    for line in after.splitlines(keepends=True):
        if line == wanted:
            wanted = next(remaining, None)
        else:
            new.append(line)
    assert wanted is None, f"this line was changed or removed: {wanted!r}"
    return new


def require_refused(project: AdoptProject, before: dict[str, object], *arguments: str, cwd: str = ".") -> str:
    """Check that the project is refused in a sentence, and nothing changed. Returns the sentence."""
    ran = project.adopt(*arguments, cwd=cwd)
    assert ran.returncode == 2, f"{ran.returncode}\n{ran.stdout}{ran.stderr}"
    assert project.snapshot() == before
    assert ran.stderr.startswith("dbkit: "), ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stderr.count("\n") <= 12, ran.stderr
    return ran.stderr


def require_adopted(project: AdoptProject, *arguments: str) -> str:
    """Check that it is adopted, that a second run changes nothing, and `--check` is content. Returns what was printed."""
    ran = project.adopt(*arguments)
    assert ran.returncode == 0, f"{ran.returncode}\n{ran.stdout}{ran.stderr}"
    assert "Traceback" not in ran.stderr
    adopted = project.snapshot()
    again = project.adopt(*arguments)
    assert again.returncode == 0, f"the second run: {again.returncode}\n{again.stdout}{again.stderr}"
    assert project.snapshot() == adopted, "the second run changed a file"
    checked = project.adopt("--check", *arguments)
    assert checked.returncode == 0, f"--check: {checked.returncode}\n{checked.stdout}{checked.stderr}"
    assert project.snapshot() == adopted, "--check changed a file"
    return ran.stdout


def require_undone(project: AdoptProject, before: dict[str, object], *arguments: str) -> None:
    """Check that --undo gives back each byte."""
    ran = project.adopt("--undo", *arguments)
    assert ran.returncode == 0, f"--undo: {ran.returncode}\n{ran.stdout}{ran.stderr}"
    assert differing(before, project.snapshot()) == {}


def differing(before: dict[str, object], after: dict[str, object]) -> dict[str, tuple[object, object]]:
    """Return what two snapshots do not share."""
    names = sorted({*before} | {*after})
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


def make_project(
    root: Path, files: Mapping[str, str | bytes] = {}, *, url: str = "postgresql://localhost/none"
) -> AdoptProject:
    """Make a plain project, with two revisions; `files` are written over it."""
    root.mkdir(parents=True, exist_ok=True)
    project = AdoptProject(root)
    project.write(
        {
            "alembic.ini": INI.format(url=url.replace("%", "%%")),
            "migrations/script.py.mako": SCRIPT_MAKO,
            "migrations/env.py": ENV,
            **{f"migrations/versions/{name}": text for name, text in CHAIN.items()},
            **files,
        }
    )
    return project


BODY = """
config = context.config
target_metadata = None


def run_migrations_offline():
    context.configure(url=os.environ["DATABASE_URL"], literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def run_migrations_online():
    engine = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=target_metadata)
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    run_migrations_offline()
else:
    run_migrations_online()
"""
"""What comes after the imports in many an env.py."""
ENV = f"""\
import os

from alembic import context
from sqlalchemy import create_engine, pool
{BODY}"""
SOURCE = REPOSITORY / "src/dbkit"
