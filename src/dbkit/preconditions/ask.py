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

MOST = 3  # rows
SAVEPOINT = "dbkit_question"
LOCK_TIMEOUT = 100  # milliseconds: a statement that waits for a lock of another session is retried, a question is not


class TimeOver(Exception):
    """A question was not answered in time."""


@dataclass(frozen=True)
class Violations:
    """The first rows that violate a precondition."""

    precondition: Precondition
    keys: tuple[str, ...]
    """The keys of the rows, at most MOST."""

    def describe(self) -> str:
        """Return how many rows violate what: `2 rows of orders (id 17, 40) violate: orders.reference is not NULL`."""
        number, columns = len(self.keys), ", ".join(self.precondition.columns)
        rows = "1 row" if number == 1 else f"at least {number} rows" if number == MOST else f"{number} rows"
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
    texts = [f"violating.{quote_ident(name)}::pg_catalog.text" for name in precondition.columns]
    query = f"SELECT {', '.join(texts)} FROM ({precondition.first_query(MOST)}) AS violating".encode()  # noqa: S608
    begun = time.monotonic()
    try:
        with reading(connection, timeout):
            execute = connection.cursor().execute if precondition.is_in_project_path else connection.execute
            rows = execute(query).fetchall()
    except psycopg.errors.QueryCanceled:
        if not timeout or time.monotonic() - begun < timeout:
            raise
        raise TimeOver from None
    except psycopg.Error:
        if connection.closed:
            raise
        return None
    keys = [row[0] if len(row) == 1 else f"({', '.join(map(str, row))})" for row in rows]
    # numbers in their order
    return Violations(precondition, tuple(sorted(keys, key=lambda key: (len(key), key)))) if keys else None


@contextmanager
def reading(connection: psycopg.Connection[Any], timeout: float) -> Iterator[None]:
    """Run queries within the context read-only, each for at most `timeout` seconds; 0 for no limit.

    They run in a savepoint, or in autocommit in a transaction, which is rolled back: locks and settings do not stay.
    """
    is_alone = connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE
    begin = "BEGIN" if is_alone else f"SAVEPOINT {SAVEPOINT}"
    end = "ROLLBACK" if is_alone else f"ROLLBACK TO SAVEPOINT {SAVEPOINT}; RELEASE SAVEPOINT {SAVEPOINT}"
    limits = {
        "transaction_read_only": "on",
        "statement_timeout": f"{round(timeout * 1000)}",
        "lock_timeout": f"{LOCK_TIMEOUT}",
        # an error instead of a part of the rows, where a policy applies
        "row_security": "off",
    }
    settings = "; ".join(f"SET LOCAL {name} = {value}" for name, value in limits.items())
    cursor = connection.cursor()
    cursor.execute(f"{begin}; {settings}".encode())
    try:
        yield
    finally:
        if not connection.closed:
            cursor.execute(end.encode())
