"""Make durable what was committed without waiting for the disk (`synchronous_commit = off`)."""

import psycopg

# A commit waits for the write-ahead log only when its transaction has written to it, which the message does. It waits
# as the session does by default, and where that is not at all, until the log is on this server's disk. Everything is
# qualified: a backfill runs this with the project's search path.
FLUSH_WAL = """
SELECT pg_catalog.set_config('synchronous_commit'::pg_catalog.text,
        CASE WHEN s.reset_val OPERATOR(pg_catalog.=) 'off'::pg_catalog.text THEN 'local'::pg_catalog.text
            ELSE s.reset_val END, true),
    pg_catalog.pg_logical_emit_message(true, 'dbkit'::pg_catalog.text, 'flush'::pg_catalog.text)
FROM pg_catalog.pg_settings AS s WHERE s.name OPERATOR(pg_catalog.=) 'synchronous_commit'::pg_catalog.text"""
"""Flushes the write-ahead log when its transaction is committed; the session's settings stay as they are."""


def flush_wal(connection: psycopg.Connection) -> None:
    """Flush the write-ahead log up to here, so that everything committed before is durable, and commit."""
    connection.execute(FLUSH_WAL)
    connection.commit()
