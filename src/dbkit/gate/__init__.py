"""The one gate to the database, behind env.py: whatever runs migrations comes through `run`.

It reads the settings, opens the one connection, looks whether there is anything to do, takes the migration lock,
refuses what protection and history refuse, runs the steps (`course`), and looks from a second connection whether all is
as it should be (`aftermath`). A wrapper may add comfort; what makes a migration safe is here.
"""

import gc
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep, StampStep
from alembic.script import Script
from alembic.util import CommandError
from psycopg.pq import TransactionStatus
from psycopg.types import TypeInfo

from dbkit import journal, project, signals
from dbkit.errors import CheckFailed, DbkitError, InputError, Refused, as_dbkit_error, is_lock_timeout, lock_error, say
from dbkit.gate import diagnosis, executor, offline, preconditions, protection
from dbkit.gate.executor import Executor, Step
from dbkit.gate.monitor import Monitor, MonitoredConnection, driver_of, purge
from dbkit.gate.version_table import moves
from dbkit.postgres import connection_guard, session
from dbkit.postgres.cluster import development_cluster
from dbkit.postgres.connect import connect, current_revisions, has_version_table
from dbkit.postgres.locks import VERSION_TABLE, migration_lock, retake_lock
from dbkit.postgres.own_statements import place_of
from dbkit.project import autogenerate, configure_logging, revision_ids
from dbkit.project.config import read_config
from dbkit.project.step_hooks import HookFailed, StepHook
from dbkit.redaction import outputs, redact
from dbkit.settings import Settings, Target, load
from dbkit.wording import counted

ATTRIBUTE = "dbkit"
APPLICATION_NAME = "dbkit migrate"
NOTHING_RUN = "Nothing was run."
READS_ROWS = """\
A migration that reads rows into Python cannot be written as a script: do it in SQL, or guard it
with `if not op.get_context().as_sql`."""

TYPE_OF_EXTENSION = """
SELECT t.oid::int8, t.typarray::int8 FROM pg_type AS t
JOIN pg_depend AS d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
WHERE t.typname = %s::name LIMIT 1"""

COMMON: dict[str, Any] = {"transaction_per_migration": True, "version_table": VERSION_TABLE}
# Alembic's commands that change the version table, by the name of their function in alembic/command.py
UPGRADE, DOWNGRADE, STAMP = "upgrade", "downgrade", "do_stamp"

Plan = Callable[[tuple[str, ...], MigrationContext], Any]


@dataclass
class RunContext:
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
    guard: StepHook | None = None
    """Who stands beside each step."""
    steps: list[Step] = field(default_factory=list)
    """What was begun, first to last; the last one may have failed."""
    after: tuple[str, ...] = ()
    """The revisions that the database is at when the steps are done."""
    written: list[Script] = field(default_factory=list)
    """The revision files that were made."""
    metadata: list[sa.MetaData] = field(default_factory=list)
    """The models, when the command compared them: one for most projects."""
    taken: bool = False
    """Whether env.py has called the gate."""
    target: Target | None = None
    """The database that the gate has connected to, or is about to."""


def run(context: EnvironmentContext, root: Path, load_metadata: Callable[[], object]) -> None:
    """Let the Alembic command that `context` stands for pass. Called by env.py, and by nothing else.

    `root` is where `.env` is; `load_metadata` imports the models, and is called only by commands that compare them: it
    returns a MetaData, or a list of them.
    Under the `alembic` command a DbkitError becomes its line on stderr and its exit code; a caller in Python gets it.
    """
    command_line = context.config.cmd_opts
    if command_line is None:
        _pass(context, root, load_metadata)
        return
    redact.learn_variables(os.environ)
    outputs.redact_for_alembic(stdout=not context.is_offline_mode())
    configure_logging(root / "alembic.ini")
    gc.freeze()  # what is loaded by now stays; looking through it again and again costs a tenth of a long run
    signals.raise_on_signals()
    try:
        _pass(context, root, load_metadata)
    except (DbkitError, sa.exc.DBAPIError, psycopg.Error, OSError) as error:
        if getattr(command_line, "raiseerr", False):
            raise
        told = as_dbkit_error(error)
        print(told, file=sys.stderr)
        raise SystemExit(told.exit_code) from None
    except KeyboardInterrupt:
        say("interrupted")
        raise SystemExit(signals.exit_code()) from None


