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
from dbkit.gate.project_connection import ProjectConnection
from dbkit.postgres.connect import LoginRetries, report_first_attempt
from dbkit.settings import Target

# cannot_connect_now, too_many_connections: https://www.postgresql.org/docs/18/errcodes-appendix.html
NOT_READY = ("57P03", "53300")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ProjectLogin:
    """Listens to the logins of all engines of the process, from `open` to `close`."""

    def __init__(self, run_context: RunContext, current: Callable[[], ProjectConnection | None]) -> None:
        self.run_context = run_context
        self.current = current
        """Returns the connection whose statement a signal cancels."""
        self._wakeup: tuple[int, int] | None = None
        self._former_wakeup = -1

    def open(self) -> None:
        """Begin to listen."""
        sa.event.listen(sa.engine.Dialect, "do_connect", self._connect)
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
        if "@" in str(parameters.get("host", "")):
            raise InputError("the URL that env.py connects with has a raw @ in its user or password.", ENCODE)
        retries = None
        while True:
            try:
                return self._log_in(dialect, record, list(arguments), dict(parameters))
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

    def _log_in(self, dialect: Any, record: Any, arguments: list[Any], parameters: dict[str, Any]) -> Any:
        # the project's own listeners, such as one that fetches a token, come after this one
        for listener in list(dialect.dispatch.do_connect):
            if listener != self._connect:
                connection = listener(dialect, record, arguments, parameters)
                if connection is not None:
                    return connection
        return dialect.connect(*arguments, **parameters)


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
