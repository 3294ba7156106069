"""Run a backfill: batch after batch, from where the last one ended."""

import hashlib
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial

from dbkit.backfill.batches import Execute, Key, Work
from dbkit.backfill.progress import Progress, Row
from dbkit.backfill.replication_lag import Lag
from dbkit.backfill.report import Report
from dbkit.errors import CheckFailed, LockNotGranted, OperatorNeeded, say, sqlstate_of
from dbkit.postgres import locks
from dbkit.postgres.lock_holders import Holder
from dbkit.postgres.sql_quote import quote_literal
from dbkit.wording import counted

FIRST, MOST = 1000, 100_000  # rows of a batch
# Seconds. What a batch should take, for as long are its rows locked; and what it waits for a row that somebody else has
TARGET, LOCK_WAIT = 0.04, 0.04
LONGEST_BATCH = 0.08  # seconds; the server then takes it back, unless it is one of a single row
QUERY_CANCELED = "57014"
# and serialization_failure, where sessions begin in another isolation level
TRY_AGAIN = (*locks.TRY_AGAIN, "40001")
LONGEST_PAUSE = 2.0  # seconds
FAILURES_UNTIL_TOLD = 3  # of a batch of one row
SESSION = {
    # a batch does not wait for the disk
    "synchronous_commit": "off",
    # by the key, in its order, also where the planner knows nothing of the table, and would read all of it each time
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    # an error instead of the rows that a policy lets through: the others would stay as they are, without a word
    "row_security": "off",
}


@dataclass(frozen=True)
class Limits:
    """What a backfill may do to others. Times in seconds."""

    batch: int = FIRST
    """Rows of the first batch; those after it get larger and smaller with the time that they take."""
    lag: float = 10.0
    """It waits while a standby is further behind; 0 is no limit."""
    lock_timeout: float = 1.0
    """How long to wait for a row, when no other is locked meanwhile."""
    lock_budget: float = 60.0
    """How long to go on trying, when a batch does not get its locks."""
    wait: float = 30.0
    """How long to wait for another backfill of the same table."""


