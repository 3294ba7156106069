"""`dbkit restore`: put back what rollbacks have lost."""

from pathlib import Path

import psycopg

from dbkit import gate, project
from dbkit.errors import DbkitError, Refused, say
from dbkit.postgres import session
from dbkit.postgres.connect import current_revisions
from dbkit.postgres.locks import migration_lock
from dbkit.settings import Settings, Target
from dbkit.stash import pending, store
from dbkit.stash import restore as stash_restore
from dbkit.stash.identity import assess_stash, read_identity
from dbkit.stash.manifest import Identity
from dbkit.stash.outcome import TableOutcome
from dbkit.stash.store import Stash


def restore(settings: Settings, ini: Path, name: str | None = None, overwrite: bool = False) -> int:
    """Put back the stashes of the database whose revisions are applied, newest first, or the one called `name`.

    Says what became of the rows of each table. `overwrite` also replaces what was written since.
    Returns 1 where something could not be put back.
    """
    loaded = project.load(ini)
    target = gate.resolve_target(settings)
    with (
        session.connect_for_migration(target, settings, "dbkit restore") as connection,
        migration_lock(connection, target.dbname, settings.wait),
    ):
        # the stash is marked once the disk has what was put back
        connection.execute("RESET synchronous_commit")
        connection.commit()
        current = current_revisions(connection)
        project.require_known(loaded.script, current)
        applied = loaded.applied(current)
        here = read_identity(connection)
        failed: list[DbkitError] = []
        if name:
            stashes = [store.find_stash(settings, target, name, here)]
            if (verdict := assess_stash(connection, here, stashes[0])).asks:
                say(f"warning: {name}: {verdict.why}. It was named, so it is put back by primary key.")
        else:
            pending.remove_unneeded_stashes(connection, settings, target)
            stashes = _not_asking(connection, settings, target, here, failed)
        connection.rollback()
        session.shorten_lock_wait(connection, settings)
        if not stashes and not failed:
            print(f'There is no stash of "{target.dbname}" to put back.')
        done = [_one(connection, settings, stash, applied, failed, overwrite=overwrite) for stash in stashes]
    for error in failed[1:]:
        say(error.message)
    if failed:
        raise failed[0]
    return 0 if all(done) else 1


def _not_asking(
    connection: psycopg.Connection, settings: Settings, target: Target, here: Identity, failed: list[DbkitError]
) -> list[Stash]:
    """The stashes that are put back without being named; for each other one, an error is added to `failed`."""
    stashes = []
    for stash in store.find_waiting(settings, target, here):
        verdict = assess_stash(connection, here, stash)
        if verdict.asks:
            failed.append(
                Refused(
                    f"{stash} was not put back: {verdict.why}.",
                    f"It stays. If its rows belong into this database: `make restore name={stash.name}`.",
                )
            )
        else:
            stashes.append(stash)
    return stashes


def _one(
    connection: psycopg.Connection,
    settings: Settings,
    stash: Stash,
    applied: set[str],
    failed: list[DbkitError],
    *,
    overwrite: bool,
) -> bool:
    """Whether all of a stash is back, as far as nobody has written something newer; or is not due yet.

    An error is added to `failed`: the next stash may have none.
    """
    missing = sorted(set(stash.manifest.heads) - applied)
    if missing:
        print(f"{stash}: waits for {missing[0]}: `make migrate to={missing[0]}` first.")
        return True
    try:
        outcomes = stash_restore.restore_stash(connection, settings, stash, overwrite=overwrite)
    except DbkitError as error:
        connection.rollback()
        failed.append(error)
        return False
    print(f"{stash.name}, of {stash.manifest.time}:")
    for outcome in outcomes:
        print(f"  {outcome}")
    rows = [outcome for outcome in outcomes if isinstance(outcome, TableOutcome)]
    if any(outcome.blocked for outcome in rows):
        print(f"  Not all could be put back, so the stash waits on: {stash.path}")
        return False
    kept = store.mark_restored(stash)
    # a later stash of the same rollback has values of an earlier revision: not to be put over these blindly
    if any(outcome.newer for outcome in rows) and stash.manifest.time == stash.manifest.began:
        name = stash.name.removesuffix(store.RESTORED)
        print(f"  To replace the newer values, too: python -m dbkit restore --name {name} --overwrite")
    print(f"  The stash is in {kept}; remove it when you do not need it.")
    return True
