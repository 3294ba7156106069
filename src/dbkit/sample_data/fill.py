"""Fill the tables of a scratch database, parents first."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import psycopg

from dbkit.postgres.row_hash import quote_ident
from dbkit.sample_data.constraints import Reference, Table, list_table_oids, read_tables
from dbkit.sample_data.row_generator import CannotFill, Row, generate_rows, literal

ONE_BY_ONE = 30  # rows that are tried each by itself when several at once fail
OURS = ("dbkit_journal", "dbkit_backfill")
AGAIN = 2  # rows that a table gets when its columns have changed
SETTINGS = """
SET LOCAL lock_timeout = '10s'; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD';
SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL jit = off; SET CONSTRAINTS ALL IMMEDIATE
"""


@dataclass
class TableFiller:
    """Keeps the tables of one scratch database filled, whatever migrations make of them.

    It remembers what it has seen by OID, which a copy of the database has, too.
    """

    rows: int
    """How many rows a table has at least."""
    seed: int = 0
    version_tables: Collection[str] = ()
    seen: dict[int, Table] = field(default_factory=dict)
    given: set[int] = field(default_factory=set)
    """OIDs of the tables that the project's own sample rows fill."""
    unfilled: dict[int, tuple[str, str]] = field(default_factory=dict)
    """By OID: the name of a table that has no rows, and why."""
    orphans: set[int] = field(default_factory=set)
    """OIDs of those that lack rows because what they refer to has none."""
    used: int = 0
    """How many numbers have gone into values."""

    def forget(self) -> None:
        """The database is another one."""
        self.seen.clear()
        self.given.clear()
        self.unfilled.clear()
        self.orphans.clear()

    def fill(self, connection: psycopg.Connection, touched: Collection[int] | None = None) -> set[int]:
        """Fill what is new, changed or empty; commits. `touched`: OIDs of what may have changed; None for all.

        Returns the OIDs of the tables that have other rows now.
        """
        with connection.transaction():
            connection.execute(SETTINGS.encode())
            oids = list_table_oids(connection, [*self.version_tables, *OURS])
            for gone in self.seen.keys() - set(oids):
                self._forget_table(gone)
            wanted = [
                oid for oid in oids if touched is None or oid in touched or oid not in self.seen.keys() - self.orphans
            ]
            if not wanted:
                return set()
            missing = self._missing(connection, read_tables(connection, wanted))
            filling = _Filling(connection, self, missing)
            filling.run()
            return filling.changed

    def _forget_table(self, oid: int) -> None:
        del self.seen[oid]
        self.unfilled.pop(oid, None)
        self.orphans.discard(oid)

    def numbers(self) -> range:
        """Numbers that no value has yet: more than rows, for some will not be allowed."""
        first, self.used = self.used, self.used + 2 * self.rows + 4
        return range(first, self.used)

    def _missing(self, connection: psycopg.Connection, tables: Sequence[Table]) -> dict[int, tuple[Table, int]]:
        """The tables that want rows, and how many."""
        counted = " UNION ALL ".join(
            f"SELECT {table.oid}, (SELECT count(*) FROM (SELECT FROM ONLY {table.sql} LIMIT {self.rows}) AS r)"  # noqa: S608
            for table in tables
        )
        there: dict[int, int] = dict(connection.execute(counted.encode()).fetchall())
        missing = {}
        for table in tables:
            before = self.seen.get(table.oid)
            wanted = self.rows - there[table.oid]
            if before and before.columns != table.columns and there[table.oid]:
                wanted = max(wanted, AGAIN)
            self.seen[table.oid] = table
            if wanted > 0 and table.oid not in self.given:
                missing[table.oid] = (table, wanted)
        return missing


class _Orphan(CannotFill):
    """A parent, to which each row must refer, has no rows."""


