"""Put a stash back into its database: by primary key, in one transaction, and nothing that is newer is overwritten."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import psycopg
from psycopg import sql

from dbkit.errors import CheckFailed, failed, say
from dbkit.lock import TRY_AGAIN
from dbkit.rows import FORMAT, quoted
from dbkit.settings import Settings
from dbkit.stash import files, tables
from dbkit.stash.statements import Statements
from dbkit.stash.store import Kept, Saved, Stash
from dbkit.stash.tables import Table, summed
from dbkit.wording import counted

FOREIGN_KEYS = """
SELECT conrelid, confrelid FROM pg_constraint
WHERE contype = 'f' AND conrelid = ANY (%(oids)s) AND confrelid = ANY (%(oids)s) AND conrelid <> confrelid"""
TRIGGERS = """
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = %s AND NOT tgisinternal AND tgenabled IN ('O', 'A')"""


@dataclass(frozen=True)
class Outcome:
    """What became of one table of a stash. All are numbers of rows."""

    kept: Kept
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


def put_back(connection: psycopg.Connection, settings: Settings, stash: Stash, *, overwrite: bool) -> list[Outcome]:
    """Put back one stash, and commit. `overwrite` also replaces values that somebody has written since.

    The tables are locked against writers from when the first row is put back; a lock that is not granted is tried
    again for up to lock_budget. Raises CheckFailed, naming the table, where something does not fit any more.
    """
    _set(connection, FORMAT | {"row_security": "off"})
    pieces = [_load(connection, stash, number, kept) for number, kept in enumerate(stash.manifest.tables)]
    connection.commit()
    deadline = time.monotonic() + settings.lock_budget
    while True:
        try:
            outcomes = _put_all(connection, pieces, overwrite=overwrite)
            connection.commit()
        except psycopg.Error as error:
            connection.rollback()
            if error.sqlstate not in TRY_AGAIN or time.monotonic() + settings.lock_timeout > deadline:
                words = error.diag.message_primary or " ".join(str(error).split())
                raise failed(
                    error,
                    f"{stash.name} cannot be put back: {words}; nothing of it was.",
                    "The stash stays. Mend that, then `make restore` again.",
                ) from error
            say(f"{stash.name}: a lock was not granted; trying again for up to {settings.lock_budget:g} s.")
            time.sleep(settings.lock_timeout)
        else:
            return outcomes


def _set(connection: psycopg.Connection, values: Mapping[str, str]) -> None:
    for name, value in values.items():
        connection.execute("SELECT set_config(%s, %s, false)", [name, value])


def fitting(kept: Kept, present: Mapping[tuple[str, str], Table]) -> Table:
    """The table that a part of a stash belongs to. Raises CheckFailed, by name, where it is not what it was."""
    table = present.get((kept.schema, kept.table))
    if table is None:
        raise _misfit(kept, f"the database has no table {kept.label}")
    for name, kind in kept.columns:
        column = table.column(name)
        if column is None:
            raise _misfit(kept, f"{kept.label} has no column {name}")
        if column.type != kind:
            raise _misfit(kept, f"{kept.label}.{name} was {kind}, and is {column.type}")
        if column.generated:
            raise _misfit(kept, f"{kept.label}.{name} is computed by the server now")
    key = [[column.name, column.type] for column in table.keys]
    if key != kept.key:
        now = ", ".join(name for name, _ in key) or "none"
        raise _misfit(kept, f"the primary key of {kept.label} was {_names(kept.key) or 'none'}, and is {now}")
    return table


def _misfit(kept: Kept, why: str) -> CheckFailed:
    return CheckFailed(
        f"{kept.label} cannot be put back: {why}.",
        "The stash stays. Roll back to the revision that it is of, `make restore` there, then `make migrate`.",
    )


def _names(columns: Sequence[Sequence[str]]) -> str:
    return ", ".join(name for name, _ in columns)


def _load(connection: psycopg.Connection, stash: Stash, number: int, kept: Kept) -> Statements:
    """Load a part of a stash, which must read as it was written, into a temporary table, and sum it up."""
    table = fitting(kept, tables.by_name(tables.read(connection).values()))
    columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in kept.columns)
    name = f"pg_temp.dbkit_stash_{number}"
    _copy_in(connection, name, columns, stash.path, kept.saved)
    before = summed(connection, name, [column for column, _ in kept.columns])
    described = (stash.path / kept.saved.file).with_suffix(".json")
    image: list[str] = []
    image_name = f"pg_temp.dbkit_after_{number}"
    if described.exists():
        raw = json.loads(described.read_text(encoding="utf-8"))
        image = raw.pop("columns")
        keys = [f"{quoted(key)} {kind}" for key, kind in kept.key]
        hashes = [f"h{position} bigint" for position in range(len(image))]
        _copy_in(connection, image_name, ", ".join(keys + hashes), stash.path, Saved(**raw))
    upgrade = f"pg_temp.dbkit_up_{number}" if _load_upgrade(connection, stash, number, kept) else ""
    defaults = _defaults(connection, table, kept)
    return Statements(kept, table, name, image_name if image else "", image, upgrade, defaults, before)


def _load_upgrade(connection: psycopg.Connection, stash: Stash, number: int, kept: Kept) -> bool:
    """Load what upgrades have written, the newest of each row. Returns whether there is any."""
    found = sorted(stash.path.glob(f"{Path(kept.saved.file).stem}-*.json"), key=lambda path: path.stat().st_mtime_ns)
    keys = [f"{quoted(key)} {kind}" for key, kind in kept.key]
    names = ", ".join(quoted(key) for key, _ in kept.key)
    whole, one = f"pg_temp.dbkit_up_{number}", f"pg_temp.dbkit_one_{number}"
    for turn, path in enumerate(found):
        raw = json.loads(path.read_text(encoding="utf-8"))
        positions = [f"h{kept.lost.index(name)}" for name in raw.pop("columns")]
        _copy_in(
            connection, one, ", ".join([*keys, *(f"{name} bigint" for name in positions)]), stash.path, Saved(**raw)
        )
        if not turn:
            every = [f"h{position} bigint" for position in range(len(kept.lost))]
            connection.execute(f"DROP TABLE IF EXISTS {whole}".encode())
            connection.execute(f"CREATE TEMPORARY TABLE dbkit_up_{number} ({', '.join(keys + every)})".encode())
        same = " AND ".join(f"w.{quoted(key)} = o.{quoted(key)}" for key, _ in kept.key)
        connection.execute(f"DELETE FROM {whole} AS w USING {one} AS o WHERE {same}".encode())  # noqa: S608
        into = ", ".join([names, *positions])
        connection.execute(f"INSERT INTO {whole} ({into}) SELECT {into} FROM {one}".encode())  # noqa: S608
    return bool(found)


def _copy_in(connection: psycopg.Connection, name: str, columns: str, directory: Path, saved: Saved) -> None:
    path = directory / saved.file
    files.require_whole(path, saved)
    connection.execute(f"DROP TABLE IF EXISTS {name}".encode())
    connection.execute(f"CREATE TEMPORARY TABLE {name.removeprefix('pg_temp.')} ({columns})".encode())
    with connection.cursor() as cursor, cursor.copy(f"COPY {name} FROM STDIN".encode()) as copy:
        for chunk in files.read(path):
            copy.write(chunk)
    connection.execute(f"ANALYZE {name}".encode())


DEFAULTS = r"""
SELECT a.attname, (a.attmissingval::text::text[])[1],
    CASE WHEN pg_get_expr(d.adbin, d.adrelid) ~ '^(''([^'']|'''')*''(::[\w". \[\]()]+)?|-?[0-9.]+|true|false)$'
         THEN pg_get_expr(d.adbin, d.adrelid) END
FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = %s AND a.attname = ANY (%s)"""


def _defaults(connection: psycopg.Connection, table: Table, kept: Kept) -> dict[str, list[str]]:
    """By column, what an upgrade that adds it has given to rows that were there: as SQL."""
    found: dict[str, list[str]] = {}
    for name, missing, default in connection.execute(DEFAULTS, [table.oid, kept.lost]):
        column = table.column(name)
        given = [sql.Literal(missing).as_string()] if missing is not None else []
        given += [f"({default})"] if default is not None else []
        found[name] = [f"CAST({value} AS {column.type})" for value in given if column]
    return found


def _put_all(connection: psycopg.Connection, pieces: Sequence[Statements], *, overwrite: bool) -> list[Outcome]:
    locked = ", ".join(sorted(piece.table.source for piece in pieces))
    connection.execute(f"LOCK TABLE {locked} IN SHARE ROW EXCLUSIVE MODE".encode())
    connection.execute("SET CONSTRAINTS ALL DEFERRED")
    triggers = [(piece, *row) for piece in pieces for row in connection.execute(TRIGGERS, [piece.table.oid])]
    for piece, name, _ in triggers:
        connection.execute(f"ALTER TABLE {piece.table.sql} DISABLE TRIGGER {quoted(name)}".encode())
    outcomes = {piece.name: _put(connection, piece, overwrite=overwrite) for piece in _in_order(connection, pieces)}
    # what is deferred must have run before triggers can be enabled
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for piece, name, enabled in triggers:
        always = "ALWAYS " if enabled == "A" else ""
        connection.execute(f"ALTER TABLE {piece.table.sql} ENABLE {always}TRIGGER {quoted(name)}".encode())
    return [outcomes[piece.name] for piece in pieces]


def _in_order(connection: psycopg.Connection, pieces: Sequence[Statements]) -> list[Statements]:
    """Tables before those that refer to them; in a circle, as they come, with the constraints deferred."""
    own = {piece.table.oid: piece for piece in pieces}
    sorter: TopologicalSorter[int] = TopologicalSorter(dict.fromkeys(own, ()))
    for referring, referred in connection.execute(FOREIGN_KEYS, {"oids": list(own)}):
        sorter.add(referring, referred)
    try:
        return [own[oid] for oid in sorter.static_order()]
    except CycleError:
        return list(pieces)


def _put(connection: psycopg.Connection, piece: Statements, *, overwrite: bool) -> Outcome:
    kept = piece.kept
    if not kept.key:
        return _put_without_key(connection, piece)
    matched, differing, rows = _numbers(connection, piece.count())
    inserted = gone = 0
    missing = kept.saved.rows - matched
    if kept.whole:
        [gone] = _numbers(connection, piece.count_deleted()) if piece.image else [0]
        inserted = connection.execute(piece.insert(_defers(connection, piece))).rowcount
        _advance(connection, piece)
    else:
        gone = missing
    updated = connection.execute(statement).rowcount if (statement := piece.update(overwrite=overwrite)) else 0
    newer = _numbers(connection, piece.count())[1]
    outcome = Outcome(
        kept=kept,
        matched=matched,
        put_back=inserted + updated,
        there=matched - differing,
        newer=newer,
        gone=gone,
        blocked=missing - gone - inserted,
        new=rows - matched,
    )
    _verify(connection, piece, outcome)
    return outcome


def _put_without_key(connection: psycopg.Connection, piece: Statements) -> Outcome:
    """All rows, into an empty table; nothing, where they are there already. Raises CheckFailed for anything else."""
    kept = piece.kept
    there = summed(connection, piece.table.source, [name for name, _ in kept.columns])
    if there.rows and there != piece.before:
        raise _misfit(kept, f"it has no primary key, and {counted(there.rows, 'other row')} by now")
    inserted = 0 if there.rows else connection.execute(piece.insert(defers=True)).rowcount
    _advance(connection, piece)
    outcome = Outcome(kept, there.rows, inserted, there.rows, 0, 0, 0, 0)
    _verify(connection, piece, outcome)
    return outcome


def _numbers(connection: psycopg.Connection, query: bytes) -> list[int]:
    return [int(value) for value in connection.execute(query).fetchone() or ()]


def _defers(connection: psycopg.Connection, piece: Statements) -> bool:
    """Whether a unique key is deferrable: ON CONFLICT cannot be used then."""
    query = "SELECT EXISTS (SELECT FROM pg_index WHERE indrelid = %s AND indisunique AND NOT indimmediate)"
    return connection.execute(query, [piece.table.oid]).fetchone() == (True,)


def _advance(connection: psycopg.Connection, piece: Statements) -> None:
    """Let sequences go on after what they had given out, and after the greatest value that is there."""
    for column in piece.table.stored:
        row = connection.execute("SELECT pg_get_serial_sequence(%s, %s)", [piece.table.sql, column.name]).fetchone()
        if row and row[0]:
            connection.execute(piece.advance(column.name, row[0]))


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
