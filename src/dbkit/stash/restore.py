"""Put a stash back into its database: by primary key, in one transaction, and nothing that is newer is overwritten."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import psycopg
from psycopg import sql

from dbkit.errors import CheckFailed, database_error, describe_error, say
from dbkit.postgres.locks import TRY_AGAIN
from dbkit.postgres.own_statements import SETTINGS, change_settings
from dbkit.postgres.sql_quote import quote_ident
from dbkit.settings import Settings
from dbkit.stash import copy_file, obstacles, sequences, tables
from dbkit.stash.manifest import Note, Saved, SavedTable, parse_note
from dbkit.stash.restore_sql import Statements, same_key
from dbkit.stash.sequences import Placed
from dbkit.stash.store import Stash, read_small
from dbkit.stash.tables import Table, summed
from dbkit.wording import counted

FOREIGN_KEYS = """
SELECT conrelid, confrelid FROM pg_constraint
WHERE contype = 'f' AND conrelid = ANY (%(oids)s) AND confrelid = ANY (%(oids)s) AND conrelid <> confrelid"""
# not deferrable: of those in a circle, one would have to come before itself
CIRCLE_KEYS = """
SELECT conrelid::regclass::text, conname FROM pg_constraint
WHERE contype = 'f' AND conrelid = ANY (%(oids)s) AND confrelid = ANY (%(oids)s) AND conparentid = 0
    AND NOT condeferrable"""
TRIGGERS = """
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = %s AND NOT tgisinternal AND tgenabled IN ('O', 'A')"""


@dataclass(frozen=True)
class Outcome:
    """What became of one table of a stash. All are numbers of rows."""

    kept: SavedTable
    matched: int
    """Of the stash, those that were in the table."""
    put_back: int
    there: int
    """Those that needed nothing."""
    newer: int
    """Those with a value that somebody has written since: it stays."""
    gone: int
    """Those that somebody has deleted since."""
    blocked: int
    """Those that could not be put back, since another row has the same value of a unique key."""
    new: int
    """Those of the table that are not in the stash."""

    @property
    def same(self) -> bool:
        """Whether the columns must now be what they were, value for value."""
        return not (self.newer or self.gone or self.blocked or self.new)

    def __str__(self) -> str:
        what = self.kept.label
        if not self.kept.whole:
            what += f" ({', '.join(self.kept.lost)})"
        parts = [f"{counted(self.matched, 'row')} matched", f"{self.put_back:,} put back"]
        optional = {
            "already there": self.there,
            "with newer values, which stay": self.newer,
            "gone since": self.gone,
            "new since": self.new,
            "in the way of a unique key, and not put back": self.blocked,
        }
        parts += [f"{count:,} {words}" for words, count in optional.items() if count]
        return f"{what}: {', '.join(parts)}{'; the same as before, by fingerprint' if self.same else ''}"


PLANNING = {"work_mem": "128MB", "jit": "off"}
"""For joins of whole tables: with the usual 4 MB they go through files."""


def restore_stash(
    connection: psycopg.Connection, settings: Settings, stash: Stash, *, overwrite: bool
) -> list[Outcome | Placed]:
    """Put back one stash, and commit. `overwrite` also replaces values that somebody has written since.

    The tables are locked against writers from when the first row is put back; a lock that is not granted is tried
    again for up to lock_budget. Raises CheckFailed, naming the table, where something does not fit any more.
    """
    change_settings(connection, SETTINGS | PLANNING, local=False)
    present = tables.by_name(tables.read(connection).values())
    fit = [(kept, fitting(kept, present)) for kept in stash.manifest.tables]
    _require_visible(connection, [table for _, table in fit])
    pieces = [_load(connection, stash, number, kept, table) for number, (kept, table) in enumerate(fit)]
    positions = stash.manifest.sequences or sequences.of_old_stash(connection, fit)
    connection.commit()
    deadline = time.monotonic() + settings.lock_budget
    while True:
        try:
            outcomes = _put_all(connection, pieces, overwrite=overwrite)
            placed = sequences.put_back(connection, positions)
            connection.commit()
        except psycopg.Error as error:
            connection.rollback()
            if error.sqlstate not in TRY_AGAIN or time.monotonic() + settings.lock_timeout > deadline:
                words = describe_error(error, primary=True)
                raise database_error(
                    error,
                    f"{stash.name} cannot be put back: {words}; nothing of it was.",
                    "The stash stays. Mend that, then `make restore` again.",
                ) from error
            say(f"{stash.name}: a lock was not granted; trying again for up to {settings.lock_budget:g} s.")
            time.sleep(settings.lock_timeout)
        else:
            return [*outcomes, *placed]


def fitting(kept: SavedTable, present: Mapping[tuple[str, str], Table]) -> Table:
    """The table that a part of a stash belongs to. Raises CheckFailed, by name, where it is not what it was."""
    table = present.get((kept.schema, kept.table))
    if table is None:
        raise _misfit(kept, f"the database has no table {kept.label}")
    for name, kind in kept.columns:
        column = table.column(name)
        if column is None:
            raise _misfit(kept, f"{kept.label} has no column {name}")
        if not column.has_type(kind):
            raise _misfit(kept, f"{kept.label}.{name} was {kind}, and is {column.type}")
        if column.generated:
            raise _misfit(kept, f"{kept.label}.{name} is computed by the server now")
    key = [column.name for column in table.keys]
    if key != [name for name, _ in kept.key]:
        now = ", ".join(key) or "none"
        raise _misfit(kept, f"the primary key of {kept.label} was {_names(kept.key) or 'none'}, and is {now}")
    return table


def _misfit(kept: SavedTable, why: str) -> CheckFailed:
    return CheckFailed(
        f"{kept.label} cannot be put back: {why}.",
        "The stash stays. Roll back to the revision that it is of, `make restore` there, then `make migrate`.",
    )


def _names(columns: Sequence[Sequence[str]]) -> str:
    return ", ".join(name for name, _ in columns)


def _require_visible(connection: psycopg.Connection, found: Sequence[Table]) -> None:
    hidden = obstacles.hidden(connection, found)
    if hidden:
        raise CheckFailed(
            f"{hidden[0]} cannot be put back: row security hides rows of it from {connection.info.user}.",
            "The stash stays. `make restore` as a role that sees all rows (a superuser, or one with BYPASSRLS).",
        )


def _load(connection: psycopg.Connection, stash: Stash, number: int, kept: SavedTable, table: Table) -> Statements:
    """Load a part of a stash, which must read as it was written, into a temporary table, and sum it up."""
    name = f"pg_temp.dbkit_stash_{number}"
    _copy_in(connection, name, _defined(table, kept.columns), stash.path, kept.saved)
    before = summed(connection, name, [column for column, _ in kept.columns])
    image_name = f"pg_temp.dbkit_after_{number}"
    noted = _note(stash, kept, f"{Path(kept.saved.file).stem}.after")
    if noted:
        _load_hashes(connection, image_name, stash, kept, table, noted)
    upgrade = f"pg_temp.dbkit_up_{number}" if _load_upgrade(connection, stash, number, kept, table) else ""
    defaults = _defaults(connection, table, kept)
    image = noted.columns if noted else []
    return Statements(kept, table, name, image_name if noted else "", image, upgrade, defaults, before)


def _defined(table: Table, columns: Sequence[Sequence[str]]) -> str:
    """Columns as a statement defines them, with the types that the table has."""
    found = [table.column(name) for name, _ in columns]
    return ", ".join(f"{quote_ident(column.name)} {column.type}" for column in found if column)


def _note(stash: Stash, kept: SavedTable, file: str) -> Note | None:
    """What describes a file of hashes, where there is one. Raises CheckFailed where it is not as it was written."""
    path = (stash.path / file).with_suffix(".json")
    try:
        return parse_note(read_small(path), kept, file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CheckFailed(f"{path} is not what was written: {words}.", "Get it back from a backup.") from error


def _load_hashes(
    connection: psycopg.Connection, name: str, stash: Stash, kept: SavedTable, table: Table, noted: Note
) -> None:
    """Load a file of hashes into a temporary table with the key, and `h`, an array."""
    keys = _defined(table, kept.key)
    if noted.in_array:
        _copy_in(connection, name, f"{keys}, h bigint[]", stash.path, noted.saved)
        return
    columns = [f"h{position}" for position in range(len(noted.columns))]
    one = "pg_temp.dbkit_columns"
    _copy_in(connection, one, ", ".join([keys, *(f"{each} bigint" for each in columns)]), stash.path, noted.saved)
    names = ", ".join(quote_ident(key) for key, _ in kept.key)
    connection.execute(f"DROP TABLE IF EXISTS {name}".encode())
    query = f"SELECT {names}, ARRAY[{', '.join(columns)}]::bigint[] AS h FROM {one}"  # noqa: S608
    connection.execute(f"CREATE TEMPORARY TABLE {name.removeprefix('pg_temp.')} AS {query}".encode())


def _load_upgrade(connection: psycopg.Connection, stash: Stash, number: int, kept: SavedTable, table: Table) -> bool:
    """Load what upgrades have written, the newest of each row: the hashes of all columns that were lost.

    Returns whether there is any.
    """
    found = sorted(stash.path.glob(f"{Path(kept.saved.file).stem}-*.up"), key=lambda path: path.stat().st_mtime_ns)
    notes = [each for path in found if (each := _note(stash, kept, path.name)) and each.saved.rows]
    names = ", ".join(quote_ident(key) for key, _ in kept.key)
    whole, one = f"pg_temp.dbkit_up_{number}", f"pg_temp.dbkit_one_{number}"
    for turn, noted in enumerate(notes):
        _load_hashes(connection, one, stash, kept, table, noted)
        places = [f"h[{noted.columns.index(name) + 1}]" if name in noted.columns else "NULL" for name in kept.lost]
        selected = f"SELECT {names}, ARRAY[{', '.join(places)}]::bigint[] AS h FROM {one}"  # noqa: S608
        if not turn:
            connection.execute(f"DROP TABLE IF EXISTS {whole}".encode())
            connection.execute(f"CREATE TEMPORARY TABLE dbkit_up_{number} AS {selected}".encode())
            continue
        same = same_key(table, [key for key, _ in kept.key], "w", "o")
        connection.execute(f"DELETE FROM {whole} AS w USING {one} AS o WHERE {same}".encode())  # noqa: S608
        connection.execute(f"INSERT INTO {whole} {selected}".encode())
    if notes:
        connection.execute(f"ANALYZE {whole}".encode())
    return bool(notes)


def _copy_in(connection: psycopg.Connection, name: str, columns: str, directory: Path, saved: Saved) -> None:
    connection.execute(f"DROP TABLE IF EXISTS {name}".encode())
    connection.execute(f"CREATE TEMPORARY TABLE {name.removeprefix('pg_temp.')} ({columns})".encode())
    with connection.cursor() as cursor, cursor.copy(f"COPY {name} FROM STDIN".encode()) as copy:
        for chunk in copy_file.read_checked(directory / saved.file, saved):
            copy.write(chunk)
    connection.execute(f"ANALYZE {name}".encode())


DEFAULTS = r"""
SELECT a.attname, (a.attmissingval::text::text[])[1],
    CASE WHEN pg_get_expr(d.adbin, d.adrelid) ~ '^(''([^'']|'''')*''(::[\w". \[\]()]+)?|-?[0-9.]+|true|false)$'
         THEN pg_get_expr(d.adbin, d.adrelid) END
FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = %s AND a.attname = ANY (%s)"""


def _defaults(connection: psycopg.Connection, table: Table, kept: SavedTable) -> dict[str, list[str]]:
    """By column, what an upgrade that adds it has given to rows that were there: as SQL."""
    found: dict[str, list[str]] = {}
    for name, missing, default in connection.execute(DEFAULTS, [table.oid, kept.lost]):
        column = table.column(name)
        given = [sql.Literal(missing).as_string()] if missing is not None else []
        given += [f"({default})"] if default is not None else []
        found[name] = [f"CAST({value} AS {column.type})" for value in given if column]
    return found


def _put_all(connection: psycopg.Connection, pieces: Sequence[Statements], *, overwrite: bool) -> list[Outcome]:
    if not pieces:  # but sequences
        return []
    locked = ", ".join(sorted(piece.table.source for piece in pieces))
    connection.execute(f"LOCK TABLE {locked} IN SHARE ROW EXCLUSIVE MODE".encode())
    ordered, circle = _in_order(connection, pieces)
    for table, name in circle:
        connection.execute(f"ALTER TABLE {table} ALTER CONSTRAINT {quote_ident(name)} DEFERRABLE".encode())
    connection.execute("SET CONSTRAINTS ALL DEFERRED")
    triggers = [(piece, *row) for piece in pieces for row in connection.execute(TRIGGERS, [piece.table.oid])]
    for piece, name, _ in triggers:
        connection.execute(f"ALTER TABLE {piece.table.sql} DISABLE TRIGGER {quote_ident(name)}".encode())
    outcomes = {piece.name: _put(connection, piece, overwrite=overwrite) for piece in ordered}
    # what is deferred must have run before triggers can be enabled
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for piece, name, enabled in triggers:
        always = "ALWAYS " if enabled == "A" else ""
        connection.execute(f"ALTER TABLE {piece.table.sql} ENABLE {always}TRIGGER {quote_ident(name)}".encode())
    for table, name in circle:
        connection.execute(f"ALTER TABLE {table} ALTER CONSTRAINT {quote_ident(name)} NOT DEFERRABLE".encode())
    return [outcomes[piece.name] for piece in pieces]


def _in_order(
    connection: psycopg.Connection, pieces: Sequence[Statements]
) -> tuple[list[Statements], list[tuple[str, str]]]:
    """Tables before those that refer to them, and no constraints.

    Where they refer to each other in a circle: as they come, and the constraints among them that must wait meanwhile
    until all rows are there, as table (as SQL) and name.
    """
    own = {piece.table.oid: piece for piece in pieces}
    sorter: TopologicalSorter[int] = TopologicalSorter(dict.fromkeys(own, ()))
    for referring, referred in connection.execute(FOREIGN_KEYS, {"oids": list(own)}):
        sorter.add(referring, referred)
    try:
        return [own[oid] for oid in sorter.static_order()], []
    except CycleError:
        return list(pieces), connection.execute(CIRCLE_KEYS, {"oids": list(own)}).fetchall()


def _put(connection: psycopg.Connection, piece: Statements, *, overwrite: bool) -> Outcome:
    kept = piece.kept
    if not kept.key:
        return _put_without_key(connection, piece)
    [rows] = _numbers(connection, f"SELECT count(*) FROM {piece.table.source}".encode())  # noqa: S608
    matched, differing, due, newer = _numbers(connection, piece.plan(overwrite=overwrite)) if rows else (0, 0, 0, 0)
    inserted = gone = 0
    missing = kept.saved.rows - matched
    if kept.whole:
        [gone] = _numbers(connection, piece.count_deleted()) if piece.image else [0]
        inserted = _insert(connection, piece, empty=not rows) if missing else 0
    else:
        gone = missing
    statements = piece.updates(overwrite=overwrite, newer=bool(newer)) if due else []
    updated = [connection.execute(statement).rowcount for statement in statements]
    if not max(updated, default=0) <= due <= sum(updated):  # of several, each may change some of the rows
        raise CheckFailed(
            f"{due:,} rows of {kept.label} were to be changed, and {updated} were; nothing of it was put back.",
            "The stash stays. Is there a rule on the table, or a trigger that keeps rows as they are?",
        )
    outcome = Outcome(
        kept=kept,
        matched=matched,
        put_back=inserted + due,
        there=matched - differing,
        newer=newer,
        gone=gone,
        blocked=missing - gone - inserted,
        new=rows - matched,
    )
    _verify(connection, piece, outcome)
    return outcome


def _insert(connection: psycopg.Connection, piece: Statements, *, empty: bool) -> int:
    """Insert the rows that are missing; only where one is in the way of a unique key, once more without such rows."""
    try:
        with connection.transaction():
            return connection.execute(piece.insert(empty=empty, skips=False)).rowcount
    except (psycopg.errors.UniqueViolation, psycopg.errors.ExclusionViolation):
        if _defers(connection, piece):
            raise
        return connection.execute(piece.insert(empty=empty, skips=True)).rowcount


def _put_without_key(connection: psycopg.Connection, piece: Statements) -> Outcome:
    """All rows, into an empty table; nothing, where they are there already. Raises CheckFailed for anything else."""
    kept = piece.kept
    there = summed(connection, piece.table.source, [name for name, _ in kept.columns])
    if there.rows and there != piece.before:
        raise _misfit(kept, f"it has no primary key, and {counted(there.rows, 'other row')} by now")
    inserted = 0 if there.rows else connection.execute(piece.insert(empty=True, skips=False)).rowcount
    outcome = Outcome(kept, there.rows, inserted, there.rows, 0, 0, 0, 0)
    _verify(connection, piece, outcome)
    return outcome


def _numbers(connection: psycopg.Connection, query: bytes) -> list[int]:
    return [int(value) for value in connection.execute(query).fetchone() or ()]


def _defers(connection: psycopg.Connection, piece: Statements) -> bool:
    """Whether a unique key is deferrable: ON CONFLICT cannot be used then."""
    query = "SELECT EXISTS (SELECT FROM pg_index WHERE indrelid = %s AND indisunique AND NOT indimmediate)"
    return connection.execute(query, [piece.table.oid]).fetchone() == (True,)


def _verify(connection: psycopg.Connection, piece: Statements, outcome: Outcome) -> None:
    """Raise CheckFailed when the columns should be what they were, and are not."""
    if not outcome.same:
        return
    kept = piece.kept
    found = summed(connection, piece.table.source, [name for name, _ in kept.columns])
    if found != piece.before:
        raise CheckFailed(
            f"{kept.label} has another fingerprint than before the rollback; nothing of it was put back.",
            "The stash stays. Report this, with the definition of the table.",
        )
