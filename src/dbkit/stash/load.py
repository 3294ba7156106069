"""Load the tables of a stash from its files into temporary tables, from which they are restored."""

from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from dbkit.errors import CheckFailed
from dbkit.postgres.sql_quote import as_text, quote_ident
from dbkit.stash import copy_file
from dbkit.stash.manifest import HashFile, SavedFile, SavedTable, parse_hash_file
from dbkit.stash.restore_sql import RestoreStatements, same_key_sql
from dbkit.stash.store import Stash, read_json_bytes
from dbkit.stash.tables import StashTable, hash_table

DEFAULTS = r"""
SELECT a.attname, (a.attmissingval::text::text[])[1],
    CASE WHEN pg_get_expr(d.adbin, d.adrelid) ~ '^(''([^'']|'''')*''(::[\w". \[\]()]+)?|-?[0-9.]+|true|false)$'
         THEN pg_get_expr(d.adbin, d.adrelid) END
FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = %s AND a.attname = ANY (%s)"""


def load_table(
    connection: psycopg.Connection, stash: Stash, number: int, entry: SavedTable, table: StashTable
) -> RestoreStatements:
    """Load a table of a stash, whose file must be as it was written, into a temporary table, and hash its rows."""
    name = f"pg_temp.dbkit_stash_{number}"
    _copy_in(connection, name, _define_columns(table, entry.columns), stash.path, entry.saved)
    before = hash_table(connection, name, [column for column, _ in entry.columns])
    image_name = f"pg_temp.dbkit_after_{number}"
    hash_file = _read_hash_file(stash, entry, f"{Path(entry.saved.file).stem}.after")
    if hash_file:
        _load_hashes(connection, image_name, stash, entry, table, hash_file)
    upgrade = f"pg_temp.dbkit_up_{number}" if _load_upgrade_writes(connection, stash, number, entry, table) else ""
    defaults = _read_defaults(connection, table, entry)
    image = hash_file.columns if hash_file else []
    return RestoreStatements(entry, table, name, image_name if hash_file else "", image, upgrade, defaults, before)


def _define_columns(table: StashTable, columns: Sequence[Sequence[str]]) -> str:
    """Return the definitions of columns as SQL, with the types that the table has."""
    found = [table.column(name) for name, _ in columns]
    return ", ".join(f"{quote_ident(column.name)} {column.type}" for column in found if column)


def _read_hash_file(stash: Stash, entry: SavedTable, file: str) -> HashFile | None:
    """Read the description of a hash file, where there is one. Raises CheckFailed where it is not as it was written."""
    path = (stash.path / file).with_suffix(".json")
    try:
        return parse_hash_file(read_json_bytes(path), entry, file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CheckFailed(f"{path} is not what was written: {text}.", "Get it back from a backup.") from error


def _load_hashes(
    connection: psycopg.Connection, name: str, stash: Stash, entry: SavedTable, table: StashTable, hash_file: HashFile
) -> None:
    """Load a hash file into a temporary table with the key, and `h`, an array of the hashes."""
    keys = _define_columns(table, entry.key)
    if hash_file.in_array:
        _copy_in(connection, name, f"{keys}, h bigint[]", stash.path, hash_file.saved)
        return
    columns = [f"h{position}" for position in range(len(hash_file.columns))]
    one = "pg_temp.dbkit_columns"
    _copy_in(connection, one, ", ".join([keys, *(f"{each} bigint" for each in columns)]), stash.path, hash_file.saved)
    names = ", ".join(quote_ident(key) for key, _ in entry.key)
    connection.execute(f"DROP TABLE IF EXISTS {name}".encode())
    query = f"SELECT {names}, ARRAY[{', '.join(columns)}]::bigint[] AS h FROM {one}"  # noqa: S608
    connection.execute(f"CREATE TEMPORARY TABLE {name.removeprefix('pg_temp.')} AS {query}".encode())


def _load_upgrade_writes(
    connection: psycopg.Connection, stash: Stash, number: int, entry: SavedTable, table: StashTable
) -> bool:
    """Load the hashes of the rows that upgrades have written, the newest of each row, for all columns that were lost.

    Returns whether there are any.
    """
    found = sorted(stash.path.glob(f"{Path(entry.saved.file).stem}-*.up"), key=lambda path: path.stat().st_mtime_ns)
    notes = [each for path in found if (each := _read_hash_file(stash, entry, path.name)) and each.saved.rows]
    names = ", ".join(quote_ident(key) for key, _ in entry.key)
    whole, one = f"pg_temp.dbkit_up_{number}", f"pg_temp.dbkit_one_{number}"
    for turn, hash_file in enumerate(notes):
        _load_hashes(connection, one, stash, entry, table, hash_file)
        places = [
            f"h[{hash_file.columns.index(name) + 1}]" if name in hash_file.columns else "NULL" for name in entry.lost
        ]
        selected = f"SELECT {names}, ARRAY[{', '.join(places)}]::bigint[] AS h FROM {one}"  # noqa: S608
        if not turn:
            connection.execute(f"DROP TABLE IF EXISTS {whole}".encode())
            connection.execute(f"CREATE TEMPORARY TABLE dbkit_up_{number} AS {selected}".encode())
            continue
        same = same_key_sql(table, [key for key, _ in entry.key], "w", "o")
        connection.execute(f"DELETE FROM {whole} AS w USING {one} AS o WHERE {same}".encode())  # noqa: S608
        connection.execute(f"INSERT INTO {whole} {selected}".encode())
    if notes:
        connection.execute(f"ANALYZE {whole}".encode())
    return bool(notes)


def _copy_in(connection: psycopg.Connection, name: str, columns: str, directory: Path, saved: SavedFile) -> None:
    connection.execute(f"DROP TABLE IF EXISTS {name}".encode())
    connection.execute(f"CREATE TEMPORARY TABLE {name.removeprefix('pg_temp.')} ({columns})".encode())
    with connection.cursor() as cursor, cursor.copy(f"COPY {name} FROM STDIN".encode()) as copy:
        for chunk in copy_file.read_checked(directory / saved.file, saved):
            copy.write(chunk)
    connection.execute(f"ANALYZE {name}".encode())


def _read_defaults(connection: psycopg.Connection, table: StashTable, entry: SavedTable) -> dict[str, list[str]]:
    """Return, by column, the values (as SQL) that an upgrade which adds it gives to existing rows."""
    found: dict[str, list[str]] = {}
    for name, missing, default in connection.execute(DEFAULTS, [table.oid, entry.lost]):
        column = table.column(name)
        given = [as_text(sql.Literal(missing))] if missing is not None else []
        given += [f"({default})"] if default is not None else []
        found[name] = [f"CAST({value} AS {column.type})" for value in given if column]
    return found
