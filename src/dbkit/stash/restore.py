"""Restore a stash into its database: by primary key, in one transaction, without overwriting anything newer."""

import time
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

import psycopg

from dbkit.errors import CheckFailed, database_error, describe_error, say
from dbkit.postgres.locks import TRY_AGAIN
from dbkit.postgres.own_statements import SETTINGS, change_settings
from dbkit.postgres.sql_quote import quote_ident
from dbkit.settings import Settings
from dbkit.stash import sequences, tables
from dbkit.stash.load import load_table
from dbkit.stash.matching import match_table, misfit_error, require_visible
from dbkit.stash.outcome import TableOutcome
from dbkit.stash.restore_sql import RestoreStatements
from dbkit.stash.sequences import SequenceOutcome
from dbkit.stash.store import Stash
from dbkit.stash.tables import hash_table
from dbkit.terminal.progress import Progress
from dbkit.wording import counted

FOREIGN_KEYS = """
SELECT conrelid, confrelid FROM pg_constraint
WHERE contype = 'f' AND conrelid = ANY (%(oids)s) AND confrelid = ANY (%(oids)s) AND conrelid <> confrelid"""
# Those that are not deferrable: in a cycle of references, no order of the tables satisfies all of them
CYCLE_KEYS = """
SELECT conrelid::regclass::text, conname FROM pg_constraint
WHERE contype = 'f' AND conrelid = ANY (%(oids)s) AND confrelid = ANY (%(oids)s) AND conparentid = 0
    AND NOT condeferrable"""
TRIGGERS = """
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = %s AND NOT tgisinternal AND tgenabled IN ('O', 'A')"""


PLANNER_SETTINGS = {"work_mem": "128MB", "jit": "off"}
"""For joins of whole tables: with the default of 4 MB they go through files."""


def restore_stash(
    connection: psycopg.Connection, settings: Settings, stash: Stash, *, overwrite: bool
) -> list[TableOutcome | SequenceOutcome]:
    """Restore one stash, and commit. `overwrite` also replaces values that were written since the rollback.

    The tables are locked against writers from when the first row is put back; a lock that is not granted is retried for
    up to lock_budget. Raises CheckFailed, with the table's name, where something does not fit any more.
    """
    change_settings(connection, SETTINGS | PLANNER_SETTINGS, local=False)
    present = tables.index_by_name(tables.read_tables(connection).values())
    matched = [(saved, match_table(saved, present)) for saved in stash.manifest.tables]
    require_visible(connection, [table for _, table in matched])
    loaded = [load_table(connection, stash, number, saved, table) for number, (saved, table) in enumerate(matched)]
    positions = stash.manifest.sequences or sequences.read_old_positions(connection, matched)
    connection.commit()
    deadline = time.monotonic() + settings.lock_budget
    while True:
        try:
            outcomes = _restore_tables(connection, loaded, overwrite=overwrite)
            restored = sequences.restore_positions(connection, positions)
            connection.commit()
        except psycopg.Error as error:
            connection.rollback()
            if error.sqlstate not in TRY_AGAIN or time.monotonic() + settings.lock_timeout > deadline:
                text = describe_error(error, primary=True)
                raise database_error(
                    error,
                    f"{stash.name} cannot be put back: {text}; nothing of it was put back.",
                    "The stash stays. Fix that, then `make restore` again.",
                ) from error
            say(f"{stash.name}: a lock was not granted; trying again for up to {settings.lock_budget:g} s.")
            time.sleep(settings.lock_timeout)
        else:
            return [*outcomes, *restored]


def _restore_tables(
    connection: psycopg.Connection, loaded: Sequence[RestoreStatements], *, overwrite: bool
) -> list[TableOutcome]:
    if not loaded:  # only sequences
        return []
    locked = ", ".join(sorted(statements.table.source for statements in loaded))
    connection.execute(f"LOCK TABLE {locked} IN SHARE ROW EXCLUSIVE MODE".encode())
    ordered, cycle = _order_tables(connection, loaded)
    for table, name in cycle:
        connection.execute(f"ALTER TABLE {table} ALTER CONSTRAINT {quote_ident(name)} DEFERRABLE".encode())
    connection.execute("SET CONSTRAINTS ALL DEFERRED")
    triggers = [
        (statements, *row) for statements in loaded for row in connection.execute(TRIGGERS, [statements.table.oid])
    ]
    for statements, name, _ in triggers:
        connection.execute(f"ALTER TABLE {statements.table.sql} DISABLE TRIGGER {quote_ident(name)}".encode())
    outcomes = {}
    progress = Progress()
    for number, statements in enumerate(ordered):
        progress.show(f"restoring {statements.name}", number, len(ordered))
        outcomes[statements.name] = _restore_table(connection, statements, overwrite=overwrite)
    # deferred constraints must be checked before triggers can be enabled
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for statements, name, enabled in triggers:
        always = "ALWAYS " if enabled == "A" else ""
        connection.execute(f"ALTER TABLE {statements.table.sql} ENABLE {always}TRIGGER {quote_ident(name)}".encode())
    for table, name in cycle:
        connection.execute(f"ALTER TABLE {table} ALTER CONSTRAINT {quote_ident(name)} NOT DEFERRABLE".encode())
    return [outcomes[statements.name] for statements in loaded]


