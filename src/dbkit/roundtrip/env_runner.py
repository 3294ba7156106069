"""Run an Alembic project's own env.py, unchanged, on scratch databases and on nothing else."""

import contextlib
import io
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
import sqlalchemy as sa
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from psycopg import sql
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, Pool

from dbkit import gate
from dbkit.errors import DbkitError, InputError, without_secrets
from dbkit.postgres import scratch_cluster
from dbkit.postgres.connect import connect, end_sessions
from dbkit.postgres.connection_guard import ConnectionGuard, Identity, guarding, identify
from dbkit.project import Project, env_file
from dbkit.redaction import redact
from dbkit.roundtrip.engine_pools import EnginePools, database_of
from dbkit.roundtrip.env_hints import HINT, hint_for
from dbkit.settings import Settings, Target

MAIN = ""
"""The name of the one database that most projects have."""
Databases = Mapping[str, Target]
"""By name: MAIN, or the names that the option `databases` lists (Alembic's template for several databases)."""
MigrationsFunction = Callable[[tuple[str, ...], MigrationContext], Iterable[RevisionStep]]


@dataclass(frozen=True)
class Access:
    """How env.py is told which database to use, beside sqlalchemy.url and DATABASE_URL."""

    variables: tuple[tuple[str, str], ...] = ()
    """Names and values; {url}, {host}, {port}, {user}, {password} and {dbname} in a value are the database's."""
    driver: str = "psycopg"
    hands: str = ""
    """What is put into config.attributes["connection"]: "connection", "engine", or nothing."""
    password_apart: bool = False
    """Whether the password is in PGPASSWORD, and not in the URL."""

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
        if self.password_apart:
            given["PGPASSWORD"] = "{password}"
        return {
            name: re.sub(r"\{(\w+)\}", lambda match: parts.get(match[1], match[0]), value)
            for name, value in given.items()
        }

    def url(self, target: Target) -> str:
        """A SQLAlchemy URL for the driver: without a % where no character must be escaped, as for configparser."""
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
            password=None if self.password_apart else target.password,
            host=host or None,
            port=target.port if host else None,
            database=target.dbname,
        )
        # SQLAlchemy would write / as %2F
        parameters = f"?{urlencode(query, safe='/', quote_via=quote)}" if query else ""
        return f"{url.render_as_string(hide_password=False)}{parameters}"

    def password_variable_helps(self, databases: Databases) -> bool:
        """Whether the URLs have a % because of their passwords only, which libpq's drivers find in PGPASSWORD, too."""
        apart = replace(self, password_apart=True)
        return not any("%" in apart.url(target) for target in databases.values())


def database_names(project: Project) -> list[str]:
    """The names of the project's databases."""
    listed = project.config.get_main_option("databases") or ""
    named = [name for name in re.split(r",\s*", listed.strip()) if name]
    return named if named and all(map(project.config.file_config.has_section, named)) else [MAIN]


class WrongDatabase(InputError):
    """env.py opened a connection to something that is not the scratch database."""


@dataclass
class EnvRunner:
    """A project, and what its env.py needs to run on scratch databases."""

    project: Project
    settings: Settings
    access: Access
    databases: Databases
    """Always the same: a project may have read its variables when its modules were imported."""
    version_table_schema: str | None = None
    """What env.py has said of it."""
    pools: EnginePools = field(default_factory=EnginePools, init=False)
    """What the runs of env.py leave open."""

    def run(self, plan: MigrationsFunction, connected: Callable[[], None] = lambda: None) -> None:
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
        try:
            with self._prepared(), _only(self.databases, connected, self.pools), environment:
                script.run_env()
        finally:
            redact.learn_variables(os.environ)  # env.py may have read a file into it
        if not calls:
            raise InputError(f"env.py in {script.dir} ended without running any migrations.", HINT)

    def settle_access(self, plan: MigrationsFunction) -> None:
        """Find out how env.py is to be told: as `access` says; with an asynchronous driver; with a connection.

        `plan` is run in the way that leads env.py to the scratch databases. Raises InputError, of the first way, when
        none does.
        """
        first = self._try(plan)
        if not first:
            return
        ways = []
        if "interpolation syntax" in str(first) and self.access.password_variable_helps(self.databases):
            ways.append(replace(self.access, password_apart=True))
        if self.access.driver == "psycopg" and "async" in str(first):
            ways.append(replace(self.access, driver="psycopg_async"))
        if self._mentions_connection():
            ways += [replace(self.access, hands=what) for what in ("connection", "engine")]
        for self.access in ways:
            if not self._try(plan):
                return
        raise env_error(first, self.project.script.dir) from first

    def _try(self, plan: MigrationsFunction) -> BaseException | None:
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
        settings = scratch_cluster.settings_for(self.settings, next(iter(self.databases.values())))
        config.attributes[gate.ATTRIBUTE] = gate.RunContext(settings, proving=True)
        config.stdout = io.StringIO()
        with contextlib.ExitStack() as stack:
            stack.enter_context(environment_variables(self.access.environment(next(iter(self.databases.values())))))
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


def env_error(error: BaseException, directory: str) -> DbkitError:
    """What env.py raised by itself, and no migration did."""
    if isinstance(error, DbkitError):
        return error
    words = without_secrets(" ".join(str(getattr(error, "orig", None) or error).split()))
    return InputError(f"env.py in {directory} failed: {type(error).__name__}: {words}", hint_for(directory))


class _OnlyScratch(ConnectionGuard):
    """Lets connections to these databases through; their names are random, so no other server has them."""

    def __init__(self, databases: Databases, connected: Callable[[], None], pools: EnginePools) -> None:
        self.pools = pools
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

    def pooled(self, connection: Any, entry: ConnectionPoolEntry) -> None:
        """As for every connection; those of the gate, too."""
        identity = identify(connection)
        self.check(identity)
        self.pools.add(entry, identity.dbname)
        self.connected()  # here, too: the pool must not keep what was opened for a migration that is left


@contextlib.contextmanager
def _only(databases: Databases, connected: Callable[[], None], pools: EnginePools) -> Iterator[None]:
    """Let env.py, and migrations, connect to these databases only; end the sessions that it leaves."""
    guard = _OnlyScratch(databases, connected, pools)

    def check_pooled(connection: Any, entry: ConnectionPoolEntry, _fairy: object) -> None:
        if database_of(entry) not in guard.targets:  # opened before we looked
            guard.pooled(connection, entry)
        connected()

    with guarding(guard):
        sa.event.listen(Pool, "checkout", check_pooled)
        try:
            with pools.following():
                yield
        finally:
            sa.event.remove(Pool, "checkout", check_pooled)
            pools.close()
            _end(guard.opened)


def _end(opened: Mapping[int, Target]) -> None:
    """End what env.py has left open and no pool could close: it, or a lock that it holds, would be in the way."""
    for dbname, target in {target.dbname: target for target in opened.values()}.items():
        with connect(target, autocommit=True) as connection:
            end_sessions(connection, dbname, [pid for pid, each in opened.items() if each.dbname == dbname])


@contextlib.contextmanager
def environment_variables(values: Mapping[str, str]) -> Iterator[None]:
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
