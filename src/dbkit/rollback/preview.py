"""Say what a rollback would lose, before it begins: read with short queries that hold no locks."""

from collections.abc import Iterator
from pathlib import Path

import psycopg

from dbkit.errors import CheckFailed, DbkitError, say
from dbkit.postgres.connect import connect, current_revisions
from dbkit.postgres.sql_quote import quote_ident
from dbkit.rollback.dry_run import NoPrograms, work_out
from dbkit.settings import Settings, Target
from dbkit.stash import backup, obstacles, store, tables
from dbkit.stash.losses import CHANGED, DROPPED, Loss, Replay
from dbkit.wording import counted


def prepare(settings: Settings, ini: Path, target: Target, heads: tuple[str, ...], to: str) -> backup.BackupHook | None:
    """Say what a rollback of a database at `heads` loses, and return who keeps it; None where it goes without.

    Raises DbkitError where that cannot be told, and Refused where it could not be put back.
    """
    try:
        replay = work_out(settings, ini, heads, to)
    except (NoPrograms, CheckFailed) as error:
        if settings.stash:
            raise
        say(f"warning: STASH=0: nothing is kept, and {error.message}")
        return None
    with connect(target, settings.wait, autocommit=True) as connection:
        _require_unmoved(connection, heads)
        try:
            lines = _look(connection, settings, target, replay) if replay.moments else []
        except (DbkitError, psycopg.Error):
            _require_unmoved(connection, heads)  # another rollback is what has made it so
            raise
    if lines:
        print(f"A rollback to {to} loses, as of now:")
        print("\n".join(f"  {line}" for line in lines), flush=True)
    if settings.stash:
        return backup.BackupHook(settings, target, heads, replay)
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


def _look(connection: psycopg.Connection, settings: Settings, target: Target, replay: Replay) -> list[str]:
    """What is lost, a line each. Raises DbkitError where it cannot be kept, or not be put back."""
    there = tables.read(connection)
    present = tables.by_name(there.values())
    losses = [backup.as_present(loss, present) for loss in replay.losses(0)]
    if settings.stash:
        store.sweep(settings)
        backup.remove_unneeded(connection, settings, target)
        obstacles.require_visible(connection, losses)
    hidden = obstacles.hidden(connection, [loss.table for loss in losses])
    lines = [f"some of {label}: row security hides rows of it" for label in hidden]
    losses = [loss for loss in losses if loss.table.label not in hidden and backup.has_something(connection, loss)]
    if settings.stash:
        obstacles.require_restorable(connection, replay, 0, losses, there)
    positions = backup.positions_of(connection, backup.found_sequences(connection, replay))
    return [
        *lines,
        *_lines(connection, losses),
        *(f"position of the sequence {position.label}: {position.last_value}" for position in positions),
    ]


def _lines(connection: psycopg.Connection, losses: list[Loss]) -> Iterator[str]:
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
