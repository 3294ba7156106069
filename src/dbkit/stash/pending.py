"""The stashes that wait to be restored: a line about each, and the removal of those that are not needed."""

from collections.abc import Collection, Iterator

import psycopg

from dbkit.settings import Settings, Target
from dbkit.stash import store
from dbkit.stash.identity import Assessment, Fate, assess_stash, read_identity
from dbkit.stash.store import Stash


def describe_restorable(
    connection: psycopg.Connection, settings: Settings, target: Target, applied: Collection[str]
) -> list[str]:
    """Return a line for each stash of a database that can be restored at these revisions, newest first."""
    assessed = _assess_waiting(connection, settings, target)
    needed = [stash for stash, assessment in assessed if assessment.fate is Fate.NEEDED]
    return [
        f"a stash of {stash.contents} from {stash.manifest.time}: put it back with `make restore`."
        for stash in needed
        if set(stash.manifest.heads) <= set(applied)
    ]


def describe_all(
    connection: psycopg.Connection, settings: Settings, target: Target, applied: Collection[str]
) -> Iterator[str]:
    """Yield a line for each stash, also where it waits for a revision or is not needed, and for unfinished ones."""
    for stash, assessment in _assess_waiting(connection, settings, target):
        missing = sorted(set(stash.manifest.heads) - set(applied))
        if assessment.must_be_named:
            why = assessment.why
            yield f"{stash}: {why}; it is kept, and `make restore name={stash.name}` puts it back all the same"
        elif assessment.fate is not Fate.NEEDED:
            yield f"{stash}: its rollback was not committed, so nothing was lost; the next rollback removes it"
        elif missing:
            yield f"{stash}: make migrate to={missing[0]}, then make restore"
        else:
            yield f"{stash}: make restore"
    for path in store.find_leftovers(settings):
        yield f"{path.name}: left behind by a killed rollback, which had undone nothing; the next one removes it"


def remove_unneeded_stashes(connection: psycopg.Connection, settings: Settings, target: Target) -> None:
    """Remove the stashes whose rollback was not committed: the database still has what they hold."""
    for stash, assessment in _assess_waiting(connection, settings, target):
        if assessment.fate is Fate.UNNEEDED:
            store.remove_stash(stash.path)


def _assess_waiting(
    connection: psycopg.Connection, settings: Settings, target: Target
) -> list[tuple[Stash, Assessment]]:
    here = read_identity(connection)
    return [(stash, assess_stash(connection, here, stash)) for stash in store.find_waiting(settings, target, here)]
