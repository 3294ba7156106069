"""The migration connection of one run."""

from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING

import psycopg
import sqlalchemy as sa
from alembic.runtime.environment import EnvironmentContext
from psycopg.pq import TransactionStatus

from dbkit.gate.context import RunContext
from dbkit.gate.monitored_connection import MonitoredConnection
from dbkit.postgres import pooler, session
from dbkit.postgres.cancel import cancel_statement
from dbkit.postgres.connect import connection_keywords
from dbkit.postgres.locks import retake_lock
from dbkit.project.config import ProjectConfig, read_config
from dbkit.settings import Target

if TYPE_CHECKING:
    from dbkit.gate.monitor import Monitor

RESET_SESSION = ("RESET SESSION AUTHORIZATION", "RESET ROLE", "RESET ALL")


class MigrationSession:
    """The migration connection, as SQLAlchemy and as the driver see it, with the run that it belongs to."""

    is_external = False
    """Whether env.py holds the transaction, and commits it."""
    may_be_in_transaction = False
    """Whether SQLAlchemy may be in a transaction before Alembic begins its own."""
    can_retry = True
    """Whether steps that were rolled back can be run again."""

    def __init__(
        self,
        context: EnvironmentContext,
        run_context: RunContext,
        target: Target,
        connection: sa.Connection,
        driver: MonitoredConnection,
    ) -> None:
        self.context = context
        self.migration = context.get_context()
        self.run_context = run_context
        self.settings = run_context.settings
        self.target = target
        self.connection = connection
        self.driver = driver
        is_scratch = self.settings.scratch
        self.config = ProjectConfig() if is_scratch else read_config(self.settings.ini)
        self.writes_journal = not is_scratch and self.config.journal

    @property
    def is_open(self) -> bool:
        """Whether SQLAlchemy's connection is in a transaction."""
        return not self.connection.closed and self.connection.in_transaction()

    @property
    def commits_each_step(self) -> bool:
        """Whether a step is committed before the next one begins."""
        return True

    def commit(self) -> None:
        """Commit what SQLAlchemy has executed."""
        self.connection.commit()

    def commit_rest(self) -> None:
        """Commit what a step has executed since it left its transaction."""
        self.driver.commit()

    def shorten_lock_wait(self) -> None:
        """Limit each wait for a lock to MIGRATION_LOCK_TIMEOUT, because other sessions queue behind it."""
        session.shorten_lock_wait(self.driver, self.settings)

    def run_migrations(self) -> None:
        """Run Alembic's steps, each in its own transaction."""
        with self.context.begin_transaction():
            self.context.run_migrations()

    def observing(self, monitor: "Monitor") -> AbstractContextManager[None]:
        """Report what the migrations execute to the monitor within the context: the connection itself does."""
        return nullcontext()

    def require_stable(self) -> None:
        """Find a pooler that is not recognised by the pid, before the lock is taken. Raises InputError.

        One that passes on the pid of the server is a client of it itself, so the server sees another port than ours.
        """
        driver = self.driver
        if driver.is_pooled or self.may_be_in_transaction or self.settings.scratch:
            return
        try:
            descriptor = self.descriptor
        except (AttributeError, OSError, psycopg.Error):
            return  # a driver that does not show it
        if not pooler.looks_direct(descriptor, driver.client_port, driver.server_pid):
            verdict = pooler.examine(pooler.Questions(driver.ask), connection_keywords(self.target), driver.mark)
            if not verdict.is_stable and verdict.is_certain:
                driver.is_pooled = True
                self.reset_settings()
                raise pooler.pooler_error(self.target, verdict.reason)

    def reset_settings(self) -> None:
        """Take back what the run has set for its session, which turns out to be shared."""
        session.reset_settings(self.driver)

    @property
    def descriptor(self) -> int:
        """The file descriptor of the connection's socket."""
        return self.driver.fileno()

    def read_heads(self) -> tuple[str, ...]:
        """Return the revisions in the version table, and end the transaction."""
        heads = self.migration.get_current_heads()
        self.connection.rollback()
        return heads

    def restore_settings(self) -> None:
        """Undo what a migration has set for the session, and take the migration lock again where it was released."""
        for statement in RESET_SESSION:
            self.driver.execute(statement)
        session.restore_session(self.driver, self.settings)
        retake_lock(self.driver, self.target)

    def roll_back(self) -> None:
        """Roll back what a failed step has left open, and flush what was committed; a lost connection is ignored."""
        with suppress(psycopg.Error, sa.exc.SQLAlchemyError):
            # a migration that has ended Alembic's transaction may have begun one of which SQLAlchemy does not know
            if not self.is_external:
                self.connection.rollback()
            self.driver.rollback()
            self.flush()

    def flush(self) -> None:
        """Make durable what was committed."""
        from dbkit.postgres.durability import flush_wal

        flush_wal(self.driver)

    def close(self) -> None:
        """Close the connection, which releases the migration lock: the role may be allowed only one connection."""
        self.connection.invalidate()

    def close_if_unusable(self) -> None:
        """Close a connection in the middle of a statement: SQLAlchemy would fail to reset it, and log that."""
        status = self.driver.info.transaction_status
        if status in (TransactionStatus.ACTIVE, TransactionStatus.UNKNOWN) and not self.connection.invalidated:
            with suppress(psycopg.Error):
                cancel_statement(self.driver, timeout=1.0)
            self.connection.invalidate()
