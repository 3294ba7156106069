"""The data that a rollback would lose, as they are in the database: columns, rows, hashes and sequences."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import psycopg
from psycopg.pq import TransactionStatus

from dbkit.postgres.own_statements import SETTINGS, change_settings
from dbkit.postgres.sql_quote import quote_ident
from dbkit.project.step_hooks import HookFailed
from dbkit.stash.losses import CHANGED, DROPPED, DryRun, Loss
from dbkit.stash.manifest import SequencePosition
from dbkit.stash.obstacles import WITHOUT
from dbkit.stash.sequences import SequenceIndex, StashSequence
from dbkit.stash.tables import StashTable, TableHash, hash_table

SAVEPOINT = "dbkit_stash"


@contextmanager
def exact_session(driver: psycopg.Connection) -> Iterator[None]:
    """Read values in their exact form within the context; afterwards the session is as before, but keeps its locks."""
    driver.execute(f"SAVEPOINT {SAVEPOINT}")
    change_settings(driver, SETTINGS, local=True)
    try:
        yield
    finally:
        if driver.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            driver.execute(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")


def lock_tables(driver: psycopg.Connection, losses: Iterable[Loss]) -> None:
    """Lock tables against writers until the transaction ends, one after the other by name; readers may go on."""
    names = ", ".join(sorted(loss.table.source for loss in losses))
    driver.execute(f"LOCK TABLE {names} IN SHARE MODE".encode())


def match_loss(loss: Loss, present: Mapping[tuple[str, str], StashTable]) -> Loss:
    """Return the loss with the columns and the key of the table in the database. Raises HookFailed where some lack."""
    table = present.get((loss.table.schema, loss.table.name))
    if table is None:
        raise HookFailed(f"the database has no table {loss.table.label}, which its revision has.", WITHOUT)
    here = replace(table, oid=loss.table.oid)
    if loss.whole:
        return replace(loss, table=here, columns=here.stored)
    missing = [column.name for column in loss.columns if not here.column(column.name)]
    if missing:
        raise HookFailed(f"{here.label} has no column {', '.join(missing)}, which its revision has.", WITHOUT)
    return replace(loss, table=here, columns=tuple(filter(None, [here.column(each.name) for each in loss.columns])))


def has_values(connection: psycopg.Connection, loss: Loss) -> bool:
    """Whether the table has rows, or the columns any value. Reads no further than the first."""
    where = ""
    if loss.why == CHANGED:
        where = " WHERE " + " OR ".join(f"{quote_ident(column.name)} IS NOT NULL" for column in loss.columns)
    query = f"SELECT EXISTS (SELECT FROM {loss.table.source}{where})"  # noqa: S608
    return connection.execute(query.encode()).fetchone() == (True,)


def hash_loss(driver: psycopg.Connection, loss: Loss) -> TableHash:
    """Return the hash of the values that would be lost."""
    return hash_table(driver, loss.table.source, loss.saved)


def find_sequences(
    index: SequenceIndex, wanted: Iterable[StashSequence], losses: Iterable[Loss]
) -> list[StashSequence]:
    """Return the sequences of the database that match `wanted`, and all that belong to dropped tables."""
    found = [index.find(each.schema, each.name, each.owner) for each in wanted]
    owned = [each for loss in losses if loss.why == DROPPED for each in index.owned_by(loss.table)]
    return list({each.oid: each for each in [*found, *owned] if each}.values())


def find_lost_sequences(connection: psycopg.Connection, dry_run: DryRun) -> list[StashSequence]:
    """Return the sequences of the database that a rollback drops or sets back."""
    return find_sequences(SequenceIndex(connection), dry_run.sequences_lost(0), dry_run.losses(0))


def read_positions(connection: psycopg.Connection, sequences: Iterable[StashSequence]) -> Iterator[SequencePosition]:
    """Read the positions of sequences, without those that are still at their start."""
    for each in sequences:
        position = each.position(connection)
        if not each.is_fresh(position):
            yield position
