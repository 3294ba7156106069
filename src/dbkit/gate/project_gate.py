"""The gate behind a project's own env.py: `gate.install(context)`.

Alembic has no events for this, so three methods are replaced, on the objects of one command: `configure()` of its
environment, and `begin_transaction()` and `run_migrations()` of each migration context that it makes. The project's
engine, connection and options stay as they are.
"""

import functools
import gc
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import psycopg
import sqlalchemy as sa
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext

from dbkit import hints, signals
from dbkit.errors import CheckFailed, DbkitError, InputError, as_dbkit_error, say
from dbkit.gate import requirements
from dbkit.gate.context import ATTRIBUTE, FoundDatabase, RunContext
from dbkit.gate.migration_run import COMMANDS, MigrationRun
from dbkit.gate.project_connection import ProjectConnection
from dbkit.gate.project_login import ProjectLogin
from dbkit.gate.project_session import ProjectSession
from dbkit.gate.version_table import override_queries
from dbkit.postgres import connection_guard
from dbkit.postgres.own_statements import OwnConnection
from dbkit.redaction import outputs, redact
from dbkit.settings import Settings, Target, load

if TYPE_CHECKING:
    from dbkit.gate.checked_execution import CheckedExecution

OWN_TABLES = ("dbkit_journal", "dbkit_backfill")
"""The beginnings of the names of dbkit's tables, which no project has in its models."""
UNCOMMITTED = """\
env.py executes SQL before context.configure() and does not commit it, so that Alembic takes the whole run for a part of
that transaction: add connection.commit() after it. Or its transaction was rolled back at its end."""


class ProjectGate:
    """The gate of one Alembic command."""

    def __init__(self, environment: EnvironmentContext, run_context: RunContext) -> None:
        self.environment = environment
        self.run_context = run_context
        self.reads_settings = ATTRIBUTE not in environment.config.attributes
        self.is_command_line = self.reads_settings and _is_command_line(environment)
        """Whether the process is the command, so that an error ends it; one of dbkit's verbs, or a program, gets it."""
        self.configure_originally = environment.configure
        self.error: BaseException | None = None
        """The error of a run, in case env.py catches it, or asyncio replaces it."""
        self.unconfirmed: list[CheckedExecution] = []
        """What was executed in transactions that env.py commits."""
        self.login = ProjectLogin(run_context, lambda: self.current, keeps_connections=self.reads_settings)
        self.has_reported = False
        """Whether it has been reported that Alembic compares the models."""
        self.current: ProjectConnection | None = None
        """The connection whose migrations run."""

    def install(self) -> None:
        """Replace the methods of the environment until its end."""
        environment: Any = self.environment
        environment.configure = self._configure
        remove_proxy = environment._remove_proxy  # called when Alembic leaves the environment

        def leave() -> None:
            remove_proxy()
            self.login.close()
            self._finish(sys.exc_info()[1])
            if self.is_command_line:
                gc.freeze()  # nothing is left to collect

        environment._remove_proxy = leave
        if self.is_command_line:
            redact.learn_variables(os.environ)
            outputs.redact_for_alembic(stdout=not self.environment.is_offline_mode())
            signals.raise_on_signals()
            # what is loaded by now stays: scanning it again and again is a tenth of a run, and at its end a sixth
            gc.freeze()
            gc.set_threshold(10_000, 50, 50)
        if self.environment.is_offline_mode():
            import dbkit.gate.offline  # noqa: F401  # it registers what refuses parameters without a value
        self.login.open()

    def _configure(self, *arguments: Any, **options: Any) -> None:
        """Configure Alembic as env.py does, and put the gate before the migrations of this context."""
        if self.reads_settings:
            # env.py may have set the variables since
            self.run_context.settings = load_settings(self.environment)
        include = options.get("include_name")
        self.configure_originally(*arguments, **{**options, "include_name": functools.partial(_include_name, include)})
        migration = self.environment.get_context()
        if migration.dialect.name != "postgresql":
            raise InputError(
                f"env.py configures Alembic for {migration.dialect.name}, and dbkit is for PostgreSQL.",
                "Check the URL that it connects with.",
            )
        if not self.reads_settings:
            from dbkit.project.models import as_metadata  # only the verbs of dbkit need the models

            self.run_context.metadata += as_metadata(options.get("target_metadata"))
        if migration.as_sql:
            if migration.opts["fn"].__name__ in COMMANDS:
                self._prepare_script(migration)
            return
        if migration.connection is None:
            raise InputError(
                "env.py configures Alembic without a connection.",
                "The gate needs one: context.configure(connection=…).",
            )
        _Migration(self, migration, migration.connection).install()

    def _prepare_script(self, migration: MigrationContext) -> None:
        """Make the script of a migration context begin with the preamble, and write the journal's rows."""
        from dbkit.gate import offline  # a command that connects goes without it

        offline.prepare_script(self.run_context, migration)
        preamble = offline.make_preamble(self.run_context, migration)
        run_originally = migration.run_migrations

        def run(**keywords: Any) -> None:
            migration.impl.static_output(preamble)
            run_originally(**keywords)

        changed: Any = migration
        changed.run_migrations = run

    def _finish(self, error: BaseException | None) -> None:
        """Check what env.py has committed; end an `alembic` command with the exit code of its error."""
        found = self.error or error
        explained = self.login.explain(found) if found is not None else None
        self.error = explained or self.error
        if self.run_context.discovers:
            if explained is not None:
                raise explained from None
            return
        if error is None and self.error is None:
            self._check_commits()
        if not isinstance(error, KeyboardInterrupt) or isinstance(self.error, DbkitError):
            error = self.error or error  # a signal comes before the CancelledError that asyncio makes of it
        if error is None or isinstance(error, SystemExit):
            return
        if not self.is_command_line or getattr(self.environment.config.cmd_opts, "raiseerr", False):
            if error is self.error:
                raise error
            return
        if isinstance(error, DbkitError | sa.exc.DBAPIError | psycopg.Error | OSError):
            reported = as_dbkit_error(error)
            print(reported, file=sys.stderr)
            raise SystemExit(reported.exit_code) from None
        if isinstance(error, KeyboardInterrupt):
            say("interrupted")
            raise SystemExit(signals.exit_code()) from None

    def _check_commits(self) -> None:
        """Check the result of what was executed in transactions that env.py has committed, or should have."""
        for each in self.unconfirmed:
            if not self.is_command_line and each.session.is_open:
                continue  # a program commits it later
            try:
                each.require_result()
            except DbkitError as found:
                self.error = CheckFailed(found.message, UNCOMMITTED) if isinstance(found, CheckFailed) else found


