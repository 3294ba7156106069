"""The migration session on a connection that a project's own env.py has opened."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

import psycopg
import sqlalchemy as sa
from alembic.runtime.environment import EnvironmentContext
from psycopg.pq import TransactionStatus

from dbkit.gate.context import RunContext
from dbkit.gate.migration_session import MigrationSession
from dbkit.gate.monitored_connection import MonitoredConnection
from dbkit.gate.project_connection import ProjectConnection
from dbkit.postgres import session
from dbkit.postgres.connect import SHORTEST_LOCK_TIMEOUT
from dbkit.postgres.locks import retake_lock
from dbkit.postgres.pooler import MARK
from dbkit.project.step_hooks import MONITOR
from dbkit.settings import Target

if TYPE_CHECKING:
    from dbkit.gate.monitor import Monitor

SESSION_SETTINGS = """
SELECT s.name, s.setting FROM pg_catalog.pg_settings AS s
WHERE s.source OPERATOR(pg_catalog.=) 'session'::pg_catalog.text
    AND s.name OPERATOR(pg_catalog.!~) '^(dbkit[.]|transaction_)'::pg_catalog.text
UNION ALL SELECT 'role', pg_catalog.current_setting('role')"""
CHANGED = ("lock_timeout", "statement_timeout", *session.SESSION)
"""The settings that a run changes."""
RUN_SAVEPOINT = "dbkit_run"
# A setting that ends with the transaction, as the savepoint does
MARK_RUN = "SELECT pg_catalog.set_config('dbkit.run', 'on', true)"
FIND_MARK = "SELECT pg_catalog.current_setting('dbkit.run', true) OPERATOR(pg_catalog.=) 'on'::pg_catalog.text"
# A session remembers that a name does not exist, and learns that another session has created it when it takes a lock
# that it does not hold: at the latest in its next transaction. This function takes one, and releases it.
ACCEPT_NEW_NAMES = "SELECT pg_catalog.pg_relation_size('pg_catalog.pg_ts_parser'::pg_catalog.regclass)"


class ProjectSession(MigrationSession):
    """The migration connection of a project, as SQLAlchemy and as the driver see it.

    `begin` and `run` are Alembic's own begin_transaction() and run_migrations() of the migration context.
    """

    def __init__(
        self,
        context: EnvironmentContext,
        run_context: RunContext,
        target: Target,
        connection: sa.Connection,
        driver: ProjectConnection,
        begin: Callable[[], AbstractContextManager[Any]],
        run: Callable[[], None],
    ) -> None:
        super().__init__(context, run_context, target, connection, cast("MonitoredConnection", driver))
        self.begin = begin
        self.run = run
        self.is_external = driver.is_external
        self.may_be_in_transaction = driver.is_external or driver.is_held
        self.can_retry = not driver.is_held  # what env.py has executed in the transaction could not be done again
        self.former = self._read_settings(CHANGED)
        self.set_by_env = self._read_session() if driver.is_pooled else {}
        self.driver.rollback()
        self.lock_wait = self._effective_lock_timeout()
        self._apply(max(self.settings.wait, SHORTEST_LOCK_TIMEOUT))
        self.at_begin: dict[str, str] = {}

    @property
    def commits_each_step(self) -> bool:
        """Whether a step is committed before the next one begins."""
        migration: Any = self.migration
        return bool(migration._transaction_per_migration) and not self.is_external

    def reset_settings(self) -> None:
        """Do nothing: `leave` takes back what the run has set."""

    @property
    def descriptor(self) -> int:
        """The file descriptor of the connection's socket."""
        return cast("ProjectConnection", self.driver).driver.descriptor

    def read_heads(self) -> tuple[str, ...]:
        """Return the revisions in the version table, and end the transaction."""
        if self.may_be_in_transaction:
            cast("ProjectConnection", self.driver).execute_qualified(ACCEPT_NEW_NAMES)
        heads = self.migration.get_current_heads()
        self.driver.rollback()
        return heads

    def commit(self) -> None:
        """Commit what SQLAlchemy has executed, unless env.py holds the transaction."""
        driver = cast("ProjectConnection", self.driver)
        if not (driver.is_external or driver.is_held):
            self.connection.commit()
            driver.commit()

    def commit_rest(self) -> None:
        """Commit what a step has executed since it left its transaction, unless that is env.py's."""
        cast("ProjectConnection", self.driver).is_held = False
        self.driver.commit()

    def shorten_lock_wait(self) -> None:
        """Limit each wait for a lock, because other sessions queue behind it."""
        self._apply(self.lock_wait)
        self.driver.lock_timeout = self.lock_wait
        # the monitor's mark, to which a rollback returns, and that of the session
        self._set({"dbkit.committed": "nothing", MARK: self.driver.mark})
        self.at_begin = self._read_session()
        self.driver.commit()

    def restore_settings(self) -> None:
        """Undo what a migration has set for the session, and take the migration lock again where it was released."""
        found = self._read_session()
        for name in found.keys() - self.at_begin.keys():
            self.driver.execute(f"RESET {name}")
        changed = {name: value for name, value in self.at_begin.items() if found.get(name) != value}
        self._set(changed)
        retake_lock(self.driver, self.target)

    def run_migrations(self) -> None:
        """Run Alembic's steps, in the transactions that env.py has chosen."""
        driver = cast("ProjectConnection", self.driver)
        if not self.is_external:
            try:
                with self.begin():
                    self.run()
            finally:
                driver.is_held = False
            return
        # the rows that a hook records are known by the id of the transaction, which differs after a savepoint
        self.can_retry = self.run_context.hook is None
        if not self.can_retry:
            self.run()
            return
        driver.execute_qualified(f"{MARK_RUN}; SAVEPOINT {RUN_SAVEPOINT}")
        try:
            self.run()
        except Exception:
            if not driver.closed:
                try:
                    driver.execute_qualified(f"ROLLBACK TO SAVEPOINT {RUN_SAVEPOINT}")
                except (psycopg.errors.InvalidSavepointSpecification, psycopg.errors.NoActiveSqlTransaction):
                    self.can_retry = False  # a migration has committed
            raise
        if driver.execute_qualified(FIND_MARK).fetchone() == (True,):  # else a migration has committed by hand
            driver.execute_qualified(f"RELEASE SAVEPOINT {RUN_SAVEPOINT}")

    @contextmanager
    def observing(self, monitor: "Monitor") -> Iterator[None]:
        """Report what the migrations execute to the monitor, by SQLAlchemy's events."""
        from dbkit.gate.statement_events import StatementEvents  # an upgrade with nothing to do goes without it

        info = self.connection.info
        info[MONITOR] = monitor
        try:
            with StatementEvents(self.connection, monitor).reporting():
                yield
        finally:
            info.pop(MONITOR, None)

    def flush(self) -> None:
        """Make durable what was committed."""
        if not self.is_external:
            super().flush()

    def leave(self) -> None:
        """Give the session back to env.py as it was."""
        if self.is_external and self.driver.info.transaction_status == TransactionStatus.INERROR:
            with suppress(sa.exc.SQLAlchemyError):
                self.connection.detach()  # so that it is closed, and no pool keeps the migration lock
        if not self.driver.closed:
            with suppress(psycopg.Error):  # the error of the run comes first
                if self.driver.is_pooled:
                    self._reset()
                self._set(self.former)
                self.driver.commit()

    def _reset(self) -> None:
        """Reset what a pooler would pass to its next client; what env.py has set itself is set again after that."""
        names = [*self.former, MARK, "dbkit.committed"]
        cast("ProjectConnection", self.driver).execute_qualified("; ".join(f"RESET {name}" for name in names))
        self.former = {name: value for name, value in self.former.items() if name in self.set_by_env}

    def _effective_lock_timeout(self) -> float:
        """MIGRATION_LOCK_TIMEOUT; what env.py itself has set for its session is kept where that is shorter."""
        own = float(self.former["lock_timeout"]) / 1000
        limit = self.settings.lock_timeout
        return min(own, limit) if own and limit else limit or own

    def _apply(self, lock_timeout: float) -> None:
        session.apply_settings(self.driver, lock_timeout=lock_timeout)
        if self.is_external:
            # the commit is env.py's, and nothing flushes the log after it
            self._set({"synchronous_commit": self.former["synchronous_commit"]})
        if self.settings.statement_timeout:
            self._set({"statement_timeout": f"{round(self.settings.statement_timeout * 1000)}"})
        self.driver.commit()

    def _read_settings(self, names: tuple[str, ...]) -> dict[str, str]:
        query = "SELECT s.name, s.setting FROM pg_catalog.pg_settings AS s WHERE s.name = ANY (%s::text[])"
        found = dict(self.driver.execute(query, [list(names)]).fetchall())
        self.driver.rollback()
        return found

    def _read_session(self) -> dict[str, str]:
        return dict(cast("ProjectConnection", self.driver).execute_qualified(SESSION_SETTINGS).fetchall())

    def _set(self, values: dict[str, str]) -> None:
        if values:
            calls = ", ".join("pg_catalog.set_config(%s, %s, false)" for _ in values)
            given = [text for pair in values.items() for text in pair]
            cast("ProjectConnection", self.driver).execute_qualified(f"SELECT {calls}", given)
