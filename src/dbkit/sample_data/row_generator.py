"""Generate rows for a table: combinations of values and of its parents' keys that its constraints allow."""

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import psycopg

from dbkit.postgres.sql_quote import quote_ident, quote_literal
from dbkit.sample_data.constraints import Check, Column, Reference, Table
from dbkit.sample_data.extreme_values import make_extreme_values
from dbkit.sample_data.values import TEXTS, make_keys, make_shaped, make_values, values_from_checks

Item = TypeVar("Item")
Row = dict[str, str | None]
"""A value for each column that gets one; None is NULL."""
Keys = Mapping[Reference, Sequence[tuple[str, ...]]]
"""For each reference, keys that its parent has."""
ExtremeValues = Mapping[str, Sequence[str]]
"""By column, values that come before its ordinary ones."""
NO_EXTREMES: ExtremeValues = MappingProxyType({})
RANDOM = (400, 4000)  # rows to try where a CHECK has several columns; the second number when too few are allowed
COMBINED = 200  # combinations of the keys of references that share a column


class CannotFill(Exception):
    """A table cannot have rows; the message is why."""


def generate_rows(
    connection: psycopg.Connection,
    table: Table,
    parents: Keys,
    rows: int,
    numbers: range,
    seed: int,
    extreme: ExtremeValues = NO_EXTREMES,
) -> Iterator[Row]:
    """Yield rows to try, those that migrations most often fail on first. Raises CannotFill where there are none.

    `parents`: the keys of the tables that have rows; a reference that is not in it must be nullable, and becomes NULL.
    `numbers`: for values that only have to differ, also from those of other turns. `extreme` come first in their
    columns, where the constraints allow them.
    """
    factors = _factors(connection, table, parents, numbers, extreme)
    checks = _checks_of_several(table)
    usual = (_pick_row(factors, number, rows) for number in range(4 * rows))
    if not checks:
        yield from map(_merge, usual)
    random_source = random.Random(f"{seed}:{table.shown}:{numbers.start}")  # noqa: S311  # the same each time
    if not checks:
        for _ in range(2 * rows):
            yield _merge(map(random_source.choice, factors))
        return
    made, count = list(usual), 0
    for number in RANDOM:
        made += [[random_source.choice(factor) for factor in factors] for _ in range(number)]
        found = _filter_rows(connection, table, checks, made)
        yield from map(_merge, found)
        count += len(found)
        if count >= 2 * rows:
            return
        made = []


def _merge(parts: Iterable[Row]) -> Row:
    row: Row = {}
    for part in parts:
        row.update(part)
    return row


def _pick_row(factors: Sequence[Sequence[Row]], number: int, rows: int) -> list[Row]:
    """Return the parts of row `number`.

    The first `rows` rows have the first `rows` values of each column, in shifted order; of columns with two values they
    have all pairs.
    """
    patterns = _pair_patterns(rows)
    picked = []
    for offset, factor in enumerate(factors):
        window = min(rows, len(factor))
        at = (number + offset) % window if number < rows else number % len(factor)
        if number < rows and len(factor) == 2 and (pattern := next(patterns, None)):
            at = pattern[number]
        picked.append(factor[at])
    return picked


