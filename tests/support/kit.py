"""A checkout of the kit, and a person who types into it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from dbkit import settings
from dbkit.postgres.cluster import Cluster, development_cluster
from dbkit.settings import Settings
from support.forked import ForkServer

REPOSITORY = Path(__file__).resolve().parents[2]


NOT_IN_GIT = shutil.ignore_patterns("venv", ".git", ".env", ".dbkit", ".nox", ".*_cache", "__pycache__", "upgrade.sql")


# What a machine may need to reach its package registry, and nothing else of ours
PASSED_ON = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "http_proxy", "https_proxy", "no_proxy", "LD_LIBRARY_PATH")


SHOP_HEAD = "c96d09ae7993"


def plain_environment(home: Path) -> dict[str, str]:
    """What `env -i PATH=… HOME=…` leaves, and the way to the package registry."""
    path = os.pathsep.join([str(Path(sys.base_prefix) / "bin"), "/usr/local/bin", "/usr/bin", "/bin"])
    kept = {name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith("PIP_")}
    return kept | {"PATH": path, "HOME": str(home)}


def copy_checkout(to: Path) -> Path:
    """A copy of this checkout as a clone would be: no venv, no .env, no database."""
    shutil.copytree(REPOSITORY, to, ignore=NOT_IN_GIT)
    return to


@dataclass
class Kit:
    """A checkout of the kit, and a person in front of it."""

    path: Path
    environment: Mapping[str, str]
    options: dict[str, Any] = field(default_factory=dict)
    """Keywords for subprocess, such as the user to run as."""
    server: ForkServer | None = None
    """Runs the commands of Python that `dbkit`, `alembic` and `make` type; without it they are started as usual."""

    def run(
        self,
        *arguments: str | bytes,
        cwd: str = ".",
        env: Mapping[str, str] = {},
        stdin: str = "",
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in the checkout. Output is text, stderr apart."""
        return subprocess.run(
            arguments,
            cwd=self.path / cwd,
            env={**self.environment, **env},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            **self.options,
        )

    def make(self, *arguments: str | bytes, env: Mapping[str, str] = {}) -> subprocess.CompletedProcess[str]:
        commands = {"DBKIT": "-m dbkit", "ALEMBIC": "venv/bin/alembic -c alembic.ini"}
        if server := self._server(env):
            forked = f"venv/bin/python -IS {server.program} {server.path}"
            arguments = (*(f"{name}={forked} {command}" for name, command in commands.items()), *arguments)
        return self.run("make", *arguments, env=env)

    def dbkit(
        self, *arguments: str, env: Mapping[str, str] = {}, timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a verb. Raises TimeoutExpired for one that takes more than so many seconds."""
        return self._python("-m", "dbkit", *arguments, env=env, timeout=timeout)

    def alembic(
        self, *arguments: str, cwd: str = "backend", env: Mapping[str, str] = {}
    ) -> subprocess.CompletedProcess[str]:
        return self._python(str(self.path / "venv/bin/alembic"), *arguments, cwd=cwd, env=env)

    def _python(
        self, *arguments: str, env: Mapping[str, str], cwd: str = ".", timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run Python, or a program that is written in it."""
        if server := self._server(env):
            variables = {**self.environment, **env}
            return server.run(arguments, cwd=str(self.path / cwd), environment=variables, timeout=timeout)
        python = [str(self.path / "venv/bin/python")] if arguments[0] == "-m" else []
        return self.run(*python, *arguments, cwd=cwd, env=env, timeout=timeout)

    def _server(self, env: Mapping[str, str]) -> ForkServer | None:
        can_run = self.server and not self.options and self.server.can_run({**self.environment, **env})
        return self.server if can_run else None

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script as a person types it into one bash, stopping at the first line that fails."""
        return self.run("bash", "-ec", script)

    @property
    def settings(self) -> Settings:
        return settings.load(self.path, environ={})

    @property
    def cluster(self) -> Cluster:
        return development_cluster(self.settings)

    @property
    def versions(self) -> list[Path]:
        return sorted((self.path / "backend/alembic/versions").glob("*.py"))

    @property
    def newest(self) -> Path:
        """The revision file that was written last, whatever the clock says."""
        return max(self.versions, key=lambda path: path.stat().st_mtime_ns)

    def query(self, statement: str) -> list[tuple[object, ...]]:
        """Run one statement in the development database; committed."""
        with psycopg.connect(**self.cluster.target().parameters(), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def restore(self) -> None:
        """Put the tree and the database back to where the first `make migrate` left them."""
        shutil.rmtree(self.path / "backend")
        shutil.copytree(REPOSITORY / "backend", self.path / "backend", ignore=NOT_IN_GIT)
        for written in ("upgrade.sql", "diagram.svg"):
            (self.path / written).unlink(missing_ok=True)
        stashes = self.path / ".dbkit/stash"
        if stashes.exists():
            shutil.rmtree(stashes)
        (self.path / ".env").write_bytes((self.path / ".env.example").read_bytes())
        self.set_database("at_head")

    def set_database(self, template: str) -> None:
        """Replace the development database by a copy of `at_head` or of `template0`, which is empty."""
        self.cluster.ensure_running()
        parameters = self.cluster.target("postgres").parameters()
        with psycopg.connect(**parameters, autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS app WITH (FORCE)")
            connection.execute(f"CREATE DATABASE app TEMPLATE {template}")