class _Filling:
    """One turn of filling."""

    def __init__(
        self, connection: psycopg.Connection, planter: TableFiller, missing: Mapping[int, tuple[Table, int]]
    ) -> None:
        self.connection = connection
        self.planter = planter
        self.wanted = {oid: number for oid, (_, number) in missing.items()}
        self.tables = {oid: table for oid, (table, _) in missing.items()}
        self.waiting = dict(self.tables)
        self.changed: set[int] = set()
        self.inserted: dict[int, int] = {}
        """By OID, how many rows a table got."""
        self.found_keys: dict[str, list[tuple[str, ...]]] = {}
        """By query, the keys that references can refer to, of parents that are done."""
        self.to_refer: list[tuple[Table, Reference]] = []
        """References that had nothing to refer to yet."""

    def run(self) -> None:
        while self.waiting:
            group = self._next()
            for table in group:
                del self.waiting[table.oid]
            if len(group) == 1 and not self._refers_to(group[0], group):
                self._fill(group[0])
            else:
                self._fill_together(group)
        self.found_keys.clear()
        for table, reference in self.to_refer:
            self._refer_later(table, reference)

    # The order

    def _next(self) -> list[Table]:
        """The next table, whose parents are done; or several that cannot be without each other."""
        for only_required in (False, True):
            for table in self.waiting.values():
                if not self._awaited(table, only_required=only_required):
                    return [table]
        way = [next(iter(self.waiting.values()))]
        while True:
            parent = self.waiting[self._awaited(way[-1], only_required=True)[0]]
            if parent in way:
                return way[way.index(parent) :]
            way.append(parent)

    def _awaited(self, table: Table, *, only_required: bool) -> list[int]:
        """The parents that are still waiting, but for itself."""
        return [
            each.parent
            for each in table.references
            if each.parent in self.waiting
            and each.parent != table.oid
            and not (only_required and table.is_nullable(each))
        ]

    def _refers_to(self, table: Table, others: Sequence[Table]) -> list[Reference]:
        """The references, which cannot be NULL, to some tables."""
        oids = {other.oid for other in others}
        return [each for each in table.references if each.parent in oids and not table.is_nullable(each)]

    # Rows

    def _keys(self, table: Table) -> dict[Reference, list[tuple[str, ...]]]:
        """What its references can refer to now. Raises CannotFill when one that cannot be NULL has nothing."""
        keys = {}
        for reference in table.references:
            keys[reference] = self._keys_of(reference)
            if not keys[reference]:
                if not table.is_nullable(reference):
                    raise _Orphan(f"{reference.parent_sql}, which it refers to, has no rows")
                self.to_refer.append((table, reference))
        return keys

    def _keys_of(self, reference: Reference) -> list[tuple[str, ...]]:
        columns = [quote_ident(name) for name in reference.parent_columns]
        query = (
            f"SELECT {', '.join(f'{column}::text' for column in columns)} FROM {reference.parent_sql} "  # noqa: S608
            f"WHERE {' AND '.join(f'{column} IS NOT NULL' for column in columns)} "
            f"ORDER BY {', '.join(columns)} LIMIT {max(self.planter.rows, 8)}"
        )
        if query not in self.found_keys:
            keys: list[tuple[str, ...]] = []
            with self._trying():
                keys = self.connection.execute(query.encode()).fetchall()
            if reference.parent in self.waiting:
                return keys  # there may be more
            self.found_keys[query] = keys
        return self.found_keys[query]

    def _fill(self, table: Table) -> None:
        self.planter.orphans.discard(table.oid)
        try:
            rows = generate_rows(
                self.connection, table, self._keys(table), self.planter.rows, self.planter.numbers(), self.planter.seed
            )
            reason = self._insert(table, rows)
        except CannotFill as error:
            reason = str(error)
            if isinstance(error, _Orphan):
                self.planter.orphans.add(table.oid)
        self._note(table, reason)

    def _note(self, table: Table, reason: str) -> None:
        """Remember whether a table has rows."""
        if self.inserted.get(table.oid):
            self.planter.unfilled.pop(table.oid, None)
            return
        empty = f"SELECT NOT EXISTS (SELECT FROM ONLY {table.sql})"  # noqa: S608
        if self.connection.execute(empty.encode()).fetchone() == (True,):
            self.planter.unfilled[table.oid] = (table.shown, reason or "the rows that were written are not there")
        else:
            self.planter.unfilled.pop(table.oid, None)

    def _insert(self, table: Table, rows: Sequence[Row]) -> str:
        """Insert as many rows as are wanted. Returns why not, where none could be."""
        if not rows:
            return "no rows were found that its CHECK constraints allow"
        left, at, reason = self.wanted[table.oid], 0, ""
        while left > 0 and at < len(rows) and not reason:
            batch = rows[at : at + left]
            at += left
            inserted, reason = self._try(table, batch)
            left -= inserted
        for row in rows[:ONE_BY_ONE] if reason else ():
            if left > 0:
                inserted, why = self._try(table, [row])
                left -= inserted
                reason = why or reason
        if left == self.wanted[table.oid] and reason:
            with self._without_triggers():
                self._try(table, rows[:left])
        return reason

    def _try(self, table: Table, rows: Sequence[Row]) -> tuple[int, str]:
        """Insert rows that conflict with nothing. Returns how many, and why it failed."""
        try:
            # in one go: most of the time is the way to the server and back
            cursor = self.connection.execute(f"SAVEPOINT planting; {_insert(table, rows)}; RELEASE planting".encode())
        except psycopg.Error as error:
            self.connection.execute("ROLLBACK TO planting; RELEASE planting")
            return 0, _words(error)
        cursor.nextset()
        self.changed.add(table.oid)
        self.inserted[table.oid] = self.inserted.get(table.oid, 0) + cursor.rowcount
        return cursor.rowcount, ""

    @contextmanager
    def _trying(self) -> Iterator[None]:
        """What may fail and need not succeed: a savepoint around it."""
        try:
            with self.connection.transaction():
                yield
        except psycopg.Error:
            return

    @contextmanager
    def _without_triggers(self) -> Iterator[None]:
        """For a table whose triggers refuse what they are given. Foreign keys hold: the rows refer to what is there."""
        with self._trying():
            self.connection.execute("SET LOCAL session_replication_role = replica")
        yield
        with self._trying():
            self.connection.execute("SET LOCAL session_replication_role = origin")

    # Cycles

    def _fill_together(self, group: Sequence[Table]) -> None:
        """Tables that refer to each other, or one to itself, and may not leave it out: all rows in one statement.

        Foreign keys are checked at its end. Each row refers to the row of the same number.
        """
        try:
            made = {table.oid: self._rows_with_keys(table, group) for table in group}
            number = min(len(rows) for rows in made.values())
            _refer(group, made, number)
            parts = [f"made{at} AS ({_insert(table, made[table.oid][:number])})" for at, table in enumerate(group)]
            with self.connection.transaction():
                self.connection.execute(f"WITH {', '.join(parts)} SELECT".encode())
            self.changed.update(table.oid for table in group)
            reason = ""
        except CannotFill as error:
            reason = str(error)
        except psycopg.Error as error:
            reason = _words(error)
        for table in group:
            self._note(table, reason)

    def _rows_with_keys(self, table: Table, group: Sequence[Table]) -> list[Row]:
        """Rows for a table in a cycle: what refers to the others is left open."""
        inner = set(self._refers_to(table, group))
        outer = [each for each in table.references if each not in inner]
        keys = {each: self._keys_of(each) for each in outer}
        self.to_refer += [(table, each) for each in outer if not keys[each]]
        open_table = replace(table, references=tuple(outer))
        return generate_rows(
            self.connection, open_table, keys, self.planter.rows, self.planter.numbers(), self.planter.seed
        )[: self.wanted[table.oid]]

    def _refer_later(self, table: Table, reference: Reference) -> None:
        """Let a row refer to what was not there yet: to its own table, or to one in a cycle with it."""
        columns = [quote_ident(name) for name in reference.columns]
        nothing = " AND ".join(f"{column} IS NULL" for column in columns)
        for key in self._keys_of(reference)[:1]:
            assigned = ", ".join(f"{column} = {literal(value)}" for column, value in zip(columns, key, strict=True))
            row = f"SELECT max(ctid) FROM ONLY {table.sql} WHERE {nothing}"  # noqa: S608
            with self._trying():
                self.connection.execute(f"UPDATE ONLY {table.sql} SET {assigned} WHERE ctid = ({row})".encode())  # noqa: S608


def _refer(group: Sequence[Table], made: Mapping[int, list[Row]], number: int) -> None:
    """Give the references within a group the keys of the rows that they refer to."""
    for _ in group:  # a key may itself be a reference
        for table in group:
            for reference in table.references:
                if reference.parent not in made or table.is_nullable(reference):
                    continue
                for row, parent in zip(made[table.oid][:number], made[reference.parent], strict=False):
                    for name, key in zip(reference.columns, reference.parent_columns, strict=True):
                        row[name] = parent.get(key)


def _insert(table: Table, rows: Sequence[Row]) -> str:
    """An INSERT that leaves out rows which conflict with those that are there."""
    names = [column.name for column in table.columns if column.name in rows[0]]
    if not names:
        return f"INSERT INTO {table.sql} DEFAULT VALUES"
    listed = ", ".join(f"({', '.join(literal(row.get(name)) for name in names)})" for row in rows)
    columns = ", ".join(map(quote_ident, names))
    conflict = "" if table.deferrable else " ON CONFLICT DO NOTHING"
    return f"INSERT INTO {table.sql} ({columns}) OVERRIDING SYSTEM VALUE VALUES {listed}{conflict}"  # noqa: S608


def _words(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error)
