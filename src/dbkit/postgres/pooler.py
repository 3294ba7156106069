"""Tell the session mode of a pooler from its other modes, in which each transaction may have another server process.

A pooler with little to do gives a client the same process again and again, so that alone shows nothing. A rival, which
is a second connection through the same pooler, competes for it: while the session is idle, the rival begins a
transaction. In transaction mode it gets the process of the session, or takes another one in its place. In session mode
it gets another one, or it waits while the session goes on to be served.
"""

import os
import re
import secrets
import selectors
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from dbkit.errors import InputError, describe_login_error
from dbkit.postgres import engines
from dbkit.settings import Target

MARK = "dbkit.session"
"""A setting of the session, which no other session has."""
SESSION_COLUMNS = f"pg_catalog.pg_backend_pid(), pg_catalog.current_setting('{MARK}', true)"
"""The columns that show in which session a statement is executed."""
ASK = f"SELECT {SESSION_COLUMNS}"
SET_MARK = f"SELECT pg_catalog.set_config('{MARK}', '{{mark}}', false), pg_catalog.pg_backend_pid()"
QUIET, ROUNDS, TURNS = 6, 3, 2  # questions before the rival comes, its transactions, and questions during each
LOGIN_LIMIT = 5.0  # seconds for the login of the rival
SHORTEST_WAIT = 2.0  # seconds without a reply after which the rival waits for a server process
SLOWER = 20  # times as long as the session's own answers
# Startup parameters are refused: by PgBouncer and Supavisor, and by RDS Proxy
OPTIONS_REFUSED = re.compile(r"unsupported startup parameter|command-line options|support the option|startup option")
# The rival had no process for itself, although that of the session was idle
NO_ROOM = re.compile(r"too many clients|too many connections|connection slots|in session mode", re.IGNORECASE)
NOT_TOLD = "whose mode could not be found out: {}"
CHANGES = "in transaction mode: the transactions of one client had several server processes"
SHARES = "in transaction mode: another client got the server process of this one between its transactions"

# What drivers report behind a pooler that keeps no session, or does not reset it for the next client
REPORTED = (
    ("statement pooling mode", "in statement mode: it has no transactions of several statements"),
    (r"prepared statement \S+ (does not exist|already exists)", "that mixes up the prepared statements of its clients"),
)


@dataclass(frozen=True)
class Verdict:
    """Whether a session stays in one server process."""

    is_stable: bool
    reason: str = ""
    """Why it is not."""
    is_certain: bool = True
    """Whether the reason was seen, and not only possible."""
    is_alone: bool = False
    """Whether no other connection has room beside the session."""


@dataclass(frozen=True)
class Questions:
    """How to ask the session: each function executes one query in a transaction to itself, and returns its row."""

    ask: Callable[[str], tuple[Any, ...]]

    def set_mark(self, mark: str) -> int:
        """Mark the session, and return its server process."""
        return int(self.ask(SET_MARK.format(mark=mark))[1])

    def is_in(self, pid: int, mark: str) -> bool:
        """Whether the session is still in a server process, with its mark."""
        return tuple(self.ask(ASK)) == (pid, mark)


def options_refused(words: str) -> bool:
    """Whether a failed login was refused for its startup options."""
    return bool(OPTIONS_REFUSED.search(words))


def reason_in(words: str) -> str:
    """Return why a driver's error is that of a pooler without a session; "" where it is another one."""
    return next((reason for pattern, reason in REPORTED if re.search(pattern, words)), "")


def pooler_error(target: Target, reason: str = CHANGES) -> InputError:
    """The error for a connection pooler that does not keep a session."""
    return InputError(
        f"{target.server()} is a pooler (PgBouncer or the like) {reason}.",
        "The migration lock and the timeouts belong to a session, which only its session mode keeps.\n"
        "Set MIGRATION_DATABASE_URL to the server's own address, or to the session mode of the pooler\n"
        "(Supabase: port 5432); the application may keep DATABASE_URL.",
    )


def examine(questions: Questions, login: Mapping[str, Any], mark: str = "") -> Verdict:
    """Find out whether a session that is not in a transaction stays in one server process.

    `login` are libpq's keywords for the rival. The session keeps the `mark`, a new one where there is none.
    """
    mark = mark or secrets.token_hex(8)
    pid = questions.set_mark(mark)
    begun = time.monotonic()
    if not all(questions.is_in(pid, mark) for _ in range(QUIET)):
        return Verdict(False, CHANGES)
    pause = max(SHORTEST_WAIT, SLOWER * (time.monotonic() - begun) / QUIET)
    rival = Rival(login)
    try:
        for _ in range(ROUNDS):
            found = rival.begin(pause)
            if found is None or NO_ROOM.search(rival.problem):
                if not all(questions.is_in(pid, mark) for _ in range(QUIET)):
                    return Verdict(False, CHANGES)
                found = rival.late_answer() if found is None else None
                if found is None:
                    return Verdict(True, is_alone=True)
            if rival.problem:
                return Verdict(False, NOT_TOLD.format(f"a second connection failed ({rival.problem})"), False)
            if found[0] == str(pid) or found[1] == mark:
                return Verdict(False, SHARES)
            if not all(questions.is_in(pid, mark) for _ in range(TURNS)):
                return Verdict(False, CHANGES)
            rival.end(pause)
            if not all(questions.is_in(pid, mark) for _ in range(TURNS)):
                return Verdict(False, CHANGES)
    finally:
        rival.close()
    return Verdict(True)