def target_of(settings: Settings) -> Target:
    """The database that `settings` mean, with the embedded server started where that is the one."""
    return settings.target or development_cluster(settings).ensure_running()


def _pass(context: EnvironmentContext, root: Path, load_metadata: Callable[[], object]) -> None:
    connection_guard.require_none_refused()
    passage = context.config.attributes.get(ATTRIBUTE) or RunContext(load(root, warn=True))
    passage.taken = True
    if context.is_offline_mode():
        _run_offline(context, passage)
        return
    target = passage.target = target_of(passage.settings)
    connection_guard.require_meant(target.dbname)
    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=lambda: session.connect_for_migration(target, passage.settings, APPLICATION_NAME, MonitoredConnection),
        poolclass=sa.NullPool,
        hide_parameters=True,
    )
    _ask_qualified(engine)
    with engine.connect() as connection:
        context.configure(connection=connection, **autogenerate.COMPARISON, **COMMON)
        migration = context.get_context()
        _find_version_table_qualified(migration, driver_of(connection))
        if "revision_context" in migration.opts:
            if not passage.settings.scratch:
                protection.require_no_shadows(driver_of(connection))
            _prepare_comparison(context, passage, load_metadata)
        if passage.proving:
            _wrap_plan(migration, lambda plan: _recorded(plan, passage))
            _run_migrations(context, passage)
        elif migration.opts["fn"].__name__ in (UPGRADE, DOWNGRADE, STAMP):
            Run(context, passage, target, connection).run()
        else:
            preconditions.require_consistent(context.script, migration.get_current_heads())
            connection.rollback()
            _run_migrations(context, passage)


def _ask_qualified(engine: sa.Engine) -> None:
    """Let SQLAlchemy's questions at its first connection go without the project's search path.

    Its own compare names with varchar, for which anyone may create an operator. It has no public way to this.
    """
    dialect: Any = engine.dialect

    def type_info(connection: sa.Connection, name: str) -> TypeInfo | None:
        driver = driver_of(connection)
        row = driver.execute(TYPE_OF_EXTENSION, [name]).fetchone()
        driver.rollback()
        if row is None:
            return None
        # found through its extension: psycopg's own query would have the project's search path
        return TypeInfo(name, *row)

    dialect._type_info_fetch = type_info
    dialect._get_default_schema_name = lambda connection: place_of(driver_of(connection)).current_schema or None


def _find_version_table_qualified(migration: MigrationContext, driver: MonitoredConnection) -> None:
    """Let Alembic find, read and make the version table as this package does, for which it has no public way."""
    overridden: Any = migration

    def get_current_heads() -> tuple[str, ...]:
        return current_revisions(driver)

    def ensure_version_table() -> None:  # without `purge`: `Run` empties the table itself
        if not has_version_table(driver):
            overridden._version.create(migration.connection, checkfirst=False)

    overridden.get_current_heads = get_current_heads
    overridden._ensure_version_table = ensure_version_table


def _prepare_comparison(context: EnvironmentContext, passage: RunContext, load_metadata: Callable[[], object]) -> None:
    passage.metadata = _import_models(load_metadata)
    writes_file = passage.command == "revision" or getattr(context.config.cmd_opts, "autogenerate", False)
    migration = context.get_context()
    revisions = [Path(each.path) for each in context.script.walk_revisions()][::-1]
    options = autogenerate.options(passage.metadata, revisions, migration, writes_file=writes_file)
    migration.opts.update(options)


