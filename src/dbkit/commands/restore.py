"""`dbkit restore`: put back the rows that rollbacks have stashed."""

from dataclasses import dataclass
from pathlib import Path

import psycopg

from dbkit import gate, hints, project
from dbkit.errors import DbkitError, Refused, say
from dbkit.postgres import session
from dbkit.postgres.connect import current_revisions
from dbkit.postgres.locks import migration_lock
from dbkit.settings import Settings, Target
from dbkit.stash import pending, store
from dbkit.stash.identity import assess_stash, read_identity
from dbkit.stash.manifest import Identity
from dbkit.stash.outcome import TableOutcome
from dbkit.stash.restore import restore_stash
from dbkit.stash.store import Stash


@dataclass(frozen=True)
class RestoreOptions:
    """Options of `dbkit restore`."""

    name: str | None
    """One stash; None: all of this database whose revisions are applied."""
    overwrite: bool
    """Whether to replace values that were written since."""


def restore(settings: Settings, ini: Path, options: RestoreOptions) -> int:
    """Put back stashed rows, the newest stash first, and print the result for each table.

    Returns 1 where some rows could not be put back. A stash that fails does not stop the others; the first error is
    raised at the end.
    """
    loaded = project.load_project(settings)
    target = gate.resolve_target(settings)
    with (
        session.connect_for_migration(target, settings, "dbkit restore") as connection,
        migration_lock(connection, target, settings.wait),
    ):
        # the stash is marked as restored only when the rows are on disk
        connection.execute("RESET synchronous_commit")
        connection.commit()
        current = current_revisions(connection)
        project.require_known(loaded.script, current)
        applied = loaded.applied(current)
        identity = read_identity(connection)
        refusals: list[Refused] = []
        if options.name:
            stashes = [_find_named_stash(connection, settings, target, identity, options.name)]
        else:
            pending.remove_unneeded_stashes(connection, settings, target)
            stashes, refusals = _find_own_stashes(connection, settings, target, identity)
        connection.rollback()
        session.shorten_lock_wait(connection, settings)
        if not stashes and not refusals:
            print(f'There is no stash of "{target.dbname}" to put back.')
        results = [
            _restore_when_due(connection, settings, stash, applied, overwrite=options.overwrite) for stash in stashes
        ]
    failures = [*refusals, *(result for result in results if isinstance(result, DbkitError))]
    for failure in failures[1:]:
        say(failure.message)
    if failures:
        raise failures[0]
    return 0 if all(results) else 1


def _find_named_stash(
    connection: psycopg.Connection, settings: Settings, target: Target, identity: Identity, name: str
) -> Stash:
    """Return the stash called `name`, with a warning where it may be that of another database."""
    stash = store.find_stash(settings, target, name, identity)
    if (assessment := assess_stash(connection, identity, stash)).must_be_named:
        say(f"warning: {name}: {assessment.why}. It was named, so it is put back by primary key.")
    return stash


def _find_own_stashes(
    connection: psycopg.Connection, settings: Settings, target: Target, identity: Identity
) -> tuple[list[Stash], list[Refused]]:
    """Return the stashes that certainly belong to this database, and an error for each other one."""
    stashes, refusals = [], []
    for stash in store.find_waiting(settings, target, identity):
        assessment = assess_stash(connection, identity, stash)
        if assessment.must_be_named:
            refusals.append(
                Refused(
                    f"{stash} was not put back: {assessment.why}.",
                    f"It stays. If its rows belong into this database: `make restore name={stash.name}`.",
                )
            )
        else:
            stashes.append(stash)
    return stashes, refusals


def _restore_when_due(
    connection: psycopg.Connection, settings: Settings, stash: Stash, applied: set[str], *, overwrite: bool
) -> bool | DbkitError:
    """Put back the rows of a stash whose revisions are applied. Returns False where some are blocked, or the error."""
    missing = sorted(set(stash.manifest.heads) - applied)
    if missing:
        hints.show(f"{stash}: waits for {missing[0]}: `make migrate to={missing[0]}` first.")
        return True
    try:
        outcomes = restore_stash(connection, settings, stash, overwrite=overwrite)
    except DbkitError as error:
        connection.rollback()
        return error
    print(f"{stash.name}, of {stash.manifest.time}:")
    for outcome in outcomes:
        print(f"  {outcome}")
    tables = [outcome for outcome in outcomes if isinstance(outcome, TableOutcome)]
    if any(outcome.blocked for outcome in tables):
        print(f"  Not all could be put back, so the stash waits on: {stash.path}")
        return False
    path = store.mark_restored(stash)
    # a later stash of the same rollback has values of an earlier revision, which must not replace these unseen
    if any(outcome.newer for outcome in tables) and stash.manifest.time == stash.manifest.began:
        name = stash.name.removesuffix(store.RESTORED)
        hints.show(f"  To replace the newer values, too: python -m dbkit restore --name {name} --overwrite")
    print(f"  The stash is in {path}; remove it when you do not need it.")
    return True
