"""Open a connection, with retries while the server is not ready, and read the version table."""

import os
import time
from collections.abc import Callable, Collection, Mapping

import psycopg
from psycopg import sql

from dbkit.errors import DbkitError, InputError, Unreachable, describe_login_error, say
from dbkit.postgres import connection_guard, engines, pooler
from dbkit.postgres.bounded_connection import NETWORK
from dbkit.postgres.own_statements import OwnConnection, Session, place_of
from dbkit.postgres.sql_quote import as_text
from dbkit.settings import Target

# The server is there, but its connections are used up. One that was closed just now may still count.
# The last two are words of Supavisor and PgBouncer.
NO_ROOM = ("too many clients", "too many connections", "connection slots", "max clients", "no more connections allowed")
# Messages of a server that accepts no connection yet, or at the moment. Any other message is final.
TEMPORARY = (
    "starting up",
    "shutting down",
    "in recovery",
    "not yet accepting",
    *NO_ROOM,
)
MOMENT = 1.0  # seconds that the end of a closed connection may take
# Errors of libpq that a retry does not change.
FINAL = ("does not support SSL", "invalid sslmode", "requirepeer", "invalid value", "certificate", "Permission denied")
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
LONGEST_END = 5.0  # seconds for a backend to end


class NoRoom(Unreachable):
    """The connection limit of the server, the database or the role is reached."""


PATIENCE = 30.0  # seconds to wait for a lock and for a reply, by default
SHORTEST_LOCK_TIMEOUT = 1.0  # seconds: with MIGRATION_WAIT=0, too, a short lock is no failure


def report_first_attempt(target: Target, wait: float, reason: str, attempt: int) -> None:
    """Print at the first retry that the server is waited for."""
    if attempt == 1:
        say(f"waiting up to {wait:g} s for {target.server()}: {reason}")


def connect(
    target: Target,
    wait: float | None = None,
    autocommit: bool = False,
    progress: Callable[[Target, float, str, int], None] = report_first_attempt,
    kind: type[OwnConnection] = OwnConnection,
    patience: float | None = None,
    waits_for_room: bool = True,
    session: Session = Session.OWN,
    settings: Mapping[str, str] | None = None,
    **parameters: str,
) -> OwnConnection:
    """Log in to `target`, with retries for up to `wait` seconds while the server is not reachable or not ready.

    `patience` is how long the connection waits for a lock or a reply, by default as long as for the server. `kind` is
    the class of the connection, `session` determines its settings, `settings` are further ones, in force from its first
    statement, and `parameters` are further libpq keywords. `progress` is called before each pause with the target, the
    wait, the reason and the number of the attempt.

    Raises Unreachable: at once when the server refused the login (user, password, database), otherwise with the last
    error when the time is over. Raises NoRoom at the connection limit: at once when not `waits_for_room`. Raises
    InputError for another engine than PostgreSQL, and for settings through a pooler that keeps no session.
    """
    if patience is None:
        patience = PATIENCE if wait is None else wait
    retries = LoginRetries(target, wait or 0.0, waits_for_room, progress)
    takes_options = True
    while True:
        try:
            left = retries.seconds_left()
            own = (settings or {}) if takes_options else None
            connection = open_connection(target, left, autocommit, kind, patience, own, session, **parameters)
            break
        except psycopg.ProgrammingError as error:
            raise InputError(f"a parameter of the connection is wrong: {describe_login_error(error)}") from None
        except psycopg.OperationalError as error:
            if not pooler.options_refused(str(error)):
                retries.pause_after(error)
            elif takes_options and "options" not in {**target.parameters(), **parameters}:
                takes_options = False
            else:
                raise _options_error(target, error) from None
    if connection.is_pooled and (settings or session is Session.SHARED):
        connection.mark = (settings or {}).get(pooler.MARK, "")
        try:
            require_session(connection, target)
            connection.set_in_session(settings or {})
        except BaseException:
            connection.close()
            raise
    connection.is_begun = True
    return connection


