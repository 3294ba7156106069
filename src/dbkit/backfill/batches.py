"""The SQL of a backfill: which rows are changed, in which order, and the statements of each batch."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dbkit.errors import InputError
from dbkit.postgres.sql_quote import quote_ident, quote_literal

Execute = Callable[[str], Sequence[Any]]
"""Executes one statement in a separate transaction, and returns its rows."""

NAME = re.compile(r'(?:"(?:[^"]|"")+"|[^".]+)')
SCANNED = 10  # rows that are read for each one that may be changed, where there is a condition
# Executed with the project's search path, which finds the table
FIND = "SELECT pg_catalog.to_regclass({name}::pg_catalog.text)::pg_catalog.oid::pg_catalog.int8"
# Executed as the role of the session
HIDDEN = "SELECT pg_catalog.row_security_active({oid}::pg_catalog.oid), current_user"
TABLE = """
SELECT format('%I.%I', n.nspname, c.relname), c.relkind::text, greatest(c.reltuples, 0)::bigint
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = {oid}"""
# Unique indexes of columns that are never NULL, with the columns in the order of the index
KEYS = """
SELECT x.indexrelid::bigint, x.indisprimary, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
    t.typtype <> 'b' OR t.typnamespace = 'pg_catalog'::regnamespace OR t.typcategory = 'A'
FROM pg_index AS x
CROSS JOIN LATERAL unnest(x.indkey) WITH ORDINALITY AS k (number, place)
JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = k.number
JOIN pg_type AS d ON d.oid = a.atttypid
JOIN pg_type AS t ON t.oid = CASE WHEN d.typtype = 'd' THEN d.typbasetype ELSE d.oid END
WHERE x.indrelid = {oid} AND x.indisunique AND x.indisvalid AND x.indpred IS NULL AND x.indexprs IS NULL
    AND k.place <= x.indnkeyatts
ORDER BY x.indisprimary DESC, x.indexrelid, k.place"""

Key = tuple[str, ...]
"""The values of a row's key, as texts."""


@dataclass(frozen=True)
class KeyColumn:
    """A column of the key; `type` as SQL."""

    name: str
    type: str
    is_builtin: bool = True
    """Whether its operators are PostgreSQL's own, and not those of an extension."""


@dataclass(frozen=True)
class BatchedUpdate:
    """An UPDATE that is executed in batches. `assignments` and `where` are SQL; without `where`, of every row."""

    table: str
    """Schema-qualified, as SQL."""
    key: tuple[KeyColumn, ...]
    assignments: str
    where: str | None
    estimate: int
    """How many rows the table has, as the server estimates."""

    @property
    def statement(self) -> str:
        """The whole update as one statement."""
        return update_sql(self.table, self.assignments, self.where)

    def __str__(self) -> str:
        return " ".join(self.statement.split())

    def last_key_query(self) -> str:
        """Return the query for the greatest key; it has no row for an empty table."""
        return self._greatest(f"SELECT {self._names()} FROM {self.table}")  # noqa: S608

    def any_left_query(self) -> str:
        """Return the query for whether a row fulfils the condition."""
        return f"SELECT EXISTS (SELECT FROM {self.table} WHERE {self._condition()})"  # noqa: S608

    def batch_end_queries(self, after: Key | None, last: Key, rows: int) -> Iterator[str]:
        """Yield queries for the key that the next batch ends with; the first one that returns a row is right.

        None returns one when there are no rows up to `last`. A batch changes up to `rows` rows, and reads not many
        more, since it holds locks while it reads.
        """
        names, order = self._names(), self._order()
        if self.where is None:
            scan = rows
        else:
            scan = rows * SCANNED
            yield f"""
                SELECT {self._texts()} FROM (
                    SELECT {names} FROM (
                        SELECT {names}, {self._condition()} AS dbkit_matches FROM {self.table}
                        WHERE {self._between(after, last)} ORDER BY {order} LIMIT {scan}
                    ) AS dbkit_scanned
                    WHERE dbkit_matches ORDER BY {order} OFFSET {rows - 1} LIMIT 1
                ) AS dbkit_last"""  # noqa: S608
        yield self._greatest(
            f"SELECT {names} FROM {self.table} WHERE {self._between(after, last)} ORDER BY {order} LIMIT {scan}"  # noqa: S608
        )

    def batch_statement(self, after: Key | None, last: Key, table: str, row: str) -> str:
        """Return the statement of one batch: it changes the rows after a key, up to another, and their progress.

        `table` is the progress table, and `row` the condition for its row as it was read: where the row has changed,
        nothing else is. The statement returns how many rows were changed, and how many rows of progress.
        """
        return f"""
            WITH dbkit_done AS (
                UPDATE {self.table} SET {self.assignments}
                WHERE {self._between(after, last)} AND {self._condition()} AND EXISTS (SELECT FROM {table} WHERE {row})
                RETURNING {self._condition() if self.where else "false"} IS TRUE AS dbkit_matches
            ), dbkit_moved AS (
                UPDATE {table} SET last_key = {quote_array(last)}, updated_at = pg_catalog.clock_timestamp(),
                    batches = batches + 1, rows = rows + (SELECT pg_catalog.count(*) FROM dbkit_done),
                    still_matches = still_matches OR EXISTS (SELECT FROM dbkit_done WHERE dbkit_matches)
                WHERE {row} RETURNING 1
            )
            SELECT (SELECT pg_catalog.count(*) FROM dbkit_done), (SELECT pg_catalog.count(*) FROM dbkit_moved)"""  # noqa: S608

    def _names(self) -> str:
        return ", ".join(quote_ident(column.name) for column in self.key)

    def _texts(self) -> str:
        return ", ".join(f"{quote_ident(column.name)}::pg_catalog.text" for column in self.key)

    def _order(self, direction: str = "ASC") -> str:
        return ", ".join(f"{quote_ident(column.name)} {direction}" for column in self.key)

    def _greatest(self, query: str) -> str:
        # the casts outside: ORDER BY would take a column's name for that of the cast
        greatest = f"SELECT * FROM ({query}) AS dbkit_rows ORDER BY {self._order('DESC')} LIMIT 1"  # noqa: S608
        return f"SELECT {self._texts()} FROM ({greatest}) AS dbkit_last"  # noqa: S608

    def _condition(self) -> str:
        # on a separate line: it may end with a comment
        return f"(\n{self.where}\n)" if self.where else "true"

    def _between(self, after: Key | None, last: Key) -> str:
        parts = [self._compared("<=", last)]
        if after is not None:
            parts.append(self._compared(">", after))
        if len(self.key) > 1:
            # the planner cannot estimate how many rows are between two tuples
            parts += [part for part in (self._first("<=", last), self._first(">=", after)) if part]
        return " AND ".join(parts)

    def _first(self, operator: str, key: Key | None) -> str:
        if key is None:
            return ""
        return (
            f"{quote_ident(self.key[0].name)} {self._qualified(operator)} {quote_literal(key[0])}::{self.key[0].type}"
        )

    def _compared(self, operator: str, key: Key) -> str:
        values = ", ".join(
            f"{quote_literal(value)}::{column.type}" for value, column in zip(key, self.key, strict=True)
        )
        return f"({self._names()}) {self._qualified(operator)} ({values})"

    def _qualified(self, operator: str) -> str:
        """Return the operator, qualified since the statement runs with the project's search path."""
        return f"OPERATOR(pg_catalog.{operator})" if all(column.is_builtin for column in self.key) else operator


