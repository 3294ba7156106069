"""The SQL that restores one table of a stash from a temporary table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dbkit.postgres.row_hash import hash_sql
from dbkit.postgres.sql_quote import quote_ident
from dbkit.stash.manifest import SavedTable
from dbkit.stash.tables import StashColumn, StashTable, TableHash

MOST_AT_ONCE = 700
"""Columns in one statement: a row in the middle of a join has at most 1,664."""


@dataclass(frozen=True)
class RestoreStatements:
    """The statements for one table.

    In these, `t` is the table, `s` the stash, `a` the image (hashes of the values that the rollback had left), and `u`
    the hashes of the rows that upgrades have written.
    """

    entry: SavedTable
    table: StashTable
    name: str
    """The temporary table with the rows of the stash."""
    image: str
    """The temporary table with the image; "" where there is none."""
    imaged: Sequence[str]
    """The columns of the image."""
    upgrade: str
    """The temporary table with the hashes of what upgrades have written; "" where there is none."""
    defaults: Mapping[str, Sequence[str]]
    """By column, the values that the upgrade may have given to all rows, as SQL."""
    before: TableHash
    """The hash of the rows of the stash."""

    def plan(self, *, overwrite: bool) -> bytes:
        """Return the query for how many rows match, and how many of them differ, are due, and have newer values."""
        groups = [self._compared(group, overwrite=overwrite) for group in self._groups or [[]]]
        rows = groups[0]
        if len(groups) > 1:
            keys = ", ".join(f"k{number}" for number in range(len(self.entry.key)))
            rows = f"""
                SELECT bool_or(differs) AS differs, bool_or(due) AS due, bool_or(newer) AS newer
                FROM ({" UNION ALL ".join(groups)}) AS g GROUP BY {keys}"""  # noqa: S608
        return f"""
            SELECT count(*), count(*) FILTER (WHERE differs), count(*) FILTER (WHERE due),
                count(*) FILTER (WHERE newer)
            FROM ({rows}) AS r""".encode()  # noqa: S608

    def _compared(self, group: Sequence[StashColumn], *, overwrite: bool) -> str:
        """Return the query for the rows that match, with whether they differ, are due or newer in these columns."""
        columns = [(_differs(each), self._is_ours(each.name, overwrite=overwrite)) for each in group]
        keys = "".join(f"s.{quote_ident(name)} AS k{number}, " for number, (name, _) in enumerate(self.entry.key))
        return f"""
            SELECT {keys}{_any(differs for differs, _ in columns)} AS differs,
                {_any(f"{differs} AND {ours}" for differs, ours in columns)} AS due,
                {_any(f"{differs} AND {ours} IS NOT TRUE" for differs, ours in columns)} AS newer
            FROM {self.table.source} AS t JOIN {self.name} AS s ON {self._same("t", "s")}{self._joined("s")}
            """  # noqa: S608

    def count_deleted(self) -> bytes:
        """Return the query for how many rows the rollback had left that were deleted since."""
        return f"""
            SELECT count(*) FROM {self.name} AS s
            WHERE {self._is_in(self.image)} AND NOT {self._is_in(self.table.source)}""".encode()  # noqa: S608

    def insert(self, *, empty: bool, skips: bool) -> bytes:
        """Return the INSERT of the missing rows, except those that the rollback had left and that were deleted since.

        `empty`: the table has no rows. `skips`: leave out a row that violates a unique key.
        """
        names = ", ".join(quote_ident(name) for name, _ in self.entry.columns)
        missing = [f"NOT {self._is_in(self.table.source)}"] if self.entry.key and not empty else []
        missing += [f"NOT {self._is_in(self.image)}"] if self.image else []
        where = f" WHERE {' AND '.join(missing)}" if missing else ""
        conflict = " ON CONFLICT DO NOTHING" if skips else ""
        return f"""
            INSERT INTO {self.table.sql} ({names}) OVERRIDING SYSTEM VALUE
            SELECT {names} FROM {self.name} AS s{where}{conflict}""".encode()  # noqa: S608

    def updates(self, *, overwrite: bool, newer: bool) -> list[bytes]:
        """Return the UPDATEs of the values that were not written since; `newer`: there are others, which stay.

        It is one statement, unless the table has very many columns.
        """
        return [self._update(group, overwrite=overwrite, newer=newer).encode() for group in self._groups]

    def _update(self, group: Sequence[StashColumn], *, overwrite: bool, newer: bool) -> str:
        if not newer:
            due = {each.name: _differs(each) for each in group}
            assignments = ", ".join(f"{quote_ident(name)} = s.{quote_ident(name)}" for name in due)
        else:
            due = {each.name: f"{_differs(each)} AND {self._is_ours(each.name, overwrite=overwrite)}" for each in group}
            assignments = ", ".join(
                f"{quote_ident(name)} = CASE WHEN {condition} THEN s.{quote_ident(name)} ELSE t.{quote_ident(name)} END"
                for name, condition in due.items()
            )
        return f"""
            UPDATE {self.table.source} AS t SET {assignments}
            FROM {self.name} AS s{self._joined("s") if newer else ""}
            WHERE {self._same("t", "s")} AND {_any(due.values())}"""  # noqa: S608

    @property
    def _groups(self) -> list[list[StashColumn]]:
        """The columns whose values may be restored, as many at once as a join of both tables may have."""
        values = self._values
        return [values[start : start + MOST_AT_ONCE] for start in range(0, len(values), MOST_AT_ONCE)]

    @property
    def _values(self) -> list[StashColumn]:
        keys = [name for name, _ in self.entry.key]
        columns = [self.table.column(name) for name in self.entry.lost if name not in keys]
        return [column for column in columns if column]

    def _joined(self, other: str) -> str:
        image = f" LEFT JOIN {self.image} AS a ON {self._same('a', other)}" if self.image else ""
        return image + (f" LEFT JOIN {self.upgrade} AS u ON {self._same('u', other)}" if self.upgrade else "")

    def _same(self, left: str, right: str) -> str:
        return same_key_sql(self.table, [name for name, _ in self.entry.key], left, right)

    def _is_in(self, source: str) -> str:
        return f"EXISTS (SELECT FROM {source} AS other WHERE {self._same('other', 's')})"

    def _is_ours(self, name: str, *, overwrite: bool) -> str:
        """Return the condition for a value that is as rollback and upgrade have left it, and was not written since."""
        if overwrite:
            return "true"
        value = f"t.{quote_ident(name)}"
        ours = []
        if self.upgrade:
            first = quote_ident(self.entry.key[0][0])
            position = self.entry.lost.index(name)
            ours += [f"u.{first} IS NOT NULL AND {hash_sql(value)} IS NOT DISTINCT FROM u.h[{position + 1}]"]
        if name in self.imaged:
            first = quote_ident(self.entry.key[0][0])
            position = list(self.imaged).index(name)
            ours += [f"a.{first} IS NOT NULL AND {hash_sql(value)} IS NOT DISTINCT FROM a.h[{position + 1}]"]
        elif not self.entry.whole:
            given = self.defaults.get(name, ())
            ours += [f"{value} IS NULL", *(f"{_text(value)} = {_text(default)}" for default in given)]
        return f"({' OR '.join(ours) or 'false'})"


# Types whose equal values have the same text
EXACT = {
    *("smallint", "integer", "bigint", "oid", "boolean", "uuid", "date", "bytea"),
    *("timestamp without time zone", "timestamp with time zone"),
}


def _differs(column: StashColumn) -> str:
    ours, theirs = f"t.{quote_ident(column.name)}", f"s.{quote_ident(column.name)}"
    if column.type in EXACT:
        return f"{ours} IS DISTINCT FROM {theirs}"
    return f"{_text(ours)} IS DISTINCT FROM {_text(theirs)}"


def _any(conditions: Iterable[str]) -> str:
    return f"({' OR '.join(f'({condition})' for condition in conditions) or 'false'})"


def _text(value: str) -> str:
    return f'({value})::text COLLATE "C"'


def same_key_sql(table: StashTable, key: Sequence[str], left: str, right: str) -> str:
    """Return the condition for two rows, by their aliases, having the same key.

    A type of an extension or the project is compared by its text: the schema of its operators is not known.
    """
    columns = filter(None, map(table.column, key))
    casts = [(quote_ident(column.name), "" if column.is_builtin else "::text") for column in columns]
    return " AND ".join(f"{left}.{name}{cast} = {right}.{name}{cast}" for name, cast in casts)
