"""The tables that goals name, with rows to base planted rows on."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg

from dbkit.catalog import FIRST_NORMAL_OID
from dbkit.coverage.goals import Table as Name
from dbkit.postgres.sql_quote import quote_ident
from dbkit.sample_data.constraints import KnownTables, Reference, Table, read_tables
from dbkit.sample_data.row_generator import CannotFill, Row, generate_rows

BASE_ROWS = 12
"""How many rows are generated for a table at once."""
OF_SERVER = ("pg_catalog", "information_schema")
MOST_CHILDREN = 6
MOST_PARENTS = 12
FIRST_NUMBER = 100_000
"""Generated values are numbered from here: sample rows have smaller numbers, and loops over ranges stay short."""


@dataclass
class TableReader:
    """Reads tables by name, as the project's search path finds them, and generates rows for them."""

    connection: "psycopg.Connection[Any]"
    ignored: frozenset[str] = frozenset()
    """Names of tables that get no rows, such as the version table."""
    seed: int = 0
    known: KnownTables = field(default_factory=KnownTables)
    """Tables that were read before in the same state."""
    schemas: Sequence[str] = ()
    """The schemas in which statements find names first, where one of them has set a search path."""
    later_schemas: Sequence[str] = ()
    """The schemas in which names are looked for at last: those of the search paths of functions."""
    making: Sequence[str] = ()
    """The statements of the revision that may make tables."""
    _search_path: str | None = None
    _tables: dict[Name, Table | None] = field(default_factory=dict)
    _rows: dict[tuple[int, int, int], Iterator[Row]] = field(default_factory=dict)
    _used: int = FIRST_NUMBER
    _by_oid: dict[int, Table | None] = field(default_factory=dict)
    _children: dict[int, list[tuple[Table, Reference]]] = field(default_factory=dict)

    def view_of(self, schema: str, name: str) -> str | None:
        """Return the query of a view; None where there is no such view."""
        text = quote_ident(schema, name) if schema else quote_ident(name)
        query = """
            SELECT pg_catalog.pg_get_viewdef(c.oid) FROM pg_catalog.pg_class AS c
            WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(%s)
                AND c.relkind::pg_catalog.text OPERATOR(pg_catalog.=) 'v'
                AND c.oid OPERATOR(pg_catalog.>=) %s
        """
        found = self.connection.execute(query, [text, FIRST_NORMAL_OID]).fetchall()
        return str(found[0][0]) if found else None

    def begin(self, connection: "psycopg.Connection[Any]") -> None:
        """Forget generated rows: the keys that they refer to may have been rolled back."""
        self.connection = connection
        self._rows.clear()
        self._used = FIRST_NUMBER

    def find(self, name: Name) -> Table | None:
        """Return a table; None where there is none of that name, or where it is the server's own."""
        qualified = self.qualify(name)
        if qualified not in self._tables:
            self._tables[qualified] = self._read(qualified)
        return self._tables[qualified]

    def is_made(self, name: Name) -> bool:
        """Whether the revision may make a table of that name, or the server has it."""
        if name.schema in OF_SERVER or name.name.startswith("pg_"):
            return True
        word = re.compile(rf"(?<!\w){re.escape(name.name)}(?!\w)", re.IGNORECASE)
        return any(map(word.search, self.making))

    def qualify(self, name: Name) -> Name:
        """Return the name with the schema in which there is such a table, where it is in none of the project's path."""
        if name.schema or not (self.schemas or self.later_schemas):
            return name
        with_schemas = [replace(name, schema=each) for each in (*self.schemas, "", *self.later_schemas)]
        for each in with_schemas:
            if each not in self._tables:
                self._tables[each] = self._read(each)
        return next((each for each in with_schemas if self._tables[each]), name)

    def find_by_oid(self, oid: int) -> Table | None:
        """Return a table by its OID."""
        if oid not in self._by_oid:
            self._by_oid[oid] = next(iter(self._read_all([oid])), None)
        return self._by_oid[oid]

    def find_children(self, table: Table) -> list[tuple[Table, Reference]]:
        """Return the tables whose rows follow those of a table: ON DELETE or ON UPDATE CASCADE, SET NULL or DEFAULT."""
        if table.oid not in self._children:
            query = """
                SELECT DISTINCT o.conrelid::pg_catalog.int8 FROM pg_catalog.pg_constraint AS o
                WHERE o.confrelid OPERATOR(pg_catalog.=) %s AND o.conparentid OPERATOR(pg_catalog.=) 0
                    AND (o.confdeltype::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{c,n,d}'::pg_catalog.text[])
                         OR o.confupdtype::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{c,n,d}'::pg_catalog.text[]))
                ORDER BY 1
            """
            oids = [int(row[0]) for row in self.connection.execute(query, [table.oid]).fetchall()]
            children = self._read_all(oids[:MOST_CHILDREN])
            self._children[table.oid] = [
                (child, each) for child in children for each in child.references if each.parent == table.oid
            ]
        return self._children[table.oid]

    def columns_of(self, schema: str, name: str) -> Sequence[str] | None:
        """Return the names of a table's columns; None where there is no such table."""
        table = self.find(Name(schema, name))
        return [column.name for column in table.columns] if table else None

    def _read(self, name: Name) -> Table | None:
        if name.name in self.ignored:
            return None
        text = quote_ident(name.schema, name.name) if name.schema else quote_ident(name.name)
        query = """
            SELECT c.oid::pg_catalog.int8, pg_catalog.current_setting('search_path') FROM pg_catalog.pg_class AS c
            WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(%s)
                AND c.relkind::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{r,p,f}'::pg_catalog.text[])
                AND c.oid OPERATOR(pg_catalog.>=) %s
        """
        found = self.connection.execute(query, [text, FIRST_NORMAL_OID]).fetchall()
        for oid, self._search_path in found:
            return self._read_all([oid])[0]
        return None

    def _read_all(self, oids: Sequence[int]) -> list[Table]:
        """Return tables by their OIDs."""
        known = self.known.tables if self._search_path == self.known.search_path else {}
        if all(oid in known and not known[oid].has_own_types for oid in oids):
            return [known[oid] for oid in oids]
        return read_tables(self.connection, oids)

    def next_numbers(self) -> range:
        """Return numbers for values that no row has."""
        numbers = range(self._used, self._used + 2 * BASE_ROWS + 4)
        self._used = numbers.stop
        return numbers

    def next_row(self, table: Table, forced: Row) -> Row:
        """Return a row that the table's constraints allow, with values that no other row has where that matters.

        `forced` are values that it has. Raises CannotFill.
        """
        try:
            return {**self._next_row(table), **forced}
        except CannotFill:  # no value is known for a column: one of these, perhaps
            columns = tuple(column for column in table.columns if column.name not in forced)
            checks = tuple(check for check in table.checks if not forced.keys() & set(check.columns))
            references = tuple(each for each in table.references if not forced.keys() & set(each.columns))
            if len(columns) == len(table.columns):
                raise
            return {**self._next_row(replace(table, columns=columns, checks=checks, references=references)), **forced}

    def _next_row(self, table: Table) -> Row:
        key = (table.oid, len(table.columns), len(table.unique))
        row = next(self._rows[key], None) if key in self._rows else None
        if row is None:
            parents = self._parents(table)
            rows = generate_rows(self.connection, table, parents, BASE_ROWS, self.next_numbers(), self.seed)
            row = next(rows, None)
            if row is None:
                raise CannotFill("no rows were found that its CHECK constraints allow")
            self._rows[key] = rows
        return row

    def _parents(self, table: Table) -> Mapping[Reference, list[tuple[str, ...]]]:
        parents = {}
        for reference in table.references:
            columns = [quote_ident(name) for name in reference.parent_columns]
            query = (
                f"SELECT {', '.join(f'{column}::pg_catalog.text' for column in columns)} FROM {reference.parent_sql} "  # noqa: S608
                f"WHERE {' AND '.join(f'{column} IS NOT NULL' for column in columns)} "
                f"ORDER BY {', '.join(columns)} LIMIT {MOST_PARENTS}"
            )
            parents[reference] = list(self.connection.execute(query.encode()).fetchall())
        return parents
