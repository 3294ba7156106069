"""Say what a rollback would lose, before it begins: read with short queries that hold no locks."""

from collections.abc import Iterator
from pathlib import Path

import psycopg

from dbkit.connect import connect
from dbkit.errors import CheckFailed, say
from dbkit.rows import quoted
from dbkit.settings import Settings, Target
from dbkit.stash import keep, store, tables
from dbkit.stash.losses import CHANGED, DROPPED, Loss, Replay
from dbkit.stash.replay import NoPrograms, work_out
from dbkit.wording import counted


def prepare(settings: Settings, ini: Path, target: Target, heads: tuple[str, ...], to: str) -> keep.Keeper | None:
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
        found = _present(connection, replay) if replay.moments else []
        if settings.stash:
            store.sweep(settings)
            keep.remove_unneeded(connection, settings, target)
            keep.require_matchable(replay, 0, found)
        lines = list(_lines(connection, found))
    if lines:
        print(f"A rollback to {to} loses, as of now:")
        print("\n".join(f"  {line}" for line in lines), flush=True)
    if settings.stash:
        return keep.Keeper(settings, target, heads, replay)
    if lines:
        say("warning: STASH=0: nothing of it is kept.")
    return None


def _present(connection: psycopg.Connection, replay: Replay) -> list[Loss]:
    """The losses that are more than empty tables and columns."""
    present = tables.by_name(tables.read(connection).values())
    losses = [keep.as_present(loss, present) for loss in replay.losses(0)]
    return [loss for loss in losses if keep.has_something(connection, loss)]


def _lines(connection: psycopg.Connection, losses: list[Loss]) -> Iterator[str]:
    for loss in losses:
        counts = "".join(f", count({quoted(column.name)})" for column in loss.columns)
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
