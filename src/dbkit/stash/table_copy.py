"""Copy the rows of a table, or their hashes, into the files of a stash."""

from pathlib import Path

import psycopg

from dbkit.postgres.row_hash import hashes_sql
from dbkit.postgres.sql_quote import quote_ident
from dbkit.stash import large_values, store
from dbkit.stash.copy_file import write_copy_file
from dbkit.stash.losses import Loss
from dbkit.stash.manifest import SavedTable, describe_hash_file
from dbkit.stash.tables import StashColumn, StashTable


def copy_table(driver: psycopg.Connection, loss: Loss, path: Path) -> SavedTable:
    """Copy what would be lost of a table. Raises CheckFailed when the file is not what the server sent."""
    names = loss.saved
    query = f"SELECT {', '.join(map(quote_ident, names))} FROM {loss.table.source}"  # noqa: S608
    large = large_values.find_condition(driver, loss.table, names)
    if large:
        more = large_values.read_in_slices(driver, loss.table, names, large)
        saved = write_copy_file(driver, f"{query} WHERE NOT {large}", path, more)
    else:
        saved = write_copy_file(driver, query, path)
    columns = {column.name: column for column in loss.table.columns.values()}
    return SavedTable(
        schema=loss.table.schema,
        table=loss.table.name,
        why=loss.why,
        key=[_pair(column) for column in loss.table.keys],
        columns=[_pair(columns[name]) for name in names],
        lost=[column.name for column in loss.columns],
        saved=saved,
    )


def copy_hashes(
    driver: psycopg.Connection, entry: SavedTable, directory: Path, was: StashTable, now: StashTable
) -> None:
    """Copy the hashes of the values that a rollback has left, by which later changes are recognised.

    `was` and `now` are the table before and after the rollback in the dry run, with the same column numbers.
    """
    numbers = {column.name: number for number, column in was.columns.items()}
    there = [name for name in entry.lost if numbers.get(name) in now.columns]
    keys = [now.columns.get(numbers.get(name, 0)) for name, _ in entry.key]
    if not there or not keys or None in keys:
        return
    hashes = hashes_sql([now.columns[numbers[name]].name for name in there])
    chosen = ", ".join([*(quote_ident(column.name) for column in keys if column), hashes])
    path = directory / Path(entry.saved.file).with_suffix(".after").name
    saved = write_copy_file(driver, f"SELECT {chosen} FROM {now.source}", path)  # noqa: S608
    store.write_json(path.with_suffix(".json"), describe_hash_file(there, saved))


def _pair(column: StashColumn) -> list[str]:
    return [column.name, column.type]
