"""Insert rows that goals ask for, in the connection's current transaction."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from itertools import cycle, islice
from typing import Any

import psycopg
from sqlglot import exp

from dbkit.coverage.conditions import Atoms, excludes_null, is_null_test
from dbkit.coverage.facts import FORBIDDEN, MADE, NEW_COLUMN, NEW_KEY, NEW_NULL, NOT_FOUND, UNREADABLE
from dbkit.coverage.goals import Absence, Goal, make_column, replace_columns
from dbkit.coverage.search import Choice, literal_of, search_values, try_query
from dbkit.coverage.syntax import parse_statement
from dbkit.coverage.tables import TableReader
from dbkit.errors import describe_error
from dbkit.postgres.sql_quote import quote_ident, quote_literal
from dbkit.sample_data.constraints import Reference, Table
from dbkit.sample_data.fixed_settings import fixed_settings
from dbkit.sample_data.insert import insert_sql
from dbkit.sample_data.row_generator import CannotFill, Row

FEWEST_ROWS = 3
"""How many rows are planted for a goal, where there is only one value."""
MOST_TRIES = 3
"""How many rows are tried for the same values, where the server refuses one."""
MOST_PLANTED = 120
"""How many rows are inserted for one revision."""
DEEPEST_PARENT = 3
SYSTEM_COLUMNS = ("ctid", "tableoid", "xmin", "xmax", "cmin", "cmax")


@dataclass
class Planted:
    """The result of planting rows for goals."""

    oids: set[int] = field(default_factory=set)
    """The OIDs of the tables that have further rows."""
    rows: int = 0
    reasons: dict[int, str] = field(default_factory=dict)
    """By the number of the goal, why no rows were planted for it."""


class Planter:
    """Plants rows for goals."""

    def __init__(
        self,
        connection: "psycopg.Connection[Any]",
        tables: TableReader,
        avoided: Iterable[tuple[int, str, str]] = (),
        variant: int | None = None,
    ) -> None:
        """`avoided`: OID, column and value that the revision itself writes; `variant`: which row of a choice alone."""
        self.connection, self.tables = connection, tables
        self.avoided = set(avoided)
        self.variant = variant
        self.is_downgrade = False
        self.planted = Planted()
        self._own_rows: list[tuple[int, Row]] = []
        """The rows that were inserted, with the OIDs of their tables."""

    def plant(self, goals: Sequence[tuple[Goal, str]]) -> Planted:
        """Insert rows for each goal, as far as the tables' constraints allow; a goal comes with its direction."""
        with fixed_settings(self.connection):
            for number, (goal, direction) in enumerate(goals):
                self.is_downgrade = direction == "downgrade"
                reason = self._try_goal(goal) if self.planted.rows < MOST_PLANTED else "too many rows were planted"
                if reason:
                    self.planted.reasons[number] = reason
        return self.planted

    def _try_goal(self, goal: Goal) -> str:
        """Plant the rows of one goal, or none of them where the server refuses a query. Returns why that failed."""
        self.connection.execute("SAVEPOINT dbkit_goal")
        try:
            reason = self._plant_goal(goal)
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            reason = f"no row could be planted: {describe_error(error, primary=True)}"
            self.connection.execute("ROLLBACK TO SAVEPOINT dbkit_goal")
        self.connection.execute("RELEASE SAVEPOINT dbkit_goal")
        return reason

    def _plant_goal(self, goal: Goal) -> str:
        """Plant the rows of one goal, in several variants. Returns why that failed."""
        found = {key: self.tables.find(name) for key, name in goal.tables.items()}
        tables = {key: table for key, table in found.items() if table}
        if not tables:
            return MADE if any(map(self.tables.is_made, goal.tables.values())) else NOT_FOUND
        goal = _without_generated(goal, tables)
        joined, (goal, tables) = len(tables), _unite_rows(goal, tables)
        if any(
            self._is_never_absent(tables[each.column.table], each, goal.atoms)
            for each in goal.absent
            if each.column.table in tables
        ):
            return f"{FORBIDDEN} without the one that it refers to"
        rows: dict[str, list[Row]] = {}
        for key in _in_order(tables, goal.atoms):
            atoms = _bound(goal.atoms, key, tables, {name: each[0] for name, each in rows.items() if each})
            values = _bound(goal.values, key, tables, {})
            choice = search_values(self.connection, tables[key], atoms, values, self.tables.next_numbers())
            if choice.reason:
                is_own = len(tables) < joined and not choice.reason.startswith(FORBIDDEN)
                return f"{FORBIDDEN} of {tables[key].shown} that differs from itself" if is_own else choice.reason
            absent = [each for each in goal.absent if each.column.table == key]
            rows[key] = self._plant_choice(tables[key], choice, is_alone=bool(absent))
            if not rows[key]:
                is_new = self.is_downgrade and all(self._needs_new_key(tables[key], each) for each in choice.rows)
                return NEW_KEY if is_new else f"{tables[key].shown} takes no such row"
            self._plant_equal(goal, key, tables[key], rows[key][0])
            self._plant_children(tables[key], rows[key][0], choice, absent)
        return self._reason_of_new_columns(goal, tables)

    def _is_never_absent(self, table: Table, absence: Absence, atoms: Atoms) -> bool:
        """Whether a foreign key requires the row that a condition forbids: none does so for NULL."""
        parent = self.tables.find(absence.table)
        return any(
            parent is not None
            and reference.parent == parent.oid
            and (reference.columns, reference.parent_columns) == ((absence.column.name,), (absence.key,))
            and (not table.is_nullable(reference) or any(excludes_null(atom, absence.column) for atom in atoms))
            for reference in table.references
        )

    def _reason_of_new_columns(self, goal: Goal, tables: Mapping[str, Table]) -> str:
        """Return why planted rows may not meet the goal: an atom is on a column that the revision adds."""
        new = [
            atom
            for atom in goal.atoms
            for column in atom.find_all(exp.Column)
            if column.table in goal.tables and not (column.table in tables and tables[column.table].has(column.name))
        ]
        if not new:
            return ""
        columns = [column for atom in new for column in atom.find_all(exp.Column)]
        if any(each.name in SYSTEM_COLUMNS or _generated_column(tables, each) for each in columns):
            return UNREADABLE  # the table has the column, and its value cannot be chosen
        return NEW_NULL if all(is_null_test(atom) for atom in new) else NEW_COLUMN

    def _plant_choice(self, table: Table, choice: Choice, *, is_alone: bool) -> list[Row]:
        """Plant rows with the values of a choice; `is_alone`: no row of another table may belong to them."""
        planted = []
        at = self.variant
        rows = choice.rows if at is None else [choice.rows[at % len(choice.rows)]]
        if at is None:  # the other columns of a row may be such that a change of it changes nothing
            rows = [*rows, *islice(cycle(rows), max(0, FEWEST_ROWS - len(rows)))]
        near = choice.near if at is None else ()
        inserted = self._insert_together(table, [*rows, *near], is_alone=is_alone)
        for forced, row in zip(rows, inserted, strict=False):
            if row and all(row[name] == forced[name] for name in choice.required & forced.keys()):
                planted.append(row)
        return planted

    def _plant_equal(self, goal: Goal, key: str, table: Table, row: Row) -> None:
        """Plant further rows that are equal to one in the columns that the goal groups by."""
        grouped = [column for each in goal.equal for column in each.find_all(exp.Column)]
        names = {column.name for column in grouped if column.table == key and column.name in row}
        atoms = {column.name for atom in goal.atoms for column in atom.find_all(exp.Column) if column.table == key}
        unique = {name for columns in table.unique for name in columns if len(columns) == 1}
        same = {name: row[name] for name in row if name in names or (name in atoms and name not in unique)}
        for _ in range(goal.copies - 1 if names else 0):
            self._insert(table, same)

    def _plant_children(self, table: Table, planted: Row, choice: Choice, absent: Sequence[Absence]) -> None:
        """Plant a row in each table of which rows are deleted, or lose their reference, with a row of this one.

        It is another one with the same values where there can be one: a condition may be that there is none. Where
        there is no other, tables with an `absent` row get none.
        """
        row = planted
        if self.variant is None and self.tables.find_children(table):
            row = self._insert(table, choice.rows[0]) or row
        left_out = {found.oid for each in absent if row == planted and (found := self.tables.find(each.table))}
        for child, reference in self.tables.find_children(table):
            if child.oid in left_out:
                continue
            names = zip(reference.columns, reference.parent_columns, strict=True)
            keys = {name: row.get(parent) for name, parent in names}
            if None not in keys.values():
                self._insert(child, keys)

    def _insert_together(self, table: Table, several: Sequence[Row], *, is_alone: bool) -> list[Row | None]:
        """Insert rows with these values, as `_insert` does: in one string, where none needs another row."""
        keys = [*table.unique, *(frozenset(each.columns) for each in table.references)]
        is_plain = len(several) > 1 and not any(
            self._is_avoided(table, forced) or any(name in forced for key in keys for name in key) for forced in several
        )
        numbers: list[int] = []
        rows: list[Row] = []
        try:
            if is_plain:
                rows = [self.tables.next_row(table, forced) for forced in several]
                numbers = self._execute_inserts(table, rows)
        except CannotFill:
            numbers = []
        if not numbers:
            return [self._insert(table, forced, is_alone=is_alone) for forced in several]
        return [
            row if number else self._insert(table, forced, is_alone=is_alone)
            for forced, row, number in zip(several, rows, numbers, strict=True)
        ]

    def _execute_inserts(self, table: Table, rows: Sequence[Row]) -> list[int]:
        """Insert rows, and return how many each statement has inserted; none where the server refuses one."""
        # in one string: most of the time is spent on the way to the server and back
        inserts = "; ".join(insert_sql(table, [row]) for row in rows)
        cursor = self._try(inserts)
        if cursor is None:
            return []
        numbers = []
        for _ in rows:
            cursor.nextset()
            numbers.append(cursor.rowcount)
        if any(numbers):
            self.planted.rows += sum(numbers)
            self.planted.oids.add(table.oid)
            self._own_rows += [(table.oid, row) for row, number in zip(rows, numbers, strict=True) if number]
        return numbers

    def _insert(self, table: Table, forced: Row, depth: int = 0, *, is_alone: bool = False) -> Row | None:
        """Insert a row with these values. Returns it, or one that exists already; None where there is none.

        `is_alone`: no row of another table may belong to it, as one may to a row that exists.
        """
        if self._is_avoided(table, forced):
            return None
        for columns in table.unique:
            if columns and all(forced.get(name) is not None for name in columns):
                existing = self._find_row(table, {name: forced[name] for name in columns})
                if existing and not (
                    (is_alone or not _has_values(existing, forced)) and self._give_new_key(table, columns, existing)
                ):
                    return existing
        for reference in table.references:
            if any(forced.get(name) is not None for name in reference.columns) and depth < DEEPEST_PARENT:
                self._insert_parent(reference, forced, depth)
        for each in (*[table] * MOST_TRIES, _all_different(table)):
            try:
                row = self.tables.next_row(each, forced)
            except CannotFill:
                return None
            if self._try_insert(table, row):
                return row
        return self._insert_similar(table, forced) or self._find_row(table, forced)

    def _give_new_key(self, table: Table, key: frozenset[str], existing: Row) -> bool:
        """Give another key to a row that has the key of a new one. Returns whether that was done.

        Rows that were planted for a goal stay as they are.
        """
        if any(oid == table.oid and _has_values(existing, row) for oid, row in self._own_rows):
            return False
        try:
            new = self.tables.next_row(table, {})
        except CannotFill:
            return False
        if any(new.get(name) is None for name in key):
            return False
        values = ", ".join(f"{quote_ident(name)} = {quote_literal(new[name])}" for name in sorted(key))
        old = " AND ".join(f"{quote_ident(name)} = {quote_literal(existing[name])}" for name in sorted(key))
        is_done = self._try(f"UPDATE {table.sql} SET {values} WHERE {old}") is not None  # noqa: S608
        if is_done:
            self.planted.oids.add(table.oid)
        return is_done

    def _try(self, statements: str) -> "psycopg.Cursor[Any] | None":
        """Execute statements in one string, of which nothing remains where the server refuses one: then return None."""
        try:
            return self.connection.execute(
                f"SAVEPOINT dbkit_plant; {statements}; RELEASE SAVEPOINT dbkit_plant".encode()
            )
        except psycopg.Error:
            self.connection.execute("ROLLBACK TO SAVEPOINT dbkit_plant; RELEASE SAVEPOINT dbkit_plant")
            return None

    def _insert_similar(self, table: Table, forced: Row) -> Row | None:
        """Insert a row with these values that else is one which the server has taken; its keys are new.

        The server may refuse all generated ones: a column that is computed of two others can be too large.
        """
        taken = self._find_row(table, {})
        if taken is None:
            return None
        try:
            new = self.tables.next_row(table, forced)
        except CannotFill:
            return None
        keys = {name: new[name] for columns in table.unique for name in columns if name in new}
        row = {**taken, **keys, **forced}
        return row if self._try_insert(table, row) else None

    def _is_avoided(self, table: Table, forced: Row) -> bool:
        """Whether the row would have a unique value that the revision itself writes.

        For a downgrade, any value: it removes what the upgrade has inserted, by the value that it was given.
        """
        if self.is_downgrade and any((table.oid, name, str(value)) in self.avoided for name, value in forced.items()):
            return True
        return self._has_new_key(table, forced)

    def _has_new_key(self, table: Table, forced: Row) -> bool:
        """Whether the row would have a unique value that the revision itself writes."""
        return any(
            len(columns) == 1 and (table.oid, name, str(forced[name])) in self.avoided
            for columns in table.unique
            for name in columns
            if forced.get(name) is not None
        )

    def _needs_new_key(self, table: Table, forced: Row) -> bool:
        """Whether the row has such a value, or refers to one: it cannot exist before the upgrade."""
        return self._has_new_key(table, forced) or any(
            self._is_new_parent(reference, forced) for reference in table.references
        )

    def _is_new_parent(self, reference: Reference, forced: Row) -> bool:
        """Whether the row that a reference needs does not exist, and the revision itself writes its key."""
        keys = _parent_keys(reference, forced)
        parent = self.tables.find_by_oid(reference.parent)
        is_written = all((reference.parent, name, str(value)) in self.avoided for name, value in keys.items())
        return bool(parent and keys and is_written and not self._find_row(parent, keys))

    def _insert_parent(self, reference: Reference, forced: Row, depth: int) -> None:
        """Insert the row that a reference needs, unless it exists."""
        keys = _parent_keys(reference, forced)
        parent = self.tables.find_by_oid(reference.parent)
        if parent and None not in keys.values() and not self._find_row(parent, keys):
            self._insert(parent, keys, depth + 1)

    def _try_insert(self, table: Table, row: Row) -> bool:
        return any(self._execute_inserts(table, [row]))

    def _find_row(self, table: Table, values: Row) -> Row | None:
        """Return a row that has these values."""
        columns = ", ".join(f"{quote_ident(column.name)}::pg_catalog.text" for column in table.columns)
        conditions = " AND ".join(
            f"{quote_ident(name)} IS NOT DISTINCT FROM {quote_literal(value)}" for name, value in values.items()
        )
        rows = try_query(self.connection, f"SELECT {columns} FROM {table.sql} WHERE {conditions or 'true'} LIMIT 1")  # noqa: S608
        return dict(zip((column.name for column in table.columns), rows[0], strict=True)) if rows else None


