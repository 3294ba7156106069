"""The one gate to the database, behind env.py: whatever runs migrations comes through `run`.

It reads the settings, opens the one connection, takes the migration lock on it, refuses what protection refuses,
and tells Alembic how to compare. A wrapper may add comfort; what makes a migration safe is here.
"""

import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep, StampStep
from alembic.script import Script, ScriptDirectory

from dbkit import autogenerate, offline
from dbkit.connect import connect
from dbkit.errors import CheckFailed, DbkitError, InputError, Refused, as_dbkit_error
from dbkit.lock import VERSION_TABLE, migration_lock
from dbkit.project import configure_logging, require_known
from dbkit.server.cluster import development_cluster
from dbkit.settings import Settings, Target, load

ATTRIBUTE = "dbkit"
APPLICATION_NAME = "dbkit migrate"
EXPENDABLE = ("development", "test", "ci")
CONNECTION_CHECK = 500  # milliseconds after which a server notices that its client is gone

HINT = """\
What it had not committed was rolled back; what was applied before it stays (see `make status`).
Mend the migration, then run the same command again."""
LOST_HINT = """\
The connection was lost, and with it what was not committed; what was applied before stays (see `make status`).
When the server is back, run the same command again."""
OFFLINE_HINT = """\
Nothing was run. A migration that reads rows into Python cannot be written as a script: do it in SQL, or guard it
with `if not op.get_context().as_sql`."""

COMMON: dict[str, Any] = {"transaction_per_migration": True, "version_table": VERSION_TABLE}

Step = RevisionStep | StampStep
Plan = Callable[[tuple[str, ...], MigrationContext], Any]


@dataclass
class Passage:
    """One passage through the gate: what a dbkit verb hands to env.py, and what it gets back.

    It travels in `config.attributes["dbkit"]`; a bare `alembic` command has none.
    """

    settings: Settings
    command: str = ""
    """The name of the Alembic command, when a verb runs it."""
    announce: bool = False
    """Print each migration as it begins. (Under the `alembic` command, Alembic's own log does.)"""
    start: tuple[str, ...] = ()
    """Where a script begins, when that is at several revisions."""
    proving: bool = False
    """Whether a proof decides step by step, on a scratch database: nothing is refused or recorded."""
    steps: list[Step] = field(default_factory=list)
    """What was begun, first to last; the last one may have failed."""
    written: list[Script] = field(default_factory=list)
    """The revision files that were made."""
    metadata: sa.MetaData | None = None
    """The models, when the command compared them."""


def run(context: EnvironmentContext, root: Path, load_metadata: Callable[[], sa.MetaData]) -> None:
    """Let the Alembic command that `context` stands for pass. Called by env.py, and by nothing else.

    `root` is where `.env` is; `load_metadata` imports the models, and is called only by commands that compare them.
    Under the `alembic` command a DbkitError becomes its line on stderr and its exit code; a caller in Python gets it.
    """
    command_line = context.config.cmd_opts
    if command_line is not None:
        configure_logging(root / "alembic.ini")
    try:
        passage = context.config.attributes.get(ATTRIBUTE) or Passage(load(root, warn=True))
        if context.is_offline_mode():
            _run_offline(context, passage)
        else:
            _run_online(context, passage, load_metadata)
    except (DbkitError, sa.exc.DBAPIError, psycopg.Error, OSError) as error:
        if command_line is None or getattr(command_line, "raiseerr", False):
            raise
        told = as_dbkit_error(error)
        print(told, file=sys.stderr)
        raise SystemExit(told.exit_code) from None


def target_of(settings: Settings) -> Target:
    """The database that `settings` mean, with the embedded server started where that is the one."""
    return settings.target or development_cluster(settings).ensure_running()


def refuse_unless_expendable(settings: Settings, target: Target, what: str) -> None:
    """Raise Refused when `what` may lose data and neither APP_ENV nor CONFIRM allow it."""
    embedded = settings.target is None and not settings.app_env
    if settings.app_env in EXPENDABLE or embedded or settings.confirm == target.dbname:
        return
    marked = f"marked {settings.app_env}" if settings.app_env else "not marked as development (APP_ENV is not set)"
    raise Refused(
        f'refusing to {what} "{target.dbname}" on {target.server()}: it is {marked}.',
        f"If you mean it, put CONFIRM={target.dbname} before the command.",
    )


def _run_offline(context: EnvironmentContext, passage: Passage) -> None:
    several: dict[str, Any] = {"starting_rev": passage.start} if len(passage.start) > 1 else {}
    context.configure(**offline.OPTIONS, **COMMON, **several)
    migration = context.get_context()
    _wrap_plan(migration, lambda plan: _recorded(plan, passage))
    context.static_output(offline.preamble(migration.get_current_heads(), passage.settings))
    _run_migrations(context, passage)


