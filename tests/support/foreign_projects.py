"""Alembic projects as other teams have them, with one line of dbkit in their env.py."""

import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from dbkit.settings import Target
from support.pair import url_of

INSTALL = "from alembic import context\n\nfrom dbkit import gate\n\ngate.install(context)\n"
SLEEPING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(600)%'"
    " AND state = 'active' AND pid <> pg_backend_pid()"
)
MIGRATION_LOCKS = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
# What a process of the tests must not pass on
OURS = ("DATABASE", "MIGRATION", "APP_ENV", "CONFIRM", "STASH", "DB_", "SHOP_", "BILLING_")


def driver_url(target: Target, driver: str) -> str:
    """Return the URL of a database as SQLAlchemy takes it, for one of its drivers."""
    return url_of(target).replace("postgresql://", f"postgresql+{driver}://", 1)


@dataclass
class ForeignProject:
    """A project, its databases, and what people type in it."""

    root: Path
    databases: dict[str, Target]
    """Its databases by the names of their engines; "" where there is one."""
    driver: str
    config: str = "alembic.ini"
    program: tuple[str, ...] = ("alembic",)
    """The module that runs migrations, with its first arguments."""
    options: tuple[str, ...] = ()
    """Options of its commands."""
    arguments: tuple[str, ...] = ()
    """What env.py needs: -x tenant=NAME."""
    environment: dict[str, str] = field(default_factory=dict)
    schema: str = "public"
    """Where the tables are."""
    version_table: str = "alembic_version"
    scripts: str = "migrations"
    python: Path | str = sys.executable
    """The interpreter of its environment."""

    @property
    def versions(self) -> Path:
        return self.root / self.scripts / "versions"

    @property
    def env_py(self) -> Path:
        return self.root / self.scripts / "env.py"

    def variables(self, env: Mapping[str, str | None] = {}) -> dict[str, str]:
        """Return the environment of its processes; with None, a variable is not set."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        merged: dict[str, str | None] = {**kept, "APP_ENV": "development", **self.environment, **env}
        return {name: value for name, value in merged.items() if value is not None}

    def start(self, *arguments: str, env: Mapping[str, str | None] = {}, **options: Any) -> "subprocess.Popen[str]":
        """Begin to run alembic, or what the project has in its place."""
        return self._start([*self.program, *self.arguments, arguments[0], *self.options, *arguments[1:]], env, options)

    def start_dbkit(
        self, verb: str, *arguments: str, env: Mapping[str, str | None] = {}, **options: Any
    ) -> "subprocess.Popen[str]":
        """Begin to run a verb of dbkit."""
        project = ["-c", self.config, *self.arguments]
        if verb == "psql":  # which has -c and -x of its own
            project = ["--config", self.config, *(word.replace("-x", "--x-arg") for word in self.arguments)]
        return self._start(["dbkit", verb, *project, *arguments], env, options)

    def _start(
        self, arguments: list[str], env: Mapping[str, str | None], options: dict[str, Any]
    ) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [self.python, "-m", *arguments],
            cwd=self.root,
            env=self.variables(env),
            stdin=subprocess.DEVNULL,
            text=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )

    def alembic(self, *arguments: str, env: Mapping[str, str | None] = {}) -> "subprocess.CompletedProcess[str]":
        """Run alembic to its end."""
        return finish(self.start(*arguments, env=env))

    def dbkit(
        self, verb: str, *arguments: str, env: Mapping[str, str | None] = {}
    ) -> "subprocess.CompletedProcess[str]":
        """Run a verb of dbkit to its end."""
        return finish(self.start_dbkit(verb, *arguments, env=env))

    def together(self, count: int, env: Mapping[str, str | None] = {}) -> "list[subprocess.CompletedProcess[str]]":
        """Run so many `alembic upgrade head` at once."""
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(lambda _: self.alembic("upgrade", "head", env=env), range(count)))

    def query(self, statement: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run a statement in one database (the first), where the project's tables are; committed."""
        target = self.databases[database] if database is not None else next(iter(self.databases.values()))
        with psycopg.connect(**target.parameters(), autocommit=True) as connection:
            connection.execute(sql.SQL("SET search_path = {}, public").format(sql.Identifier(self.schema)))
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def heads(self, database: str | None = None) -> list[str]:
        """Return what the version table says; nothing where there is none."""
        table = f"{self.schema}.{self.version_table}"
        if self.query(f"SELECT to_regclass('{table}')", database) == [(None,)]:
            return []
        return sorted(str(row[0]) for row in self.query(f"SELECT version_num FROM {table}", database))

    def journal(self, database: str | None = None) -> list[tuple[str, str]]:
        """Return action and revision of each row of the journal that has an end, first to last."""
        found = (
            "SELECT relnamespace::regnamespace::text, relname FROM pg_class WHERE relkind = 'r'"
            " AND relname ~ '^dbkit_journal'"
        )
        tables = [f"{schema}.{name}" for schema, name in self.query(found, database) if schema == self.schema]
        if not tables:
            return []
        assert len(tables) == 1, tables
        rows = f"SELECT action, revision FROM {tables[0]} WHERE ended_at IS NOT NULL ORDER BY id"
        return self.query(rows, database)

    def names(self) -> str:
        """Return the value of CONFIRM that confirms each of its databases."""
        return ",".join(target.dbname for target in self.databases.values())


def finish(process: "subprocess.Popen[str]", timeout: float = 120) -> "subprocess.CompletedProcess[str]":
    """Wait for a process. One that does not end is killed, and an error."""
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        stdout, stderr = process.communicate()
        raise AssertionError(f"{process.args!r} did not end; it has said:\n{stdout}{stderr}") from None
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
