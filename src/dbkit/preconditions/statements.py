"""Derive what one statement asks of existing rows, in the state of the database in which it is about to be executed.

The migration would run the expressions of its statement in its own session. So a query that has such expressions is
marked: its names are looked up with the settings of the migration, in the project's search path. All other queries run
with dbkit's own settings.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import psycopg

from dbkit.postgres.sql_quote import quote_ident, quote_literal
from dbkit.preconditions import actions, conditions
from dbkit.preconditions.casts import cast_failure, parse_type
from dbkit.preconditions.conditions import Key
from dbkit.preconditions.parser import parse_statements, replace_value
from dbkit.preconditions.precondition import Precondition, Source

TABLE = """
SELECT c.oid::bigint, CASE WHEN n.nspname = 'public' THEN '' ELSE n.nspname || '.' END || c.relname,
    quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relkind = 'p',
    ARRAY(SELECT a.attname::text FROM pg_index AS x
          CROSS JOIN unnest(x.indkey::int2[]) WITH ORDINALITY AS k (number, place)
          JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.number
          WHERE x.indrelid = c.oid AND x.indisprimary AND k.place <= x.indnkeyatts ORDER BY k.place),
    ARRAY(SELECT a.attname::text FROM pg_attribute AS a
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    ARRAY(SELECT a.attname::text FROM pg_attribute AS a
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND (
              -- since PostgreSQL 18 a NOT NULL constraint can be NOT VALID
              a.attnotnull AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conrelid = c.oid
                  AND k.contype = 'n' AND NOT k.convalidated AND k.conkey = ARRAY[a.attnum])
              OR EXISTS (SELECT FROM pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype = 'c'
                  AND k.convalidated
                  AND pg_get_expr(k.conbin, k.conrelid) = '(' || quote_ident(a.attname) || ' IS NOT NULL)')
          ))
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = %s::oid AND c.relkind IN ('r', 'p') AND NOT EXISTS (
    -- the server does not check the rows of foreign tables
    WITH RECURSIVE below AS (
        SELECT c.oid UNION ALL SELECT i.inhrelid FROM pg_inherits AS i JOIN below ON below.oid = i.inhparent
    )
    SELECT FROM below JOIN pg_class AS f ON f.oid = below.oid WHERE f.relkind = 'f'
)"""
CONSTRAINT = """
SELECT c.contype::text, pg_get_expr(c.conbin, c.conrelid), NOT c.connoinherit, c.confrelid::bigint,
    c.confmatchtype = 'f',
    ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY AS k (number, place)
          JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.number ORDER BY k.place),
    ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY AS k (number, place)
          JOIN pg_attribute AS a ON a.attrelid = c.confrelid AND a.attnum = k.number ORDER BY k.place)
FROM pg_constraint AS c WHERE c.conrelid = %s::oid AND c.conname = %s::name AND NOT c.convalidated"""
DOMAIN_CHECK = """
SELECT pg_get_expr(conbin, 0) FROM pg_constraint
WHERE contypid = %s::oid AND conname = %s::name AND contype = 'c' AND NOT convalidated"""
DOMAIN_COLUMNS = """
SELECT c.oid::bigint, a.attname::text FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
WHERE a.atttypid = %s::oid AND c.relkind = 'r' AND NOT a.attisdropped ORDER BY 1, a.attnum"""
INDEX_COLUMNS = """
SELECT a.attname::text FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
CROSS JOIN unnest(x.indkey::int2[]) WITH ORDINALITY AS k (number, place)
JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = k.number AND k.place <= x.indnkeyatts
WHERE x.indrelid = %s::oid AND i.relname = %s::name ORDER BY a.attnum"""
HAS_INDEX = """
SELECT true FROM pg_class AS i JOIN pg_class AS c ON c.relnamespace = i.relnamespace
WHERE c.oid = %s::oid AND i.relname = %s::name"""
COLUMN_TYPE = """
SELECT coalesce(b.oid, t.oid)::bigint, coalesce(b.typtype, t.typtype) = 'e' FROM pg_attribute AS a
JOIN pg_type AS t ON t.oid = a.atttypid LEFT JOIN pg_type AS b ON b.oid = t.typbasetype
WHERE a.attrelid = %s::oid AND a.attname = %s::name AND NOT a.attisdropped"""
IS_DOMAIN = "SELECT typtype = 'd' FROM pg_type WHERE oid = %s::oid"

FIRST_OF_PROJECT = 16384
TYPE_OF_COLUMN = """
SELECT format_type(coalesce(b.oid, t.oid), coalesce(nullif(t.typtypmod, -1), a.atttypmod)),
    ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder)
FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid LEFT JOIN pg_type AS b ON b.oid = t.typbasetype
WHERE a.attrelid = %s::oid AND a.attname = %s::name AND NOT a.attisdropped"""
# a domain has conditions, which are not read here
TYPE = """
SELECT format_type(t.oid, NULL),
    ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder)
FROM pg_type AS t WHERE t.oid = %s::oid AND t.typtype IN ('b', 'e')"""
INTEGERS, TEXTS = (20, 21, 23), (25, 1043)  # OIDs of int8, int2, int4; text, varchar


@dataclass(frozen=True)
class _Table:
    """A table that exists."""

    oid: int
    label: str
    sql: str
    is_partitioned: bool
    key: list[str]
    columns: list[str]
    not_null: list[str]
    """The columns in which no row has NULL, as a valid constraint shows."""

    def source(self, *, is_only: bool) -> Source:
        """Return its rows; with `is_only`, without those of its children."""
        return Source(f"ONLY {self.sql}" if is_only else self.sql, self.label, tuple(self.key), self.sql)

    def own_rows(self) -> Source:
        """Return the rows that a key is about: those of its partitions, but not of other children."""
        return self.source(is_only=not self.is_partitioned)


def read_statement(connection: psycopg.Connection[Any], sql: str) -> list[Precondition]:
    """Return what a text of statements asks of existing rows.

    Where it has several statements: up to the first one that may change rows or columns. Nothing for all that is not
    recognised. Raises psycopg.Error where the server refuses to look names up.
    """
    reader = _Reader(connection)
    found: list[Precondition] = []
    for statement in parse_statements(sql):
        found += reader.read(statement)
    return found


class _Reader:
    """Reads the catalog for the statements of one text."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.has_dropped = False
        """Whether a constraint is dropped: those in the catalog may not be those that a later action is about."""

    def read(self, statement: actions.Statement) -> Iterator[Precondition]:
        """Yield the preconditions of one statement."""
        self.has_dropped |= any(
            isinstance(each, actions.NoQuestion) and each.drops_constraint for each in statement.actions
        )
        if statement.is_domain:
            yield from self._of_domain(statement)
            return
        if all(isinstance(each, actions.NoQuestion) for each in statement.actions):
            return
        table = self._table(self._find("regclass", statement.name))
        if table is None or (statement.new_index and self._rows(HAS_INDEX, table.oid, statement.new_index)):
            return
        for action in statement.actions:
            yield from self._of_action(table, action, is_only=statement.is_only)

    def _of_action(self, table: _Table, action: actions.Action, *, is_only: bool) -> Iterator[Precondition]:
        source = table.source(is_only=is_only)
        match action:
            case actions.NotNull(column):
                yield from self._of_not_null(table, source, [column])
            case actions.PrimaryIndex(index):
                names = [name for (name,) in self._rows(INDEX_COLUMNS, table.oid, index)]
                yield from self._of_not_null(table, source, names)
            case actions.Check(expression, is_inherited):
                rows = source if is_inherited else table.source(is_only=True)
                yield _in_project_path(conditions.check(rows, expression))
            case actions.UniqueKey() | actions.Exclusion() if not (is_only and table.is_partitioned):
                yield from self._of_key(table, source, action)
            case actions.ForeignKey(columns, parent, parent_columns, is_full) if parent_columns or not self.has_dropped:
                yield from self._of_foreign_key(
                    table, columns, self._table(self._find("regclass", parent)), parent_columns, is_full=is_full
                )
            case actions.Validation(name) if not self.has_dropped:
                yield from self._of_constraint(table, source, name)
            case actions.RequiredColumn(column, kind) if column not in table.columns:
                # a child may have the column already
                if self._rows(IS_DOMAIN, self._find("regtype", kind)) == [(False,)]:
                    yield conditions.no_rows(table.own_rows(), f"{column} is NOT NULL and has no default")
            case actions.TypeChange(column, kind, is_explicit):
                yield from self._of_type(table, source, column, kind, is_explicit=is_explicit)

    def _of_not_null(self, table: _Table, source: Source, names: list[str]) -> Iterator[Precondition]:
        for name in names:
            if name in table.columns and name not in table.not_null:
                yield conditions.not_null(source, name)

    def _of_key(
        self, table: _Table, source: Source, action: actions.UniqueKey | actions.Exclusion
    ) -> Iterator[Precondition]:
        if isinstance(action, actions.Exclusion):
            key = Key(action.expressions, action.predicate, operators=action.operators)
            yield _in_project_path(conditions.exclusion(table.own_rows(), key))
            return
        yield from self._of_not_null(table, source, list(action.columns))
        asked = conditions.unique(table.own_rows(), Key(action.expressions, action.predicate, action.are_nulls_equal))
        yield _in_project_path(asked) if action.has_expressions else asked

    def _of_foreign_key(
        self,
        table: _Table,
        columns: tuple[str, ...],
        parent: _Table | None,
        parent_columns: tuple[str, ...],
        *,
        is_full: bool,
    ) -> Iterator[Precondition]:
        names = parent_columns or tuple(parent.key if parent else ())
        if parent is None or len(names) != len(columns):
            return
        # "=" is looked up in pg_catalog: for a type of the project, such as citext, that is another operator
        if all(self._is_comparable(table, name, parent, other) for name, other in zip(columns, names, strict=True)):
            yield conditions.foreign_key(table.own_rows(), columns, parent.own_rows(), names, is_full=is_full)

    def _is_comparable(self, table: _Table, name: str, parent: _Table, other: str) -> bool:
        """Whether pg_catalog's "=" compares two columns as a foreign key does."""
        types = self._rows(COLUMN_TYPE, table.oid, name) + self._rows(COLUMN_TYPE, parent.oid, other)
        oids = {oid for oid, _ in types}
        is_known = all(is_enum or oid < FIRST_OF_PROJECT for oid, is_enum in types)
        return is_known and len(types) == 2 and (len(oids) == 1 or oids <= {*INTEGERS} or oids <= {*TEXTS})

    def _of_constraint(self, table: _Table, source: Source, name: str) -> Iterator[Precondition]:
        """Yield what VALIDATE CONSTRAINT asks, by the definition of the constraint in the catalog."""
        for kind, expression, is_inherited, parent, is_full, columns, keys in self._rows(CONSTRAINT, table.oid, name):
            if kind == "n":
                yield from self._of_not_null(table, source, columns)
            elif kind == "c":
                yield conditions.check(source if is_inherited else table.source(is_only=True), expression)
            elif kind == "f":
                yield from self._of_foreign_key(
                    table, tuple(columns), self._table(parent), tuple(keys), is_full=is_full
                )

    def _of_type(
        self, table: _Table, source: Source, column: str, kind: str, *, is_explicit: bool
    ) -> Iterator[Precondition]:
        """Yield what a change of a column's type asks that converts the values by a cast."""
        # to_regtype() ignores a modifier, which format_type() would print within the name of some types
        _, bracket, modifier = kind.partition("(")
        size = f"({modifier.replace(' ', '')}" if bracket else ""
        target = self._find("regtype", kind)
        for text, labels in self._rows(TYPE_OF_COLUMN, table.oid, column):
            for shown, new_labels in self._rows(TYPE, target):
                wanted = parse_type(f"{shown}{size}", new_labels)
                failure = cast_failure(
                    quote_ident(column),
                    parse_type(text, labels),
                    wanted,
                    is_explicit=is_explicit,
                    version=self.connection.info.server_version,
                )
                if failure:
                    words = f"every {table.label}.{column} can be converted to {kind}"
                    yield conditions.fails(source, "type", words, failure.failing, good="", bad=())

    def _of_domain(self, statement: actions.Statement) -> Iterator[Precondition]:
        domain = self._find("regtype", statement.name)
        action = statement.actions[0]
        expression = ""
        if isinstance(action, actions.Check):
            expression = action.expression
        elif isinstance(action, actions.Validation):
            expression = "".join(text for (text,) in self._rows(DOMAIN_CHECK, domain, action.constraint))
        if not expression and not isinstance(action, actions.NotNull):
            return
        for oid, column in self._rows(DOMAIN_COLUMNS, domain):
            if table := self._table(oid):
                source = table.source(is_only=True)
                if not expression:
                    yield replace(conditions.not_null(source, column), kind="domain")
                    continue
                condition = replace_value(expression, quote_ident(column))
                asked = conditions.check(source, condition, kind="domain")
                yield _in_project_path(asked) if isinstance(action, actions.Check) else asked

    def _find(self, kind: str, name: str) -> int | None:
        """Return the OID of a table or a type by its name in a statement, which is looked up in the session's path."""
        query = f"SELECT pg_catalog.to_{kind}({quote_literal(name)}::pg_catalog.text)::pg_catalog.oid::pg_catalog.int8"
        row = self.connection.cursor().execute(query.encode()).fetchone()
        return row[0] if row else None

    def _table(self, oid: int | None) -> _Table | None:
        rows = self._rows(TABLE, oid) if oid else []
        return _Table(*rows[0]) if rows else None

    def _rows(self, query: str, *values: object) -> list[Any]:
        return self.connection.execute(query.encode(), values).fetchall()


_in_project_path = partial(replace, is_in_project_path=True)
