"""Preview what a rollback would lose, with short queries that hold no locks."""

from collections.abc import Iterator
from pathlib import Path

import psycopg

from dbkit.errors import CheckFailed, DbkitError, say
from dbkit.postgres.connect import connect, current_revisions
from dbkit.postgres.sql_quote import quote_ident
from dbkit.rollback.dry_run import ServerProgramsMissing, run_dry_run
from dbkit.settings import Settings, Target
from dbkit.stash import obstacles, store, tables
from dbkit.stash.backup import BackupHook
from dbkit.stash.live_losses import find_lost_sequences, has_values, match_loss, read_positions
from dbkit.stash.losses import CHANGED, DROPPED, DryRun, Loss
from dbkit.stash.pending import remove_unneeded_stashes
from dbkit.wording import counted


def preview_rollback(
    settings: Settings, ini: Path, target: Target, heads: tuple[str, ...], to: str
) -> BackupHook | None:
    """Print what a rollback of a database at `heads` loses, and return the backup hook; None where STASH=0.

    Raises DbkitError where the losses are not known, and Refused where they could not be restored.
    """
    try:
        dry_run = run_dry_run(settings, ini, heads, to)
    except (ServerProgramsMissing, CheckFailed) as error:
        if settings.stash:
            raise
        say(f"warning: STASH=0: nothing is kept, and {error.message}")
        return None
    with connect(target, settings.wait, autocommit=True) as connection:
        _require_unmoved(connection, heads)
        try:
            lines = _read_losses(connection, settings, target, dry_run) if dry_run.steps else []
        except (DbkitError, psycopg.Error):
            _require_unmoved(connection, heads)  # where another rollback is the reason
            raise
    if lines:
        print(f"A rollback to {to} loses, as of now:")
        print("\n".join(f"  {line}" for line in lines), flush=True)
    if settings.stash:
        return BackupHook(settings, target, heads, dry_run)
    if lines:
        say("warning: STASH=0: nothing of it is kept.")
    return None


def _require_unmoved(connection: psycopg.Connection, heads: tuple[str, ...]) -> None:
    now = current_revisions(connection)
    if now != heads:
        raise CheckFailed(
            f"the database moved while the rollback was prepared: it was at {', '.join(heads)}, and is at "
            f"{', '.join(now) or 'base'}. Nothing was undone.",
            "Look where it is with `make status`; then run the same command again, if it is still what you want.",
        )


def _read_losses(connection: psycopg.Connection, settings: Settings, target: Target, dry_run: DryRun) -> list[str]:
    """Return what is lost, a line each. Raises DbkitError where it cannot be copied, or not be restored."""
    there = tables.read_tables(connection)
    present = tables.index_by_name(there.values())
    losses = [match_loss(loss, present) for loss in dry_run.losses(0)]
    if settings.stash:
        store.remove_leftovers(settings)
        remove_unneeded_stashes(connection, settings, target)
        obstacles.require_visible(connection, losses)
    hidden = obstacles.find_hidden_tables(connection, [loss.table for loss in losses])
    lines = [f"some of {label}: row security hides rows of it" for label in hidden]
    losses = [loss for loss in losses if loss.table.label not in hidden and has_values(connection, loss)]
    if settings.stash:
        obstacles.require_restorable(connection, dry_run, 0, losses, there)
    positions = read_positions(connection, find_lost_sequences(connection, dry_run))
    return [
        *lines,
        *_count_losses(connection, losses),
        *(f"position of the sequence {position.label}: {position.last_value}" for position in positions),
    ]


def _count_losses(connection: psycopg.Connection, losses: list[Loss]) -> Iterator[str]:
    for loss in losses:
        counts = "".join(f", count({quote_ident(column.name)})" for column in loss.columns)
        query = f"SELECT count(*){counts} FROM {loss.table.source}"  # noqa: S608
        rows, *values = connection.execute(query.encode()).fetchone() or (0,)
        label = loss.table.label
        if loss.why == CHANGED:
            for column, count in zip(loss.columns, values, strict=True):
                yield f"column {label}.{column.name}: {counted(count, 'value')}"
        elif loss.why == DROPPED:
            yield f"table {label}: {counted(rows, 'row')}"
        else:
            yield f"rows of {label} may change: {counted(rows, 'row')}"
