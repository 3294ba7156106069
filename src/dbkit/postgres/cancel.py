"""Cancel the statement that a connection executes."""

from typing import Any

import psycopg


def cancel_statement(connection: psycopg.Connection[Any], timeout: float) -> None:
    """Ask the server to cancel the statement that is being executed; wait for an answer for `timeout` seconds at most.

    psycopg before 3.2 has only libpq's older request, which is not encrypted and has no time limit.
    """
    if hasattr(connection, "cancel_safe"):
        connection.cancel_safe(timeout=timeout)
    else:
        connection.cancel()