def plan_update(
    execute: Execute, execute_own: Execute, table: str, assignments: str, where: str | None, key: Sequence[str]
) -> BatchedUpdate:
    """Return the update of a table whose rows are ordered by `key` (names of columns), or else by the primary key.

    `execute` runs with the project's search path, `execute_own` with this package's.

    Raises InputError where there is no such table or no such key.
    """
    assignments = assignments.strip()
    if not assignments:
        raise InputError(
            f"{table}: there is nothing to set.", "Write the assignments as in SQL: \"reference = 'R-' || id\"."
        )
    ((oid,),) = execute(FIND.format(name=quote_literal(qualify_table(table))))
    if oid is None:
        raise InputError(f"there is no table {table}.", "Write it as in the database: orders, or schema.orders.")
    ((hides, user),) = execute(HIDDEN.format(oid=oid))
    if hides:
        raise InputError(
            f"row security hides rows of {table} from {user}: they would stay as they are.",
            "Use a role that sees all rows (BYPASSRLS), or for the time: ALTER TABLE … NO FORCE ROW LEVEL SECURITY.",
        )
    ((name, kind, estimate),) = execute_own(TABLE.format(oid=oid))
    if kind not in ("r", "p"):
        raise InputError(f"{table} is not a table, but a view or the like.", "Name the table that has the rows.")
    columns = _find_key(execute_own, table, int(oid), tuple(key))
    return BatchedUpdate(str(name), columns, assignments, (where or "").strip() or None, int(estimate))


def _find_key(execute: Execute, table: str, oid: int, wanted: tuple[str, ...]) -> tuple[KeyColumn, ...]:
    found: dict[int, list[tuple[bool, KeyColumn, bool]]] = {}
    for index, primary, name, type_, never_null, builtin in execute(KEYS.format(oid=oid)):
        found.setdefault(index, []).append(
            (bool(primary), KeyColumn(str(name), str(type_), bool(builtin)), bool(never_null))
        )
    for parts in found.values():
        columns = tuple(column for _, column, _ in parts)
        fits = {column.name for column in columns} == set(wanted) if wanted else parts[0][0]
        if fits and all(never_null for *_, never_null in parts):
            return columns
    if wanted:
        raise InputError(
            f"{table} has no unique key ({', '.join(wanted)}) of columns that are NOT NULL.",
            "Name the columns of one of its unique indexes.",
        )
    raise InputError(
        f"{table} has no primary key to divide its rows into batches by.",
        "Name the columns of a unique index that are NOT NULL, as its key.",
    )


def update_sql(table: str, assignments: str, where: str | None) -> str:
    """Return one UPDATE; the table is SQL. On separate lines, since the SQL may end with a comment."""
    return "\n".join([f"UPDATE {table} SET {assignments}", *([f"WHERE {where}"] if where else [])])  # noqa: S608


def qualify_table(table: str) -> str:
    """Return a table's name, with or without a schema, as SQL. Raises InputError for what cannot be one."""
    parts = NAME.findall(table)
    if ".".join(parts) != table or len(parts) not in (1, 2):
        raise InputError(f"{table!r} cannot be the name of a table.", "Write orders, or schema.orders.")
    return ".".join(part if part.startswith('"') else quote_ident(part) for part in parts)


def quote_array(values: Sequence[str]) -> str:
    """Return texts as an SQL array."""
    return f"ARRAY[{', '.join(quote_literal(value) for value in values)}]::pg_catalog.text[]"
