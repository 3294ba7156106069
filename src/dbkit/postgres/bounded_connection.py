"""A psycopg connection that watches its own waits: it reports lock holders, and detects a lost reply.

A statement of a migration may run for hours. While its reply is missing, a second connection reads the state of the
backend from pg_stat_activity. When it waits for a lock, the holder is reported. When it works, the wait continues. When
it is idle or gone, the reply was lost on the network.
"""

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg

from dbkit.errors import describe_login_error, say
from dbkit.postgres.connection_guard import unguarded
from dbkit.postgres.lock_holders import LockWait, find_lock_wait

Result = TypeVar("Result")

# libpq's timeouts for a silent network. The parameters of a URL override them; a unix socket ignores them.
NETWORK = {
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
FIRST_CHECK = 1.0  # seconds without a reply before the first check
LONGEST_PAUSE = 30.0  # seconds between two checks
SHORTEST, LONGEST = 2.0, 10.0  # seconds that a backend must be idle before its reply counts as lost
LIMIT = 5  # seconds for a reply on the second connection
POOLED_SETTINGS = f"""
SELECT pg_catalog.set_config('search_path', 'pg_catalog', true),
    pg_catalog.set_config('lock_timeout', '{LIMIT * 1000}', true)"""
STATE = """
SELECT state::text, wait_event_type::text, wait_event::text, backend_start::text
FROM pg_catalog.pg_stat_activity WHERE pid = %s::int4"""
END = """
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE pid = %s::int4 AND backend_start::text = %s::text"""


class HeldLock(psycopg.errors.LockNotAvailable):
    """A lock was not granted in time; the texts name its holder, where that was seen."""

    locked = ""
    sentence = ""
    hint = ""


class ReplyLost(psycopg.OperationalError):
    """The reply to a statement was lost. `is_ended` when the session was ended in the server."""

    is_ended = False


class _QuickConnection(psycopg.Connection[Any]):
    """A connection that fails after LIMIT seconds without a reply."""

    def wait(self, gen: Any, *arguments: Any, **_keywords: Any) -> Any:
        deadline = time.monotonic() + LIMIT

        def check(ready: int | None) -> None:
            if ready is not None and not ready and time.monotonic() > deadline:
                raise psycopg.OperationalError(f"no reply within {LIMIT} s")

        return super().wait(_Checked(gen, check), *arguments)


class _PooledConnection(_QuickConnection):
    """The same through a pooler: what a statement sets ends with it."""

    def execute(self, query: Any, params: Any = None, **_keywords: Any) -> psycopg.Cursor[Any]:
        cursor = psycopg.ClientCursor(self)
        text = query if isinstance(query, str) else query.decode()
        cursor.execute(f"{POOLED_SETTINGS};{text}", params)
        cursor.nextset()
        return cursor


class _Checked(Generator[Any, Any, Any]):
    """A generator of psycopg that calls a function with each value sent to it."""

    def __init__(self, generator: Generator[Any, Any, Any], check: Callable[[int | None], None]) -> None:
        self.generator = generator
        self.check = check

    def send(self, ready: Any) -> Any:
        self.check(ready)
        return self.generator.send(ready)

    def throw(self, *arguments: Any) -> Any:
        return self.generator.throw(*arguments)


@dataclass(frozen=True)
class _Seen:
    """The state of a session as seen from a second connection; None where it is unknown."""

    state: str | None
    start: str = ""
    blocked: LockWait | None = None
    problem: str = ""
    """Why the second connection failed, when the server did not answer."""


@dataclass
class _Wait:
    """One wait for a reply."""

    begun: float
    next_check: float
    pause: float = FIRST_CHECK
    quiet_since: float | None = None
    """Since when the backend has been idle."""
    silent_since: float | None = None
    """Since when the server has not answered on a second connection."""
    blocked: LockWait | None = None


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that checks its backend from a second one while no reply comes."""

    login: Mapping[str, Any] | None = None
    """The keywords for a second connection; None for no checks."""
    patience = 0.0
    """Seconds to wait for a server that does not answer any more."""
    lock_timeout = 0.0
    """The session's lock_timeout, in seconds."""
    server_pid = 0
    """The pid of the backend, also after the connection is closed; 0 where a pooler may change it."""
    is_pooled = False
    """Whether there is a pooler before the server."""
    is_begun = False
    """Whether the session has begun: before that, a pooler may let the client wait for a server process."""
    is_alone = False
    """Whether the pooler has room for no other connection beside this one."""

    @property
    def reports_lock_holders(self) -> bool:
        """Whether to print the holder of a lock during the wait."""
        return True

    def wait(self, gen: Any, *arguments: Any, **keywords: Any) -> Any:
        """Wait as psycopg does, with checks of the backend. Raises HeldLock and ReplyLost."""
        if self.login is None:
            return super().wait(gen, *arguments, **keywords)
        now = time.monotonic()
        waiting = _Wait(now, now + self._first_check())

        def check(ready: int | None) -> None:
            if ready:
                waiting.quiet_since = waiting.silent_since = None
                waiting.next_check = time.monotonic() + waiting.pause
            elif ready is not None and time.monotonic() >= waiting.next_check:
                self._check_backend(waiting)

        try:
            return super().wait(_Checked(gen, check), *arguments, **keywords)
        except ReplyLost:
            self.close()
            raise
        except psycopg.errors.LockNotAvailable as error:
            raise _held(error, waiting) from None

    def _first_check(self) -> float:
        return min(FIRST_CHECK, self.lock_timeout / 2) if self.lock_timeout else FIRST_CHECK

    def _check_backend(self, waiting: _Wait) -> None:
        """Read the state of the backend. Raises ReplyLost when it is idle, or when the server stopped answering."""
        pid = self.server_pid
        seen = self._ask(lambda other: _see(other, pid))
        now = time.monotonic()
        waiting.silent_since = (waiting.silent_since or now) if seen.problem else None
        waiting.quiet_since = (waiting.quiet_since or now) if seen.state in ("idle", "gone") else None
        if seen.blocked is not None:
            if waiting.blocked is None and self.reports_lock_holders:
                say(f"waiting for {seen.blocked.locked_object}, which is locked by {seen.blocked.holder}")
            waiting.blocked = seen.blocked
        limit = min(max(self.patience, SHORTEST), LONGEST)
        if waiting.quiet_since is not None and now - waiting.quiet_since >= limit:
            raise self._lost(pid, seen, now - waiting.begun)
        if waiting.silent_since is not None and now - waiting.silent_since >= max(self.patience, limit):
            place = "server" if self.is_begun else "server, or a pooler without a free connection,"
            raise ReplyLost(f"the {place} does not answer any more: {seen.problem}")
        suspicious = waiting.quiet_since or waiting.silent_since
        waiting.pause = FIRST_CHECK if suspicious else min(waiting.pause * 2, LONGEST_PAUSE)
        waiting.next_check = now + waiting.pause

    def _lost(self, pid: int, seen: _Seen, seconds: float) -> ReplyLost:
        """End the session in the server, so that its uncommitted work is rolled back."""
        error = ReplyLost(f"no reply came for {seconds:.0f} s, and the server has nothing to do for this connection")
        if seen.state != "gone":
            seen = self._ask(lambda other: _end(other, pid, seen))
        error.is_ended = seen.state == "gone"
        return error

    def _ask(self, question: Callable[[psycopg.Connection[Any]], _Seen]) -> _Seen:
        """Ask over a new connection. Where a pooler has none, or may change the backend, the state is unknown."""
        is_kept = self.is_pooled and self.is_begun
        if is_kept and (self.is_alone or not self.server_pid):
            return _Seen(None)
        seen = _ask(self.login or {}, question, is_pooled=self.is_pooled)
        if is_kept and seen.problem:
            self.is_alone = True  # its other connections are taken
            return _Seen(None)
        return seen


def _held(error: psycopg.errors.LockNotAvailable, waiting: _Wait) -> HeldLock:
    held = HeldLock(*error.args, info=error.pgresult)
    if waiting.blocked is not None:
        held.locked = f"{waiting.blocked.locked_object} is locked by {waiting.blocked.holder}"
        held.sentence = f"gave up after {time.monotonic() - waiting.begun:.0f} s: {held.locked}."
        held.hint = waiting.blocked.hint
    return held


def _ask(
    login: Mapping[str, Any], question: Callable[[psycopg.Connection[Any]], _Seen], *, is_pooled: bool = False
) -> _Seen:
    """Ask over a new connection. When the server refuses it, the state of the first one is unknown."""
    try:
        keywords = {**login, "connect_timeout": LIMIT, "application_name": "dbkit monitor"}
        options = f"{login.get('options', '')} -c search_path=pg_catalog -c lock_timeout={LIMIT * 1000}"
        kind: type[_QuickConnection]
        if is_pooled:  # it takes no options, and each statement brings its settings
            kind, given = _PooledConnection, {name: value for name, value in keywords.items() if name != "options"}
        else:
            kind, given = _QuickConnection, {**keywords, "options": options}
        with unguarded():
            other = kind.connect(autocommit=True, **given)
        with other:
            if not is_pooled:
                row = other.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
                if row is None or row[0] != other.info.backend_pid:
                    return _Seen(None)  # a pooler reports another pid to its client
            return question(other)
    except psycopg.Error as error:
        words = describe_login_error(error).rstrip(".")
        asked = error.pgconn is not None and (error.pgconn.needs_password or error.pgconn.used_password)
        answered = error.sqlstate or "FATAL:" in str(error) or asked
        return _Seen(None, problem="" if answered else words)


def _see(other: psycopg.Connection[Any], pid: int) -> _Seen:
    row = other.execute(STATE, [pid]).fetchone()
    if row is None:
        return _Seen("gone")
    state, kind, event, start = row
    if kind == "Lock":
        return _Seen("active", start, find_lock_wait(other, pid))
    # a backend that reads from or writes to its client waits for this process, as an idle one
    idle = state is not None and (state.startswith("idle") or event in ("ClientRead", "ClientWrite"))
    return _Seen("idle" if idle else state, start)


def _end(other: psycopg.Connection[Any], pid: int, seen: _Seen) -> _Seen:
    """End a session, and wait until it is gone."""
    other.execute(END, [pid, seen.start])
    deadline = time.monotonic() + LIMIT
    while (now := _see(other, pid)).start == seen.start and time.monotonic() < deadline:
        time.sleep(0.05)
    return now if now.start == seen.start else _Seen("gone")
