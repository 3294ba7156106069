"""Run a project's env.py, unchanged, on scratch databases and on nothing else."""

import contextlib
import io
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from psycopg import sql
from sqlalchemy.pool import NullPool

from dbkit import errors, gate
from dbkit.errors import DbkitError, InputError, describe_error, sqlstate_of
from dbkit.postgres import scratch_database
from dbkit.postgres.connect import connect
from dbkit.project import Project, env_file
from dbkit.project.initial import EMPTY, MISSING
from dbkit.project.initial import HINT as INITIAL_HINT
from dbkit.project.models import as_metadata
from dbkit.redaction import redact
from dbkit.roundtrip.access import Access, Databases, environment_variables
from dbkit.roundtrip.engine_pools import EnginePools
from dbkit.roundtrip.env_hints import ARGUMENTS_HINT, HINT, hint_for, hint_for_unset, reads_arguments
from dbkit.roundtrip.redirection import redirect_connections
from dbkit.roundtrip.scratch_connections import WrongDatabase, restrict_connections
from dbkit.settings import Settings

SINGLE_PERCENT = re.compile(r"(?<!%)%(?!%|\()")
"""What configparser refuses in a value."""

MigrationsFunction = Callable[[tuple[str, ...], MigrationContext], Iterable[RevisionStep]]
"""Alembic's `fn`: given the heads and the context, it yields the steps to run."""


