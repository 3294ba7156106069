"""Run an Alembic project's own env.py, unchanged, on scratch databases and on nothing else."""

import contextlib
import io
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from psycopg import sql
from sqlalchemy.pool import NullPool

from dbkit import env_file, gate, scratch
from dbkit.connect import connect
from dbkit.connection_guard import ConnectionGuard, Identity, guarding, identify
from dbkit.errors import DbkitError, InputError
from dbkit.project import Project
from dbkit.settings import Settings, Target

LONGEST_END = 5.0  # seconds that a backend has to end
MAIN = ""
"""The name of the one database that most projects have."""
HINT = """\
A project under proof gets its URL in sqlalchemy.url and in DATABASE_URL. Where env.py reads another variable, name it
with --url-env NAME; where it reads the parts, give them: --set-env DB_NAME={dbname} --set-env DB_HOST={host}"""

Databases = Mapping[str, Target]
"""By name: MAIN, or the names that the option `databases` lists (Alembic's template for several databases)."""
Plan = Callable[[tuple[str, ...], MigrationContext], Iterable[RevisionStep]]


@dataclass(frozen=True)
class Access:
    """How env.py is told which database to use, beside sqlalchemy.url and DATABASE_URL."""

    variables: tuple[tuple[str, str], ...] = ()
    """Names and values; {url}, {host}, {port}, {user}, {password} and {dbname} in a value are the database's."""
    driver: str = "psycopg"
    hands: str = ""
    """What is put into config.attributes["connection"]: "connection", "engine", or nothing."""

    def environment(self, target: Target) -> dict[str, str]:
        """The variables for a database."""
        parts = {
            "url": self.url(target),
            "host": target.host or "localhost",
            "port": str(target.port or 5432),
            "user": target.user or "",
            "password": target.password or "",
            "dbname": target.dbname,
        }
        given = {"DATABASE_URL": "{url}"} | dict(self.variables)
        return {
            name: re.sub(r"\{(\w+)\}", lambda match: parts.get(match[1], match[0]), value)
            for name, value in given.items()
        }

    def url(self, target: Target) -> str:
        """A SQLAlchemy URL for the driver."""
        query = dict(target.query)
        host = target.host or ""
        if host.startswith("/"):
            if self.driver == "pg8000":
                query["unix_sock"] = f"{host}/.s.PGSQL.{target.port}"
            else:
                query |= {"host": host, "port": str(target.port)}
            host = ""
        if self.driver in ("asyncpg", "pg8000"):
            query.pop("requirepeer", None)
        url = sa.URL.create(
            f"postgresql+{self.driver}",
            username=target.user,
            password=target.password,
            host=host or None,
            port=target.port if host else None,
            database=target.dbname,
            query=query,
        )
        return url.render_as_string(hide_password=False)


def database_names(project: Project) -> list[str]:
    """The names of the project's databases."""
    listed = project.config.get_main_option("databases") or ""
    named = [name for name in re.split(r",\s*", listed.strip()) if name]
    return named if named and all(map(project.config.file_config.has_section, named)) else [MAIN]


class WrongDatabase(InputError):
    """env.py opened a connection to something that is not the scratch database."""


