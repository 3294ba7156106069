"""Ask for the first rows that violate a precondition, within a time, and without leaving anything in the session."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from dbkit.postgres.sql_quote import quote_ident
from dbkit.preconditions.precondition import Precondition

MOST_KEYS = 3
LONGEST_KEY = 80
"""How many characters of a key are shown."""
SAVEPOINT = "dbkit_question"
LOCK_TIMEOUT = 0.1  # seconds: a statement that waits for a lock of another session is retried, a question is not


class TimeOver(psycopg.errors.QueryCanceled):
    """A question was not answered in time."""


@dataclass(frozen=True)
class Violations:
    """The first rows that violate a precondition."""

    precondition: Precondition
    keys: tuple[str, ...]
    """The keys of the rows, at most MOST_KEYS."""

    def describe(self) -> str:
        """Return how many rows violate what: `2 rows of orders (id 17, 40) violate: orders.reference is not NULL`."""
        number, columns = len(self.keys), ", ".join(self.precondition.columns)
        rows = "1 row" if number == 1 else f"at least {number} rows" if number == MOST_KEYS else f"{number} rows"
        verb = "violates" if number == 1 else "violate"
        return (
            f"{rows} of {self.precondition.table} ({columns} {', '.join(self.keys)}) {verb}: {self.precondition.words}"
        )


def first_violations(
    connection: psycopg.Connection[Any], precondition: Precondition, timeout: float
) -> Violations | None:
    """Return the first rows that violate a precondition; None where there are none, and where that cannot be known.

    Raises TimeOver after `timeout` seconds, and psycopg.Error where the connection is lost or the query is cancelled.
    """
    try:
        with reading(connection, timeout):
            execute = connection.cursor().execute if precondition.is_in_project_path else connection.execute
            keys = [row[0] for row in execute(keys_query(precondition).encode())]
    except psycopg.errors.QueryCanceled:
        raise
    except psycopg.Error:
        if connection.closed:
            raise
        return None
    # numbers in their order
    return Violations(precondition, tuple(sorted(keys, key=lambda key: (len(key), key)))) if keys else None


def keys_query(precondition: Precondition) -> str:
    """Return the query for the keys of the first rows that violate a precondition, each as one text."""
    names = ", ".join(f"violating.{quote_ident(name)}" for name in precondition.columns)
    key = f"pg_catalog.left(pg_catalog.concat_ws(', ', {names}), {LONGEST_KEY})"
    if len(precondition.columns) > 1:
        key = f"pg_catalog.concat('(', {key}, ')')"
    return f"SELECT {key} AS key FROM ({precondition.first_query(MOST_KEYS)}) AS violating"  # noqa: S608  # its own query


@contextmanager
def reading(connection: psycopg.Connection[Any], timeout: float, lock_timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
    """Run queries within the context read-only, each for at most `timeout` seconds; 0 for no limit.

    They run in a savepoint, or in autocommit in a transaction, which is rolled back: locks and settings do not stay.
    Raises TimeOver where one is not answered in time.
    """
    is_alone = connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE
    begin = "BEGIN" if is_alone else f"SAVEPOINT {SAVEPOINT}"
    end = "ROLLBACK" if is_alone else f"ROLLBACK TO SAVEPOINT {SAVEPOINT}; RELEASE SAVEPOINT {SAVEPOINT}"
    limits = {
        "transaction_read_only": "on",
        "statement_timeout": f"{round(timeout * 1000)}",
        "lock_timeout": f"{round(lock_timeout * 1000)}",
        # an error instead of a part of the rows, where a policy applies
        "row_security": "off",
    }
    settings = "; ".join(f"SET LOCAL {name} = {value}" for name, value in limits.items())
    cursor = connection.cursor()
    begun = time.monotonic()
    cursor.execute(f"{begin}; {settings}".encode())
    try:
        yield
    except psycopg.errors.QueryCanceled as error:
        if not timeout or time.monotonic() - begun < timeout:
            raise
        raise TimeOver(*error.args, info=error.pgresult) from None
    finally:
        if not connection.closed:
            cursor.execute(end.encode())