def examine_beside(login: Mapping[str, Any]) -> Verdict:
    """Find out what a pooler does for a session that cannot be asked, since it is in a transaction, by another one."""
    other = Rival(login)
    try:

        def ask(query: str) -> tuple[Any, ...]:
            row = other.query(query, LOGIN_LIMIT)
            if row is None or other.problem:
                raise _NoAnswer(other.problem or "it waits for a server process")
            return (int(row[0]), row[1]) if query == ASK else row

        return examine(Questions(ask), login)
    except _NoAnswer as error:
        return Verdict(
            False, NOT_TOLD.format(f"env.py holds a transaction, and a connection beside it: {error}"), False
        )
    finally:
        other.close()


class _NoAnswer(Exception):
    pass


class Rival:
    """A connection that never blocks for longer than a limit."""

    def __init__(self, login: Mapping[str, Any]) -> None:
        self.login = {name: value for name, value in login.items() if name != "options"}
        self.pgconn: pq.abc.PGconn | None = None
        self.problem = ""
        """Why the login or the last query failed."""
        self.row: tuple[str, ...] = ()

    def begin(self, limit: float) -> tuple[str, ...] | None:
        """Begin a transaction, and return its server process and mark; None while it waits for one."""
        return self.query(f"BEGIN;{ASK}", limit)

    def try_transaction(self) -> tuple[str, str]:
        """Ask for version(), try a transaction, and leave. Returns the version, and why that failed, or ""."""
        try:
            version = self.query(engines.ASK[0], SHORTEST_WAIT)
            self.begin(SHORTEST_WAIT)
        except psycopg.Error as error:
            return "", str(error)
        finally:
            self.close()
        return (version or ("",))[0], self.problem

    def end(self, limit: float) -> None:
        """End the transaction."""
        self.query("ROLLBACK", limit)

    def query(self, query: str, limit: float) -> tuple[str, ...] | None:
        """Execute statements, and return the last row; None where no reply comes within the limit."""
        if self.pgconn is None and not self._log_in():
            return () if self.problem else None
        assert self.pgconn is not None  # noqa: S101
        self.row = ()
        try:
            self.pgconn.send_query(query.encode())
            return self._read(time.monotonic() + limit)
        except psycopg.OperationalError as error:
            self._fail(str(error))
            return self.row

    def late_answer(self) -> tuple[str, ...] | None:
        """Return the row of a query that had no reply within its limit; None where there is still none."""
        if self.pgconn is None or self.pgconn.status != pq.ConnStatus.OK:
            return None
        return self._read(time.monotonic())

    def close(self) -> None:
        """Leave the pooler; it rolls back."""
        if self.pgconn is not None:
            self.pgconn.finish()

    def _log_in(self) -> bool:
        """Log in. Returns False where that fails, or takes too long."""
        given = {name: value for name, value in self.login.items() if value is not None}
        self.pgconn = pq.PGconn.connect_start(make_conninfo(**given).encode())
        deadline = time.monotonic() + LOGIN_LIMIT
        while True:
            if self.pgconn.status == pq.ConnStatus.BAD or (status := self.pgconn.connect_poll()) == _FAILED:
                self._fail(self.pgconn.error_message.decode(errors="replace"))
                return False
            if status == pq.PollingStatus.OK:
                self.pgconn.nonblocking = 1
                return True
            event = selectors.EVENT_READ if status == pq.PollingStatus.READING else selectors.EVENT_WRITE
            if not self._wait(event, deadline):
                return False

    def _read(self, deadline: float) -> tuple[str, ...] | None:
        assert self.pgconn is not None  # noqa: S101
        while True:
            self.pgconn.flush()
            self.pgconn.consume_input()
            while not self.pgconn.is_busy():
                result = self.pgconn.get_result()
                if result is None:
                    return self.row
                self._note(result)
                if self.pgconn.status == pq.ConnStatus.BAD:
                    return self.row
            if not self._wait(selectors.EVENT_READ, deadline):
                return None

    def _note(self, result: "pq.abc.PGresult") -> None:
        if result.status == pq.ExecStatus.TUPLES_OK and result.ntuples:
            values = (result.get_value(0, column) for column in range(result.nfields))
            self.row = tuple((value or b"").decode(errors="replace") for value in values)
        elif result.status == pq.ExecStatus.FATAL_ERROR:
            self._fail((result.error_message or b"").decode(errors="replace"))

    def _fail(self, words: str) -> None:
        self.problem = self.problem or describe_login_error(Exception(words)).rstrip(".")

    def _wait(self, event: int, deadline: float) -> bool:
        assert self.pgconn is not None  # noqa: S101
        with selectors.DefaultSelector() as selector:
            selector.register(self.pgconn.socket, event)
            return bool(selector.select(max(0.0, deadline - time.monotonic())))


_FAILED = pq.PollingStatus.FAILED


def looks_direct(descriptor: int, client_port: int | None, pid: int) -> bool:
    """Whether a connection, by its socket, is the server's own: the port that it comes from is the one that we have.

    `client_port` is the server's, None for a unix socket, whose other end the parent of the server process listens on.
    """
    try:
        with socket.socket(fileno=os.dup(descriptor)) as own:
            if own.family == socket.AF_UNIX:
                return client_port is None and _listens(own, pid)
            _, port, *_rest = own.getsockname()
            return client_port == int(port)
    except OSError:
        return True


def _listens(own: socket.socket, pid: int) -> bool:
    """Whether the parent of a server process listens on the other end of a socket; True where that is not known."""
    if sys.platform != "linux":
        return True
    listener, _user, _group = struct.unpack("3i", own.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == int(listener)
    return True
