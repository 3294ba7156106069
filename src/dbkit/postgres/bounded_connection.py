"""A psycopg connection whose waits have an end and a word: for a lock that others hold, and for a reply that was lost.

The server answers an unlimited time after a statement was sent: a migration may run for hours. So while nothing comes,
the connection asks from a second one what the server's process does. It waits for a lock: then who holds it is told. It
works: the wait goes on. It does nothing, or is gone, while we wait for its reply: then the reply was lost on its way.
"""

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg

from dbkit.errors import describe_login_error, say
from dbkit.postgres.lock_holders import Blocked, blocked

Result = TypeVar("Result")

# What libpq does about a silent network. A URL's own parameters come after these; a unix socket has none of them.
NETWORK = {
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
FIRST_LOOK = 1.0  # seconds without a reply, until the server is asked for the first time
LONGEST_PAUSE = 30.0  # seconds between two looks
SHORTEST, LONGEST = 2.0, 10.0  # seconds that a process must have done nothing, before its reply counts as lost
LIMIT = 5  # seconds for each answer to a question of our own
STATE = """
SELECT state::text, wait_event_type::text, wait_event::text, backend_start::text
FROM pg_catalog.pg_stat_activity WHERE pid = %s::int4"""
END = """
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE pid = %s::int4 AND backend_start::text = %s::text"""


class HeldLock(psycopg.errors.LockNotAvailable):
    """A lock was not granted in time; the texts say who holds it, where that was seen."""

    locked = ""
    sentence = ""
    hint = ""


class ReplyLost(psycopg.OperationalError):
    """The server's reply to a statement does not come. The session in the server is ended, where `is_ended`."""

    is_ended = False


class _QuickConnection(psycopg.Connection[Any]):
    """A connection that waits LIMIT seconds for each reply, and then fails."""

    def wait(self, gen: Any, *arguments: Any, **_keywords: Any) -> Any:
        deadline = time.monotonic() + LIMIT

        def check(ready: int | None) -> None:
            if ready is not None and not ready and time.monotonic() > deadline:
                raise psycopg.OperationalError(f"no reply within {LIMIT} s")

        return super().wait(_Checked(gen, check), *arguments)


class _Checked(Generator[Any, Any, Any]):
    """A generator of psycopg's, and a function that is called with what is sent to it."""

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
    """What a second connection has seen of a session. `state` is None where nothing can be said."""

    state: str | None
    start: str = ""
    blocked: Blocked | None = None
    problem: str = ""
    """Why no second connection could be had, where the server did not answer."""


@dataclass
class _Wait:
    """One wait for a reply."""

    begun: float
    next_look: float
    pause: float = FIRST_LOOK
    quiet_since: float | None = None
    """Since when the server's process was seen to do nothing."""
    silent_since: float | None = None
    """Since when the server does not answer to a second connection."""
    blocked: Blocked | None = None


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that asks from a second one, when no reply comes."""

    login: Mapping[str, Any] | None = None
    """The keywords that it was opened with; None when nothing is to be asked."""
    patience = 0.0
    """How long to wait for a server that does not answer any more, in seconds."""
    lock_timeout = 0.0
    """The limit that the server has for locks, in seconds."""
    server_pid = 0
    """The number of the process in the server, also after the connection is closed."""

    @property
    def says_who_blocks(self) -> bool:
        """Whether to print who holds a lock, while it is waited for."""
        return True

    def wait(self, gen: Any, *arguments: Any, **keywords: Any) -> Any:
        """As psycopg's. Raises HeldLock and ReplyLost."""
        if self.login is None:
            return super().wait(gen, *arguments, **keywords)
        now = time.monotonic()
        waiting = _Wait(now, now + self._first_look())

        def check(ready: int | None) -> None:
            if ready:
                waiting.quiet_since = waiting.silent_since = None
                waiting.next_look = time.monotonic() + waiting.pause
            elif ready is not None and time.monotonic() >= waiting.next_look:
                self._look(waiting)

        try:
            return super().wait(_Checked(gen, check), *arguments, **keywords)
        except ReplyLost:
            self.close()
            raise
        except psycopg.errors.LockNotAvailable as error:
            raise _held(error, waiting) from None

    def _first_look(self) -> float:
        return min(FIRST_LOOK, self.lock_timeout / 2) if self.lock_timeout else FIRST_LOOK

    def _look(self, waiting: _Wait) -> None:
        """Ask what the server's process does. Raises ReplyLost when it does nothing, or nothing answers any more."""
        pid = self.server_pid
        login = self.login or {}
        seen = _ask(login, lambda other: _see(other, pid))
        now = time.monotonic()
        waiting.silent_since = (waiting.silent_since or now) if seen.problem else None
        waiting.quiet_since = (waiting.quiet_since or now) if seen.state in ("idle", "gone") else None
        if seen.blocked is not None:
            if waiting.blocked is None and self.says_who_blocks:
                say(f"waiting for {seen.blocked.what}, which is locked by {seen.blocked.who}")
            waiting.blocked = seen.blocked
        limit = min(max(self.patience, SHORTEST), LONGEST)
        if waiting.quiet_since is not None and now - waiting.quiet_since >= limit:
            raise _lost(login, pid, seen, now - waiting.begun)
        if waiting.silent_since is not None and now - waiting.silent_since >= max(self.patience, limit):
            raise ReplyLost(f"the server does not answer any more: {seen.problem}")
        suspicious = waiting.quiet_since or waiting.silent_since
        waiting.pause = FIRST_LOOK if suspicious else min(waiting.pause * 2, LONGEST_PAUSE)
        waiting.next_look = now + waiting.pause


def _lost(login: Mapping[str, Any], pid: int, seen: _Seen, seconds: float) -> ReplyLost:
    """End the session in the server, so that what it has not committed by now never will be."""
    error = ReplyLost(f"no reply came for {seconds:.0f} s, and the server has nothing to do for this connection")
    if seen.state != "gone":
        seen = _ask(login, lambda other: _end(other, pid, seen))
    error.is_ended = seen.state == "gone"
    return error


def _held(error: psycopg.errors.LockNotAvailable, waiting: _Wait) -> HeldLock:
    held = HeldLock(*error.args, info=error.pgresult)
    if waiting.blocked is not None:
        held.locked = f"{waiting.blocked.what} is locked by {waiting.blocked.who}"
        held.sentence = f"gave up after {time.monotonic() - waiting.begun:.0f} s: {held.locked}."
        held.hint = waiting.blocked.hint
    return held


def _ask(login: Mapping[str, Any], question: Callable[[psycopg.Connection[Any]], _Seen]) -> _Seen:
    """Ask over a new connection. A server that does not take one says nothing of the first one by that."""
    try:
        keywords = {**login, "connect_timeout": LIMIT, "application_name": "dbkit monitor"}
        options = f"{login.get('options', '')} -c search_path=pg_catalog -c lock_timeout={LIMIT * 1000}"
        with _QuickConnection.connect(autocommit=True, **{**keywords, "options": options}) as other:
            row = other.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
            if row is None or row[0] != other.info.backend_pid:
                return _Seen(None)  # a pooler makes up the number that it gives its client
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
        return _Seen("active", start, blocked(other, pid))
    # one that reads from or writes to its client waits for us, as one that is idle
    idle = state is not None and (state.startswith("idle") or event in ("ClientRead", "ClientWrite"))
    return _Seen("idle" if idle else state, start)


def _end(other: psycopg.Connection[Any], pid: int, seen: _Seen) -> _Seen:
    """End a session that was seen, and wait until it is gone."""
    other.execute(END, [pid, seen.start])
    deadline = time.monotonic() + LIMIT
    while (now := _see(other, pid)).start == seen.start and time.monotonic() < deadline:
        time.sleep(0.05)
    return now if now.start == seen.start else _Seen("gone")