def _pair_patterns(rows: int) -> Iterator[Sequence[int]]:
    """Yield for columns with two values which one each row has, so that each pair of columns has all four pairs.

    As D. J. Kleitman and J. Spencer have shown ("Families of k-independent sets", 1973), so many columns are the most.
    """
    for ones in itertools.combinations(range(1, rows), (rows + 1) // 2):
        yield [int(number in ones) for number in range(rows)]


def extreme_values(table: Table) -> ExtremeValues:
    """Return the extreme values of each column that can have some: not of those in keys and references."""
    keys = set().union(*table.unique, *(reference.columns for reference in table.references))
    made = {
        column.name: make_extreme_values(column.type)
        for column in table.columns
        if not column.drawn and column.name not in keys
    }
    return {name: values for name, values in made.items() if values}


def _factors(
    connection: psycopg.Connection, table: Table, parents: Keys, numbers: range, extreme: ExtremeValues
) -> list[list[Row]]:
    """Return what can be chosen independently: the values of a column, or the keys of references."""
    factors = [_reference_values(table, group, parents) for group in _group_references(table.references)]
    taken = {name for factor in factors for choice in factor for name in choice}
    free = [column for column in table.columns if column.name not in taken]
    known = {
        column.name: list(dict.fromkeys([*extreme.get(column.name, ()), *_column_values(table, column, numbers)]))
        for column in free
    }
    possible = _filter_values(connection, table, free, known)
    for column in free:
        if not possible[column.name] and column.not_null:
            if known[column.name]:
                raise CannotFill(f"no value was found for {column.name} that its constraints allow")
            raise CannotFill(f"no value of type {column.type_sql} is known for {column.name}")
        is_unique = _is_unique(table, column)
        first = [value for value in possible[column.name] if value in extreme.get(column.name, ())]
        others = possible[column.name][len(first) :]
        values = [*first, *_add_null_and_duplicate(others, column, is_unique=is_unique)]
        factors.append([{column.name: value} for value in values])
    return factors


def _add_null_and_duplicate(found: Sequence[str], column: Column, *, is_unique: bool) -> list[str | None]:
    """Return the values with a NULL and with one value twice, where that is allowed."""
    spread: list[str | None] = list(found)
    if not is_unique and len(spread) > 2:
        spread.insert(3, spread[0])
    if not column.not_null:
        spread.insert(1, None)
    return spread


def _column_values(table: Table, column: Column, numbers: range) -> list[str]:
    """Return values of the type of a column, and those in its CHECK constraints."""
    conditions: list[Check | str] = [
        *column.type.checks,
        *(check for check in table.checks if column.name in check.columns),
    ]
    named = values_from_checks(column.type, conditions) if conditions else []
    if _is_unique(table, column):
        # from the end: migrations insert those at the beginning, such as 1, or en
        shaped = make_shaped(column.type, numbers) if conditions else []
        # a key with a backslash is no ordinary one
        keys = [text for text in make_keys(column.type, numbers) if "\\" not in text or column.type.name not in TEXTS]
        return list(dict.fromkeys([*keys, *reversed(named), *shaped]))
    return list(dict.fromkeys([*make_values(column.type, numbers), *named]))


def _is_unique(table: Table, column: Column) -> bool:
    return column.drawn or frozenset([column.name]) in table.unique


def _filter_values(
    connection: psycopg.Connection, table: Table, columns: Sequence[Column], possible: Mapping[str, list[str]]
) -> dict[str, list[str]]:
    """Return the values that the CHECK constraints on one column alone, and those of domains, allow.

    In a unique column, these are few and fixed: without those that the table has.
    """
    queries = {}
    for column in columns:
        conditions = [check.sql for check in table.checks if set(check.columns) == {column.name}]
        if possible[column.name] and (conditions or column.type.checks):
            taken_in = table.sql if _is_unique(table, column) else ""
            queries[column.name] = _filter_sql(column, conditions, possible[column.name], taken_in)
    numbered = (f"SELECT {quote_literal(name)}, n FROM ({query}) AS f" for name, query in queries.items())  # noqa: S608
    together = " UNION ALL ".join(numbered)
    found = _try_query(connection, together) if queries else []
    if found is not None:
        allowed = {name: [possible[name][number - 1] for which, number in found if which == name] for name in queries}
    else:
        allowed = {name: _select_items(connection, query, possible[name]) for name, query in queries.items()}
    return {**possible, **allowed}


def _filter_sql(column: Column, conditions: Sequence[str], found: Sequence[str], taken_in: str) -> str:
    """Return SQL for the numbers, from 1, of the values that the conditions allow, and that a table does not have."""
    # not a cast to the domain: that would be an error, and not a value that is left out
    kind = column.type.sql if column.type.checks else column.type_sql
    name = quote_ident(column.name)
    names = ", ".join(f"v.text::{kind} AS {each}" for each in (name, '"value"'))
    is_taken = f"EXISTS (SELECT FROM {taken_in} AS held WHERE held.{name} = made.{name})" if taken_in else "FALSE"
    return (
        f"SELECT v.n FROM unnest({_array_sql(found)}) WITH ORDINALITY AS v (text, n) "  # noqa: S608
        f"WHERE EXISTS (SELECT FROM (SELECT {names}) AS made WHERE {_all_sql([*column.type.checks, *conditions])}"
        f" AND NOT {is_taken})"
    )


def _checks_of_several(table: Table) -> list[Check]:
    """Return the CHECK constraints on several columns, none of which is a generated column."""
    given = {column.name for column in table.columns}
    return [check for check in table.checks if len(set(check.columns)) != 1 and given.issuperset(check.columns)]


def _filter_rows(
    connection: psycopg.Connection, table: Table, checks: Sequence[Check], rows: Sequence[Sequence[Row]]
) -> list[Sequence[Row]]:
    """Return the rows, as their parts, that the CHECK constraints on several columns allow."""
    read = {name for check in checks for name in check.columns}
    given = {name for part in rows[0] for name in part}
    columns = [column for column in table.columns if column.name in given and (column.name in read or not read)]
    places = [(at, column.name) for column in columns for at, part in enumerate(rows[0]) if column.name in part]
    # few values are different where only a few columns are read
    values = [tuple(row[at].get(name) for at, name in places) for row in rows]
    unique = list(dict.fromkeys(values))
    texts = ", ".join(_array_sql(each) for each in zip(*unique, strict=True))
    casts = ", ".join(f"v.c{n}::{column.type_sql} AS {quote_ident(column.name)}" for n, column in enumerate(columns))
    names = ", ".join(f"c{n}" for n in range(len(columns)))
    query = (
        f"SELECT v.n FROM unnest({texts}) WITH ORDINALITY AS v ({names}, n) "  # noqa: S608
        f"WHERE EXISTS (SELECT FROM (SELECT {casts}) AS made WHERE {_all_sql([check.sql for check in checks])})"
    )
    allowed = set(_select_items(connection, query, unique))
    return [row for row, value in zip(rows, values, strict=True) if value in allowed]


def _select_items(connection: psycopg.Connection, query: str, items: Sequence[Item]) -> list[Item]:
    """Return the items whose numbers, from 1, a query returns; all of them when the query fails."""
    found = _try_query(connection, query)
    return list(items) if found is None else [items[row[0] - 1] for row in found]


def _try_query(connection: psycopg.Connection, query: str) -> list[tuple[Any, ...]] | None:
    """Return the result of a query; None when it fails."""
    try:
        cursor = connection.execute(f"SAVEPOINT dbkit_query; {query}; RELEASE dbkit_query".encode())
    except psycopg.Error:
        connection.execute("ROLLBACK TO dbkit_query; RELEASE dbkit_query")
        return None
    cursor.nextset()
    return cursor.fetchall()


def _array_sql(texts: Sequence[str | None]) -> str:
    return f"ARRAY[{', '.join(map(quote_literal, texts))}]::text[]"


def _all_sql(conditions: Sequence[str]) -> str:
    """Return SQL for: none of the conditions is false."""
    return " AND ".join(f"({condition}) IS NOT FALSE" for condition in conditions)


def _group_references(references: Sequence[Reference]) -> list[list[Reference]]:
    """Return the references, grouped by shared columns."""
    groups: list[list[Reference]] = []
    for reference in references:
        sharing = [group for group in groups if any(set(each.columns) & set(reference.columns) for each in group)]
        groups = [group for group in groups if group not in sharing]
        groups.append([*itertools.chain.from_iterable(sharing), reference])
    return groups


def _reference_values(table: Table, group: Sequence[Reference], parents: Keys) -> list[Row]:
    """Return the values that the columns of references can have together. Raises CannotFill when there are none."""
    choices: list[Row] = [{}]
    for reference in group:
        nullable = [name for name in reference.columns if table.has(name) and not table.column(name).not_null]
        found: list[Row] = []
        for key in parents.get(reference, ()):
            parts: Row = dict(zip(reference.columns, key, strict=True))
            found += [{**choice, **parts} for choice in choices if _agree(choice, parts)]
        if nullable:
            parts = dict.fromkeys(nullable)
            without = [{**choice, **parts} for choice in choices if _agree(choice, parts)]
            found[1:1] = without[:1]
            found += without[1:]
        if not found:
            raise CannotFill(f"{reference.parent_sql}, which it refers to, has no rows that fit")
        choices = found[:COMBINED]
    # drop choices that leave a column open
    names = {name for choice in choices for name in choice}
    whole = [choice for choice in choices if choice.keys() == names] or choices
    if len(whole) > 2 and not table.is_unique(names):
        whole.insert(3, whole[0])  # two rows refer to one row, and one of the parents is left out
    return whole


def _agree(choice: Row, parts: Row) -> bool:
    return all(choice.get(name, value) == value for name, value in parts.items())
