"""The session of a migration: its time limits and its reaction to a lost client."""

import secrets

import psycopg

from dbkit.postgres.connect import SHORTEST_LOCK_TIMEOUT, connect
from dbkit.postgres.own_statements import OwnConnection, Session, change_settings
from dbkit.postgres.pooler import MARK
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

    Its timeouts are startup options, so that no statement runs without them; a pooler that takes none gets them later.
    Raises InputError for a pooler that would pass the session with its advisory lock to other clients.
    """
    connection = connect(
        target,
        settings.wait,
        autocommit=True,
        kind=kind,
        session=Session.SHARED,
        settings=_own_settings(settings) | {MARK: secrets.token_hex(8)},
        application_name=name,
    )
    # until shorten_lock_wait(), while nothing is changed, MIGRATION_WAIT is the limit
    apply_settings(connection, lock_timeout=max(settings.wait, SHORTEST_LOCK_TIMEOUT))
    connection.autocommit = False
    return connection


def _own_settings(settings: Settings) -> dict[str, str]:
    """The time limits of a migration, in milliseconds."""
    timeouts = {"lock_timeout": settings.lock_timeout, "statement_timeout": settings.statement_timeout}
    return {name: f"{round(seconds * 1000)}" for name, seconds in timeouts.items()}


def restore_session(connection: OwnConnection, settings: Settings) -> None:
    """Apply the settings of a migration again, after RESET ALL: a pooler did not take them at the login."""
    if connection.has_session_settings:
        connection.set_in_session(_own_settings(settings) | {MARK: connection.mark})
    apply_settings(connection)


def reset_settings(connection: OwnConnection) -> None:
    """Take back the settings of a migration in the session that the connection has now."""
    for name in (*SESSION, "lock_timeout", MARK):
        if name not in SINCE_14 or connection.info.server_version >= 14_00_00:
            connection.execute(f"RESET {name}")
    connection.commit()


def shorten_lock_wait(connection: OwnConnection, settings: Settings) -> None:
    """Limit each wait for a lock to MIGRATION_LOCK_TIMEOUT, because other sessions queue behind it. Commits."""
    change_settings(connection, {"lock_timeout": f"{round(settings.lock_timeout * 1000)}"}, local=False)
    connection.commit()
    connection.lock_timeout = settings.lock_timeout


def apply_settings(connection: psycopg.Connection, lock_timeout: float | None = None) -> None:
    """Apply SESSION."""
    is_old = connection.info.server_version < 14_00_00
    settings = {name: value for name, value in SESSION.items() if not (is_old and name in SINCE_14)}
    if lock_timeout is not None:
        settings["lock_timeout"] = f"{round(lock_timeout * 1000)}"
    calls = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())
    connection.execute(f"SELECT {calls}")