def _import_models(load_metadata: Callable[[], object]) -> list[sa.MetaData]:
    try:
        return autogenerate.as_metadata(load_metadata())
    except DbkitError:
        raise
    except Exception as error:  # importing the models runs the team's code
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise InputError(
            f"the models cannot be imported: {type(error).__name__}: {error}",
            f"At {place.filename}, line {place.lineno}.",
        ) from error


class Run:
    """One run of a command that changes the version table."""

    def __init__(
        self, context: EnvironmentContext, passage: RunContext, target: Target, connection: sa.Connection
    ) -> None:
        self.context = context
        self.migration = context.get_context()
        self.script = context.script
        self.passage = passage
        self.settings = passage.settings
        self.target = target
        self.connection = connection
        self.driver = driver_of(connection)
        self.command: str = self.migration.opts["fn"].__name__
        self.plan: Plan = self.migration.opts["fn"]
        self.purges = bool(self.migration.opts.get("purge"))
        self.keeps_journal = not self.settings.scratch and read_config(self.settings.root / "alembic.ini").journal

    def run(self) -> None:
        """Look, lock, refuse, apply, look again. Raises DbkitError."""
        try:
            self._run()
        except (sa.exc.DBAPIError, psycopg.Error) as error:
            if is_lock_timeout(error):
                raise lock_error(error) from error
            standing = diagnosis.look_again(self.target, self.settings, error, self._make_room, self.driver)
            raise diagnosis.outside_error(error, standing) from error
        finally:
            self._let_go()

    def _make_room(self) -> None:
        """Close the connection, which ends the migration lock: the role or the database may have no second one."""
        self.connection.invalidate()

    def _let_go(self) -> None:
        """Close a connection that cannot be used any more. SQLAlchemy would try to reset it, and log that it cannot."""
        status = self.driver.info.transaction_status
        if status in (TransactionStatus.ACTIVE, TransactionStatus.UNKNOWN) and not self.connection.invalidated:
            with suppress(psycopg.Error):
                self.driver.cancel_safe(timeout=1.0)
            self.connection.invalidate()

    def _run(self) -> None:
        project.require_loadable(self.script)
        before = self._heads()
        if not self.settings.scratch:
            preconditions.require_one_history(self.driver, self.script)
        planned = self._steps(before)
        if not planned and not self.purges and not self._has_more_to_do():
            # nothing to do, and nothing to lock for it
            self._require_unedited(before)
            return
        with migration_lock(self.driver, self.target.dbname, self.settings.wait):
            heads = self._heads()
            steps = planned if heads == before else self._steps(heads)
            self._refuse(heads, steps)
            self._prepare(heads, steps)
            invalid = diagnosis.invalid_indexes(self.driver)
            self.driver.rollback()
            self._require_idle()
            if steps:
                self._apply(steps, invalid)
            elif self.purges:
                self._purge()

    def _has_more_to_do(self) -> bool:
        """Whether an upgrade without steps has to say or to record something all the same."""
        if self.command != UPGRADE or self.settings.scratch:
            return False
        half = self.keeps_journal and journal.half_applied(journal.latest(self.driver).values())
        found = bool(half) or protection.is_to_be_protected(self.driver, self.settings)
        self.driver.rollback()
        return found

    def _purge(self) -> None:
        """`stamp --purge base`: forget the history, and write that down, in one transaction."""
        self.driver.execute(purge(self.driver))
        if self.keeps_journal:
            journal.write(self.driver, journal.Step(journal.STAMP, "base", self.settings.app_env), [])
        self.driver.commit()
        self._flush()

    def _restore_session(self) -> None:
        """Undo what a migration has set for the session, and have the lock again if it let go of it."""
        for statement in ("RESET SESSION AUTHORIZATION", "RESET ROLE", "RESET ALL"):
            self.driver.execute(statement)
        session.apply_settings(self.driver)
        retake_lock(self.driver, self.target.dbname)

    def _heads(self) -> tuple[str, ...]:
        heads = self.migration.get_current_heads()
        self.connection.rollback()
        return heads

    def _steps(self, heads: tuple[str, ...]) -> list[Step]:
        """What Alembic would do to a database at `heads`. Raises DbkitError where it cannot say."""
        if self.purges:
            heads = ()
        preconditions.require_consistent(self.script, heads)
        destination = str(self.migration.opts.get("destination_rev"))
        if self.command == DOWNGRADE:
            preconditions.require_unambiguous(heads, destination)
        try:
            return list(self.plan(heads, self.migration))
        except CommandError as error:
            config = self.context.config
            origin = Path(config.config_file_name or ""), config.config_ini_section, ()
            loaded = project.Project(config, self.script, origin)
            raise preconditions.plan_error(error, loaded, heads, destination) from error

    def _refuse(self, heads: tuple[str, ...], steps: Sequence[Step]) -> None:
        """Refuse the run as a whole, before anything was done; and say first what will be lost, and where."""
        if self.command == UPGRADE:
            if not heads:
                files = [Path(step.revision.path) for step in steps if isinstance(step, RevisionStep)]
                preconditions.require_adopted(self.driver, files, self.target.dbname)
            self._require_unedited(heads)
            _require_recordable(steps, revision_ids.limit_of(self.driver, VERSION_TABLE))
        else:
            what = "purge the history of" if self.purges else "stamp" if self.command == STAMP else "roll back"
            mark = protection.recorded(self.driver)
            protection.refuse_unless_expendable(self.settings, self.target, what, mark, has_history=bool(heads))
            if (steps or self.purges) and not self.settings.scratch:
                say(f'about to {what} "{self.target.dbname}" on {self.target.server()}: {_outline(heads, steps)}')
        if self.command != STAMP:
            self._require_whole()
        self.driver.rollback()

    def _require_unedited(self, heads: tuple[str, ...]) -> None:
        """Look whether a file was edited after it was applied: an error while developing, a warning elsewhere."""
        if self.command == UPGRADE and self.keeps_journal and heads:
            applied = self.script.iterate_revisions(heads, "base")
            files = [(each.revision, Path(each.path)) for each in applied]
            preconditions.require_unedited(journal.edited(journal.latest(self.driver), files), self.settings)
        self.driver.rollback()

    def _require_whole(self) -> None:
        if self.keeps_journal:
            preconditions.require_whole(journal.half_applied(journal.latest(self.driver).values()))

    def _prepare(self, heads: tuple[str, ...], steps: Sequence[Step]) -> None:
        """Make the version table and the journal where they are missing, and record which environment this is."""
        if self.settings.scratch:
            return
        is_new = self.command == UPGRADE and not heads and not protection.has_tables(self.driver)
        self.driver.rollback()
        if not heads:
            self.migration._ensure_version_table()  # as run_migrations() does; it must be there to bear the mark
            self.connection.commit()
        if self.command == UPGRADE:
            told = protection.record_if_due(self.driver, self.settings, is_new=is_new)
            self.driver.commit()
            if told:
                say(told)
        if self.keeps_journal:
            journal.ensure(self.driver)

    def _flush(self) -> None:
        """Make what was committed durable: all of it at once, not a disk's pause for each migration."""
        self.driver.execute("RESET synchronous_commit")
        diagnosis.flush(self.driver)

    def _require_idle(self) -> None:
        # SQL before Alembic's own, without a commit, would make it take the whole run for part of an outer
        # transaction that nobody commits: it would print "Running upgrade", exit 0, and apply nothing
        if self.connection.in_transaction():
            raise RuntimeError("the migration connection is in a transaction before Alembic begins")

    def _apply(self, steps: Sequence[Step], invalid_before: dict[str, str]) -> None:
        monitor = Monitor(
            self.driver,
            writes_journal=self.keeps_journal,
            lock_budget=self.settings.lock_budget,
            restore_session=self._restore_session,
            purges=self.purges,
        )
        self.migration.purge = False  # not in a transaction of its own, as Alembic does it, but with the first stamp
        if self.command == UPGRADE and not self.settings.scratch and (self.settings.root / ".dbkit" / "stash").is_dir():
            from dbkit.stash.upgrade_writes import UpgradeWriteRecorder

            self.passage.guard = UpgradeWriteRecorder(self.settings, self.target)
        session.shorten_lock_wait(self.driver, self.settings)
        todo = Executor(self.passage, steps, monitor, self.driver)
        _wrap_plan(self.migration, lambda _: todo.plan)
        self.migration.on_version_apply_callbacks += (todo.applied,)
        try:
            with moves(monitor.move, lambda: monitor.purges, place_of(self.driver).table(VERSION_TABLE).as_string()):
                todo.run(self.context)
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # a migration can raise anything
            if todo.running is None:
                raise
            monitor.rest()
            with suppress(psycopg.Error, sa.exc.SQLAlchemyError):  # it may be the connection that is lost
                # a migration that has ended Alembic's transaction may have begun one that nobody ends
                self.connection.rollback()
                self.driver.rollback()
                self._flush()
            if isinstance(error, HookFailed | Refused):
                raise
            standing = diagnosis.look_again(self.target, self.settings, error, self._make_room, self.driver)
            if not self._was_committed(todo, standing):
                raise self._failed(error, todo.running, monitor, invalid_before, standing) from error
            self._go_on_without_reply(error, todo)
        if todo.heads is not None:
            self.passage.after = tuple(sorted(todo.heads))
            self._require_done(todo.heads, monitor, invalid_before, executor.revision_of(steps[-1]))

    def _was_committed(self, todo: Executor, standing: diagnosis.DatabaseState | str) -> bool:
        """Whether only the reply to the step's COMMIT was lost."""
        if isinstance(standing, str) or not (todo.is_recorded and self.driver.closed) or signals.received:
            return False
        return set(standing.heads) == todo.heads

    def _go_on_without_reply(self, error: BaseException, todo: Executor) -> None:
        """Say that the step is committed. Raises CheckFailed when there are more, for which there is no lock now."""
        step = todo.running
        todo.confirm()
        action = f"{step.action} of {step.revision}" if step else "migration"
        words = f"the connection was lost at the COMMIT of the {action} ({diagnosis.error_text(error).rstrip('.')})"
        left = len(todo.steps) - todo.done
        if left:
            raise CheckFailed(f"{words}; it is committed, and {left} more were not begun.", diagnosis.AGAIN) from error
        say(f"{words}; a new connection says that it is committed.")

    def _failed(
        self,
        error: BaseException,
        step: journal.Step,
        monitor: Monitor,
        invalid_before: dict[str, str],
        standing: diagnosis.DatabaseState | str,
    ) -> DbkitError:
        invalid: list[str] = []
        if isinstance(standing, diagnosis.DatabaseState):
            invalid = diagnosis.new_or_named(standing.invalid, invalid_before, monitor.index_statements)
            invalid = diagnosis.not_repaired(invalid, standing.invalid, monitor.index_statements)
        return diagnosis.failure_error(
            error, step, standing, left=monitor.left, half_applied=monitor.half_applied, invalid=invalid
        )

    def _require_done(self, heads: set[str], monitor: Monitor, invalid_before: dict[str, str], last: str) -> None:
        standing = self._look_after(last)
        if standing is None:
            return
        diagnosis.require_done(standing, heads)
        invalid = diagnosis.new_or_named(standing.invalid, invalid_before, monitor.index_statements)
        if invalid:
            raise diagnosis.left_invalid(invalid, f"{last} is applied, but the index {', '.join(invalid)} is invalid.")

    def _look_after(self, last: str) -> diagnosis.DatabaseState | None:
        """Make all durable, and read where the database is: over a new connection, or else over our own.

        What is applied has not failed because it cannot be read: then say so, and return None.
        """
        try:
            self._flush()
        except psycopg.Error as error:
            say(f"warning: the connection was lost after {last} was committed: {diagnosis.error_text(error)}")
        is_alive = not self.driver.closed
        try:
            # nobody says that a second connection may be had: of a role with CONNECTION LIMIT 1, it may not
            wait = 0.0 if is_alive else min(self.settings.wait, diagnosis.PATIENCE)
            with connect(self.target, wait, patience=self.settings.wait, waits_for_room=False) as fresh:
                if not is_alive:
                    diagnosis.flush(fresh)
                return diagnosis.look(fresh)
        except (DbkitError, psycopg.Error) as error:
            reason: Exception = error
        if is_alive and not is_lock_timeout(reason):
            try:
                return diagnosis.look(self.driver)
            except psycopg.Error as error:
                reason = error
        words = as_dbkit_error(reason).message.rstrip(".")
        say(
            f"warning: {last} is applied, but what the database says now could not be read: {words}. See `make status`."
        )
        return None


