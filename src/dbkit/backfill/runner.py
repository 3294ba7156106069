"""Run a backfill: batch after batch, each from where the last one ended."""

import hashlib
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial

from dbkit.backfill.batches import BatchedUpdate, Execute, Key
from dbkit.backfill.progress import Progress, ProgressRow
from dbkit.backfill.replication_lag import ReplicationLag
from dbkit.backfill.report import ProgressReport
from dbkit.errors import CheckFailed, LockNotGranted, OperatorNeeded, say, sqlstate_of
from dbkit.postgres import locks
from dbkit.postgres.durability import FLUSH_WAL
from dbkit.postgres.lock_holders import Holder
from dbkit.postgres.sql_quote import quote_literal
from dbkit.wording import counted

FIRST, MOST = 1000, 100_000  # rows in a batch
# Seconds that a batch should take, in which its rows are locked; and that it waits for a row locked by another session
TARGET, LOCK_WAIT = 0.04, 0.04
LONGEST_BATCH = 0.08  # seconds until the server cancels a batch, unless it has a single row
QUERY_CANCELED = "57014"
# and serialization_failure, for sessions in another isolation level
TRY_AGAIN = (*locks.TRY_AGAIN, "40001")
LONGEST_PAUSE = 2.0  # seconds
FAILURES_UNTIL_REPORT = 3  # of a batch of one row
SESSION = {
    # a batch does not wait for the disk
    "synchronous_commit": "off",
    # by the index of the key, also where the planner has no statistics and would read the whole table for each batch
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    # an error instead of only the rows that a policy shows: the others would stay unchanged without notice
    "row_security": "off",
}


@dataclass(frozen=True)
class Limits:
    """How much a backfill may disturb other sessions. Times are in seconds."""

    batch: int = FIRST
    """Rows in the first batch; the size of the next ones follows from the time that they take."""
    lag: float = 10.0
    """How far behind a standby may be; 0 is no limit."""
    lock_timeout: float = 1.0
    """How long to wait for a row, while no other is locked."""
    lock_budget: float = 60.0
    """How long to retry a batch that does not get its locks."""
    wait: float = 30.0
    """How long to wait for another backfill of the same table."""


