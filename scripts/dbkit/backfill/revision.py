"""A backfill in a revision: outside of the transaction that the revision runs in."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext

from dbkit.backfill import work as work_module
from dbkit.backfill.progress import Progress
from dbkit.backfill.run import FIRST, Limits, run
from dbkit.errors import InputError
from dbkit.watch import Connection, Watch


class Operations(Protocol):
    """Alembic's `op`."""

    def get_context(self) -> MigrationContext:
        """The context that the revision runs in."""


def backfill(
    op: Operations,
    table: str,
    assignments: str,
    *,
    where: str | None = None,
    key: str | Sequence[str] = (),
    batch: int = FIRST,
    max_lag: float = 10.0,
) -> None:
    """UPDATE `table` SET `assignments` WHERE `where`, in batches with a transaction each; each row once.

    `table` is a name, with a schema or without. `assignments` and `where` are SQL, and go to the server as they are.
    `key` names the columns of a unique key that are NOT NULL; without it, it is the primary key. `batch` is how many
    rows the first batch has. It waits while a standby is more than `max_lag` seconds behind (0: never).

    What is in the revision's transaction before it is committed, so let it be alone in its revision. When it is
    interrupted, the next upgrade goes on where it was. In a script (`--sql`) it is one UPDATE. Raises DbkitError.
    """
    context = op.get_context()
    columns = (key,) if isinstance(key, str) else tuple(key)
    if context.as_sql:
        statement = work_module.update(work_module.qualified(table), assignments, where)
        context.impl.static_output(
            f"-- a backfill: online it runs in batches, in this script as one statement\n{statement}\n;"
        )
        return
    with _outside(context):
        watch = _watch_of(_connection(context))
        with watch.resumable() if watch else nullcontext():
            _run(context, watch, (table, assignments, where, columns), batch, max_lag)


def _run(
    context: MigrationContext,
    watch: Watch | None,
    what: tuple[str, str, str | None, tuple[str, ...]],
    batch: int,
    max_lag: float,
) -> None:
    connection = _connection(context)

    def execute(statement: str) -> Sequence[Any]:
        # without parameters, so that a % or a colon in it is nothing but that
        result = connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        return result.all() if result.returns_rows else ()

    work = work_module.find(execute, *what)
    version_table = ".".join(
        work_module.identifier(name) for name in (context.version_table_schema, context.version_table) if name
    )
    revision = watch.step.revision if watch and watch.step else ""
    progress = Progress(execute, version_table, revision)
    limits = Limits(batch=batch, lag=max_lag, lock_budget=watch.lock_budget if watch else Limits.lock_budget)
    row = run(execute, work, progress, limits)
    if row is not None:
        _forget_with_version(context, progress, row.id)


def _forget_with_version(context: MigrationContext, progress: Progress, identifier: int) -> None:
    """Let the row go in the transaction that moves the version table: until then, the revision may run once more."""
    waiting = [identifier]

    def applied(ctx: MigrationContext, **_rest: Any) -> None:
        if waiting:
            statement = progress.forgotten([waiting.pop()])
            _connection(ctx).exec_driver_sql(statement, execution_options={"no_parameters": True})

    context.on_version_apply_callbacks += (applied,)


@contextmanager
def _outside(context: MigrationContext) -> Iterator[None]:
    """Out of the revision's transaction, unless it is out of it already."""
    if _connection(context).get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        yield
        return
    with context.autocommit_block():
        yield


def _connection(context: MigrationContext) -> sa.Connection:
    if context.connection is None:
        raise InputError("env.py configures Alembic without a connection.", "A backfill needs one, or --sql.")
    return context.connection


def _watch_of(connection: sa.Connection) -> Watch | None:
    """The gate's, where the gate runs this."""
    driver = connection.connection.driver_connection
    return driver.watch if isinstance(driver, Connection) else None