@dataclass
class EnvRunner:
    """A project, and what its env.py needs to run on scratch databases."""

    project: Project
    settings: Settings
    access: Access
    databases: Databases
    """The same for all runs: a project may have read its variables when its modules were imported."""
    template: str = EMPTY
    """The database that the scratch databases are copies of: in the state in which the chain begins."""
    version_table_schema: str | None = None
    """The option that env.py gave to Alembic in its last run."""
    shares_transaction: bool = field(default=False, init=False)
    """Whether env.py runs all revisions of a command in one transaction, as Alembic does by default."""
    models: dict[str, tuple[list[sa.MetaData], Mapping[str, Any]]] = field(default_factory=dict, init=False)
    """The models that env.py gave to Alembic in its last run, and all options, by the name of the database."""
    pools: EnginePools = field(default_factory=EnginePools, init=False)
    """The connections that the runs of env.py leave open."""

    def run(
        self, migrations: MigrationsFunction, on_connect: Callable[[], None] = lambda: None, **context: Any
    ) -> None:
        """Run env.py once, with `migrations` as the steps of the Alembic command.

        `on_connect` is called after each connection that is opened meanwhile. `context` are further options of
        Alembic's environment.

        Raises what the migrations raise; InputError when env.py itself fails, or uses another database.
        """
        calls = 0

        def counted(heads: tuple[str, ...], context: MigrationContext) -> Iterable[RevisionStep]:
            nonlocal calls
            calls += 1
            return migrations(heads, context)

        script = self.project.script
        environment = EnvironmentContext(
            self.project.config,
            script,
            fn=counted,
            as_sql=False,
            starting_rev=None,
            destination_rev="head",
            tag=None,
            **context,
        )
        configure = environment.configure

        def configure_per_migration(*arguments: Any, **options: Any) -> None:
            self.version_table_schema = options.get("version_table_schema")
            self.shares_transaction = not options.get("transaction_per_migration")
            self._record_models(arguments, options)
            configure(*arguments, **{**options, "transaction_per_migration": True})

        # on the instance: Alembic's `context` proxy would not find it in a subclass
        environment.configure = configure_per_migration  # type: ignore[method-assign]
        try:
            with (
                self._prepared(),
                self._redirected(),
                restrict_connections(self.databases, on_connect, self.pools),
                environment,
            ):
                script.run_env()
        finally:
            redact.learn_variables(os.environ)  # env.py may have read a file into it
        if not calls:
            raise InputError(f"env.py in {script.dir} ended without running any migrations.", HINT)

    def find_access(self, migrations: MigrationsFunction) -> None:
        """Find out how env.py takes its database: as in `access`, with an async driver, or by a connection.

        Where it connects to another database, its engines are led to the scratch database.

        `migrations` runs with the access that leads env.py to the scratch databases. Raises InputError, with the error
        of the first attempt, when none does.
        """
        first = self._try(migrations)
        if not first:
            return
        others = []
        if isinstance(first, WrongDatabase) and not self.access.redirects and len(self.databases) == 1:
            others.append(replace(self.access, redirects=True))
        if "interpolation syntax" in str(first) and self.access.password_variable_helps(self.databases):
            others.append(replace(self.access, password_apart=True))
        if self.access.driver == "psycopg" and "async" in str(first):
            others.append(replace(self.access, driver="psycopg_async"))
        if self._mentions_connection():
            others += [replace(self.access, hands=what) for what in ("connection", "engine")]
        if self.access.redirects and len(self.databases) == 1:
            others.append(replace(self.access, has_host=True))
        for self.access in others:
            if not self._try(migrations):
                return
        raise self.env_error(first) from first

    def env_error(self, error: BaseException) -> DbkitError:
        """Return the DbkitError for what env.py itself raised, and no migration."""
        if isinstance(error, DbkitError):
            return error
        directory = self.project.script.dir
        # of a project whose connections are redirected, no option of ours sets the URL
        unset = hint_for_unset(directory, error) or "`alembic current` runs it, too."
        hint = unset if self.access.redirects else hint_for(directory)
        if sqlstate_of(error) in MISSING:
            hint = INITIAL_HINT
        if not self.project.origin[2] and reads_arguments(directory):
            hint = f"{ARGUMENTS_HINT}\n{hint}"
        return InputError(f"env.py in {directory} failed: {type(error).__name__}: {describe_error(error)}", hint)

    def _try(self, migrations: MigrationsFunction) -> BaseException | None:
        """Run env.py. Returns what it raised."""
        try:
            self.run(migrations)
        except (Exception, SystemExit) as error:
            if self.version_table_schema and sqlstate_of(error) == "3F000":
                # an operator has created it in the project's real databases
                self._create_schema(self.version_table_schema)
                self.version_table_schema = None
                return self._try(migrations)
            return error
        return None

    def _create_schema(self, name: str) -> None:
        for target in self.databases.values():
            with connect(target, autocommit=True) as connection:
                connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(name)))

    @contextlib.contextmanager
    def _prepared(self) -> Iterator[None]:
        """Set what env.py may read, and suppress what it prints and logs."""
        config = self.project.config
        main = next(iter(self.databases.values()))
        settings = scratch_database.settings_for(self.settings, main)
        config.attributes[gate.ATTRIBUTE] = gate.RunContext(settings, is_proof=True)
        config.stdout = io.StringIO()
        with contextlib.ExitStack() as stack:
            stack.enter_context(environment_variables(self.access.environment(main)))
            stack.enter_context(self._urls())
            stack.enter_context(self._accepted_percents())
            stack.enter_context(_silence())
            if self.access.hands:
                engine = sa.create_engine(self.access.url(main), poolclass=NullPool)
                connects = self.access.hands == "connection"
                config.attributes["connection"] = stack.enter_context(engine.connect()) if connects else engine
                stack.callback(config.attributes.pop, "connection")
            yield

    def _redirected(self) -> contextlib.AbstractContextManager[None]:
        if self.access.redirects and len(self.databases) == 1:
            return redirect_connections(next(iter(self.databases.values())))
        return contextlib.nullcontext()

    def _record_models(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        connection = arguments[0] if arguments else options.get("connection")
        dbname = getattr(getattr(getattr(connection, "engine", None), "url", None), "database", None)
        names = [name for name, target in self.databases.items() if target.dbname == dbname]
        found = as_metadata(options.get("target_metadata"))
        if found:
            self.models[names[0] if names else next(iter(self.databases))] = found, options

    @contextlib.contextmanager
    def _urls(self) -> Iterator[None]:
        """Set the URLs of the databases in the project's Alembic configuration, and restore them at the end."""
        config = self.project.config
        sections = {name or config.config_ini_section for name in self.databases}
        places = [(section, option) for section in sorted(sections) for option in ("sqlalchemy.url", "url")]
        former = {place: config.file_config.get(*place, raw=True, fallback=None) for place in places}
        self._set_urls()
        try:
            yield
        finally:
            for (section, option), value in former.items():
                if value is not None:
                    config.file_config.set(section, option, value)
                else:
                    config.file_config.remove_option(section, option)

    @contextlib.contextmanager
    def _accepted_percents(self) -> Iterator[None]:
        """Let env.py set the URL of a scratch database as SQLAlchemy prints it: with %2F, the directory of its socket.

        The project's own URL has no % where its server has a host name.
        """
        config = self.project.config
        original = config.set_section_option
        names = [target.dbname for target in self.databases.values()]

        def set_section_option(section: str, name: str, value: str) -> None:
            is_ours = isinstance(value, str) and any(dbname in value for dbname in names)
            doubled = SINGLE_PERCENT.sub("%%", value) if is_ours else value
            original(section, name, doubled)

        config.set_section_option = set_section_option  # type: ignore[method-assign]
        try:
            yield
        finally:
            del config.set_section_option

    def _set_urls(self) -> None:
        config = self.project.config
        for name, target in self.databases.items():
            section = name or config.config_ini_section
            options = {"sqlalchemy.url", *(config.get_section(section) or {})} & {"sqlalchemy.url", "url"}
            for option in options:
                config.set_section_option(section, option, self.access.url(target).replace("%", "%%"))

    def _mentions_connection(self) -> bool:
        """Whether env.py reads config.attributes["connection"]."""
        path = env_file.find_env_file(Path(self.project.script.dir))
        pattern = rb"""attributes\b[^\n]*["']connection["']"""
        if path.suffix != ".py":  # bytecode, where both are somewhere, and not on one line
            pattern = rb"(?s)attributes.*connection"
        return bool(re.search(pattern, path.read_bytes()))


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Suppress what migrations print and log: each runs several times."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    printed = len(errors.said)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(disabled)
        del errors.said[printed:]
