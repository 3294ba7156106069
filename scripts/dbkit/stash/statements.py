"""The SQL that puts back one table of a stash, which is in a temporary table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from dbkit.rows import hashed, quoted
from dbkit.stash.store import Kept
from dbkit.stash.tables import Sum, Table


@dataclass(frozen=True)
class Statements:
    """In these, `t` is the table, `s` the stash, `a` the image (hashes of the values that the rollback had left).

    And `u` are the hashes of what upgrades have written."""

    kept: Kept
    table: Table
    name: str
    """Of the temporary table with the stash."""
    image: str
    """Of the one with the image; "" where there is none."""
    imaged: Sequence[str]
    """The columns that the image has."""
    upgrade: str
    """The temporary table with the hashes of what upgrades have written; "" where there is none."""
    defaults: Mapping[str, Sequence[str]]
    """By column, what the upgrade may have given to all rows, as SQL."""
    before: Sum
    """Of the stash."""

    def count(self) -> bytes:
        """How many rows match, how many of these differ, and how many the table has."""
        differs = " OR ".join(_differs(name) for name in self._values) or "false"
        return f"""
            SELECT count(*), count(*) FILTER (WHERE {differs}), (SELECT count(*) FROM {self.table.source})
            FROM {self.table.source} AS t JOIN {self.name} AS s ON {self._same("t", "s")}""".encode()  # noqa: S608

    def count_deleted(self) -> bytes:
        """How many rows the rollback has left in the table that are not there any more."""
        return f"""
            SELECT count(*) FROM {self.name} AS s
            WHERE {self._is_in(self.image)} AND NOT {self._is_in(self.table.source)}""".encode()  # noqa: S608

    def insert(self, defers: bool) -> bytes:
        """Put back the rows that are missing, except those that were there after the rollback and are not any more."""
        names = ", ".join(quoted(name) for name, _ in self.kept.columns)
        missing = [f"NOT {self._is_in(self.table.source)}"] if self.kept.key else []
        missing += [f"NOT {self._is_in(self.image)}"] if self.image else []
        where = f" WHERE {' AND '.join(missing)}" if missing else ""
        conflict = "" if defers else " ON CONFLICT DO NOTHING"
        return f"""
            INSERT INTO {self.table.sql} ({names}) OVERRIDING SYSTEM VALUE
            SELECT {names} FROM {self.name} AS s{where}{conflict}""".encode()  # noqa: S608

    def update(self, *, overwrite: bool) -> bytes:
        """Put back the values that nobody has written since; "" where there are none to put back."""
        due = {name: f"{_differs(name)} AND {self._is_ours(name, overwrite=overwrite)}" for name in self._values}
        if not due:
            return b""
        assignments = ", ".join(
            f"{quoted(name)} = CASE WHEN {condition} THEN s.{quoted(name)} ELSE t.{quoted(name)} END"
            for name, condition in due.items()
        )
        image = f" LEFT JOIN {self.image} AS a ON {self._same('a', 's')}" if self.image else ""
        if self.upgrade:
            image += f" LEFT JOIN {self.upgrade} AS u ON {self._same('u', 's')}"
        return f"""
            UPDATE {self.table.source} AS t SET {assignments} FROM {self.name} AS s{image}
            WHERE {self._same("t", "s")} AND ({" OR ".join(f"({condition})" for condition in due.values())})
            """.encode()  # noqa: S608

    def advance(self, column: str, sequence: str) -> bytes:
        """Set a sequence, which counts upwards, to what it had given out at least."""
        last = self.kept.sequences.get(column, 0)
        return f"""
            SELECT setval({sql.Literal(sequence).as_string()}, wanted) FROM (
                SELECT greatest({last}, max({quoted(column)})::bigint) AS wanted FROM {self.table.source}
            ) AS w, {sequence} AS q, pg_sequence AS p
            WHERE p.seqrelid = {sql.Literal(sequence).as_string()}::regclass AND p.seqincrement > 0
                AND wanted >= p.seqmin AND (wanted > q.last_value OR wanted = q.last_value AND NOT q.is_called)
            """.encode()  # noqa: S608

    @property
    def _values(self) -> list[str]:
        keys = [name for name, _ in self.kept.key]
        return [name for name in self.kept.lost if name not in keys]

    def _same(self, left: str, right: str) -> str:
        return " AND ".join(f"{left}.{quoted(name)} = {right}.{quoted(name)}" for name, _ in self.kept.key)

    def _is_in(self, source: str) -> str:
        return f"EXISTS (SELECT FROM {source} AS other WHERE {self._same('other', 's')})"

    def _is_ours(self, name: str, *, overwrite: bool) -> str:
        """Whether a value is what rollback and upgrade have made of it, and not what somebody has written since."""
        if overwrite:
            return "true"
        value = f"t.{quoted(name)}"
        ours = []
        if self.upgrade:
            first = quoted(self.kept.key[0][0])
            position = self.kept.lost.index(name)
            ours += [f"u.{first} IS NOT NULL AND {hashed(value)} IS NOT DISTINCT FROM u.h{position}"]
        if name in self.imaged:
            first = quoted(self.kept.key[0][0])
            position = list(self.imaged).index(name)
            ours += [f"a.{first} IS NOT NULL AND {hashed(value)} IS NOT DISTINCT FROM a.h{position}"]
        elif not self.kept.whole:
            given = self.defaults.get(name, ())
            ours += [f"{value} IS NULL", *(f"{_text(value)} = {_text(default)}" for default in given)]
        return f"({' OR '.join(ours) or 'false'})"


def _differs(name: str) -> str:
    return f"{_text(f't.{quoted(name)}')} IS DISTINCT FROM {_text(f's.{quoted(name)}')}"


def _text(value: str) -> str:
    return f'({value})::text COLLATE "C"'