def require_session(connection: OwnConnection, target: Target) -> None:
    """Find out whether a pooler keeps the session of an idle connection. Raises InputError where it does not."""
    verdict = pooler.examine(pooler.Questions(connection.ask), connection.login or {}, connection.mark)
    if not verdict.is_stable:
        raise pooler.pooler_error(target, verdict.reason)
    connection.is_alone = verdict.is_alone
    connection.server_pid = int(connection.ask(pooler.ASK)[0])


def keeps_session(connection: OwnConnection) -> bool:
    """Whether a connection that is not in a transaction stays in one session; asked only of a pooler."""
    if not connection.is_pooled:
        return True
    connection.is_begun = False
    try:
        return pooler.examine(pooler.Questions(connection.ask), connection.login or {}).is_stable
    except psycopg.Error:
        return False
    finally:
        connection.is_begun = True


def _options_error(target: Target, error: psycopg.OperationalError) -> InputError:
    """The error for a pooler that refuses the startup options of the URL."""
    return InputError(
        f"the pooler at {target.server()} refuses the options of the URL: {describe_login_error(error)}",
        "Leave them out there: ALTER ROLE … SET, or ALTER DATABASE … SET, has the same effect.",
    )


class LoginRetries:
    """The pauses between attempts to log in, and their end."""

    def __init__(
        self, target: Target, wait: float, waits_for_room: bool, progress: Callable[[Target, float, str, int], None]
    ) -> None:
        self.target = target
        self.wait = wait
        self.waits_for_room = waits_for_room
        self.progress = progress
        self.start = time.monotonic()
        self.pause = FIRST_PAUSE
        self.attempt = 0

    def seconds_left(self) -> float:
        """The rest of the time to wait; negative after its end."""
        return self.start + self.wait - time.monotonic()

    def pause_after(self, error: psycopg.OperationalError) -> None:
        """Sleep before the next attempt. Raises the error for a failed login where another attempt cannot help."""
        problem = _problem(self.target, error, self.wait)
        is_full = isinstance(problem, NoRoom)
        waited = time.monotonic() - self.start
        longest = max(self.wait, MOMENT) if is_full else self.wait
        if not is_temporary(error) or (is_full and not self.waits_for_room) or waited + self.pause > longest:
            raise problem from None
        if is_full and waited < MOMENT / 2:
            time.sleep(self.pause)
            return
        self.attempt += 1
        self.progress(self.target, self.wait, describe_login_error(error), self.attempt)
        time.sleep(self.pause)
        self.pause = min(self.pause * 2, LONGEST_PAUSE)


def _problem(target: Target, error: psycopg.OperationalError, wait: float) -> DbkitError:
    """The error for a failed login, after retries for `wait` seconds."""
    reason = describe_login_error(error)
    if not is_temporary(error):
        return Unreachable(
            f'connection to database "{target.dbname}" at {target.server()} was refused: {reason}',
            "Check the user, password, database and parameters in .env.",
        )
    waited = f" (waited {wait:g} s)" if wait else ""
    if any(words in reason for words in NO_ROOM):
        return NoRoom(
            f'{target.server()} has no connection left for "{target.dbname}"{waited}: {reason}',
            "End one that is not needed, or raise the limit: CONNECTION LIMIT of the role or of\n"
            "the database, max_connections, or that of a pooler.",
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
    settings: Mapping[str, str] | None = {},
    session: Session = Session.OWN,
    **parameters: str,
) -> OwnConnection:
    """Log in once, giving up after `wait` seconds (at least libpq's minimum of 2). Raises psycopg's errors.

    The settings are startup options, so that no statement runs without them; None for none, not even lock_timeout.
    """
    timeout = max(2, min(10, int(wait)))
    login = {"connect_timeout": timeout, "client_encoding": "UTF8"} | connection_keywords(target)
    lock_timeout = max(patience, SHORTEST_LOCK_TIMEOUT)
    limits = {} if settings is None else {"lock_timeout": f"{round(lock_timeout * 1000)}", **settings}
    # in this order: the server takes the last one of two values
    own = " ".join(f"-c {each}={limits[each]}" for each in limits)
    options = " ".join(filter(None, [str(login.get("options", "")), own, parameters.get("options", "")]))
    given = login | parameters | ({"options": options} if options else {})
    with connection_guard.own(target):
        connection = kind.connect(autocommit=autocommit, **given)  # type: ignore[arg-type]  # keywords are libpq's
    connection_guard.remember(connection)
    connection.history = target.history
    connection.login, connection.patience, connection.lock_timeout = login, patience, lock_timeout
    connection.server_pid = connection.info.backend_pid
    connection.mark = limits.get(pooler.MARK, "")
    connection.is_pooled = settings is None
    _begin_session(connection, target, session)
    return connection


