"""The logins of a project's engines while the gate is there: retried, and their statements cancelled by a signal."""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
import sqlalchemy as sa

from dbkit.database_url import ENCODE
from dbkit.errors import DbkitError, InputError, sqlstate_of
from dbkit.gate.context import RunContext
from dbkit.gate.drivers import open_driver
from dbkit.gate.project_connection import ProjectConnection
from dbkit.postgres import engines
from dbkit.postgres.connect import LoginRetries, report_first_attempt
from dbkit.postgres.pooler import Rival, pooler_error, reason_in
from dbkit.settings import Target

# cannot_connect_now, too_many_connections: https://www.postgresql.org/docs/18/errcodes-appendix.html
NOT_READY = ("57P03", "53300")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ProjectLogin:
    """Listens to the logins of all engines of the process, from `open` to `close`."""

    def __init__(
        self, run_context: RunContext, current: Callable[[], ProjectConnection | None], *, keeps_connections: bool
    ) -> None:
        self.run_context = run_context
        self.keeps_connections = keeps_connections
        """Whether pools keep what is returned to them. A verb runs env.py several times, each in a new event loop."""
        self.current = current
        """Returns the connection whose statement a signal cancels."""
        self.server: Target | None = None
        """The server of the last login."""
        self.rival_login: dict[str, Any] = {}
        """libpq's keywords of the last login, as far as they are known."""
        self._wakeup: tuple[int, int] | None = None
        self._former_wakeup = -1

    def open(self) -> None:
        """Begin to listen."""
        sa.event.listen(sa.engine.Dialect, "do_connect", self._connect)
        if not self.keeps_connections:
            sa.event.listen(sa.pool.Pool, "checkin", _close_returned)
        if threading.current_thread() is threading.main_thread():
            self._wakeup = os.pipe()
            for descriptor in self._wakeup:
                os.set_blocking(descriptor, False)
            self._former_wakeup = signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)
            os.set_blocking(self._wakeup[0], True)
            threading.Thread(target=self._wait_for_signals, args=(self._wakeup[0],), daemon=True).start()

    def close(self) -> None:
        """End it."""
        sa.event.remove(sa.engine.Dialect, "do_connect", self._connect)
        if not self.keeps_connections:
            sa.event.remove(sa.pool.Pool, "checkin", _close_returned)
        if self._wakeup is not None:
            with suppress(ValueError):
                signal.set_wakeup_fd(self._former_wakeup)
            _reading, writing = self._wakeup
            self._wakeup = None
            os.close(writing)  # which ends the thread, and it closes the other end

    def _wait_for_signals(self, descriptor: int) -> None:
        """Cancel the running statement at a signal: while a driver waits in C, Python calls no handler."""
        with os.fdopen(descriptor, "rb", buffering=0) as pipe:
            while numbers := pipe.read(1):
                connection = self.current()
                if numbers[0] in SIGNALS and connection is not None:
                    with suppress(Exception):  # the connection may just have been closed
                        connection.driver.cancel_at_signal()

    def _connect(self, dialect: Any, record: Any, arguments: list[Any], parameters: dict[str, Any]) -> Any:
        """Log in as SQLAlchemy does, with retries while the server is not ready. Raises Unreachable."""
        if dialect.name != "postgresql":
            return None
        self.server = _describe_target(parameters)
        known = {name: parameters.get(name) for name in ("host", "port", "user", "password")}
        known["dbname"] = parameters.get("dbname") or parameters.get("database")
        self.rival_login = {name: value for name, value in known.items() if isinstance(value, str | int)}
        if "@" in str(parameters.get("host", "")):
            raise InputError("the URL that env.py connects with has a raw @ in its user or password.", ENCODE)
        retries = None
        while True:
            try:
                connection = self._log_in(dialect, record, list(arguments), dict(parameters))
                _require_postgres(connection, parameters)
                return connection
            except DbkitError:
                raise
            except Exception as error:
                problem = _as_login_error(error)
                if problem is None:
                    raise
                if retries is None:
                    target = _describe_target(parameters)
                    retries = LoginRetries(target, self.run_context.settings.wait, True, report_first_attempt)
                retries.pause_after(problem)

    def explain(self, error: BaseException) -> InputError | None:
        """Return the error for what SQLAlchemy reports of another engine, or of a pooler; None for any other."""
        if self.server is None or isinstance(error, DbkitError):
            return None
        if other := engines.error_of_dialect(error, self.server.server()):
            return other
        if not isinstance(error, sa.exc.DBAPIError | psycopg.Error):
            return None
        words = str(error)
        # a driver may not understand the messages of the server, or not show them
        version, problem = Rival(self.rival_login).try_transaction() if self.rival_login else ("", "")
        if name := engines.recognise(version):
            return engines.engine_error(self.server.server(), name)
        reason = reason_in(f"{words} {problem}")
        return pooler_error(self.server, reason) if reason else None

    def _log_in(self, dialect: Any, record: Any, arguments: list[Any], parameters: dict[str, Any]) -> Any:
        # the project's own listeners, such as one that fetches a token, come after this one
        for listener in list(dialect.dispatch.do_connect):
            if listener != self._connect:
                connection = listener(dialect, record, arguments, parameters)
                if connection is not None:
                    return connection
        return dialect.connect(*arguments, **parameters)


def _close_returned(_connection: object, record: Any) -> None:
    """Close a connection that is returned to its pool, while its event loop runs; the pool connects again when used."""
    record.close()


def _require_postgres(connection: Any, parameters: dict[str, Any]) -> None:
    """Raise InputError for another engine, as far as it shows at the login: SQLAlchemy may fail in its first query."""
    try:
        driver = open_driver(connection)
    except InputError:
        return  # the gate refuses a driver that it does not know, where it needs it
    if name := engines.recognise_login(driver.parameter):
        connection.close()
        raise engines.engine_error(_describe_target(parameters).server(), name)


def _as_login_error(error: Exception) -> psycopg.OperationalError | None:
    """Return psycopg's error for a failed login with any driver; None for an error of another kind."""
    if isinstance(error, psycopg.OperationalError):
        return error
    state, text = sqlstate_of(error), str(error)
    is_login = state or isinstance(error, OSError) or type(error).__name__ == "OperationalError"
    if not is_login:
        return None
    if state and state not in NOT_READY and "FATAL:" not in text:
        text = f"FATAL:  {text}"
    return psycopg.OperationalError(text)


def _describe_target(parameters: dict[str, Any]) -> Target:
    """Return what is known of a database before the login, for messages."""
    host, port = parameters.get("host"), parameters.get("port")
    return Target(
        dbname=str(parameters.get("dbname") or parameters.get("database") or ""),
        host=host if isinstance(host, str) else None,
        port=port if isinstance(port, int) else None,
    )
