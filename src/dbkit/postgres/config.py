"""The configuration of a cluster: dbkit.conf, which postgresql.conf includes."""

from pathlib import Path

PORT = 5432  # in the name of the socket, whatever the caller's PGPORT is
HEADER = "# Written by dbkit at each start; your own settings go into postgresql.conf, above the include."
LOGIN = (
    "listen_addresses = ''",
    f"port = {PORT}",
    "unix_socket_permissions = 0700",
)
LOGGING = (
    "timezone = 'UTC'",
    "log_timezone = 'UTC'",
    # a statement that fails, and its context, may contain a password
    "log_min_error_statement = panic",
    "log_error_verbosity = terse",
)
THROW_AWAY = (
    "fsync = off",
    "synchronous_commit = off",
    "full_page_writes = off",
    "wal_level = minimal",
    "max_wal_senders = 0",
    "jit = off",
    # what a proof finds must not depend on when a table was last analyzed
    "autovacuum = off",
    # a throw-away cluster has one client: a wait of that length is a deadlock of the client with itself
    "lock_timeout = 30s",
)
"""Settings without durability, for clusters that are deleted at the end."""


def cluster_config(socket_directory: Path, *, is_durable: bool) -> str:
    """The text of dbkit.conf. It is written at each start, because the project may have moved."""
    quoted = str(socket_directory).replace("'", "''")
    sockets = f"unix_socket_directories = '{quoted}'"
    return "\n".join([HEADER, *LOGIN, sockets, *LOGGING, *(() if is_durable else THROW_AWAY)]) + "\n"
