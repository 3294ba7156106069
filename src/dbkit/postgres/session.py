"""The session that migrations run in, and other work that others must not wait for."""

import psycopg

from dbkit.postgres.connect import SHORTEST_LOCK_TIMEOUT, connect, pooled
from dbkit.postgres.own_statements import OwnConnection, Session
from dbkit.settings import Settings, Target

# When a server notices that its client is gone: milliseconds; for a silent network, seconds and tries
SESSION = {
    "client_connection_check_interval": "500",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    # the pauses between two tries are not to end the session
    "idle_session_timeout": "0",
    # until it is flushed: a crash of the server in between loses the last migrations, as if they had not run
    "synchronous_commit": "off",
}

SINCE_14 = ("client_connection_check_interval", "idle_session_timeout")


def connect_for_migration(
    target: Target, settings: Settings, name: str, kind: type[OwnConnection] = OwnConnection
) -> OwnConnection:
    """A connection as a migration has it, called `name` in the server.

    Its time-outs are start-up options, so that no statement runs without them. Raises InputError for a pooler: a
    session's lock would be left on a server connection that others are given.
    """
    timeouts = {"lock_timeout": settings.lock_timeout, "statement_timeout": settings.statement_timeout}
    options = [f"-c {setting}={round(seconds * 1000)}" for setting, seconds in timeouts.items()]
    connection = connect(
        target,
        settings.wait,
        autocommit=True,
        kind=kind,
        session=Session.SHARED,
        options=" ".join(options),
        application_name=name,
    )
    # for what is read before anything is done, the limit is MIGRATION_WAIT; `hurry` ends that
    # a pooler makes up the number that it gives its client
    if (
        apply_settings(connection, lock_timeout=max(settings.wait, SHORTEST_LOCK_TIMEOUT))
        != connection.info.backend_pid
    ):
        connection.close()
        raise pooled(target)
    connection.autocommit = False
    return connection


def shorten_lock_wait(connection: OwnConnection, settings: Settings) -> None:
    """From now on wait for a lock no longer than MIGRATION_LOCK_TIMEOUT: others wait behind us. Commits."""
    connection.execute("RESET lock_timeout")
    connection.commit()
    connection.lock_timeout = settings.lock_timeout


def apply_settings(connection: psycopg.Connection, lock_timeout: float | None = None) -> int:
    """Set what SESSION says, and return the number of the server's process."""
    is_old = connection.info.server_version < 14_00_00
    settings = {name: value for name, value in SESSION.items() if not (is_old and name in SINCE_14)}
    if lock_timeout is not None:
        settings["lock_timeout"] = f"{round(lock_timeout * 1000)}"
    calls = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())
    row = connection.execute(f"SELECT pg_backend_pid(), {calls}").fetchone()
    return int(row[0]) if row else 0