def _has_values(row: Row, values: Row) -> bool:
    """Whether a row has these values."""
    return all(row.get(name) == value for name, value in values.items())


def _parent_keys(reference: Reference, forced: Row) -> Row:
    """Return the values that the row of a reference must have, as far as they are given."""
    names = zip(reference.columns, reference.parent_columns, strict=True)
    return {parent: forced[name] for name, parent in names if name in forced}


def _all_different(table: Table) -> Table:
    """Return a table of which no two rows are equal in a column: a trigger may compute a unique key from any."""
    return replace(table, unique=(*table.unique, *(frozenset([column.name]) for column in table.columns)))


def _in_order(tables: Mapping[str, Table], atoms: Atoms) -> list[str]:
    """Return the keys, those of tables that others refer to first."""
    graph: dict[str, set[str]] = {}
    for key, table in tables.items():
        parents = {reference.parent for reference in table.references}
        graph[key] = {other for other, each in tables.items() if each.oid in parents and each.oid != table.oid}
    for child, parent in _linked_columns(atoms):
        own, other = tables.get(child.table), tables.get(parent.table)
        if own and other and own.oid == other.oid and _refers(own, child.name, parent.name):
            graph[child.table].add(parent.table)
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError:
        return list(tables)


def _without_generated(goal: Goal, tables: Mapping[str, Table]) -> Goal:
    """Return the goal with the expressions of generated columns in the place of these."""
    if not any(table.generated for table in tables.values()):
        return goal

    def replacement(column: exp.Column) -> exp.Expr | None:
        sql = _generated_column(tables, column)
        statement = parse_statement(f"SELECT {sql}") if sql else None
        if not isinstance(statement, exp.Select):
            return None
        computed = replace_columns(statement.expressions[0], lambda each: make_column(column.table, each.name))
        return exp.Paren(this=computed)

    atoms, values = (tuple(replace_columns(each, replacement) for each in parts) for parts in (goal.atoms, goal.values))
    return replace(goal, atoms=atoms, values=values)