def _run_online(context: EnvironmentContext, passage: Passage, load_metadata: Callable[[], sa.MetaData]) -> None:
    settings = passage.settings
    target = target_of(settings)
    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=lambda: _open(target, settings),
        poolclass=sa.NullPool,
        hide_parameters=True,
    )
    with engine.connect() as connection:
        context.configure(connection=connection, **autogenerate.COMPARISON, **COMMON)
        migration = context.get_context()
        compares_models = "revision_context" in migration.opts
        if compares_models:
            passage.metadata = _import_models(load_metadata)
            writes_file = passage.command == "revision" or getattr(context.config.cmd_opts, "autogenerate", False)
            versions = Path(context.script.versions)
            migration.opts.update(autogenerate.options(passage.metadata, versions, writes_file=writes_file))
        if migration.opts.get("purge"):
            refuse_unless_expendable(settings, target, "purge the history of")
        if not passage.proving:
            _wrap_plan(migration, lambda plan: _recorded(_guarded(plan, context.script, settings, target), passage))
        writes = not compares_models and not migration.opts.get("dont_mutate")
        with migration_lock(connection, settings.wait) if writes else nullcontext():
            # SQL before Alembic's own, without a commit, would make it take the whole run for part of an outer
            # transaction that nobody commits: it would print "Running upgrade", exit 0, and apply nothing
            if connection.in_transaction():
                raise RuntimeError("the migration connection is in a transaction before Alembic begins")
            _run_migrations(context, passage)


def _import_models(load_metadata: Callable[[], sa.MetaData]) -> sa.MetaData:
    try:
        return load_metadata()
    except Exception as error:  # importing the models runs the team's code
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise InputError(
            f"the models cannot be imported: {type(error).__name__}: {error}",
            f"At {place.filename}, line {place.lineno}.",
        ) from error


def _wrap_plan(migration: MigrationContext, wrap: Callable[[Plan], Plan]) -> None:
    """Put something between Alembic and its plan of steps, for which it has no public way."""
    migration._migrations_fn = wrap(migration.opts["fn"])


def _run_migrations(context: EnvironmentContext, passage: Passage) -> None:
    begun = len(passage.steps)
    try:
        with context.begin_transaction():
            context.run_migrations()
    except DbkitError:
        raise
    except (Exception, SystemExit) as error:  # a migration can raise anything
        if len(passage.steps) == begun:
            raise
        lost = isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated
        hint = OFFLINE_HINT if context.is_offline_mode() else LOST_HINT if lost else HINT
        raise _migration_failed(error, passage.steps[-1], hint) from error


def _guarded(plan: Plan, script: ScriptDirectory, settings: Settings, target: Target) -> Plan:
    """The plan, refused as a whole when it would lose something on a protected database, or when it cannot be made."""

    def guarded(heads: tuple[str, ...], context: MigrationContext) -> list[Step]:
        require_known(script, heads)
        steps = list(plan(heads, context))
        if any(step.is_downgrade for step in steps):
            refuse_unless_expendable(settings, target, "roll back")
        if any(isinstance(step, StampStep) for step in steps):
            refuse_unless_expendable(settings, target, "stamp")
        return steps

    return guarded


def _recorded(plan: Plan, passage: Passage) -> Plan:
    """The plan, with a record of each step as it begins."""

    def recorded(heads: tuple[str, ...], context: MigrationContext) -> Iterator[Step]:
        for step in plan(heads, context):
            passage.steps.append(step)
            if passage.announce:
                print(f"  {'undoing' if step.is_downgrade else 'applying'} {step.doc}", flush=True)
            yield step

    return recorded


def _migration_failed(error: BaseException, step: Step, hint: str) -> CheckFailed:
    """One line with the cause and the place in the migration file, and what to do."""
    direction = "downgrade" if step.is_downgrade else "upgrade"
    revision = (step.from_revisions if step.is_downgrade else step.to_revisions)[0]
    path = Path(step.revision.path) if isinstance(step, RevisionStep) else None
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if path and frame.filename == str(path)]
    place = f"{path.name}:{frames[-1].lineno}" if path and frames else str(path and path.name)
    original = getattr(error, "orig", None) or error
    cause = re.sub(r"\s+", " ", str(original)).strip() or type(original).__name__
    if isinstance(error, sa.exc.DBAPIError):
        cause = re.sub(r" LINE \d+: .*", "", cause)
    else:
        cause = f"{type(original).__name__}: {cause}"
    return CheckFailed(f"{direction} of {revision} failed, at {place}: {cause}", hint)


def _open(target: Target, settings: Settings) -> psycopg.Connection:
    """The migration connection. Its time-outs are start-up options, so that no statement runs without them."""
    timeouts = {"lock_timeout": settings.lock_timeout, "statement_timeout": settings.statement_timeout}
    options = [f"-c {name}={round(seconds * 1000)}" for name, seconds in timeouts.items()]
    own = target.parameters().get("options")
    connection = connect(
        target,
        settings.wait,
        options=" ".join([*([str(own)] if own else []), *options]),
        application_name=APPLICATION_NAME,
    )
    if connection.info.server_version >= 14_00_00:
        connection.execute(f"SET client_connection_check_interval = {CONNECTION_CHECK}")
        connection.commit()
    return connection