@dataclass
class Environment:
    """A project, and what its env.py needs to run on scratch databases."""

    project: Project
    settings: Settings
    access: Access
    databases: Databases
    """Always the same: a project may have read its variables when its modules were imported."""
    version_table_schema: str | None = None
    """What env.py has said of it."""

    def run(self, plan: Plan, connected: Callable[[], None] = lambda: None) -> None:
        """Run env.py once, with `plan` as what the Alembic command wants done.

        `connected` is called after each connection that is opened meanwhile.

        Raises what the migrations raise; InputError when env.py itself fails, or uses another database.
        """
        calls = 0

        def counted(heads: tuple[str, ...], context: MigrationContext) -> Iterable[RevisionStep]:
            nonlocal calls
            calls += 1
            return plan(heads, context)

        script = self.project.script
        environment = EnvironmentContext(
            self.project.config, script, fn=counted, as_sql=False, starting_rev=None, destination_rev="head", tag=None
        )
        configure = environment.configure

        def configure_per_migration(*arguments: Any, **options: Any) -> None:
            self.version_table_schema = options.get("version_table_schema")
            configure(*arguments, **{**options, "transaction_per_migration": True})

        # on the instance: Alembic's `context` proxy would not find it in a subclass
        environment.configure = configure_per_migration  # type: ignore[method-assign]
        with self._prepared(), _only(self.databases, connected), environment:
            script.run_env()
        if not calls:
            raise InputError(f"env.py in {script.dir} ended without running any migrations.", HINT)

    def settle_access(self, plan: Plan) -> None:
        """Find out how env.py is to be told: as `access` says; with an asynchronous driver; with a connection.

        `plan` is run in the way that leads env.py to the scratch databases. Raises InputError, of the first way, when
        none does.
        """
        first = self._try(plan)
        if not first:
            return
        ways = []
        if self.access.driver == "psycopg" and "async" in str(first):
            ways.append(replace(self.access, driver="psycopg_async"))
        if self._mentions_connection():
            ways += [replace(self.access, hands=what) for what in ("connection", "engine")]
        for self.access in ways:
            if not self._try(plan):
                return
        raise explained(first, self.project.script.dir) from first

    def _try(self, plan: Plan) -> BaseException | None:
        """Run env.py. Returns what it raised."""
        try:
            self.run(plan)
        except (Exception, SystemExit) as error:
            if self.version_table_schema and isinstance(getattr(error, "orig", None), psycopg.errors.InvalidSchemaName):
                # where the project runs, somebody has made it
                self._create_schema(self.version_table_schema)
                self.version_table_schema = None
                return self._try(plan)
            return error
        return None

    def _create_schema(self, name: str) -> None:
        for target in self.databases.values():
            with connect(target, autocommit=True) as connection:
                connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(name)))

    @contextlib.contextmanager
    def _prepared(self) -> Iterator[None]:
        """Surround env.py with what it may read, and keep what it prints and logs to itself."""
        config = self.project.config
        urls = {name: self.access.url(target) for name, target in self.databases.items()}
        first = next(iter(urls.values()))
        for name, url in urls.items():
            section = name or config.config_ini_section
            named = {"sqlalchemy.url", *(config.get_section(section) or {})} & {"sqlalchemy.url", "url"}
            for option in named:
                config.set_section_option(section, option, url.replace("%", "%%"))
        settings = scratch.settings_for(self.settings, next(iter(self.databases.values())))
        config.attributes[gate.ATTRIBUTE] = gate.Passage(settings, proving=True)
        config.stdout = io.StringIO()
        with contextlib.ExitStack() as stack:
            stack.enter_context(_silence())
            if self.access.hands:
                engine = sa.create_engine(first, poolclass=NullPool)
                connects = self.access.hands == "connection"
                config.attributes["connection"] = stack.enter_context(engine.connect()) if connects else engine
                stack.callback(config.attributes.pop, "connection")
            yield

    def _mentions_connection(self) -> bool:
        """Whether env.py looks into config.attributes["connection"]."""
        path = env_file.find(Path(self.project.script.dir))
        pattern = rb"""attributes\b[^\n]*["']connection["']"""
        if path.suffix != ".py":  # bytecode, in which both are somewhere, and not in one line
            pattern = rb"(?s)attributes.*connection"
        return bool(re.search(pattern, path.read_bytes()))


def explained(error: BaseException, directory: str) -> DbkitError:
    """What env.py raised by itself, and no migration did."""
    if isinstance(error, DbkitError):
        return error
    words = " ".join(str(getattr(error, "orig", None) or error).split())
    return InputError(f"env.py in {directory} failed: {type(error).__name__}: {words}", HINT)


class _OnlyScratch(ConnectionGuard):
    """Lets connections to these databases through; their names are random, so no other server has them."""

    def __init__(self, databases: Databases, connected: Callable[[], None]) -> None:
        self.targets = {target.dbname: target for target in databases.values()}
        self.connected = connected
        self.opened: dict[int, Target] = {}

    def before(self, dbname: str | None) -> None:
        """Refuse to open a connection to another database."""
        if dbname is not None and dbname not in self.targets:
            self.refuse(
                WrongDatabase(f"env.py opened a connection to {dbname!r}, which is not the scratch database.", HINT)
            )

    def check(self, identity: Identity) -> None:
        """Refuse another database, and remember the session."""
        self.before(identity.dbname)
        self.opened[identity.pid] = self.targets[identity.dbname]

    def pooled(self, connection: Any) -> None:
        """As for every connection; those of the gate, too."""
        self.check(identify(connection))
        self.connected()


@contextlib.contextmanager
def _only(databases: Databases, connected: Callable[[], None]) -> Iterator[None]:
    """Let env.py, and migrations, connect to these databases only; end the sessions that it leaves."""
    guard = _OnlyScratch(databases, connected)
    with guarding(guard):
        try:
            yield
        finally:
            _end(guard.opened)


def _end(opened: Mapping[int, Target]) -> None:
    """End what env.py has left open: a lock that it holds would be in the way, and so would it be itself.

    By the server, since each driver closes a connection in another way.
    """
    if not opened:
        return
    ours = "FROM pg_stat_activity WHERE pid = ANY (%s) AND datname = current_database() AND pid <> pg_backend_pid()"
    for dbname in {target.dbname for target in opened.values()}:
        pids = [pid for pid, target in opened.items() if target.dbname == dbname]
        target = next(target for target in opened.values() if target.dbname == dbname)
        with connect(target, autocommit=True) as connection:
            connection.execute(f"SELECT pg_terminate_backend(pid) {ours}", [pids])
            deadline = time.monotonic() + LONGEST_END
            # pg_terminate_backend() can wait, but looks only each tenth of a second
            while connection.execute(f"SELECT {ours}", [pids]).rowcount and time.monotonic() < deadline:
                time.sleep(0.002)


@contextlib.contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """The environment with these variables, and as it was afterwards."""
    former = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Nothing of what migrations print and log: each runs several times."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(disabled)
