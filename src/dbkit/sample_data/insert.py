"""Insert sample rows into tables that lack them, parents first."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType

import psycopg

from dbkit.errors import describe_error
from dbkit.postgres.sql_quote import quote_ident, quote_literal
from dbkit.sample_data.constraints import Reference, Table
from dbkit.sample_data.row_generator import NO_EXTREMES, CannotFill, ExtremeValues, Keys, Row, generate_rows
from dbkit.sample_data.table_order import next_tables, required_references

ROWS_ONE_BY_ONE = 30
"""The number of rows that are tried one by one when several at once fail."""

TREE = ((1, 0), (2, 0), (3, 2))
"""The rows of a table that refer to other ones in it, each with its parent: one has two children, one a grandchild."""


class ParentHasNoRows(CannotFill):
    """A table that each row must refer to has no rows."""


class FillTurn:
    """One turn of filling: what it has inserted, and why a table has no rows."""

    def __init__(
        self,
        connection: psycopg.Connection,
        missing: Mapping[int, tuple[Table, int]],
        rows: int,
        seed: int,
        next_numbers: Callable[[], range],
        extreme: Mapping[int, ExtremeValues] = MappingProxyType({}),
    ) -> None:
        """`missing`: by OID, the tables and how many rows each lacks; `rows`: how many a table has at least.

        `extreme`: by OID, the values that come before ordinary ones.
        """
        self.connection = connection
        self.extreme = extreme
        self.rows, self.seed, self.next_numbers = rows, seed, next_numbers
        self.wanted = {oid: number for oid, (_, number) in missing.items()}
        self.waiting = {oid: table for oid, (table, _) in missing.items()}
        self.changed: set[int] = set()
        """OIDs of the tables that have other rows now."""
        self.reasons: dict[int, str] = {}
        """By OID, for each table that was tried, why it has no rows; "" when it has some."""
        self.orphans: set[int] = set()
        """OIDs of the tables that have no rows because a parent has none."""
        self.inserted: dict[int, int] = {}
        """By OID, the number of rows that a table got."""
        self._found_keys: dict[str, list[tuple[str, ...]]] = {}
        """By query, the keys that references can refer to, of parents that are filled."""
        self._open_references: list[tuple[Table, Reference]] = []
        """References that had no row to refer to yet."""

    def run(self) -> None:
        """Fill the tables, then set the references that had to wait."""
        while self.waiting:
            group = next_tables(self.waiting)
            for table in group:
                del self.waiting[table.oid]
            if len(group) == 1 and not required_references(group[0], group):
                self._fill(group[0])
            else:
                self._fill_cycle(group)
        self._found_keys.clear()
        for table, reference in self._open_references:
            self._set_reference(table, reference)

    # One table

    def _fill(self, table: Table) -> None:
        try:
            rows = self._generate(table, self._keys(table))
            reason = self._insert(table, rows)
        except CannotFill as error:
            reason = str(error)
            if isinstance(error, ParentHasNoRows):
                self.orphans.add(table.oid)
        self._record(table, reason)

    def _generate(self, table: Table, keys: Keys) -> list[Row]:
        extreme = self.extreme.get(table.oid, NO_EXTREMES)
        return list(generate_rows(self.connection, table, keys, self.rows, self.next_numbers(), self.seed, extreme))

    def _record(self, table: Table, reason: str) -> None:
        """Record why a table has no rows, if it has none."""
        self.reasons[table.oid] = ""
        if self.inserted.get(table.oid):
            return
        query = f"SELECT NOT EXISTS (SELECT FROM ONLY {table.sql})"  # noqa: S608
        if self.connection.execute(query.encode()).fetchone() == (True,):
            self.reasons[table.oid] = reason or "the rows that were written are not there"

    def _keys(self, table: Table) -> dict[Reference, list[tuple[str, ...]]]:
        """Return the keys that its references can refer to now. Raises ParentHasNoRows where one must, and cannot."""
        keys = {}
        for reference in table.references:
            keys[reference] = self._keys_of(reference)
            if not keys[reference]:
                if not table.is_nullable(reference):
                    raise ParentHasNoRows(f"{reference.parent_sql}, which it refers to, has no rows")
                self._open_references.append((table, reference))
        return keys

    def _keys_of(self, reference: Reference) -> list[tuple[str, ...]]:
        columns = [quote_ident(name) for name in reference.parent_columns]
        query = (
            f"SELECT {', '.join(f'{column}::text' for column in columns)} FROM {reference.parent_sql} "  # noqa: S608
            f"WHERE {' AND '.join(f'{column} IS NOT NULL' for column in columns)} "
            f"ORDER BY {', '.join(columns)} LIMIT {max(self.rows, 8)}"
        )
        if query not in self._found_keys:
            keys: list[tuple[str, ...]] = []
            with self._ignoring_errors():
                keys = self.connection.execute(query.encode()).fetchall()
            if not keys or reference.parent in self.waiting:
                return keys  # there may be more later: of a table that refers to itself, once it is filled
            self._found_keys[query] = keys
        return self._found_keys[query]

    def _insert(self, table: Table, rows: Sequence[Row]) -> str:
        """Insert as many rows as are wanted. Returns the last error, "" when there was none."""
        if not rows:
            return "no rows were found that its CHECK constraints allow"
        left, at, reason = self.wanted[table.oid], 0, ""
        while left > 0 and at < len(rows) and not reason:
            batch = rows[at : at + left]
            at += left
            inserted, reason = self._try_insert(table, batch)
            left -= inserted
        for row in rows[:ROWS_ONE_BY_ONE] if reason else ():
            if left > 0:
                inserted, why = self._try_insert(table, [row])
                left -= inserted
                reason = why or reason
        if left == self.wanted[table.oid] and reason:
            with self._without_triggers():
                self._try_insert(table, rows[:left])
        return reason

    def _try_insert(self, table: Table, rows: Sequence[Row]) -> tuple[int, str]:
        """Insert the rows that conflict with none. Returns how many, and the error if the server refused them."""
        try:
            # in one string: most of the time is spent on the way to the server and back
            cursor = self.connection.execute(
                f"SAVEPOINT dbkit_fill; {insert_sql(table, rows)}; RELEASE dbkit_fill".encode()
            )
        except psycopg.Error as error:
            self.connection.execute("ROLLBACK TO dbkit_fill; RELEASE dbkit_fill")
            return 0, describe_error(error, primary=True)
        cursor.nextset()
        self.changed.add(table.oid)
        self.inserted[table.oid] = self.inserted.get(table.oid, 0) + cursor.rowcount
        return cursor.rowcount, ""

    @contextmanager
    def _ignoring_errors(self) -> Iterator[None]:
        """Run statements in a savepoint, which is rolled back where the server refuses one."""
        try:
            with self.connection.transaction():
                yield
        except psycopg.Error:
            return

    @contextmanager
    def _without_triggers(self) -> Iterator[None]:
        """Disable triggers, which may refuse the rows. Foreign keys hold all the same: the parents have the keys."""
        with self._ignoring_errors():
            self.connection.execute("SET LOCAL session_replication_role = replica")
        yield
        with self._ignoring_errors():
            self.connection.execute("SET LOCAL session_replication_role = origin")

    # Cycles

    def _fill_cycle(self, group: Sequence[Table]) -> None:
        """Fill tables that must refer to each other, or one to itself: all rows in one statement.

        Foreign keys are checked at its end. Each row refers to the row of the same number.
        """
        try:
            rows = {table.oid: self._rows_of_cycle(table, group) for table in group}
            number = min(len(each) for each in rows.values())
            _set_inner_references(group, rows, number)
            parts = [f"part{at} AS ({insert_sql(table, rows[table.oid][:number])})" for at, table in enumerate(group)]
            with self.connection.transaction():
                self.connection.execute(f"WITH {', '.join(parts)} SELECT".encode())
            self.changed.update(table.oid for table in group)
            reason = ""
        except CannotFill as error:
            reason = str(error)
        except psycopg.Error as error:
            reason = describe_error(error, primary=True)
        for table in group:
            self._record(table, reason)

    def _rows_of_cycle(self, table: Table, group: Sequence[Table]) -> list[Row]:
        """Return rows for a table of a cycle, without its references to the others."""
        inner = set(required_references(table, group))
        outer = [each for each in table.references if each not in inner]
        keys = {each: self._keys_of(each) for each in outer}
        self._open_references += [(table, each) for each in outer if not keys[each]]
        without_inner = replace(table, references=tuple(outer))
        rows = self._generate(without_inner, keys)
        return rows[: self.wanted[table.oid]]

    def _set_reference(self, table: Table, reference: Reference) -> None:
        """Let one row refer to a row that was not there yet, in a table of a cycle; rows of one table are a tree."""
        columns = [quote_ident(name) for name in reference.columns]
        is_open = " AND ".join(f"{column} IS NULL" for column in columns)
        if reference.parent != table.oid:
            row = f"(SELECT max(ctid) FROM ONLY {table.sql} WHERE {is_open})"  # noqa: S608
            for key in self._keys_of(reference)[:1]:
                self._assign(table, columns, key, row)
            return
        keys = [f"{quote_ident(name)}::text" for name in reference.parent_columns]
        query = f"SELECT ctid::text, {', '.join(keys)} FROM ONLY {table.sql} WHERE {is_open} ORDER BY ctid"  # noqa: S608
        rows = self.connection.execute(query.encode()).fetchall()
        for child, parent in TREE:
            if child < len(rows) and None not in rows[parent]:
                self._assign(table, columns, rows[parent][1:], f"{quote_literal(rows[child][0])}::tid")

    def _assign(self, table: Table, columns: Sequence[str], key: Sequence[str], row: str) -> None:
        """Give columns of the row with this ctid, as SQL, the values of a key."""
        assigned = ", ".join(f"{column} = {quote_literal(value)}" for column, value in zip(columns, key, strict=True))
        with self._ignoring_errors():
            self.connection.execute(f"UPDATE ONLY {table.sql} SET {assigned} WHERE ctid = {row}".encode())  # noqa: S608


def _set_inner_references(group: Sequence[Table], rows: Mapping[int, list[Row]], number: int) -> None:
    """Give the references within a group the keys of the rows that they refer to."""
    for _ in group:  # a key may itself be a reference
        for table in group:
            for reference in table.references:
                if reference.parent not in rows or table.is_nullable(reference):
                    continue
                for row, parent in zip(rows[table.oid][:number], rows[reference.parent], strict=False):
                    for name, key in zip(reference.columns, reference.parent_columns, strict=True):
                        row[name] = parent.get(key)


def insert_sql(table: Table, rows: Sequence[Row]) -> str:
    """Return an INSERT that leaves out rows which conflict with those that are there."""
    names = [column.name for column in table.columns if column.name in rows[0]]
    if not names:
        return f"INSERT INTO {table.sql} DEFAULT VALUES"
    values = ", ".join(f"({', '.join(quote_literal(row.get(name)) for name in names)})" for row in rows)
    columns = ", ".join(map(quote_ident, names))
    conflict = "" if table.deferrable else " ON CONFLICT DO NOTHING"
    return f"INSERT INTO {table.sql} ({columns}) OVERRIDING SYSTEM VALUE VALUES {values}{conflict}"  # noqa: S608