class _Migration:
    """The gate before the migrations of one migration context."""

    def __init__(self, gate: ProjectGate, migration: MigrationContext, connection: sa.Connection) -> None:
        self.gate = gate
        self.migration = migration
        self.connection = connection
        self.begin_originally = migration.begin_transaction
        self.run_originally = migration.run_migrations
        self.is_running = False

    def install(self) -> None:
        """Replace the methods of the migration context."""
        migration: Any = self.migration
        migration.begin_transaction = self._begin
        migration.run_migrations = self._run

    def _begin(self, _per_migration: bool = False) -> Any:
        """Return Alembic's transaction within the gate; for env.py one that the gate begins and ends itself."""
        if self.is_running:
            return self.begin_originally(_per_migration)
        return _OuterTransaction(self.migration, self.connection)

    def _run(self, **keywords: Any) -> None:
        connection_guard.require_none_refused()
        try:
            self._run_command(keywords)
        except BaseException as error:
            self.gate.error = self.gate.error or error
            raise
        finally:
            self.gate.current = None

    def _run_command(self, keywords: dict[str, Any]) -> None:
        gate, run_context = self.gate, self.gate.run_context
        driver, target = self._open_driver()
        run_context.target = target
        run_context.settings = replace(run_context.settings, target=target)
        if run_context.discovers:
            name = str(keywords.get("engine_name", ""))
            run_context.found.append(FoundDatabase(name, target, tuple(run_context.metadata), driver.is_pooled))
            run_context.metadata = []
            return
        run_context.choose_hook(target)
        gate.current = driver
        override_queries(self.migration, cast("OwnConnection", driver))
        if self.migration.opts["fn"].__name__ not in COMMANDS:
            self._report_comparison()
            heads = self.migration.get_current_heads()
            requirements.require_consistent(gate.environment.script, heads, self.migration.version_table)
            driver.rollback()
            self._run_with(keywords)
            return
        begin, run = self._begin_inside, functools.partial(self._run_inside, keywords)
        if driver.is_external:
            self.migration.autocommit_block = _refuse_autocommit  # type: ignore[method-assign]
        session = ProjectSession(gate.environment, run_context, target, self.connection, driver, begin, run)
        run_of_command = MigrationRun(session)
        try:
            run_of_command.run()
        finally:
            session.leave()
        if session.is_external and run_of_command.execution is not None:
            gate.unconfirmed.append(run_of_command.execution)

    def _report_comparison(self) -> None:
        """Say, once, that a bare command compares in Alembic's way: its options and hooks are those of env.py."""
        revision_context = self.migration.opts.get("revision_context")
        if self.gate.run_context.command or revision_context is None or self.gate.has_reported:
            return
        if revision_context.command_args["autogenerate"]:
            self.gate.has_reported = True
            say(
                "this is Alembic's own comparison, with the database of env.py: nothing is proven.\n"
                "  `dbkit revision` drafts from the migrations, and proves the draft; `dbkit check` compares alike."
            )

    def _open_driver(self) -> tuple[ProjectConnection, Target]:
        """Return the driver's connection for dbkit's statements, and its database.

        Raises InputError for another engine, and for a pooler that keeps no session.
        """
        migration: Any = self.migration
        is_external = migration._in_external_transaction
        is_held = self.connection.in_transaction() and not is_external
        if is_held and migration._transaction_per_migration:
            self.connection.commit()  # what env.py has executed since: Alembic would commit it with the first revision
            is_held = False
        driver = ProjectConnection(self.connection, is_external=is_external, is_held=is_held)
        target = driver.begin_session(self.migration.version_table, self.migration.version_table_schema)
        driver.rollback()
        if driver.is_pooled and not self.gate.run_context.discovers:
            driver.require_session(target)
        return driver, target

    def _begin_inside(self) -> Any:
        return self.begin_originally(False)

    def _run_inside(self, keywords: dict[str, Any]) -> None:
        self.is_running = True
        try:
            self.run_originally(**keywords)
        finally:
            self.is_running = False

    def _run_with(self, keywords: dict[str, Any]) -> None:
        with self._begin_inside():
            self._run_inside(keywords)


