"""What to say of stashes that wait to be put back."""

from collections.abc import Collection, Iterator

import psycopg

from dbkit.settings import Settings, Target
from dbkit.stash import store
from dbkit.stash.identity import Assessment, Fate, assess_stash, read_identity
from dbkit.stash.store import Stash


def describe_restorable(
    connection: psycopg.Connection, settings: Settings, target: Target, applied: Collection[str]
) -> list[str]:
    """A line for each stash of a database that can be put back now, at these revisions, newest first."""
    judged = _judged(connection, settings, target)
    needed = [stash for stash, verdict in judged if verdict.fate is Fate.NEEDED]
    return [_offer(stash) for stash in needed if set(stash.manifest.heads) <= set(applied)]


def describe_all(
    connection: psycopg.Connection, settings: Settings, target: Target, applied: Collection[str]
) -> Iterator[str]:
    """A line for each stash, also where it waits for a revision or is not needed, and for what killed runs left."""
    for stash, verdict in _judged(connection, settings, target):
        missing = sorted(set(stash.manifest.heads) - set(applied))
        if verdict.asks:
            yield f"{stash}: {verdict.why}; it is kept, and `make restore name={stash.name}` puts it back all the same"
        elif verdict.fate is not Fate.NEEDED:
            yield f"{stash}: its rollback was not committed, so nothing was lost; the next rollback removes it"
        elif missing:
            yield f"{stash}: make migrate to={missing[0]}, then make restore"
        else:
            yield f"{stash}: make restore"
    for path in store.find_leftovers(settings):
        yield f"{path.name}: left behind by a killed rollback, which had undone nothing; the next one removes it"


def _judged(connection: psycopg.Connection, settings: Settings, target: Target) -> list[tuple[Stash, Assessment]]:
    here = read_identity(connection)
    return [(stash, assess_stash(connection, here, stash)) for stash in store.find_waiting(settings, target, here)]


def _offer(stash: Stash) -> str:
    return f"a stash of {stash.contents} from {stash.manifest.time}: put it back with `make restore`."
