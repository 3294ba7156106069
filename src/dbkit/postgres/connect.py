"""One way to open a connection: with a real login, and waiting only for what can pass."""

import os
import time
from collections.abc import Callable, Collection

import psycopg
from psycopg import sql

from dbkit.errors import DbkitError, InputError, Unreachable, describe_login_error, say
from dbkit.postgres import connection_guard
from dbkit.postgres.bounded_connection import NETWORK
from dbkit.postgres.locks import VERSION_TABLE
from dbkit.postgres.own_statements import OwnConnection, Session, place_of
from dbkit.settings import Target

# There is a server, and no connection left for us. One of our own that was closed just now may still count.
NO_ROOM = ("too many clients", "too many connections", "connection slots")
# What a server says while it cannot take a connection yet, or just now. Everything else it says is an answer.
PASSING = (
    "starting up",
    "shutting down",
    "in recovery",
    "not yet accepting",
    *NO_ROOM,
)
MOMENT = 1.0  # seconds that such a one may take to end
# What libpq says before or instead of a server, and will say again.
FINAL = ("does not support SSL", "invalid sslmode", "requirepeer", "invalid value", "certificate", "Permission denied")
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
LONGEST_END = 5.0  # seconds that a backend has to end


class NoRoom(Unreachable):
    """As many are logged in as the server, the database or the role may have."""


PATIENCE = 30.0  # seconds for a lock and for a reply, where nobody says how long
SHORTEST_LOCK_TIMEOUT = 1.0  # seconds: a moment's lock is no reason to give up, also with MIGRATION_WAIT=0


def say_once(target: Target, wait: float, reason: str, attempt: int) -> None:
    """Tell people that there is something to wait for; once."""
    if attempt == 1:
        say(f"waiting up to {wait:g} s for {target.server()}: {reason}")


def connect(
    target: Target,
    wait: float | None = None,
    autocommit: bool = False,
    progress: Callable[[Target, float, str, int], None] = say_once,
    kind: type[OwnConnection] = OwnConnection,
    patience: float | None = None,
    waits_for_room: bool = True,
    session: Session = Session.OWN,
    **parameters: str,
) -> OwnConnection:
    """Log in to `target`, retrying for up to `wait` seconds while the server cannot be reached or is not ready.

    `patience` is how long the connection waits for a lock, or for a server that does not answer any more: as long as
    for the server, where nothing is said. `kind` is the class of the connection, `session` says whose settings it has;
    `parameters` are further libpq keywords; `progress` is called before each pause with the target, the wait, the
    reason and the number of the attempt. Raises Unreachable: at once when the server answered and said no (user,
    password, database), otherwise when the time is over, with the last real error. Raises NoRoom where as many are
    logged in as may be: at once when not `waits_for_room`.
    """
    if patience is None:
        patience = PATIENCE if wait is None else wait
    wait = wait or 0.0
    began = time.monotonic()
    deadline = began + wait
    pause = FIRST_PAUSE
    attempt = 0
    bounds = True
    while True:
        try:
            left = deadline - time.monotonic()
            return open_connection(
                target, left, autocommit, kind, patience, bounds=bounds, session=session, **parameters
            )
        except psycopg.ProgrammingError as error:
            raise InputError(f"a parameter of the connection is wrong: {describe_login_error(error)}") from None
        except psycopg.OperationalError as error:
            has_options = "options" in parameters or "options" in target.parameters()
            if "unsupported startup parameter" in str(error) and bounds and not has_options:
                # a pooler: what only looks can do without limits in the server
                bounds = False
                continue
            problem = _problem(target, error, wait)
            is_full = isinstance(problem, NoRoom)
            end = max(deadline, began + MOMENT) if is_full else deadline
            if not may_pass(error) or (is_full and not waits_for_room) or time.monotonic() + pause > end:
                raise problem from None
            reason = describe_login_error(error)
        if is_full and time.monotonic() - began < MOMENT / 2:
            time.sleep(pause)
            continue
        attempt += 1
        progress(target, wait, reason, attempt)
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


def _problem(target: Target, error: psycopg.OperationalError, wait: float) -> DbkitError:
    """The error for a login that has failed, after `wait` seconds."""
    reason = describe_login_error(error)
    if "unsupported startup parameter" in reason:
        return pooled(target)
    if not may_pass(error):
        return Unreachable(
            f'the server at {target.server()} did not let us in to "{target.dbname}": {reason}',
            "Check the user, password, database and parameters in .env.",
        )
    waited = f" (waited {wait:g} s)" if wait else ""
    if any(words in reason for words in NO_ROOM):
        return NoRoom(
            f'{target.server()} has no connection left for "{target.dbname}"{waited}: {reason}',
            "End one that is not needed, or raise the limit: CONNECTION LIMIT of the role or of\n"
            "the database, or max_connections.",
        )
    return Unreachable(
        f"the server at {target.server()} does not answer{waited}: {reason}",
        "Is it running, and are the host and port in .env right?",
    )