def _generated_column(tables: Mapping[str, Table], column: exp.Column) -> str:
    """Return the expression of a generated column, in SQL; "" for any other column."""
    return dict(tables[column.table].generated).get(column.name, "") if column.table in tables else ""


def _unite_rows(goal: Goal, tables: Mapping[str, Table]) -> tuple[Goal, dict[str, Table]]:
    """Return the goal with one row in place of two of which a unique key is equal."""
    for one, other in _linked_columns(goal.atoms):
        first, second = tables.get(one.table), tables.get(other.table)
        is_key = one.name == other.name and first and frozenset([one.name]) in first.unique
        if is_key and first and second and first.oid == second.oid:
            kept, gone = sorted((one.table, other.table))
            rest = {key: table for key, table in tables.items() if key != gone}
            return _unite_rows(goal.rename(gone, kept), rest)
    return goal, dict(tables)


def _linked_columns(atoms: Atoms) -> Iterator[tuple[exp.Column, exp.Column]]:
    """Yield the columns of different rows that atoms equate, in both orders."""
    for atom in atoms:
        one, other = (atom.this, atom.expression) if isinstance(atom, exp.EQ) else (None, None)
        if isinstance(one, exp.Column) and isinstance(other, exp.Column) and one.table != other.table:
            yield one, other
            yield other, one


def _refers(table: Table, column: str, key: str) -> bool:
    """Whether a table refers to itself with this column."""
    return any(
        each.parent == table.oid and column in each.columns and key in each.parent_columns for each in table.references
    )


def _bound(atoms: Atoms, key: str, tables: Mapping[str, Table], rows: Mapping[str, Row]) -> Atoms:
    """Return the atoms on one table, with the columns of other rows replaced by their values.

    Left out are atoms with anything else that is not known: a column that the revision adds, a row that follows.
    """
    known = {column.name for column in tables[key].columns}

    def value_of(column: exp.Column) -> exp.Expr | None:
        if column.table == key:
            return None
        return literal_of(rows[column.table][column.name], tables[column.table].column(column.name))

    found = []
    for atom in atoms:
        columns = list(atom.find_all(exp.Column))
        if not any(column.table == key for column in columns):
            continue
        own = [column.name in known for column in columns if column.table == key]
        others = [column for column in columns if column.table != key]
        if all(own) and all(column.name in rows.get(column.table, {}) for column in others):
            # the same atom, where nothing is replaced in it: what was found for it is remembered
            found.append(replace_columns(atom, value_of) if others else atom)
    return tuple(found)
