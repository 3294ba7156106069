"""Two projects with the same revisions: one as `alembic init` makes it, one behind the gate. Each has a database."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import psycopg

from dbkit.settings import Target
from support.forked import ForkServer
from support.kit import REPOSITORY

INI = """\
[alembic]
script_location = %(here)s/backend/alembic
path_separator = newline
prepend_sys_path =

[loggers]
keys = root,alembic
[handlers]
keys = console
[formatters]
keys = generic
[logger_root]
level = WARNING
handlers = console
[logger_alembic]
level = INFO
handlers =
qualname = alembic
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = generic
[formatter_generic]
format = %(levelname)s %(message)s
"""

REVISION = '''\
"""{identifier}"""

import sqlalchemy as sa
from alembic import op

revision = "{identifier}"
down_revision = {down!r}


def upgrade():
{upgrade}


def downgrade():
{downgrade}
'''


@cache
def fork_server() -> ForkServer:
    """For the commands of all projects."""
    return ForkServer(sys.executable, os.environ)


def run_python(
    *arguments: str | Path, env: Mapping[str, str], cwd: Path | None = None, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments to its end, without input."""
    command, directory = [str(each) for each in arguments], cwd or Path.cwd()
    server = fork_server()
    if server.can_run(env):
        return server.run(command, cwd=str(directory), environment=env, timeout=timeout)
    return subprocess.run(
        [sys.executable, *command],
        cwd=directory,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def gone(pid: int) -> bool:
    """Whether a process has ended; it may be a zombie of our own."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def url_of(target: Target) -> str:
    """The URL of a database on a unix socket or on TCP."""
    password = f":{quote(target.password, safe='')}" if target.password else ""
    if target.host and target.host.startswith("/"):
        port = f"&port={target.port}" if target.port else ""
        return f"postgresql://{target.user}{password}@/{target.dbname}?host={quote(target.host, safe='')}{port}"
    return f"postgresql://{target.user}{password}@{target.host}:{target.port}/{target.dbname}"


@dataclass
class Project:
    """One of the two, and what people type in it."""

    root: Path
    target: Target
    gated: bool
    environment: dict[str, str] = field(default_factory=dict)
    driver: str = ""
    """The driver of an env.py of its own, behind the gate; "" for the kit's env.py."""

    @property
    def versions(self) -> Path:
        return self.root / "backend/alembic/versions"

    @property
    def env_py(self) -> Path:
        return self.root / "backend/alembic/env.py"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "alembic", *arguments]

    def variables(self, env: Mapping[str, str] = {}) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE", "MIGRATION"))}
        ours = {"DATABASE_URL": url_of(self.target), "APP_ENV": "test"} if self.gated else {}
        merged = {**kept, **ours, **self.environment, **env}
        if self.driver:
            merged["DATABASE_URL"] = merged["DATABASE_URL"].replace("postgresql://", f"postgresql+{self.driver}://", 1)
        return merged

    def alembic(self, *arguments: str, env: Mapping[str, str] = {}) -> subprocess.CompletedProcess[str]:
        """Run alembic to its end."""
        return run_python(*self.command(*arguments)[1:], cwd=self.root, env=self.variables(env))

    def start(self, *arguments: str, env: Mapping[str, str] = {}, **options: Any) -> "subprocess.Popen[str]":
        """Begin to run alembic."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.root,
            env=self.variables(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def dbkit(self, *arguments: str, env: Mapping[str, str] = {}) -> subprocess.CompletedProcess[str]:
        """Run a verb on this project to its end."""
        typed = self._dbkit_arguments(arguments)
        return run_python("-m", "dbkit", *typed, cwd=self.root, env=self.dbkit_variables(env))

    def start_dbkit(self, *arguments: str, env: Mapping[str, str] = {}, **options: Any) -> "subprocess.Popen[str]":
        """Begin to run a verb."""
        return subprocess.Popen(
            [sys.executable, "-m", "dbkit", *self._dbkit_arguments(arguments)],
            cwd=self.root,
            env=self.dbkit_variables(env),
            stdin=subprocess.DEVNULL,
            text=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )

    def suggestion(self, verb: str, argument: str) -> str:
        """Return a verb as messages suggest it."""
        return f"{'' if self.driver else 'python -m '}dbkit {verb} {argument}"

    def _dbkit_arguments(self, arguments: tuple[str, ...]) -> tuple[str, ...]:
        return (arguments[0], "-c", "alembic.ini", *arguments[1:]) if self.driver else arguments

    def dbkit_variables(self, env: Mapping[str, str]) -> dict[str, str]:
        """The environment for a verb. A project of the kit is where its files are: so there is a copy of them in it."""
        if self.driver:
            return self.variables(env)
        if not (self.root / "src").exists():
            # with what is compiled; a hard link would change the times of the files that others run
            shutil.copytree(REPOSITORY / "src/dbkit", self.root / "src/dbkit")
        return {**self.variables(env), "PYTHONPATH": str(self.root / "src")}

    def query(self, statement: str) -> list[tuple[object, ...]]:
        """Run a statement in its database; committed."""
        with psycopg.connect(**self.target.parameters(), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def heads(self) -> list[str]:
        """What the version table says."""
        return sorted(str(row[0]) for row in self.query("SELECT version_num FROM alembic_version"))

    def heads_or_none(self) -> list[str]:
        """What the version table says; nothing where there is none yet."""
        return [] if self.query("SELECT to_regclass('alembic_version')") == [(None,)] else self.heads()

    def journal(self) -> list[tuple[object, ...]]:
        """Action and revision of each row of the journal that has an end, first to last."""
        return self.query("SELECT action, revision FROM dbkit_journal WHERE ended_at IS NOT NULL ORDER BY id")


@dataclass(frozen=True)
class Pair:
    """The two projects. A chain that is written into them gets the same files in both."""

    bare: Project
    gated: Project

    def write(self, *upgrades: str | tuple[str, str]) -> None:
        """Add a revision for each: what its upgrade() does, and what its downgrade() does."""
        for number, item in enumerate(upgrades, len(list(self.bare.versions.glob("*.py"))) + 1):
            upgrade, downgrade = (item, "pass") if isinstance(item, str) else item
            self.add(f"rev{number}", f"rev{number - 1}" if number > 1 else None, upgrade, downgrade)

    def add(self, identifier: str, down: object, upgrade: str = "pass", downgrade: str = "pass") -> None:
        """Add one revision, `down` being the one or the several that it follows."""
        for project in (self.bare, self.gated):
            text = REVISION.format(
                identifier=identifier, down=down, upgrade=_indented(upgrade), downgrade=_indented(downgrade)
            )
            (project.versions / f"{identifier}.py").write_text(text)


def _indented(code: str) -> str:
    return "\n".join(f"    {line}" for line in code.splitlines())


@cache
def _initialised() -> list[tuple[Path, str]]:
    """The files that `alembic init` writes, asked for once."""
    with TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "alembic", "init", "backend/alembic"]
        subprocess.run(command, cwd=directory, check=True, capture_output=True)
        root = Path(directory)
        return [(path.relative_to(root), path.read_text()) for path in root.rglob("*") if path.is_file()]


def make(directory: Path, bare: Target, gated: Target) -> Pair:
    """Write both projects into a directory."""
    ours = Project(directory / "gated", gated, gated=True)
    ours.versions.mkdir(parents=True)
    for name in ("env.py", "script.py.mako"):
        shutil.copy(REPOSITORY / "backend/alembic" / name, ours.env_py.with_name(name))
    (ours.root / "alembic.ini").write_text(INI)
    plain = Project(directory / "bare", bare, gated=False)
    for path, text in _initialised():
        (plain.root / path).parent.mkdir(parents=True, exist_ok=True)
        (plain.root / path).write_text(text)
    plain.versions.mkdir()
    url = url_of(bare).replace("postgresql://", "postgresql+psycopg://").replace("%", "%%")
    (plain.root / "alembic.ini").write_text(INI.replace("[loggers]", f"sqlalchemy.url = {url}\n\n[loggers]", 1))
    return Pair(plain, ours)
