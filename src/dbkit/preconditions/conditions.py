"""The preconditions of constraints: one function for each kind.

Expressions are SQL as the server prints it: with qualified names, and columns by the names that the source has.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dbkit.postgres.sql_quote import quote_ident, quote_literal
from dbkit.preconditions.precondition import Precondition, Source

LONGEST_WORDS = 120


def not_null(source: Source, column: str, *, shown: str = "", words: str = "") -> Precondition:
    """Return that a column has no NULL; `shown`: its name for people, where that is another one."""
    name = quote_ident(column)
    text = words or f"{source.label}.{shown or column} is not NULL"
    found = _by_rows("not null", source, text, f"{name} IS NULL", f"{name} IS NOT NULL")
    other = f"(SELECT other.{name} FROM {source.sql} AS other WHERE other.{name} IS NOT NULL LIMIT 1)"  # noqa: S608
    return found if source.is_made else replace(found, repair=f"{name} = {other}")


def no_rows(source: Source, reason: str) -> Precondition:
    """Return that a table is empty; `reason` why."""
    return _by_rows("not null", source, f"{source.label} has no rows ({reason})", "true", "")


def check(source: Source, expression: str, *, kind: str = "check", words: str = "") -> Precondition:
    """Return that a condition is not false."""
    shown = words or f"every row of {source.label} satisfies {_shorten(expression)}"
    return _by_rows(kind, source, shown, f"({expression}) IS FALSE", f"({expression}) IS TRUE", f"NOT ({expression})")


def fails(source: Source, kind: str, words: str, failing: str, *, good: str, bad: Sequence[str]) -> Precondition:
    """Return that no row satisfies the condition `failing`.

    `good` and `bad` are conditions for rows of a proof; a `good` one is `column = value`, or empty.
    """
    found = _by_rows(kind, source, words, failing, good)
    queries = tuple(f"SELECT 1 FROM {source.sql} AS checked WHERE {each}" for each in bad)  # noqa: S608
    return replace(found, bad=queries or found.bad, repair=good)


def foreign_key(
    source: Source,
    columns: Sequence[str],
    parent: Source,
    parent_columns: Sequence[str],
    *,
    is_full: bool = False,
    operators: Sequence[str] = (),
) -> Precondition:
    """Return that each row refers to a row of the parent table; `is_full`: with MATCH FULL.

    `operators` compare a key of the parent with a column; without them, `=` of pg_catalog does.
    """
    names = [f"child.{quote_ident(column)}" for column in columns]
    # whatever the columns of the child are called, those of the parent are qualified
    compared = zip(parent_columns, operators or ["="] * len(names), names, strict=True)
    equal = " AND ".join(f"parent.{quote_ident(key)} {operator} {name}" for key, operator, name in compared)
    exists = f"EXISTS (SELECT 1 FROM {parent.sql} AS parent WHERE {equal})"  # noqa: S608
    present = " AND ".join(f"{name} IS NOT NULL" for name in names)
    missing = f"{present} AND NOT {exists}"
    if is_full and len(names) > 1:
        absent = " AND ".join(f"{name} IS NULL" for name in names)
        missing = f"({missing}) OR NOT (({present}) OR ({absent}))"
    key = ", ".join(parent_columns)
    words = (
        f"every {_join(source.label, columns)} is in {_join(parent.label, parent_columns)}"
        if len(columns) == 1
        else f"every ({', '.join(columns)}) of {source.label} is in ({key}) of {parent.label}"
    )
    good = f"SELECT 1 FROM {source.sql} AS child, {parent.sql} AS parent WHERE {equal}"  # noqa: S608
    bad = f"SELECT 1 FROM {source.sql} AS child WHERE {present} AND NOT {exists}"  # noqa: S608
    query = f"SELECT {key_list(source, 'child')} FROM {source.sql} AS child WHERE {missing}"  # noqa: S608
    keys = ", ".join(f"parent.{quote_ident(key)}" for key in parent_columns)
    listed = ", ".join(map(quote_ident, columns))
    target = listed if len(columns) == 1 else f"({listed})"
    repair = "" if source.is_made else f"{target} = (SELECT {keys} FROM {parent.sql} AS parent LIMIT 1)"  # noqa: S608
    return Precondition("foreign key", source, words, query, key_names(source), (good,), (bad,), repair)


@dataclass(frozen=True)
class Key:
    """The expressions of a unique index or of an exclusion constraint."""

    expressions: Sequence[str]
    """Columns and expressions, as SQL."""
    predicate: str = ""
    """The condition of a partial index."""
    are_nulls_equal: bool = False
    """NULLS NOT DISTINCT."""
    operators: Sequence[str] = ()
    """Of an exclusion constraint: the operator of each expression."""


def unique(source: Source, key: Key) -> Precondition:
    """Return that no two rows have the same key; the query returns all rows of each group of equal ones."""
    listed = ", ".join(key.expressions)
    conditions = [f"({key.predicate})"] if key.predicate else []
    if not key.are_nulls_equal:
        conditions += [f"({each}) IS NOT NULL" for each in key.expressions]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    counted = (
        f"SELECT {key_list(source, 'counted', as_names=True)}, pg_catalog.count(*) OVER (PARTITION BY {listed})"  # noqa: S608
        f" AS dbkit_count FROM {source.sql} AS counted{where}"
    )
    names = key_names(source)
    query = f"SELECT {', '.join(map(quote_ident, names))} FROM ({counted}) AS found WHERE dbkit_count > 1"  # noqa: S608
    condition = f" where {_shorten(key.predicate)}" if key.predicate else ""
    words = f"no two rows of {source.label} have the same {_shorten(listed)}{condition}"
    bad = f"SELECT 1 FROM {source.sql} AS counted{where} GROUP BY {listed} HAVING pg_catalog.count(*) > 1"  # noqa: S608
    good = f"SELECT 1 FROM {source.sql} AS counted{where}"  # noqa: S608
    return Precondition("unique", source, words, query, names, (good,), (bad,))


def not_in(source: Source, other: Source, columns: Sequence[str], other_columns: Sequence[str]) -> Precondition:
    """Return that no row has the key of a row of another source, beside which it is written: both have unique keys."""
    pairs = zip(other_columns, columns, strict=True)
    equal = " AND ".join(f"other.{quote_ident(one)} = written.{quote_ident(name)}" for one, name in pairs)
    exists = f"EXISTS (SELECT 1 FROM {other.sql} AS other WHERE {equal})"  # noqa: S608
    query = f"SELECT {key_list(source, 'written')} FROM {source.sql} AS written WHERE {exists}"  # noqa: S608
    listed = columns[0] if len(columns) == 1 else f"({', '.join(columns)})"
    words = f"no {listed} that is written from {source.label} is one of {other.label}"
    bad = f"SELECT 1 FROM {source.sql} AS written, {other.sql} AS other WHERE {equal}"  # noqa: S608
    good = f"SELECT 1 FROM {source.sql} AS written"  # noqa: S608
    return Precondition("unique", source, words, query, key_names(source), (good,), (bad,))


def exclusion(source: Source, key: Key) -> Precondition:
    """Return that no two rows conflict by the operators of an exclusion constraint.

    `key.expressions` are columns, as SQL; each is compared with that of another row.
    """
    inner = ", ".join(f"({each}) AS e{number}" for number, each in enumerate(key.expressions))
    where = f" WHERE ({key.predicate})" if key.predicate else ""
    names = [quote_ident(each) for each in key_names(source)]
    place = "counted.tableoid AS dbkit_table, counted.ctid AS dbkit_row"
    if source.is_made:
        place = "dbkit_table, dbkit_row"
    base = f"SELECT {key_list(source, 'counted', as_names=True)}, {inner}, {place} FROM {source.sql} AS counted{where}"  # noqa: S608
    conflicts = " AND ".join(f"one.e{number} {each} other.e{number}" for number, each in enumerate(key.operators))
    query = (
        f"WITH rows AS ({base}) SELECT {', '.join(f'one.{name}' for name in names)} FROM rows AS one WHERE EXISTS"  # noqa: S608
        f" (SELECT 1 FROM rows AS other WHERE (one.dbkit_table, one.dbkit_row)"
        f" <> (other.dbkit_table, other.dbkit_row) AND {conflicts})"
    )
    listed = ", ".join(
        f"{each} with {_shorten(operator)}" for each, operator in zip(key.expressions, key.operators, strict=True)
    )
    words = f"no two rows of {source.label} conflict: {listed}"
    grouped = ", ".join(key.expressions)
    bad = f"SELECT 1 FROM {source.sql} AS counted{where} GROUP BY {grouped} HAVING pg_catalog.count(*) > 1"  # noqa: S608
    good = f"SELECT 1 FROM {source.sql} AS counted{where}"  # noqa: S608
    return Precondition("exclusion", source, words, query, key_names(source), (good,), (bad,))


def key_names(source: Source) -> tuple[str, ...]:
    """Return the names of the columns that a query on the source returns."""
    return source.key or ("ctid",)


def key_list(source: Source, alias: str, *, as_names: bool = False) -> str:
    """Return the key of a row for SELECT."""
    suffix = " AS ctid" if as_names and not source.key else ""
    return ", ".join(f"{alias}.{quote_ident(name)}" for name in source.key) or f"{alias}.ctid{suffix}"


def literals(values: Sequence[str]) -> str:
    """Return texts as a list for IN."""
    return ", ".join(quote_literal(value) for value in values)


def _by_rows(kind: str, source: Source, words: str, failing: str, good: str, bad: str = "") -> Precondition:
    start = f"FROM {source.sql} AS checked WHERE"
    query = f"SELECT {key_list(source, 'checked')} {start} {failing}"
    goods = (f"SELECT 1 {start} {good}",) if good else ()
    return Precondition(kind, source, words, query, key_names(source), goods, (f"SELECT 1 {start} {bad or failing}",))


def _join(label: str, columns: Sequence[str]) -> str:
    return f"{label}.{columns[0]}"


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_WORDS else f"{line[: LONGEST_WORDS - 1]}…"