def _begin_session(connection: OwnConnection, target: Target, session: Session) -> None:
    """Begin the session of a new connection. Raises InputError where the server is not PostgreSQL."""
    pgconn = connection.pgconn

    def parameter(name: str) -> str | None:
        value = pgconn.parameter_status(name.encode())
        return value.decode(errors="replace") if value else None

    try:
        if name := engines.recognise_login(parameter):
            raise engines.engine_error(target.server(), name)
        try:
            connection.begin_session(session)
        except (psycopg.Error, ValueError, TypeError):
            # another engine may not even understand the first query
            engines.require_postgres(target.server(), engines.ask_version(pgconn))
            raise
        engines.require_postgres(target.server(), connection.version_text)
    except BaseException:
        connection.close()
        raise


def connection_keywords(target: Target) -> dict[str, str | int]:
    """libpq's keywords for `target`, with the timeouts for a silent network."""
    return NETWORK | target.parameters()


def ignore_libpq_environment() -> None:
    """Remove PGSERVICE, PGOPTIONS and the like from the environment: they are meant for other servers."""
    for name in [name for name in os.environ if name.startswith("PG") and not name.startswith("PG_")]:
        del os.environ[name]


def is_temporary(error: psycopg.OperationalError) -> bool:
    """Whether a retry can help: not after a FATAL error, or when the server has asked for a password."""
    text = str(error)
    if any(words in text for words in TEMPORARY):
        return True
    if any(words in text for words in FINAL):
        return False
    asked = error.pgconn is not None and (error.pgconn.needs_password or error.pgconn.used_password)
    return not asked and "FATAL:" not in text


def current_revisions(connection: psycopg.Connection) -> tuple[str, ...]:
    """The revisions in the version table, sorted; empty where there is no such table."""
    place = place_of(connection)
    if not has_version_table(connection):
        return ()
    query = sql.SQL("SELECT version_num FROM {} ORDER BY 1").format(place.version_table_sql)
    return tuple(row[0] for row in connection.execute(query))


def has_version_table(connection: psycopg.Connection) -> bool:
    """Whether the version table exists."""
    place = place_of(connection)
    if not place.schema:
        return False
    query = "SELECT to_regclass(%s) IS NOT NULL"
    return connection.execute(query, [as_text(place.version_table_sql)]).fetchone() == (True,)


def end_sessions(connection: psycopg.Connection, dbname: str, pids: Collection[int] | None = None) -> None:
    """End the other sessions in a database (only those of `pids`, where given), and wait until they are gone."""
    theirs = """
        FROM pg_catalog.pg_stat_activity
        WHERE datname = %s AND pid <> pg_catalog.pg_backend_pid() AND backend_type = 'client backend'
          AND (%s::pg_catalog.int4[] IS NULL OR pid = ANY (%s))
    """
    values = [dbname, pids and list(pids), pids and list(pids)]
    connection.execute(f"SELECT pg_catalog.pg_terminate_backend(pid) {theirs}".encode(), values)
    deadline = time.monotonic() + LONGEST_END
    # pg_terminate_backend() can wait, too, but in steps of 0.1 s
    while connection.execute(f"SELECT {theirs}".encode(), values).rowcount and time.monotonic() < deadline:
        time.sleep(0.002)
