"""Check that a migration is still in the session that holds the migration lock, which a pooler may change."""

from collections.abc import Sequence
from typing import Any

import psycopg
import sqlalchemy as sa

from dbkit.errors import CheckFailed
from dbkit.gate.monitored_connection import MonitoredConnection
from dbkit.postgres.locks import lock_key
from dbkit.postgres.pooler import ASK, SESSION_COLUMNS
from dbkit.settings import Target

HOLDS_LOCK = f"""
SELECT {SESSION_COLUMNS}, EXISTS (SELECT FROM pg_catalog.pg_locks AS l
    WHERE l.locktype = 'advisory' AND l.granted AND l.pid = pg_catalog.pg_backend_pid() AND l.objsubid = 1
        AND (l.classid::int8 << 32) | l.objid::int8 = %s::int8)"""  # noqa: S608  # constants
HINT = """\
There is a pooler before the server, and it does not keep the session: use its session mode
(Supabase: port 5432), or the server's own address. The migration lock may be held there until the
pooler closes that connection."""


class SessionChanged(CheckFailed):
    """A transaction of the run is in another session than the one that holds the migration lock."""


class SessionCheck:
    """The session of a run, by its server process and its mark."""

    def __init__(self, driver: MonitoredConnection, target: Target) -> None:
        self.driver = driver
        self.key = lock_key(target)

    def compare(self, found: Sequence[Any] | None) -> None:
        """Check the columns SESSION_COLUMNS of a statement of this session. Raises SessionChanged."""
        pid, mark = found or (0, "")
        # a migration that resets all settings resets the mark
        if pid != self.driver.server_pid or (mark or self.driver.mark) != self.driver.mark:
            raise self._error(f"is in the server process {pid}, and the run has begun in {self.driver.server_pid}")

    def verify(self) -> None:
        """Check behind a pooler that the session is the same, and holds the lock; of a direct connection, nothing.

        Raises SessionChanged.
        """
        if not self.driver.is_pooled:
            return
        *place, holds = self.driver.execute(HOLDS_LOCK, [self.key]).fetchone() or (0, "", False)
        self.compare(place)
        if not holds:
            raise self._error("has lost the migration lock: the pooler has reset its session")

    def find_cause(self, error: BaseException) -> BaseException:
        """Return why a run failed that was rolled back: that it has lost its session, or else the error itself."""
        if not isinstance(error, sa.exc.DBAPIError | psycopg.Error) or self.driver.closed:
            return error
        try:
            self.compare(self.driver.execute_qualified(ASK).fetchone())
            self.driver.rollback()
        except SessionChanged as cause:
            return cause
        except psycopg.Error:
            pass
        return error

    def _error(self, reason: str) -> SessionChanged:
        self.driver.is_pooled = True
        self.driver.has_session_settings = False  # at its end, nothing is reset in a session of other clients
        return SessionChanged(f"its transaction {reason}.", HINT)
