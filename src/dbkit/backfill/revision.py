"""Run a backfill in a revision, outside of the revision's transaction."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext

from dbkit.backfill import batches
from dbkit.backfill.progress import Progress
from dbkit.backfill.runner import Limits, run_backfill
from dbkit.database_url import History
from dbkit.errors import InputError
from dbkit.postgres.own_statements import own_settings
from dbkit.project.step_hooks import MONITOR, RECORD_BACKFILL, StepMonitor

Update = tuple[str, str, str | None, tuple[str, ...]]
"""Table, assignments, where, key."""


def run_in_revision(
    context: MigrationContext,
    update: Update,
    batch: int,
    max_lag: float,
) -> None:
    """Run a backfill (table, assignments, where, key) in the current revision, or write it to its script."""
    if context.as_sql:
        table, assignments, where, _ = update
        statement = batches.update_sql(batches.qualify_table(table), assignments, where)
        comment = "-- a backfill: online it runs in batches, in this script as one statement"
        context.impl.static_output(f"{comment}\n{statement}\n;")
        return
    with _outside_transaction(context):
        monitor = _monitor_of(_connection(context))
        with monitor.resumable() if monitor else nullcontext():
            _run(context, monitor, update, batch, max_lag)


def _run(
    context: MigrationContext,
    monitor: StepMonitor | None,
    update: Update,
    batch: int,
    max_lag: float,
) -> None:
    connection = _connection(context)

    def execute(statement: str) -> Sequence[Any]:
        # without parameters, so that a % or a colon has no special meaning
        result = connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        return result.all() if result.returns_rows else ()

    def execute_own(statement: str) -> Sequence[Any]:
        with own_settings(execute):
            return execute(statement)

    work = batches.plan_update(execute, execute_own, *update)
    history = History(context.version_table, context.version_table_schema)
    step = monitor.entry if monitor else None
    progress = Progress(execute, execute_own, history, step.revision if step else "", step.parents if step else ())
    limits = Limits(batch=batch, lag=max_lag, lock_budget=monitor.lock_budget if monitor else Limits.lock_budget)
    row = run_backfill(execute, execute_own, work, progress, limits)
    record = connection.info.get(RECORD_BACKFILL)
    if record:
        record(work.statement, row.rows if row else 0)
    if row is not None:
        _delete_progress(context, progress, row.id)


def _delete_progress(context: MigrationContext, progress: Progress, identifier: int) -> None:
    """Delete the row in the transaction that changes the version table: until then, the revision may run again."""
    waiting = [identifier]

    def applied(ctx: MigrationContext, **_rest: Any) -> None:
        if waiting:
            statement = progress.delete_statement([waiting.pop()])
            _connection(ctx).exec_driver_sql(statement, execution_options={"no_parameters": True})

    context.on_version_apply_callbacks += (applied,)


@contextmanager
def _outside_transaction(context: MigrationContext) -> Iterator[None]:
    """Leave the revision's transaction for the context, unless the revision has left it already."""
    if _connection(context).get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        yield
        return
    with context.autocommit_block():
        yield


def _connection(context: MigrationContext) -> sa.Connection:
    if context.connection is None:
        raise InputError("env.py configures Alembic without a connection.", "A backfill needs one, or --sql.")
    return context.connection


def _monitor_of(connection: sa.Connection) -> StepMonitor | None:
    """Return the gate's monitor; None where another program runs the revision."""
    own = getattr(connection.connection.driver_connection, "monitor", None)
    monitor: StepMonitor | None = own or connection.info.get(MONITOR)
    return monitor
