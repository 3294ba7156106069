"""One run of a command that changes the version table: lock, refuse, prepare, apply."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import sqlalchemy as sa
from alembic.util import CommandError

from dbkit import journal, project
from dbkit.errors import is_lock_timeout, lock_error, say
from dbkit.gate import protection, requirements
from dbkit.gate.migration_session import MigrationSession
from dbkit.gate.plan import AlembicStep, PlanFunction, outline, revisions_to_apply
from dbkit.gate.version_table import empty_version_table
from dbkit.postgres import pooler
from dbkit.postgres.locks import migration_lock
from dbkit.postgres.own_statements import place_of
from dbkit.postgres.sql_quote import as_text, quote_history

if TYPE_CHECKING:
    from dbkit.gate.checked_execution import CheckedExecution

# Alembic's commands that change the version table, by the name of their function in alembic/command.py
UPGRADE, DOWNGRADE, STAMP = COMMANDS = ("upgrade", "downgrade", "do_stamp")


class MigrationRun:
    """One upgrade, downgrade or stamp."""

    def __init__(self, session: MigrationSession) -> None:
        self.session = session
        self.migration = session.migration
        self.script = session.context.script
        self.settings = session.settings
        self.target = session.target
        self.driver = session.driver
        self.plan: PlanFunction = self.migration.opts["fn"]
        self.command: str = self.plan.__name__
        self.purges = bool(self.migration.opts.get("purge"))
        """Whether it empties the version table: `stamp --purge`."""
        self.execution: CheckedExecution | None = None
        """What has executed the steps, where there were some."""

    def run(self) -> None:
        """Plan, take the migration lock, refuse or apply, and check the result. Raises DbkitError."""
        try:
            self._run()
        except (sa.exc.DBAPIError, psycopg.Error) as error:
            if is_lock_timeout(error):
                raise lock_error(error) from error
            from dbkit.gate import diagnosis
            from dbkit.gate.session_check import SessionChanged, SessionCheck

            cause = SessionCheck(self.driver, self.target).find_cause(error)
            reason = pooler.CHANGES if isinstance(cause, SessionChanged) else pooler.reason_in(str(error))
            if reason:
                raise pooler.pooler_error(self.target, reason) from error
            state = diagnosis.read_state_after_failure(
                self.target, self.settings, error, self.session.close, self.driver
            )
            raise diagnosis.run_error(error, state) from error
        finally:
            self.session.close_if_unusable()

    def _run(self) -> None:
        project.require_loadable(self.script)
        before = self.session.read_heads()
        if not self.settings.scratch:
            requirements.require_one_history(self.driver, self.script)
        planned = self._plan_steps(before)
        if not planned and not self.purges and not self._has_more_to_do():
            # nothing to do, so no lock is taken
            self._require_unedited(before)
            return
        self.session.require_stable()
        with migration_lock(self.driver, self.target, self.settings.wait):
            heads = self.session.read_heads()
            steps = planned if heads == before else self._plan_steps(heads)
            self._refuse(heads, steps)
            self._prepare(heads, steps)
            self._require_idle()
            if steps:
                self._set_hook()
                from dbkit.gate.checked_execution import CheckedExecution  # an upgrade without steps goes without it

                self.execution = CheckedExecution(self.session, steps, purges=self.purges)
                self.execution.run()
            elif self.purges:
                self._purge()

    def _has_more_to_do(self) -> bool:
        """Whether an upgrade without steps has to report an interrupted step, or to mark the database."""
        if self.command != UPGRADE or self.settings.scratch:
            return False
        interrupted = self.session.writes_journal and journal.find_half_applied(
            journal.read_latest(self.driver).values()
        )
        more = bool(interrupted) or protection.needs_mark(self.driver, self.settings)
        self.driver.rollback()
        return more

    def _plan_steps(self, heads: tuple[str, ...]) -> list[AlembicStep]:
        """Return Alembic's plan for a database at `heads`. Raises DbkitError where it has none."""
        if self.purges:
            heads = ()
        requirements.require_consistent(self.script, heads, place_of(self.driver).version_table)
        destination = str(self.migration.opts.get("destination_rev"))
        if self.command == DOWNGRADE:
            requirements.require_unambiguous(heads, destination)
        try:
            return list(self.plan(heads, self.migration))
        except CommandError as error:
            config = self.session.context.config
            origin = Path(config.config_file_name or ""), config.config_ini_section, ()
            loaded = project.Project(config, self.script, origin)
            raise requirements.plan_error(error, loaded, heads, destination) from error

    def _refuse(self, heads: tuple[str, ...], steps: Sequence[AlembicStep]) -> None:
        """Refuse the run as a whole, before anything is done; announce first which data it may lose, and where."""
        if self.command == UPGRADE:
            from dbkit.project import revision_ids  # an upgrade with nothing to do goes without it

            revisions = revisions_to_apply(steps)
            if not heads:
                files = [path for _, path in revisions]
                requirements.require_adopted(self.driver, files, self.target.dbname)
            self._require_unedited(heads)
            place = place_of(self.driver)
            limit: int | None = revision_ids.LIMIT
            if place.has_history:
                limit = revision_ids.read_limit(self.driver, as_text(place.version_table_sql))
            revision_ids.require_recordable(revisions, quote_history(place.history), limit)
        else:
            action = "purge the history of" if self.purges else "stamp" if self.command == STAMP else "roll back"
            mark = protection.read_mark(self.driver)
            protection.require_expendable(self.settings, self.target, action, mark, has_history=bool(heads))
            if (steps or self.purges) and not self.settings.scratch:
                say(f'about to {action} "{self.target.dbname}" on {self.target.server()}: {outline(heads, steps)}')
        if self.command != STAMP and self.session.writes_journal:
            rows = journal.read_latest(self.driver).values()
            requirements.require_none_half_applied(journal.find_half_applied(rows))
        self.driver.rollback()

    def _require_unedited(self, heads: tuple[str, ...]) -> None:
        """Check whether a file was edited after it was applied: an error in development, a warning elsewhere."""
        if self.command == UPGRADE and self.session.writes_journal and heads:
            applied = self.script.iterate_revisions(heads, "base")
            files = [(each.revision, Path(each.path)) for each in applied]
            edited = journal.find_edited_files(journal.read_latest(self.driver), files)
            requirements.require_unedited(edited, self.settings)
        self.driver.rollback()

    def _prepare(self, heads: tuple[str, ...], steps: Sequence[AlembicStep]) -> None:
        """Create the version table and the journal where they are missing, and write the environment mark."""
        if self.settings.scratch:
            return
        is_new = self.command == UPGRADE and not heads and protection.is_new_or_expendable(self.driver)
        self.driver.rollback()
        if not heads:
            self.migration._ensure_version_table()  # as run_migrations() does; the mark is written to it
            self.session.commit()
        if self.command == UPGRADE:
            message = protection.update_mark(self.driver, self.settings, is_new=is_new)
            self.driver.commit()
            if message:
                say(message)
        if self.session.writes_journal:
            journal.ensure_table(self.driver)

    def _require_idle(self) -> None:
        # SQL before Alembic's own, without a commit, would make it take the whole run for part of an outer
        # transaction that is never committed: it would print "Running upgrade", exit 0, and apply nothing
        if self.session.connection.in_transaction() and not self.session.may_be_in_transaction:
            raise RuntimeError("the migration connection is in a transaction before Alembic begins")

    def _set_hook(self) -> None:
        """Record what an upgrade writes while a stash waits to be restored."""
        if self.command == UPGRADE and not self.settings.scratch and (self.settings.root / ".dbkit" / "stash").is_dir():
            from dbkit.stash.upgrade_writes import UpgradeWriteRecorder

            self.session.run_context.hook = UpgradeWriteRecorder(self.settings, self.target)

    def _purge(self) -> None:
        """`stamp --purge base`: empty the version table, and record that, in one transaction."""
        empty_version_table(self.driver)
        if self.session.writes_journal:
            entry = journal.JournalEntry(journal.STAMP, "base", self.settings.app_env)
            journal.record_step(self.driver, entry, [])
        self.driver.commit()
        self.session.flush()