def _outline(heads: Sequence[str], steps: Sequence[Step]) -> str:
    """What a run will do, in half a line."""
    here = ", ".join(heads) or "base"
    if not steps:
        return f"{here} is forgotten"
    if isinstance(steps[0], StampStep):
        return f"from {here} to {executor.revision_of(steps[-1])}"
    first, last = executor.revision_of(steps[0]), executor.revision_of(steps[-1])
    return f"{counted(len(steps), 'migration')}, {first if len(steps) == 1 else f'from {first} to {last}'}"


def _run_offline(context: EnvironmentContext, passage: RunContext) -> None:
    several: dict[str, Any] = {"starting_rev": passage.start} if len(passage.start) > 1 else {}
    context.configure(**offline.OPTIONS, **COMMON, **several)
    migration = context.get_context()
    _require_recordable(migration.opts["fn"](migration.get_current_heads(), migration), revision_ids.LIMIT)
    _wrap_plan(migration, lambda plan: _recorded(plan, passage))
    keeps_journal = read_config(passage.settings.root / "alembic.ini").journal
    context.static_output(offline.preamble(migration.get_current_heads(), passage.settings, keeps_journal))
    if keeps_journal:

        def applied(ctx: MigrationContext, heads: set[str], **_rest: Any) -> None:
            step = executor.entry(passage.steps[-1], passage.settings)
            ctx.impl.static_output(f"{journal.as_sql(step, sorted(heads))};\n")

        migration.on_version_apply_callbacks += (applied,)
    _run_migrations(context, passage)


