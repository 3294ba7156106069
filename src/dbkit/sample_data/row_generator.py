"""Rows that a table may take: combinations of values and of its parents' keys, which its rules do not forbid."""

import itertools
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import psycopg

from dbkit.postgres.row_hash import quote_ident
from dbkit.sample_data.constraints import Check, Column, Reference, Table
from dbkit.sample_data.values import make_keys, make_values, values_from_checks

Item = TypeVar("Item")
Row = dict[str, str | None]
"""A value for each column that gets one; None is NULL."""
Keys = Mapping[Reference, Sequence[tuple[str, ...]]]
"""For each reference, keys that are there."""
RANDOM = (400, 4000)  # rows that are tried where rules are about several columns; more when too few are allowed
COMBINED = 200  # combinations of the keys of references that share a column


class CannotFill(Exception):
    """Why a table cannot have rows, in words."""


def literal(text: str | None) -> str:
    """A value as SQL, of whatever type the place has."""
    return "NULL" if text is None else "'" + text.replace("'", "''") + "'"


def generate_rows(
    connection: psycopg.Connection, table: Table, parents: Keys, rows: int, numbers: range, seed: int
) -> list[Row]:
    """Rows to try, the most troublesome first. Raises CannotFill where there can be none.

    `parents` has the keys of those that have rows; a reference that is not in it must be nullable, and becomes NULL.
    `numbers` are for values that are merely to differ, also from those of other turns.
    """
    factors = _factors(connection, table, parents, numbers)
    made = [_pick(factors, number, rows) for number in range(4 * rows)]
    chance = random.Random(f"{seed}:{table.shown}:{numbers.start}")  # noqa: S311  # the same each time
    several = _checks_of_several(table)
    if not several:
        return made + [_merged(map(chance.choice, factors)) for _ in range(2 * rows)]
    found: list[Row] = []
    for number in RANDOM:
        made += [_merged(map(chance.choice, factors)) for _ in range(number)]
        found += _allowed(connection, table, several, made)
        if len(found) >= 2 * rows:
            break
        made = []
    return found


def _merged(parts: Iterable[Row]) -> Row:
    return {name: value for part in parts for name, value in part.items()}


def _pick(factors: Sequence[Sequence[Row]], number: int, rows: int) -> Row:
    """Row `number`. The first `rows` have the first `rows` values of each column, each column beginning at another."""
    picked = []
    for offset, factor in enumerate(factors):
        window = min(rows, len(factor))
        at = (number + offset) % window if number < rows else number % len(factor)
        picked.append(factor[at])
    return _merged(picked)


def _factors(connection: psycopg.Connection, table: Table, parents: Keys, numbers: range) -> list[list[Row]]:
    """What can be chosen independently of each other: the values of a column, or the keys that references have."""
    factors = [_referring(table, group, parents) for group in _groups(table.references)]
    taken = {name for factor in factors for choice in factor for name in choice}
    free = [column for column in table.columns if column.name not in taken]
    known = {column.name: _possible(table, column, numbers) for column in free}
    possible = _filtered(connection, table, free, known)
    for column in free:
        if not possible[column.name] and column.not_null:
            if known[column.name]:
                raise CannotFill(f"no value was found for {column.name} that its rules allow")
            raise CannotFill(f"no value of type {column.type_sql} is known for {column.name}")
        is_unique = column.drawn or frozenset([column.name]) in table.unique
        factors.append([{column.name: value} for value in _spread(possible[column.name], column, is_unique=is_unique)])
    return factors


def _spread(found: Sequence[str], column: Column, *, is_unique: bool) -> list[str | None]:
    """With a NULL and with one value twice, where that is allowed."""
    spread: list[str | None] = list(found)
    if not is_unique and len(spread) > 2:
        spread.insert(3, spread[0])
    if not column.not_null:
        spread.insert(1, None)
    return spread


def _possible(table: Table, column: Column, numbers: range) -> list[str]:
    """Values of the type of a column, and those that its rules name."""
    rules: list[Check | str] = [*column.type.checks, *(check for check in table.checks if column.name in check.columns)]
    named = values_from_checks(column.type, rules) if rules else []
    if column.drawn or frozenset([column.name]) in table.unique:
        # the far end first: migrations write the near one, such as 1, or en
        return list(dict.fromkeys([*make_keys(column.type, numbers), *reversed(named)]))
    return list(dict.fromkeys([*make_values(column.type, numbers), *named]))


