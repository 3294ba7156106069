"""The rows of a scratch database at one point of a proof, and the differences between two points.

A value is kept as the row hash of its text (`dbkit.postgres.row_hash`); rows are identified by their primary key.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import psycopg

from dbkit.catalog.tables import TableColumns, read_columns
from dbkit.postgres.row_hash import hash_columns, hash_sql, hashes_sql
from dbkit.wording import counted

MOST_ROWS = 10_000  # of a table that is compared row by row; a larger one is compared by column
OIDS = "SELECT coalesce(array_agg(to_regclass(name)::oid::bigint), '{}') FROM unnest(%s::text[]) AS name"
Hashes = tuple[int | None, ...]


@dataclass(frozen=True)
class TableRows:
    """The rows of a table. For a large one `values` is empty, and `column_hashes` has a hash of each column."""

    columns: tuple[str, ...]
    key: tuple[str, ...]
    values: tuple[Hashes, ...] = ()
    """For each row, a hash for each column."""
    count: int = 0
    column_hashes: Mapping[str, tuple[int, str]] | None = None
    whole: str = ""
    """The hash of whole rows, of a large table."""

    def of(self, columns: Sequence[str]) -> list[Hashes]:
        """Return the rows with these columns only."""
        at = [self.columns.index(name) for name in columns]
        return [tuple(row[n] for n in at) for row in self.values]


RowSnapshot = dict[str, TableRows]
"""By the name of the table."""


@dataclass(frozen=True)
class RowDifference:
    """A difference between two snapshots: in the rows of a table (`column` is "") or in the values of a column."""

    table: str
    column: str
    what: str
    """gone, new, lost (NULL now), made up (NULL before) or changed."""
    number: int | None
    """The number of rows or values; None for a large table, where only a hash is known."""
    of: int
    reason: str = ""
    """Which function did it, in words."""

    @property
    def words(self) -> str:
        """Return a line such as "customers.email: 3 of 4 values lost"."""
        name = f"{self.table}.{self.column}" if self.column else self.table
        thing = "value" if self.column else "row"
        among = counted(self.of, thing)
        if self.number is None:
            text = f"some of {among} {self.what}"
        elif self.what == "new":
            text = f"{counted(self.number, thing)} more than {self.of:,}"
        else:
            text = f"{self.number:,} of {among} {self.what}"
        return f"{name}: {text}{f' ({self.reason})' if self.reason else ''}"


def find_oids(connection: psycopg.Connection, names: Collection[str]) -> list[int]:
    """Return the OIDs of tables, by their names as SQL, as far as they exist."""
    found: list[int] = connection.execute(OIDS, [list(names)]).fetchall()[0][0]
    return found


def read_rows(connection: psycopg.Connection, oids: Collection[int], *, prefix: str = "") -> RowSnapshot:
    """Return the rows of tables, without inherited rows. The names begin with `prefix`."""
    tables = read_columns(connection, oids)
    if not tables:
        return {}
    counts = " UNION ALL ".join(
        f"SELECT {table.oid}::bigint,"  # noqa: S608
        f" (SELECT count(*) FROM (SELECT FROM ONLY {table.sql} LIMIT {MOST_ROWS + 1}) AS r)"
        for table in tables
    )
    counted: dict[int, int] = dict(connection.execute(counts.encode()).fetchall())
    small = {table.oid for table in tables if counted[table.oid] <= MOST_ROWS}
    values: dict[int, list[Hashes]] = {}
    query = " UNION ALL ".join(_row_query(table) for table in tables if table.oid in small)
    for oid, hashes in connection.execute(query.encode()) if query else ():
        values.setdefault(oid, []).append(tuple(hashes))
    snapshot = {}
    for table in tables:
        columns, key = tuple(table.columns), tuple(table.key)
        if table.oid in small:
            rows = tuple(values.get(table.oid, ()))
            snapshot[prefix + table.label] = TableRows(columns, key, rows, len(rows))
        else:
            large = hash_columns(connection, f"ONLY {table.sql}", columns)
            snapshot[prefix + table.label] = TableRows(columns, key, (), large.rows, large.columns, large.whole)
    return snapshot


def _row_query(table: TableColumns) -> str:
    return f"SELECT {table.oid}::bigint, {hashes_sql(table.columns)} FROM ONLY {table.sql}"  # noqa: S608


def compare_rows(before: RowSnapshot, after: RowSnapshot) -> Iterator[RowDifference]:
    """Yield the differences in the rows and values of the tables and columns that both snapshots have."""
    for table in sorted(before.keys() & after.keys()):
        former, present = before[table], after[table]
        columns = [name for name in former.columns if name in present.columns]
        if former.column_hashes is not None or present.column_hashes is not None:
            yield from _compare_columns(table, former, present, columns)
        elif sorted(former.of(columns), key=repr) != sorted(present.of(columns), key=repr):
            yield from _compare_by_key(table, former, present, columns)


def _compare_columns(
    table: str, former: TableRows, present: TableRows, columns: Sequence[str]
) -> Iterator[RowDifference]:
    """Compare a large table. One that is large in one snapshot only has lost or gained most of its rows."""
    if former.count != present.count:
        yield _count_difference(table, former.count, present.count)
    elif former.column_hashes and present.column_hashes:
        for name in columns:
            (filled, value), (filled_now, value_now) = former.column_hashes[name], present.column_hashes[name]
            if filled > filled_now:
                yield RowDifference(table, name, "lost", filled - filled_now, filled)
            elif value != value_now:
                yield RowDifference(table, name, "changed", None, former.count)
        by_column = {name: former.column_hashes[name] for name in columns} == {
            name: present.column_hashes[name] for name in columns
        }
        if by_column and former.columns == present.columns and former.whole != present.whole:
            yield RowDifference(table, "", "changed", None, former.count)


def _compare_by_key(
    table: str, former: TableRows, present: TableRows, columns: Sequence[str]
) -> Iterator[RowDifference]:
    by_key = former.key and former.key == present.key and set(former.key) <= set(columns)
    if not by_key:
        yield from _compare_by_value(table, former, present, columns)
        return
    old = dict(zip(former.of(former.key), former.of(columns), strict=True))
    new = dict(zip(present.of(present.key), present.of(columns), strict=True))
    gone, more = len(old.keys() - new.keys()), len(new.keys() - old.keys())
    if gone:
        yield RowDifference(table, "", "gone", gone, len(old))
    if more:
        yield RowDifference(table, "", "new", more, len(old))
    pairs = [(row, new[key]) for key, row in old.items() if key in new]
    for at, name in enumerate(columns):
        yield from _compare_values(table, name, [(row[at], now[at]) for row, now in pairs])


def _compare_values(table: str, name: str, pairs: Sequence[tuple[int | None, int | None]]) -> Iterator[RowDifference]:
    filled = sum(value is not None for value, _ in pairs)
    lost = sum(value is not None and now is None for value, now in pairs)
    filled_in = sum(value is None and now is not None for value, now in pairs)
    changed = sum(None not in (value, now) and value != now for value, now in pairs)
    if lost:
        yield RowDifference(table, name, "lost", lost, filled)
    if changed:
        yield RowDifference(table, name, "changed", changed, filled)
    if filled_in:
        yield RowDifference(table, name, "made up", filled_in, len(pairs))


def _compare_by_value(
    table: str, former: TableRows, present: TableRows, columns: Sequence[str]
) -> Iterator[RowDifference]:
    """Compare without a common key: each column by itself; then whole rows, which may have swapped a value."""
    if former.count != present.count:
        yield _count_difference(table, former.count, present.count)
        return
    found = False
    for at, name in enumerate(columns):
        old, new = (Counter(row[at] for row in rows.of(columns)) for rows in (former, present))
        filled = sum(number for value, number in old.items() if value is not None)
        lost = max(0, new[None] - old[None])
        changed = sum((old - new).values()) - max(lost, max(0, old[None] - new[None]))
        for what, number in (("lost", lost), ("changed", changed)):
            if number > 0:
                found = True
                yield RowDifference(table, name, what, number, filled)
    if not found:
        number = sum((Counter(former.of(columns)) - Counter(present.of(columns))).values())
        yield RowDifference(table, "", "changed", number, former.count)


def _count_difference(table: str, before: int, now: int) -> RowDifference:
    return RowDifference(table, "", "gone" if now < before else "new", abs(now - before), before)


def restrict_to_known_keys(snapshot: RowSnapshot, known: RowSnapshot) -> RowSnapshot:
    """Return the rows without those that an upgrade creates: a second upgrade creates them with other values.

    Keeps, of each table in `known`, the rows whose keys it has, with the columns that it has.
    """
    restricted = {}
    for table, rows in snapshot.items():
        former = known.get(table)
        if former is None:
            continue
        columns = tuple(name for name in rows.columns if name in former.columns)
        if (
            rows.column_hashes is not None
            or former.column_hashes is not None
            or not former.key
            or former.key != rows.key
        ):
            restricted[table] = TableRows(columns, rows.key, tuple(rows.of(columns)), rows.count, rows.column_hashes)
            continue
        keys = set(former.of(former.key))
        values = tuple(row for row, key in zip(rows.of(columns), rows.of(rows.key), strict=True) if key in keys)
        restricted[table] = TableRows(columns, rows.key, values, len(values))
    return restricted


def compare_counts(before: RowSnapshot, after: RowSnapshot) -> Iterator[RowDifference]:
    """Yield the tables that have more or fewer rows."""
    for table in sorted(before.keys() & after.keys()):
        if before[table].count != after[table].count:
            yield _count_difference(table, before[table].count, after[table].count)


def table_hash_query(tables: Sequence[str]) -> str:
    """Return SQL for a text for each table (schema-qualified, quoted) that differs when its rows do."""
    return " UNION ALL ".join(
        # not the bare name of the row: a column may have the same
        f"SELECT {n}, pg_catalog.concat(pg_catalog.count(*), ' ', coalesce(pg_catalog.sum({hash_sql('ROW(r.*)')}), 0))"  # noqa: S608
        f" FROM ONLY {table} AS r"
        for n, table in enumerate(tables)
    )