def open_connection(
    target: Target,
    wait: float,
    autocommit: bool,
    kind: type[OwnConnection] = OwnConnection,
    patience: float = PATIENCE,
    *,
    bounds: bool = True,
    session: Session = Session.OWN,
    **parameters: str,
) -> OwnConnection:
    """Log in once, giving up after `wait` seconds (at least libpq's minimum of 2). Raises psycopg's errors.

    Without `bounds`, the server gets no limit for locks.
    """
    timeout = max(2, min(10, int(wait)))
    login = {"connect_timeout": timeout, "client_encoding": "UTF8"} | keywords(target)
    lock_timeout = max(patience, SHORTEST_LOCK_TIMEOUT)
    limit = f"-c lock_timeout={round(lock_timeout * 1000)}" if bounds else ""
    # in this order: of two that set the same, the server takes the last one
    options = " ".join(filter(None, [str(login.get("options", "")), limit, parameters.get("options", "")]))
    given = login | parameters | ({"options": options} if options else {})
    with connection_guard.own(target):
        connection = kind.connect(autocommit=autocommit, **given)  # type: ignore[arg-type]  # keywords are libpq's
    connection_guard.remember(connection)
    connection.login, connection.patience, connection.lock_timeout = login, patience, lock_timeout
    connection.server_pid = connection.info.backend_pid
    connection.begin_own(session)
    return connection


def keywords(target: Target) -> dict[str, str | int]:
    """What libpq is told of `target`, and how it notices that the network is silent."""
    return NETWORK | target.parameters()


def pooled(target: Target) -> InputError:
    """The error for a pooler in place of the server."""
    return InputError(
        f"{target.server()} is a pooler (PgBouncer or the like), not the server itself.",
        "The migration lock and the time limits belong to a session, and it gives each transaction another one.\n"
        "Set MIGRATION_DATABASE_URL to the server's own address; the application may keep DATABASE_URL.",
    )


def ignore_libpq_environment() -> None:
    """Forget PGSERVICE, PGOPTIONS and the like: they are about another server than the one that we bring."""
    for name in [name for name in os.environ if name.startswith("PG") and not name.startswith("PG_")]:
        del os.environ[name]


def may_pass(error: psycopg.OperationalError) -> bool:
    """Whether waiting can help. A server that asked for a password, or said FATAL, has answered."""
    text = str(error)
    if any(words in text for words in PASSING):
        return True
    if any(words in text for words in FINAL):
        return False
    asked = error.pgconn is not None and (error.pgconn.needs_password or error.pgconn.used_password)
    return not asked and "FATAL:" not in text


def current_revisions(connection: psycopg.Connection) -> tuple[str, ...]:
    """What the version table says, in a stable order; empty when there is no such table."""
    place = place_of(connection)
    if not has_version_table(connection):
        return ()
    query = sql.SQL("SELECT version_num FROM {} ORDER BY 1").format(place.table(VERSION_TABLE))
    return tuple(row[0] for row in connection.execute(query))


def has_version_table(connection: psycopg.Connection) -> bool:
    """Whether the version table is there by now."""
    place = place_of(connection)
    if not place.schema:
        return False
    query = "SELECT to_regclass(%s) IS NOT NULL"
    return connection.execute(query, [place.table(VERSION_TABLE).as_string()]).fetchone() == (True,)


def end_sessions(connection: psycopg.Connection, dbname: str, pids: Collection[int] | None = None) -> None:
    """End the other sessions in a database (those of `pids`, where given), and wait until they are gone."""
    theirs = """
        FROM pg_catalog.pg_stat_activity
        WHERE datname = %s AND pid <> pg_catalog.pg_backend_pid() AND backend_type = 'client backend'
          AND (%s::pg_catalog.int4[] IS NULL OR pid = ANY (%s))
    """
    values = [dbname, pids and list(pids), pids and list(pids)]
    connection.execute(f"SELECT pg_catalog.pg_terminate_backend(pid) {theirs}".encode(), values)
    deadline = time.monotonic() + LONGEST_END
    # pg_terminate_backend() can wait, but looks only each tenth of a second
    while connection.execute(f"SELECT {theirs}".encode(), values).rowcount and time.monotonic() < deadline:
        time.sleep(0.002)
