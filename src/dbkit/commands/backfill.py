"""`dbkit backfill`: change many rows of a table in batches, one transaction for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from dbkit import signals
from dbkit.backfill import batches, runner
from dbkit.backfill.progress import Progress
from dbkit.errors import InputError, Interrupted, database_error, say
from dbkit.gate import protection
from dbkit.postgres import error_causes, session
from dbkit.postgres.cluster import development_cluster
from dbkit.postgres.locks import require_writable
from dbkit.settings import Settings, Target
from dbkit.wording import counted

APPLICATION_NAME = "dbkit backfill"


@dataclass(frozen=True)
class BackfillOptions:
    """Options of `dbkit backfill`."""

    table: str
    assignments: str
    """SQL, as in UPDATE … SET."""
    where: str | None
    key: str
    """Names of columns, separated by commas; "" for the primary key."""
    batch: int
    """Rows of the first batch."""
    max_lag: float
    """Seconds that a standby may be behind; 0 for no limit."""
    again: bool
    """Whether to start over where the backfill is done or was interrupted."""


def backfill(settings: Settings, _ini: Path, options: BackfillOptions) -> None:
    """Change the rows, from where an interrupted run of the same backfill ended.

    Raises Refused on a protected database without CONFIRM, Interrupted for a signal, and the errors of a backfill.
    """
    batches.qualify_table(options.table)
    target = settings.target or development_cluster(settings).ensure_running()
    protection.require_expendable_target(settings, target, "change rows of")
    with session.connect_for_migration(target, settings, APPLICATION_NAME) as connection:
        require_writable(connection)
        connection.autocommit = True
        _run(connection, settings, target, options)


def _run(connection: psycopg.Connection, settings: Settings, target: Target, options: BackfillOptions) -> None:
    def execute(statement: str) -> Sequence[Any]:
        cursor = connection.cursor().execute(statement.encode())
        return cursor.fetchall() if cursor.description else ()

    def execute_own(statement: str) -> Sequence[Any]:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else ()

    columns = [name.strip() for name in options.key.split(",") if name.strip()]
    update = batches.plan_update(execute, execute_own, options.table, options.assignments, options.where, columns)
    progress = Progress(execute, execute_own, target.history, None)
    limits = runner.Limits(options.batch, options.max_lag, settings.lock_timeout, settings.lock_budget, settings.wait)
    place = f'"{target.dbname}" on {target.server()}'
    say(f"about to change rows of {place}: {update} (the table has about {counted(update.estimate, 'row')})")
    try:
        _prepare_progress(execute_own, update, progress, limits, again=options.again)
        if runner.run_backfill(execute, execute_own, update, progress, limits) is None:
            say(f"{update.table} has no rows.")
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted in the backfill of {update.table}; what was committed stays.",
            signals.exit_code(),
            "The same command goes on from there.",
        ) from None
    except psycopg.Error as error:
        reason = error.diag.message_primary or str(error).strip()
        raise database_error(
            error,
            f"the backfill of {update.table} failed: {reason}; what was committed stays.",
            error_causes.hint_for(connection, error, target.dbname)
            or "When the cause is fixed, the same command goes on from there.",
        ) from error


def _prepare_progress(
    execute_own: batches.Execute,
    update: batches.BatchedUpdate,
    progress: Progress,
    limits: runner.Limits,
    *,
    again: bool,
) -> None:
    """Remove the progress of an earlier run for `again`. Raises InputError, without it, for a backfill that is done."""
    row = progress.find(update)
    if row is not None and row.done and not again:
        raise InputError(
            f"this backfill of {update.table} was done already, at {row.ended_at}, with {counted(row.rows, 'row')}.",
            "To do it once more: again=1 (--again).",
        )
    if again:
        # under the table's lock: a running backfill whose progress is removed would stop
        with runner.hold_table_lock(execute_own, update.table, limits.wait):
            former = progress.find(update)
            if former is not None:
                progress.delete(former)
