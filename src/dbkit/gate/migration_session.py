"""The migration connection of one run."""

from contextlib import suppress

import psycopg
import sqlalchemy as sa
from alembic.runtime.environment import EnvironmentContext
from psycopg.pq import TransactionStatus

from dbkit.gate.context import RunContext
from dbkit.gate.monitored_connection import driver_of
from dbkit.postgres import session
from dbkit.postgres.locks import retake_lock
from dbkit.project.config import ProjectConfig, read_config
from dbkit.settings import Target

RESET_SESSION = ("RESET SESSION AUTHORIZATION", "RESET ROLE", "RESET ALL")


class MigrationSession:
    """The migration connection, as SQLAlchemy and as the driver see it, with the run that it belongs to."""

    def __init__(
        self, context: EnvironmentContext, run_context: RunContext, target: Target, connection: sa.Connection
    ) -> None:
        self.context = context
        self.migration = context.get_context()
        self.run_context = run_context
        self.settings = run_context.settings
        self.target = target
        self.connection = connection
        self.driver = driver_of(connection)
        is_scratch = self.settings.scratch
        self.config = ProjectConfig() if is_scratch else read_config(self.settings.root / "alembic.ini")
        self.writes_journal = not is_scratch and self.config.journal

    def read_heads(self) -> tuple[str, ...]:
        """Return the revisions in the version table, and end the transaction."""
        heads = self.migration.get_current_heads()
        self.connection.rollback()
        return heads

    def restore_settings(self) -> None:
        """Undo what a migration has set for the session, and take the migration lock again where it was released."""
        for statement in RESET_SESSION:
            self.driver.execute(statement)
        session.apply_settings(self.driver)
        retake_lock(self.driver, self.target.dbname)

    def roll_back(self) -> None:
        """Roll back what a failed step has left open, and flush what was committed; a lost connection is ignored."""
        with suppress(psycopg.Error, sa.exc.SQLAlchemyError):
            # a migration that has ended Alembic's transaction may have begun one of which SQLAlchemy does not know
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
                self.driver.cancel_safe(timeout=1.0)
            self.connection.invalidate()
