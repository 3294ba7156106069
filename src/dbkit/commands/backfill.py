"""`dbkit backfill`: change many rows of a table in batches, each in a transaction of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from dbkit import signals
from dbkit.backfill import batches as works
from dbkit.backfill import runner as runs
from dbkit.backfill.progress import Progress
from dbkit.errors import InputError, Interrupted, database_error, describe_error, say
from dbkit.gate import protection
from dbkit.postgres import error_causes, session
from dbkit.postgres.cluster import development_cluster
from dbkit.postgres.locks import VERSION_TABLE, require_writable
from dbkit.settings import Settings
from dbkit.wording import counted

APPLICATION_NAME = "dbkit backfill"


def backfill(
    settings: Settings,
    _ini: Path,
    table: str,
    assignments: str,
    where: str | None = None,
    key: str = "",
    batch: int = runs.FIRST,
    max_lag: float = runs.Limits.lag,
    again: bool = False,
) -> None:
    """Do it, or go on where it was interrupted. `key` is names of columns with commas between.

    Raises Refused on a protected database without CONFIRM, Interrupted for a signal, and what a backfill raises.
    """
    works.qualified(table)
    target = settings.target or development_cluster(settings).ensure_running()
    protection.ask(settings, target, "change rows of")
    with session.connect_for_migration(target, settings, APPLICATION_NAME) as connection:
        require_writable(connection)
        connection.autocommit = True

        def execute(statement: str) -> Sequence[Any]:
            cursor = connection.cursor().execute(statement.encode())
            return cursor.fetchall() if cursor.description else ()

        def execute_own(statement: str) -> Sequence[Any]:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else ()

        columns = [name.strip() for name in key.split(",") if name.strip()]
        work = works.find(execute, execute_own, table, assignments, where, columns)
        progress = Progress(execute, execute_own, VERSION_TABLE, None)
        limits = runs.Limits(batch, max_lag, settings.lock_timeout, settings.lock_budget, settings.wait)
        where_it_is = f'"{target.dbname}" on {target.server()}'
        say(f"about to change rows of {where_it_is}: {work} (the table has about {counted(work.estimate, 'row')})")
        try:
            _run(execute, execute_own, work, progress, limits, again=again)
        except KeyboardInterrupt:
            raise Interrupted(
                f"interrupted in the backfill of {work.table}; what was committed stays.",
                signals.exit_code(),
                "The same command goes on from there.",
            ) from None
        except psycopg.Error as error:
            words = describe_error(error, primary=True)
            raise database_error(
                error,
                f"the backfill of {work.table} failed: {words}; what was committed stays.",
                error_causes.hint_for(connection, error, target.dbname)
                or "When that is mended, the same command goes on from there.",
            ) from error


def _run(
    execute: works.Execute,
    execute_own: works.Execute,
    work: works.Work,
    progress: Progress,
    limits: runs.Limits,
    *,
    again: bool,
) -> None:
    row = progress.find(work)
    if row is not None and row.done and not again:
        raise InputError(
            f"this backfill of {work.table} was done already, at {row.ended_at}, with {counted(row.rows, 'row')}.",
            "To do it once more: again=1 (--again).",
        )
    if again:
        # not while it runs: whoever does it would find its progress gone, and stop
        with runs.only_one(execute_own, work.table, limits.wait):
            forgotten = progress.find(work)
            if forgotten is not None:
                progress.forget(forgotten)
    if runs.run(execute, execute_own, work, progress, limits) is None:
        say(f"{work.table} has no rows.")