def _refuse_autocommit() -> NoReturn:
    raise InputError(
        "autocommit_block() has to leave the transaction, and env.py holds it: it began one before configure().",
        "If that is only SQL before configure(), add connection.commit() after it.",
    )


class _OuterTransaction:
    """The result of `context.begin_transaction()` in env.py: it commits what env.py executes around migrations."""

    def __init__(self, migration: MigrationContext, connection: sa.Connection) -> None:
        self.is_external = bool(migration._in_external_transaction)
        self.connection = connection

    def __enter__(self) -> "_OuterTransaction":
        return self

    def __exit__(self, kind: object, _error: object, _traceback: object) -> None:
        if not self.is_external and self.connection.in_transaction():
            if kind is None:
                self.connection.commit()
            else:
                self.connection.rollback()


def _include_name(include: Callable[..., bool] | None, name: str | None, type_: str, parents: Any) -> bool:
    """Whether Alembic compares an object: the project's own hook, without the tables of dbkit."""
    if type_ == "table" and name is not None and name.startswith(OWN_TABLES):
        return False
    return include is None or include(name, type_, parents)


def _is_command_line(environment: EnvironmentContext) -> bool:
    """Whether `alembic`, or a command line made with click, such as that of Flask-Migrate, runs env.py."""
    click = sys.modules.get("click")
    return environment.config.cmd_opts is not None or bool(click and click.get_current_context(silent=True))


def load_settings(environment: EnvironmentContext) -> Settings:
    """Read the settings of a project from the environment. Raises InputError."""
    config: Any = environment.config
    names = (config.config_file_name, getattr(config, "toml_file_name", None))  # Alembic 1.16 and later
    found = [Path(name) for name in names if name and Path(name).is_file()]
    ini = (found or [Path("alembic.ini")])[0].absolute()
    return load(ini.parent, ini=ini, dotenv=False)


def _suggest_commands_for(ini: Path) -> None:
    """Suggest dbkit's verbs in messages of an `alembic` command, as they can be typed in this directory."""
    if ini == Path("alembic.ini").absolute():
        hints.for_project()
    else:
        hints.for_project("-c", os.path.relpath(ini))


def install(context: EnvironmentContext) -> None:
    """Put the gate behind env.py, which connects and configures Alembic itself. Raises DbkitError."""
    environment: EnvironmentContext = getattr(context, "_proxy", context)
    config = environment.config
    run_context = config.attributes.get(ATTRIBUTE)
    if run_context is None:
        run_context = RunContext(load_settings(environment))
        _suggest_commands_for(run_context.settings.ini)
    connection_guard.require_none_refused()
    run_context.is_gate_called = True
    if not run_context.is_proof:
        ProjectGate(environment, run_context).install()