class Run:
    """One run over a table. Each call of `execute` is a transaction."""

    def __init__(self, execute: Execute, execute_own: Execute, work: Work, progress: Progress, limits: Limits) -> None:
        self.execute = execute
        self.execute_own = execute_own
        self.work = work
        self.progress = progress
        self.limits = limits
        self.size = max(1, min(limits.batch, MOST))
        self.report = Report(work.table, work.estimate)
        self.lag = Lag(execute_own, limits.lag, self.report.tell)
        self.statement_timeout = str(execute("SHOW statement_timeout")[0][0])
        self.hurried = False
        """Whether the session has the limits of a batch now, and not its own."""
        self.begun = 0.0
        """When the last batch was sent."""

    def run(self) -> Row | None:
        """Do what is left to do. Returns the row of progress, complete; None where there was nothing to begin.

        Raises CheckFailed when rows stay locked by others, and OperatorNeeded when the progress was changed by them.
        """
        self.execute(_set({"lock_timeout": f"{round(self.limits.lock_timeout * 1000)}"}))
        row = self.progress.find(self.work)
        if row is None:
            last = self._key(self.work.last_key())
            if last is None:
                return None
            row = self.progress.begin(self.work, last)
        elif row.done:
            return row
        else:
            self.report.tell(f"{self.work.table}: going on after {counted(row.rows, 'row')}")
        row = self._pass(row)
        if row.sweep == 1 and self._wants_sweep(row):
            last = self._key(self.work.last_key())
            if last is not None:
                self.progress.begin_sweep(row, last)
                row = self._pass(self._read())
        self.progress.end(row)
        self.report.end()
        return self._read()

    def _wants_sweep(self, row: Row) -> bool:
        """Whether rows that were written behind us are to be done; not where those that are done look the same."""
        if self.work.where is None or row.still_matches:
            return False
        self.execute(_set({"enable_seqscan": "on"}))
        found = bool(self.execute(self.work.any_left())[0][0])
        self.execute(_set({"enable_seqscan": SESSION["enable_seqscan"]}))
        return found

    def _pass(self, row: Row) -> Row:
        """Once over the table, from where the row is. Returns the row as it is then."""
        while True:
            self.lag.wait()
            last = self._patiently(partial(self._batch, row))
            if last is None:
                return self._read()
            row = replace(row, last_key=last)

    def _batch(self, row: Row) -> Key | None:
        """The next batch. Returns the key that it ended with; None when nothing was left."""
        self._hurry(False)
        last = self._key(*self.work.end_of_batch(row.last_key, row.end_key, self.size))
        if last is None:
            return None
        # alone, a row can be waited for: nobody else waits for us meanwhile
        self._hurry(self.size > 1)
        statement = self.work.batch(row.last_key, last, self.progress.table, self.progress.condition(row))
        self.begun = time.perf_counter()
        done, moved = self.execute(statement)[0]
        seconds = time.perf_counter() - self.begun
        if not moved:
            raise OperatorNeeded(
                f"the row of this backfill in {self.progress.table} was changed by somebody else.",
                "Find out by whom. What was done is in the table; nothing was done since.",
            )
        self.report.batch(int(done), seconds)
        self._adapt(int(done), seconds)
        return last

    def _adapt(self, done: int, seconds: float) -> None:
        if seconds > TARGET:
            self.size = max(1, self.size // 2)
        elif seconds < TARGET / 2 and done >= self.size:
            self.size = min(MOST, self.size * 2)

    def _patiently(self, function: Callable[[], Key | None]) -> Key | None:
        """Try it again, with fewer rows, when it does not get its locks."""
        begun, attempt = time.monotonic(), 0
        while True:
            try:
                return function()
            except Exception as error:  # of any driver
                if sqlstate_of(error) not in TRY_AGAIN and not self._took_too_long(error):
                    raise
                self._hurry(False)
                if time.monotonic() - begun > self.limits.lock_budget:
                    raise self._gave_up() from error
                if self.size == 1 and (attempt := attempt + 1) == FAILURES_UNTIL_TOLD:
                    self.report.tell(f"{self.work.table}: rows are locked by others; trying again.{self._who()}")
            self.size = max(1, self.size // 2)
            pause = min(LOCK_WAIT * 2 ** min(attempt, 10), LONGEST_PAUSE)
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311

    def _gave_up(self) -> CheckFailed:
        return CheckFailed(
            f"{self.work.table}: rows were locked by others for {self.limits.lock_budget:g} s.{self._who()}",
            "When that has ended, the same command goes on from here. MIGRATION_LOCK_BUDGET says how long to try.",
        )

    def _who(self) -> str:
        holder = self.execute_own(locks.OLDEST_TRANSACTION)
        return f" The oldest transaction: {holder[0][0]}." if holder else ""

    def _key(self, *queries: str) -> Key | None:
        """The key that the first of the queries returns which returns one."""
        found = next((rows for query in queries if (rows := self.execute(query))), None)
        return tuple(str(value) for value in found[0]) if found else None

    def _read(self) -> Row:
        row = self.progress.find(self.work)
        if row is None:
            raise OperatorNeeded(f"the row of this backfill in {self.progress.table} was removed by somebody else.")
        return row

    def _took_too_long(self, error: Exception) -> bool:
        """Whether it is our own limit that has stopped a batch, and not somebody who wants it to stop."""
        waited = time.perf_counter() - self.begun
        return self.hurried and waited >= LONGEST_BATCH and sqlstate_of(error) == QUERY_CANCELED

    def _hurry(self, hurried: bool) -> None:
        """Give the session the limits of a batch, or its own."""
        if hurried == self.hurried:
            return
        lock_timeout = LOCK_WAIT if hurried else self.limits.lock_timeout
        statement_timeout = f"{round(LONGEST_BATCH * 1000)}" if hurried else self.statement_timeout
        limits = {"lock_timeout": f"{round(lock_timeout * 1000)}", "statement_timeout": statement_timeout}
        self.execute(_set(limits))
        self.hurried = hurried


def run(execute: Execute, execute_own: Execute, work: Work, progress: Progress, limits: Limits) -> Row | None:
    """Run a backfill in a session that is left as it was: the only one on this table.

    `execute` runs a statement with the project's search path, `execute_own` one of this package.

    What was committed is durable at the end, and not before: a crash of the server takes the last batches, with the
    progress that they have written. Raises LockNotGranted, and what `Run.run` raises.
    """
    with only_one(execute_own, work.table, limits.wait), _settings(execute):
        return Run(execute, execute_own, work, progress, limits).run()


@contextmanager
def _settings(execute: Execute) -> Iterator[None]:
    """Set what SESSION says; afterwards, wait until the disk has all of it, at once."""
    before = {name: str(execute(f"SHOW {name}")[0][0]) for name in (*SESSION, "lock_timeout", "statement_timeout")}
    execute(_set(SESSION))
    # a commit that waits for the log only does so when it has written something
    flush = "SELECT pg_catalog.pg_logical_emit_message(true, 'dbkit'::pg_catalog.text, 'flush'::pg_catalog.text)"
    with _undone(execute, _set({"synchronous_commit": "on"}), flush, _set(before)):
        yield


def _set(values: Mapping[str, str]) -> str:
    calls = (f"pg_catalog.set_config('{name}', {quote_literal(value)}, false)" for name, value in values.items())
    return f"SELECT {', '.join(calls)}"


@contextmanager
def only_one(execute: Execute, table: str, wait: float) -> Iterator[None]:
    """Hold the lock of the backfills of a table. Raises LockNotGranted after `wait` seconds."""
    key = int.from_bytes(hashlib.sha256(f"dbkit backfill:{table}".encode()).digest()[:8], signed=True)
    deadline, told = time.monotonic() + wait, False
    while not execute(f"SELECT pg_try_advisory_lock({key})")[0][0]:
        holder = execute(locks.HOLDER.replace("%s", str(key)))
        who = str(Holder(*holder[0])) if holder else "it has just ended"
        if time.monotonic() > deadline:
            raise LockNotGranted(
                f"another backfill of {table} is still running after {wait:g} s: {who}.",
                "Wait for it, or raise MIGRATION_WAIT.",
            )
        if not told:
            say(f"waiting for another backfill of {table}: {who}")
            told = True
        time.sleep(locks.PAUSE)
    with _undone(execute, f"SELECT pg_advisory_unlock({key})"):
        yield


@contextmanager
def _undone(execute: Execute, *statements: str) -> Iterator[None]:
    """Run statements afterwards; after a failure as well, if the session still can."""
    try:
        yield
    except BaseException:
        with suppress(Exception):  # it may be the session that has failed, and that is raised
            for statement in statements:
                execute(statement)
        raise
    for statement in statements:
        execute(statement)