def _require_recordable(steps: Iterable[Step], limit: int | None) -> None:
    """Raise InputError for an id that is too long to be recorded."""
    upgrades = [step for step in steps if isinstance(step, RevisionStep) and step.is_upgrade]
    named = [(str(step.revision.revision), Path(step.revision.path)) for step in upgrades]
    revision_ids.require_recordable(named, VERSION_TABLE, limit)


def _wrap_plan(migration: MigrationContext, wrap: Callable[[Plan], Plan]) -> None:
    """Put something between Alembic and its plan of steps, for which it has no public way."""
    migration._migrations_fn = wrap(migration.opts["fn"])


def _run_migrations(context: EnvironmentContext, passage: RunContext) -> None:
    """Run what needs no protection: a script, a comparison, a proof that looks after itself."""
    begun = len(passage.steps)
    try:
        with context.begin_transaction():
            context.run_migrations()
    except DbkitError:
        raise
    except (Exception, SystemExit) as error:  # a migration can raise anything
        if len(passage.steps) == begun:
            raise
        step = executor.entry(passage.steps[-1], passage.settings)
        place, words = diagnosis.place_of(error, step.path), diagnosis.error_text(error)
        hint = NOTHING_RUN if context.is_offline_mode() else ""
        if context.is_offline_mode() and offline.reads_rows(error, step.path):
            hint = f"{NOTHING_RUN} {READS_ROWS}"
        raise CheckFailed(f"{step.action} of {step.revision} failed, at {place}: {words}", hint) from error


def _recorded(plan: Plan, passage: RunContext) -> Plan:
    """The plan, with a record of each step as it begins."""

    def recorded(heads: tuple[str, ...], context: MigrationContext) -> Iterator[Step]:
        for step in plan(heads, context):
            passage.steps.append(step)
            yield step

    return recorded
