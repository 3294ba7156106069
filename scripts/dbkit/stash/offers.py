"""What to say of stashes that wait to be put back."""

from collections.abc import Collection, Iterator

import psycopg

from dbkit.settings import Settings, Target
from dbkit.stash import store


def lines(connection: psycopg.Connection, settings: Settings, target: Target, applied: Collection[str]) -> list[str]:
    """A line for each stash of a database that can be put back now, at these revisions, newest first."""
    stashes = store.needed(connection, store.waiting(settings, target))
    return [_offer(stash) for stash in stashes if set(stash.manifest.heads) <= set(applied)]


def all_lines(
    connection: psycopg.Connection, settings: Settings, target: Target, applied: Collection[str]
) -> Iterator[str]:
    """A line for each stash, also where it waits for a revision or is not needed, and for what killed runs left."""
    stashes = store.waiting(settings, target)
    needed = store.needed(connection, stashes)
    for stash in stashes:
        missing = sorted(set(stash.manifest.heads) - set(applied))
        if stash not in needed:
            yield f"{stash}: its rollback was not committed, so nothing was lost; the next rollback removes it"
        elif missing:
            yield f"{stash}: make migrate to={missing[0]}, then make restore"
        else:
            yield f"{stash}: make restore"
    for path in store.leftovers(settings):
        yield f"{path.name}: left behind by a killed rollback, which had undone nothing; the next one removes it"


def _offer(stash: store.Stash) -> str:
    tables = ", ".join(kept.label for kept in stash.manifest.tables)
    return f"a stash of {tables} from {stash.manifest.time}: put it back with `make restore`."