class BackfillRun:
    """One backfill of a table. Each call of `execute` is a transaction."""

    def __init__(
        self, execute: Execute, execute_own: Execute, update: BatchedUpdate, progress: Progress, limits: Limits
    ) -> None:
        self.execute = execute
        self.execute_own = execute_own
        self.update = update
        self.progress = progress
        self.limits = limits
        self.size = max(1, min(limits.batch, MOST))
        self.report = ProgressReport(update.table, update.estimate)
        self.lag = ReplicationLag(execute_own, limits.lag, self.report.print_line)
        self.statement_timeout = str(execute("SHOW statement_timeout")[0][0])
        self.has_batch_limits = False
        """Whether the session has the time limits of a batch now, and not its own."""
        self.begun = 0.0
        """When the last batch was sent."""

    def run(self) -> ProgressRow | None:
        """Do what is left to do. Returns the completed row of progress; None for an empty table.

        Raises CheckFailed when other sessions keep rows locked, and OperatorNeeded when they changed the progress.
        """
        self.execute(_set_sql({"lock_timeout": f"{round(self.limits.lock_timeout * 1000)}"}))
        row = self.progress.find(self.update)
        if row is None:
            last = self._fetch_key(self.update.last_key_query())
            if last is None:
                return None
            row = self.progress.begin(self.update, last)
        elif row.done:
            return row
        else:
            self.report.print_line(f"{self.update.table}: resuming after {counted(row.rows, 'row')}")
        row = self._run_pass(row)
        if row.pass_number == 1 and self._needs_second_pass(row):
            last = self._fetch_key(self.update.last_key_query())
            if last is not None:
                self.progress.begin_second_pass(row, last)
                row = self._run_pass(self._read_row())
        self.progress.complete(row)
        self.report.finish()
        return self._read_row()

    def _needs_second_pass(self, row: ProgressRow) -> bool:
        """Whether rows written meanwhile need the change; not asked where changed rows still fulfil the condition."""
        if self.update.where is None or row.still_matches:
            return False
        self.execute(_set_sql({"enable_seqscan": "on"}))
        found = bool(self.execute(self.update.any_left_query())[0][0])
        self.execute(_set_sql({"enable_seqscan": SESSION["enable_seqscan"]}))
        return found

    def _run_pass(self, row: ProgressRow) -> ProgressRow:
        """Change the rest of the table, batch by batch, from where the row is. Returns the row afterwards."""
        while True:
            self.lag.wait()
            last = self._retry(partial(self._run_batch, row))
            if last is None:
                return self._read_row()
            row = replace(row, last_key=last)

    def _run_batch(self, row: ProgressRow) -> Key | None:
        """Run the next batch. Returns the key that it ended with; None when nothing was left."""
        self._set_limits(False)
        last = self._fetch_key(*self.update.batch_end_queries(row.last_key, row.end_key, self.size))
        if last is None:
            return None
        # a single row can be waited for: no other session waits for this one meanwhile
        self._set_limits(self.size > 1)
        statement = self.update.batch_statement(row.last_key, last, self.progress.table, self.progress.condition(row))
        self.begun = time.perf_counter()
        done, moved = self.execute(statement)[0]
        seconds = time.perf_counter() - self.begun
        if not moved:
            raise OperatorNeeded(
                f"the row of this backfill in {self.progress.table} was changed by another session.",
                "Find out which one. The rows up to there are changed; no others were since.",
            )
        self.report.add_batch(int(done), seconds)
        self._adapt_size(int(done), seconds)
        return last

    def _adapt_size(self, done: int, seconds: float) -> None:
        if seconds > TARGET:
            self.size = max(1, self.size // 2)
        elif seconds < TARGET / 2 and done >= self.size:
            self.size = min(MOST, self.size * 2)

    def _retry(self, function: Callable[[], Key | None]) -> Key | None:
        """Call it, and again with fewer rows when it does not get its locks."""
        begun, attempt = time.monotonic(), 0
        while True:
            try:
                return function()
            except Exception as error:  # of any driver
                if sqlstate_of(error) not in TRY_AGAIN and not self._took_too_long(error):
                    raise
                self._set_limits(False)
                if time.monotonic() - begun > self.limits.lock_budget:
                    raise self._locked_error() from error
                if self.size == 1 and (attempt := attempt + 1) == FAILURES_UNTIL_REPORT:
                    holder = self._describe_holder()
                    self.report.print_line(f"{self.update.table}: other sessions hold locks on rows; retrying.{holder}")
            self.size = max(1, self.size // 2)
            pause = min(LOCK_WAIT * 2 ** min(attempt, 10), LONGEST_PAUSE)
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311

    def _locked_error(self) -> CheckFailed:
        return CheckFailed(
            f"{self.update.table}: other sessions held locks on rows for {self.limits.lock_budget:g} s."
            f"{self._describe_holder()}",
            "When they have ended, the same command resumes from here. MIGRATION_LOCK_BUDGET sets how long to try.",
        )

    def _describe_holder(self) -> str:
        holder = self.execute_own(locks.OLDEST_TRANSACTION)
        return f" The oldest transaction: {holder[0][0]}." if holder else ""

    def _fetch_key(self, *queries: str) -> Key | None:
        """Return the key from the first query that returns one."""
        found = next((rows for query in queries if (rows := self.execute(query))), None)
        return tuple(str(value) for value in found[0]) if found else None

    def _read_row(self) -> ProgressRow:
        row = self.progress.find(self.update)
        if row is None:
            raise OperatorNeeded(f"the row of this backfill in {self.progress.table} was deleted by another session.")
        return row

    def _took_too_long(self, error: Exception) -> bool:
        """Whether the time limit of a batch has cancelled it, and not another session."""
        waited = time.perf_counter() - self.begun
        return self.has_batch_limits and waited >= LONGEST_BATCH and sqlstate_of(error) == QUERY_CANCELED

    def _set_limits(self, for_batch: bool) -> None:
        """Set the time limits of a batch, or those of the session."""
        if for_batch == self.has_batch_limits:
            return
        lock_timeout = LOCK_WAIT if for_batch else self.limits.lock_timeout
        statement_timeout = f"{round(LONGEST_BATCH * 1000)}" if for_batch else self.statement_timeout
        limits = {"lock_timeout": f"{round(lock_timeout * 1000)}", "statement_timeout": statement_timeout}
        self.execute(_set_sql(limits))
        self.has_batch_limits = for_batch


def run_backfill(
    execute: Execute, execute_own: Execute, update: BatchedUpdate, progress: Progress, limits: Limits
) -> ProgressRow | None:
    """Run a backfill as the only one of its table, and restore the session's settings.

    `execute` runs with the project's search path, `execute_own` with this package's. The batches are durable at the
    end, and not before: a crash of the server loses the last batches together with their progress. Raises
    LockNotGranted, and what `BackfillRun.run` raises.
    """
    with hold_table_lock(execute_own, update.table, limits.wait), _session_settings(execute):
        return BackfillRun(execute, execute_own, update, progress, limits).run()


@contextmanager
def _session_settings(execute: Execute) -> Iterator[None]:
    """Change the settings to SESSION; afterwards flush the write-ahead log, once for all batches, and restore them."""
    before = {name: str(execute(f"SHOW {name}")[0][0]) for name in (*SESSION, "lock_timeout", "statement_timeout")}
    execute(_set_sql(SESSION))
    with _cleaned_up(execute, FLUSH_WAL, _set_sql(before)):
        yield


def _set_sql(values: Mapping[str, str]) -> str:
    calls = (f"pg_catalog.set_config('{name}', {quote_literal(value)}, false)" for name, value in values.items())
    return f"SELECT {', '.join(calls)}"


@contextmanager
def hold_table_lock(execute: Execute, table: str, wait: float) -> Iterator[None]:
    """Hold the advisory lock of the backfills of a table. Raises LockNotGranted after `wait` seconds."""
    key = int.from_bytes(hashlib.sha256(f"dbkit backfill:{table}".encode()).digest()[:8], "big", signed=True)
    deadline, is_reported = time.monotonic() + wait, False
    while not execute(f"SELECT pg_try_advisory_lock({key})")[0][0]:
        holder = execute(locks.HOLDER.replace("%s", str(key)))
        who = str(Holder(*holder[0])) if holder else "it has just ended"
        if time.monotonic() > deadline:
            raise LockNotGranted(
                f"another backfill of {table} is still running after {wait:g} s: {who}.",
                "Wait for it, or raise MIGRATION_WAIT.",
            )
        if not is_reported:
            say(f"waiting for another backfill of {table}: {who}")
            is_reported = True
        time.sleep(locks.PAUSE)
    with _cleaned_up(execute, f"SELECT pg_advisory_unlock({key})"):
        yield


@contextmanager
def _cleaned_up(execute: Execute, *statements: str) -> Iterator[None]:
    """Execute statements when the context ends; after a failure as well, where the session still can."""
    try:
        yield
    except BaseException:
        with suppress(Exception):  # it may be the session that has failed, and that is raised
            for statement in statements:
                execute(statement)
        raise
    for statement in statements:
        execute(statement)