def _order_tables(
    connection: psycopg.Connection, loaded: Sequence[RestoreStatements]
) -> tuple[list[RestoreStatements], list[tuple[str, str]]]:
    """Order tables before those that refer to them; return them with no constraints.

    Where they refer to each other in a cycle, return them as they are, with the constraints among them (table as SQL,
    name) that must be deferred until all rows are there.
    """
    own = {statements.table.oid: statements for statements in loaded}
    sorter: TopologicalSorter[int] = TopologicalSorter(dict.fromkeys(own, ()))
    for referring, referred in connection.execute(FOREIGN_KEYS, {"oids": list(own)}):
        sorter.add(referring, referred)
    try:
        return [own[oid] for oid in sorter.static_order()], []
    except CycleError:
        return list(loaded), connection.execute(CYCLE_KEYS, {"oids": list(own)}).fetchall()


def _restore_table(connection: psycopg.Connection, statements: RestoreStatements, *, overwrite: bool) -> TableOutcome:
    entry = statements.entry
    if not entry.key:
        return _restore_without_key(connection, statements)
    [rows] = _fetch_numbers(connection, f"SELECT count(*) FROM {statements.table.source}".encode())  # noqa: S608
    matched, differing, due, newer = (
        _fetch_numbers(connection, statements.plan(overwrite=overwrite)) if rows else (0, 0, 0, 0)
    )
    inserted = gone = 0
    missing = entry.saved.rows - matched
    if entry.whole:
        [gone] = _fetch_numbers(connection, statements.count_deleted()) if statements.image else [0]
        inserted = _insert_missing(connection, statements, empty=not rows) if missing else 0
    else:
        gone = missing
    updates = statements.updates(overwrite=overwrite, newer=bool(newer)) if due else []
    updated = [connection.execute(statement).rowcount for statement in updates]
    if not max(updated, default=0) <= due <= sum(updated):  # of several, each may change some of the rows
        raise CheckFailed(
            f"{due:,} rows of {entry.label} were to be changed, and {updated} were; nothing of it was put back.",
            "The stash stays. Is there a rule on the table, or a trigger that keeps rows as they are?",
        )
    outcome = TableOutcome(
        entry=entry,
        matched=matched,
        put_back=inserted + due,
        there=matched - differing,
        newer=newer,
        gone=gone,
        blocked=missing - gone - inserted,
        new=rows - matched,
    )
    _verify(connection, statements, outcome)
    return outcome


def _insert_missing(connection: psycopg.Connection, statements: RestoreStatements, *, empty: bool) -> int:
    """Insert the missing rows; where one violates a unique key, once more without such rows. Return their number."""
    try:
        with connection.transaction():
            return connection.execute(statements.insert(empty=empty, skips=False)).rowcount
    except (psycopg.errors.UniqueViolation, psycopg.errors.ExclusionViolation):
        if _has_deferrable_key(connection, statements):
            raise
        return connection.execute(statements.insert(empty=empty, skips=True)).rowcount


def _restore_without_key(connection: psycopg.Connection, statements: RestoreStatements) -> TableOutcome:
    """Insert all rows into an empty table; nothing where they are there already.

    Raises CheckFailed for anything else.
    """
    entry = statements.entry
    there = hash_table(connection, statements.table.source, [name for name, _ in entry.columns])
    if there.rows and there != statements.before:
        raise misfit_error(entry, f"it has no primary key, and {counted(there.rows, 'other row')} by now")
    inserted = 0 if there.rows else connection.execute(statements.insert(empty=True, skips=False)).rowcount
    outcome = TableOutcome(entry, there.rows, inserted, there.rows, 0, 0, 0, 0)
    _verify(connection, statements, outcome)
    return outcome


def _fetch_numbers(connection: psycopg.Connection, query: bytes) -> list[int]:
    return [int(value) for value in connection.execute(query).fetchone() or ()]


def _has_deferrable_key(connection: psycopg.Connection, statements: RestoreStatements) -> bool:
    """Whether the table has a deferrable unique key, with which ON CONFLICT cannot be used."""
    query = "SELECT EXISTS (SELECT FROM pg_index WHERE indrelid = %s AND indisunique AND NOT indimmediate)"
    return connection.execute(query, [statements.table.oid]).fetchone() == (True,)


def _verify(connection: psycopg.Connection, statements: RestoreStatements, outcome: TableOutcome) -> None:
    """Raise CheckFailed when the columns should be as before the rollback, and are not."""
    if not outcome.same:
        return
    entry = statements.entry
    found = hash_table(connection, statements.table.source, [name for name, _ in entry.columns])
    if found != statements.before:
        raise CheckFailed(
            f"{entry.label} has another fingerprint than before the rollback; nothing of it was put back.",
            "The stash stays. Report this, with the definition of the table.",
        )