def _filtered(
    connection: psycopg.Connection, table: Table, columns: Sequence[Column], possible: Mapping[str, list[str]]
) -> dict[str, list[str]]:
    """The values that the rules about one column alone, and those of domains, allow."""
    queries = {}
    for column in columns:
        rules = [check.sql for check in table.checks if set(check.columns) == {column.name}]
        if possible[column.name] and (rules or column.type.checks):
            queries[column.name] = _filter(column, rules, possible[column.name])
    together = " UNION ALL ".join(f"SELECT {literal(name)}, n FROM ({query}) AS f" for name, query in queries.items())  # noqa: S608
    found = _ask(connection, together) if queries else []
    if found is not None:
        allowed = {name: [possible[name][number - 1] for which, number in found if which == name] for name in queries}
    else:
        allowed = {name: _numbered(connection, query, possible[name]) for name, query in queries.items()}
    return {**possible, **allowed}


def _filter(column: Column, rules: Sequence[str], found: Sequence[str]) -> str:
    """SQL for the numbers, from 1, of the values that rules allow."""
    # not as the domain: that would be an error, and not a value that is left out
    kind = column.type.sql if column.type.checks else column.type_sql
    names = ", ".join(f"v.text::{kind} AS {name}" for name in (quote_ident(column.name), '"value"'))
    return (
        f"SELECT v.n FROM unnest({_array(found)}) WITH ORDINALITY AS v (text, n) "  # noqa: S608
        f"WHERE EXISTS (SELECT FROM (SELECT {names}) AS made WHERE {_all([*column.type.checks, *rules])})"
    )


def _checks_of_several(table: Table) -> list[Check]:
    """The rules that are about several columns, none of which is a generated one."""
    given = {column.name for column in table.columns}
    return [check for check in table.checks if len(set(check.columns)) != 1 and given.issuperset(check.columns)]


def _allowed(connection: psycopg.Connection, table: Table, checks: Sequence[Check], rows: Sequence[Row]) -> list[Row]:
    """The rows that the rules about several columns allow."""
    columns = [column for column in table.columns if column.name in rows[0]]
    texts = ", ".join(_array([row.get(column.name) for row in rows]) for column in columns)
    read = ", ".join(f"v.c{n}::{column.type_sql} AS {quote_ident(column.name)}" for n, column in enumerate(columns))
    names = ", ".join(f"c{n}" for n in range(len(columns)))
    query = (
        f"SELECT v.n FROM unnest({texts}) WITH ORDINALITY AS v ({names}, n) "  # noqa: S608
        f"WHERE EXISTS (SELECT FROM (SELECT {read}) AS made WHERE {_all([check.sql for check in checks])})"
    )
    return _numbered(connection, query, rows)


def _numbered(connection: psycopg.Connection, query: str, items: Sequence[Item]) -> list[Item]:
    """The items whose numbers, from 1, a query returns; all of them when a rule cannot be asked like that."""
    found = _ask(connection, query)
    return list(items) if found is None else [items[row[0] - 1] for row in found]


def _ask(connection: psycopg.Connection, query: str) -> list[tuple[Any, ...]] | None:
    """What a query returns; None when it fails."""
    try:
        cursor = connection.execute(f"SAVEPOINT asking; {query}".encode())
    except psycopg.Error:
        connection.execute("ROLLBACK TO asking; RELEASE asking")
        return None
    cursor.nextset()
    rows = cursor.fetchall()
    connection.execute("RELEASE asking")
    return rows


def _array(texts: Sequence[str | None]) -> str:
    return f"ARRAY[{', '.join(map(literal, texts))}]::text[]"


def _all(rules: Sequence[str]) -> str:
    """SQL for: none of the rules is false."""
    return " AND ".join(f"({rule}) IS NOT FALSE" for rule in rules)


def _groups(references: Sequence[Reference]) -> list[list[Reference]]:
    """The references, those together that share a column."""
    groups: list[list[Reference]] = []
    for reference in references:
        sharing = [group for group in groups if any(set(each.columns) & set(reference.columns) for each in group)]
        groups = [group for group in groups if group not in sharing]
        groups.append([*itertools.chain.from_iterable(sharing), reference])
    return groups


def _referring(table: Table, group: Sequence[Reference], parents: Keys) -> list[Row]:
    """The values that the columns of references can have together. Raises CannotFill when there are none."""
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
    # columns that only some of the choices have an answer for
    names = {name for choice in choices for name in choice}
    return [choice for choice in choices if choice.keys() == names] or choices


def _agree(choice: Row, parts: Row) -> bool:
    return all(choice.get(name, value) == value for name, value in parts.items())
