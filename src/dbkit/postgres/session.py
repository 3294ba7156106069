"""The session of a migration: its time limits and its reaction to a lost client."""

import psycopg

from dbkit.postgres.connect import SHORTEST_LOCK_TIMEOUT, connect, pooler_error
from dbkit.postgres.own_statements import OwnConnection, Session
from dbkit.settings import Settings, Target

# Intervals after which the server detects a lost client: milliseconds; for a silent network seconds and probes
SESSION = {
    "client_connection_check_interval": "500",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    # a pause between two attempts must not end the session
    "idle_session_timeout": "0",
    # until the WAL flush at the end: a crash of the server before loses the last migrations completely
    "synchronous_commit": "off",
}

SINCE_14 = ("client_connection_check_interval", "idle_session_timeout")


def connect_for_migration(
    target: Target, settings: Settings, name: str, kind: type[OwnConnection] = OwnConnection
) -> OwnConnection:
    """Open the connection of a migration, with `name` as application_name.

    Its timeouts are startup options, so that no statement runs without them. Raises InputError for a pooler, which
    would pass the session with its advisory lock to other clients.
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
    # until shorten_lock_wait(), while nothing is changed, MIGRATION_WAIT is the limit
    pid = apply_settings(connection, lock_timeout=max(settings.wait, SHORTEST_LOCK_TIMEOUT))
    if pid != connection.info.backend_pid:  # a pooler reports another pid to its client
        connection.close()
        raise pooler_error(target)
    connection.autocommit = False
    return connection


def shorten_lock_wait(connection: OwnConnection, settings: Settings) -> None:
    """Limit each wait for a lock to MIGRATION_LOCK_TIMEOUT, because other sessions queue behind it. Commits."""
    connection.execute("RESET lock_timeout")
    connection.commit()
    connection.lock_timeout = settings.lock_timeout


def apply_settings(connection: psycopg.Connection, lock_timeout: float | None = None) -> int:
    """Apply SESSION, and return the pid of the backend."""
    is_old = connection.info.server_version < 14_00_00
    settings = {name: value for name, value in SESSION.items() if not (is_old and name in SINCE_14)}
    if lock_timeout is not None:
        settings["lock_timeout"] = f"{round(lock_timeout * 1000)}"
    calls = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())
    row = connection.execute(f"SELECT pg_backend_pid(), {calls}").fetchone()
    return int(row[0]) if row else 0
