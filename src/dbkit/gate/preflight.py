"""The preflight of the gate: ask, before a statement is executed, whether existing rows violate what it demands."""

import re

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus

from dbkit.errors import CheckFailed, say
from dbkit.gate.step_state import StepState
from dbkit.postgres.own_statements import OwnConnection
from dbkit.preconditions.ask import TimeOver, first_violations, reading
from dbkit.preconditions.precondition import Precondition
from dbkit.preconditions.statements import read_statement

MAY_ASK = re.compile(r"\b(?:alter\s+(?:table|domain)|create\s+unique)\b", re.IGNORECASE)
SETS_SAVEPOINT = re.compile(r"\bsavepoint\b", re.IGNORECASE)
LONGEST_STATEMENT = 100  # characters in a message
HINT = """\
`python -m dbkit preflight` counts the rows, and prints the query that finds them.
Correct them, or the migration; then run the same command again."""


class Preflight:
    """Refuses the statements of a run that existing rows make fail."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        """Seconds for each question."""
        self.unanswered: set[str] = set()
        """The queries that took too long: a step that is retried does not ask them again."""

    def require_rows(self, connection: OwnConnection, step: StepState, statement: str) -> None:
        """Raise CheckFailed where rows violate what a statement demands; return where that is not known."""
        if SETS_SAVEPOINT.search(statement):
            # the migration may expect that a statement fails
            step.has_savepoint = True
        if step.has_savepoint or not MAY_ASK.search(statement) or not _is_ready(connection):
            return
        for precondition in self._read(connection, statement):
            self._require(connection, precondition, statement)

    def _read(self, connection: OwnConnection, statement: str) -> list[Precondition]:
        try:
            with reading(connection, self.timeout):
                return read_statement(connection, statement)
        except TimeOver:
            self._report_time(f"rows satisfy what {_shorten(statement)} demands")
            return []
        except psycopg.errors.QueryCanceled:
            raise
        except psycopg.Error:
            if connection.closed:
                raise
            return []

    def _require(self, connection: OwnConnection, precondition: Precondition, statement: str) -> None:
        if precondition.query in self.unanswered:
            return
        try:
            found = first_violations(connection, precondition, self.timeout)
        except TimeOver:
            self.unanswered.add(precondition.query)
            self._report_time(precondition.words)
            return
        if found:
            raise CheckFailed(f"{_shorten(statement)} would fail: {found.describe()}", HINT)

    def _report_time(self, condition: str) -> None:
        say(f"not known within {self.timeout:g} s, so the migration goes on: whether {condition}.")


def _shorten(statement: str) -> str:
    line = " ".join(statement.split())
    return line if len(line) <= LONGEST_STATEMENT else f"{line[: LONGEST_STATEMENT - 1]}…"


def _is_ready(connection: OwnConnection) -> bool:
    """Whether a query can be executed beside the statements of the migration."""
    pgconn = getattr(connection, "pgconn", None)  # a project's connection has none, and no pipeline
    is_in_pipeline = pgconn is not None and pgconn.pipeline_status != PipelineStatus.OFF
    return not is_in_pipeline and connection.info.transaction_status in (
        TransactionStatus.IDLE,
        TransactionStatus.INTRANS,
    )
