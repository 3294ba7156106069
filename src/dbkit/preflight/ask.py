"""Ask a database whether a precondition holds: read-only, with time limits, and with no lock but that of a read.

The first rows that violate it end the search; then they are counted. Both queries have the time limit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from dbkit.backports import StrEnum
from dbkit.errors import describe_error, is_missing_object, sqlstate_of
from dbkit.preconditions.ask import MOST_KEYS, TimeOver, keys_query, reading
from dbkit.preconditions.precondition import Precondition

LOCKED, CONFLICT = "55P03", "40001"
NO_CLIENT = """
SELECT pg_catalog.set_config('client_connection_check_interval', '500', true)
WHERE pg_catalog.version() ~ '{systems}'"""
"""The server ends a query whose client was killed. On another system it refuses the setting."""


class Status(StrEnum):
    """The answer of a database to a precondition."""

    HOLDS = "holds"
    VIOLATED = "violated"
    UNKNOWN = "unknown"
    """It was not answered: a time limit, a missing privilege, or a conflict on a standby."""
    LATER = "later"
    """An earlier revision decides it, which is pending, too."""


@dataclass(frozen=True)
class Limits:
    """Time limits of each query, in seconds."""

    statement_timeout: float = 30.0
    lock_timeout: float = 2.0


@dataclass(frozen=True)
class Answer:
    """The answer to one precondition."""

    status: Status
    rows: int | None = None
    """How many rows violate it; None where they were not counted."""
    keys: tuple[str, ...] = ()
    """The keys of the first ones."""
    reason: str = ""
    """Why it is unknown, later, or why the rows were not counted."""
    is_missing: bool = False
    """Whether it is unknown because the database does not have what the query names."""


@contextmanager
def read_only(connection: "psycopg.Connection", limits: Limits) -> Iterator[None]:
    """Run queries in a read-only transaction with time limits, which is rolled back. For a connection in autocommit."""
    with reading(connection, limits.statement_timeout, limits.lock_timeout):
        # one process, so that a large table takes no more of the server than one session of the application does
        connection.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        version = connection.info.server_version
        if version >= 14_00_00:
            systems = "linux|darwin|bsd" if version >= 15_00_00 else "linux"
            connection.execute(NO_CLIENT.format(systems=systems).encode())
        yield


def ask(connection: "psycopg.Connection", precondition: Precondition, limits: Limits) -> Answer:
    """Ask a database. Raises psycopg.Error where the session has ended."""
    try:
        with read_only(connection, limits):
            keys = tuple(row[0] for row in connection.execute(keys_query(precondition).encode()))
    except psycopg.Error as error:
        reason = describe_refusal(connection, error, limits)
        return Answer(Status.UNKNOWN, reason=reason, is_missing=is_missing_object(error))
    if len(keys) < MOST_KEYS:
        return Answer(Status.VIOLATED if keys else Status.HOLDS, len(keys), keys)
    try:
        with read_only(connection, limits):
            row = connection.execute(precondition.count_query().encode()).fetchone()
    except psycopg.Error as error:
        return Answer(Status.VIOLATED, None, keys, describe_refusal(connection, error, limits))
    return Answer(Status.VIOLATED, row[0] if row else None, keys)


def describe_refusal(connection: "psycopg.Connection", error: psycopg.Error, limits: Limits) -> str:
    """Return why a query was not answered. Raises the error where the session has ended."""
    if connection.closed:
        raise error
    if isinstance(error, TimeOver):
        return f"no answer within {limits.statement_timeout:g} s"
    words = describe_error(error, primary=True)
    state = sqlstate_of(error)
    if state == LOCKED:
        held = str(getattr(error, "locked", "")) or "another session holds a lock on the table"
        return f"not asked within {limits.lock_timeout:g} s: {held}"
    if state == CONFLICT:
        return f"the standby has canceled it: {words}"
    return words
