"""Keep the tables of a scratch database filled with sample rows, whatever migrations make of them."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from dbkit.catalog.tables import list_table_oids
from dbkit.sample_data.constraints import Table, read_project_tables
from dbkit.sample_data.insert import FillTurn

KIT_TABLES = ("dbkit_journal", "dbkit_backfill")
ROWS_FOR_NEW_COLUMNS = 2
"""The number of rows that a table gets when its columns have changed."""
ROWS_WITHOUT_CHILD = 2
"""The number of further rows of a table that another one has a row for each of: with the other value of a flag, too."""
BEGIN = """
BEGIN; SET LOCAL lock_timeout = '10s'; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD';
SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL jit = off; SET CONSTRAINTS ALL IMMEDIATE
"""


@contextmanager
def _transaction(connection: psycopg.Connection) -> Iterator[None]:
    """Begin a transaction together with its settings, and commit it."""
    connection.execute(BEGIN.encode())
    try:
        yield
        connection.execute(b"COMMIT")
    except BaseException:
        connection.rollback()
        raise


@dataclass
class TableFiller:
    """Fills the tables of one scratch database, parents first.

    It knows tables by their OIDs, which a copy of the database has, too.
    """

    rows: int
    """The least number of rows in a table."""
    seed: int = 0
    version_tables: Collection[str] = ()
    is_wanted: Callable[[Table], bool] | None = None
    """Whether a table is filled, and so those that it refers to; None: all are."""
    tables: dict[int, Table] = field(default_factory=dict)
    """By OID, the tables as they were when they were last filled."""
    filled_by_project: set[int] = field(default_factory=set)
    """OIDs of the tables that the project's own sample rows fill."""
    unfilled: dict[int, tuple[str, str]] = field(default_factory=dict)
    """By OID: the name of a table that has no rows, and why."""
    orphans: set[int] = field(default_factory=set)
    """OIDs of the tables that lack rows because a table that they refer to has none."""
    search_path: str = ""
    """The search path of the session under which these were read."""
    used_numbers: int = 0
    """The count of numbers that were used for values."""

    def forget(self) -> None:
        """Forget all tables: the database was replaced by another one."""
        self.tables.clear()
        self.filled_by_project.clear()
        self.unfilled.clear()
        self.orphans.clear()

    def fill(
        self, connection: psycopg.Connection, touched: Collection[int] | None = None, *, has_new: bool = True
    ) -> set[int]:
        """Fill new, changed and empty tables, and commit. `touched`: OIDs of what may have changed; None for all.

        `has_new`: whether there may be new or dropped tables that are not among these. `connection` is in autocommit.
        Returns the OIDs of the tables that have other rows now.
        """
        if not (touched is None or touched or has_new or self.orphans):
            return set()
        with _transaction(connection):
            ignored = [*self.version_tables, *KIT_TABLES]
            asked = {*(touched or ()), *self.orphans}
            if touched is None or has_new:
                present = set(list_table_oids(connection, ignored))
                known: Collection[int] = () if touched is None else self.tables.keys() - asked
                gone, asked = self.tables.keys() - present, present - set(known)
            else:
                gone = set()
            tables, self.search_path = read_project_tables(connection, asked, ignored)
            for oid in gone | (self.tables.keys() & asked) - {table.oid for table in tables}:
                self._forget_table(oid)
            tables = self._choose(tables)
            if others := (self._find_children(tables) | self._find_single_parents(tables)) - asked:
                tables += read_project_tables(connection, others, ignored)[0]
            if not tables:
                return set()
            missing = self._count_missing(connection, tables)
            turn = FillTurn(connection, missing, self.rows, self.seed, self._next_numbers)
            turn.run()
            self._record(turn)
            return turn.changed

    def _choose(self, tables: Sequence[Table]) -> list[Table]:
        """Return the tables that are filled, or referred to by those, or are filled already."""
        if self.is_wanted is None:
            return list(tables)
        by_oid = {table.oid: table for table in tables}
        chosen: set[int] = set()
        waiting = [table.oid for table in tables if self.is_wanted(table) or table.oid in self.tables]
        while waiting:
            oid = waiting.pop()
            if oid in by_oid and oid not in chosen:
                chosen.add(oid)
                waiting += [each.parent for each in by_oid[oid].references]
        return [table for table in tables if table.oid in chosen]

    def _find_children(self, tables: Sequence[Table]) -> set[int]:
        """Return the OIDs of the tables whose references name one of these, which has other names now."""
        renamed = {
            table.oid
            for table in tables
            if (before := self.tables.get(table.oid)) and before.identifiers != table.identifiers
        }
        return {oid for oid, table in self.tables.items() if any(each.parent in renamed for each in table.references)}

    def _find_single_parents(self, tables: Sequence[Table]) -> set[int]:
        """Return the OIDs of the known tables with a row for each row of one of these, which must refer to one."""
        return set().union(*map(_single_parents_of, tables)) & self.tables.keys()

    def restore_tables(self, connection: psycopg.Connection, oids: Sequence[int]) -> None:
        """Read the tables that another process has filled, which has recorded what else it knows."""
        with _transaction(connection):
            tables, self.search_path = read_project_tables(connection, oids, ())
        found = {table.oid: table for table in tables}
        self.tables = {oid: found[oid] for oid in oids}

    def _forget_table(self, oid: int) -> None:
        del self.tables[oid]
        self.unfilled.pop(oid, None)
        self.orphans.discard(oid)

    def _record(self, turn: FillTurn) -> None:
        """Remember which tables have no rows now."""
        for oid, reason in turn.reasons.items():
            self.unfilled.pop(oid, None)
            if reason:
                self.unfilled[oid] = (self.tables[oid].shown, reason)
        self.orphans = (self.orphans - turn.reasons.keys()) | turn.orphans

    def _next_numbers(self) -> range:
        """Return numbers that no value has yet: more than rows, for some values will not be allowed."""
        first, self.used_numbers = self.used_numbers, self.used_numbers + 2 * self.rows + 4
        return range(first, self.used_numbers)

    def _count_missing(self, connection: psycopg.Connection, tables: Sequence[Table]) -> dict[int, tuple[Table, int]]:
        """Return, by OID, the tables that lack rows, and how many each lacks."""
        most = self.rows + ROWS_WITHOUT_CHILD
        query = " UNION ALL ".join(
            f"SELECT {table.oid}, (SELECT count(*) FROM (SELECT FROM ONLY {table.sql} LIMIT {most}) AS r)"  # noqa: S608
            for table in tables
        )
        larger = set().union(*map(_single_parents_of, (*self.tables.values(), *tables)))
        present: dict[int, int] = dict(connection.execute(query.encode()).fetchall())
        missing = {}
        for table in tables:
            before = self.tables.get(table.oid)
            wanted = (most if table.oid in larger else self.rows) - present[table.oid]
            if before and before.columns != table.columns and present[table.oid]:
                wanted = max(wanted, ROWS_FOR_NEW_COLUMNS)
            self.tables[table.oid] = table
            if wanted > 0 and table.oid not in self.filled_by_project:
                missing[table.oid] = (table, wanted)
        return missing


def _single_parents_of(table: Table) -> set[int]:
    """Return the OIDs of the other tables of which each row of a table must have a different one."""
    single = [each for each in table.references if table.is_unique(each.columns) and not table.is_nullable(each)]
    return {each.parent for each in single if each.parent != table.oid}
