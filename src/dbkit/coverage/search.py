"""Search the values with which a row of one table satisfies atoms: candidates, of which the server selects."""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from sqlglot import exp

from dbkit.coverage.candidates import find_candidates
from dbkit.coverage.conditions import Atoms
from dbkit.coverage.facts import FORBIDDEN
from dbkit.coverage.goals import IS_WISH, describe_atom, make_column, replace_columns
from dbkit.coverage.syntax import parse_statement, remember
from dbkit.postgres.sql_quote import quote_ident, quote_literal
from dbkit.sample_data.constraints import Column, Table
from dbkit.sample_data.row_generator import Row
from dbkit.sample_data.values import NUMBERS, TEXTS, make_keys, make_values

MOST_JOINED = 30
MOST_OVERLAID = 5
MOST_COMBINATIONS = 1500
MOST_ROWS = 8
"""How many rows are planted for one goal in one table."""
ORDINARY = range(3, 9)
"""Numbers of the values that a column gets where only other columns say which."""


@dataclass
class Choice:
    """Values that a row of a table can have in the columns that atoms mention."""

    rows: list[Row] = field(default_factory=list)
    """Values with which all atoms are true, the best first; [{}] where there are no atoms."""
    near: list[Row] = field(default_factory=list)
    """Values with which one of the atoms is not true."""
    reason: str = ""
    """Why there are no rows."""
    required: frozenset[str] = frozenset()
    """The columns that atoms mention; others only have values that may be changed."""


def search_values(
    connection: "psycopg.Connection[Any]", table: Table, atoms: Atoms, values: Atoms, numbers: range
) -> Choice:
    """Return values for the columns that `atoms` and `values` mention, all of which are those of one table.

    `numbers` are for keys that no row has.
    """
    names = {column.name for atom in (*atoms, *values) for column in atom.find_all(exp.Column)}
    columns = [column for column in table.columns if column.name in names]
    if not columns:
        return Choice([{}])
    single = {column.name: tuple(atom for atom in atoms if _names(atom) == {column.name}) for column in columns}
    several = tuple(atom for atom in atoms if len(_names(atom)) > 1)
    found: dict[str, list[str | None]] = {}
    near: dict[str, list[str | None]] = {}
    for column in columns:
        pool = _pool(table, column, atoms, values, _existing(connection, table, column))
        is_key = column.drawn or frozenset([column.name]) in table.unique
        new = make_keys(column.type, numbers) if is_key else []
        good, beside = _filter_column(connection, table, column, single[column.name], values, [*new, *pool])
        good = [value for value in good if value in new] or good  # another row may have the other keys
        wishes = [atom for atom in single[column.name] if atom.meta.get(IS_WISH)]
        if wishes and not good:  # a sum of several values may satisfy it: the largest are the nearest
            single[column.name] = tuple(atom for atom in single[column.name] if atom not in wishes)
            good, _ = _filter_column(connection, table, column, single[column.name], values, pool)
            good = sorted(good, key=_size, reverse=True)[:1]
        if single[column.name] and not good:
            words = " AND ".join(describe_atom(atom) for atom in single[column.name])
            if _is_forbidden(connection, table, column, single[column.name], pool):
                return Choice(reason=f"{FORBIDDEN} of {table.shown} with {words}")
            return Choice(reason=f"no value of {table.shown}.{column.name} was found with which {words}")
        found[column.name], near[column.name] = good or beside, beside
    rows = _combine(found, {name for name, own in single.items() if not own})
    if several:
        _add_dependent(connection, table, columns, single, several, found)
        rows = _filter_rows(connection, columns, atoms, _products(found))
        if not rows:
            return Choice(
                reason=f"no row of {table.shown} was found with which {' AND '.join(map(describe_atom, several))}"
            )
    others = [{**rows[0], name: value} for name, values in near.items() if single[name] for value in values[:2]]
    required = frozenset(name for atom in atoms for name in _names(atom))
    return Choice(rows[:MOST_ROWS], others[:4], required=required)


def _add_dependent(
    connection: "psycopg.Connection[Any]",
    table: Table,
    columns: Sequence[Column],
    single: Mapping[str, Atoms],
    several: Atoms,
    found: dict[str, list[str | None]],
) -> None:
    """Add values with which an atom on two columns is true, for a few values of the other column."""
    for atom in several:
        names = _names(atom)
        if len(names) != 2:
            continue
        for column in columns:
            if column.name not in names:
                continue
            (other,) = names - {column.name}
            for value in found[other][:3]:
                literal = literal_of(value, table.column(other))
                bound = replace_columns(atom, lambda each: literal if each.name == other else None)  # noqa: B023
                pool: list[str | None] = [*find_candidates(column.type, column.name, bound)]
                good, _ = _filter_column(connection, table, column, (*single[column.name], bound), (), pool)
                found[column.name][:0] = [each for each in good[:2] if each not in found[column.name]]


def literal_of(value: str | None, column: Column) -> exp.Expr:
    """Return a value of a column as SQL."""
    if value is None:
        return exp.Null()
    if column.type.name in NUMBERS and value.lstrip("-").replace(".", "", 1).isdigit():
        number: exp.Expr = exp.Literal.number(value.lstrip("-"))
        return exp.Paren(this=exp.Neg(this=number)) if value.startswith("-") else number
    kind = exp.DataType.build(column.type_sql, dialect="postgres", udt=True)
    return exp.Cast(this=exp.Literal.string(value), to=kind)


def _size(value: str | None) -> float:
    """Return a number for a value: itself, or how long it is."""
    try:
        return float(value or 0)
    except ValueError:
        return float(len(value or ""))


@remember
def _names(atom: exp.Expr) -> frozenset[str]:
    return frozenset(column.name for column in atom.find_all(exp.Column))


def _overlay(pools: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield texts that begin, or end, as one candidate and are otherwise as another: each satisfies another atom."""
    for one, other in itertools.permutations([pool[:MOST_OVERLAID] for pool in pools], 2):
        for beginning, text in itertools.product(one, other):
            if 0 < len(beginning) < len(text):
                yield beginning + text[len(beginning) :]
                yield text[: -len(beginning)] + beginning


def _checks(table: Table, column: Column) -> list[exp.Expr]:
    """Return the constraints on a column alone, as atoms."""
    texts = [*column.type.checks, *(each.sql for each in table.checks if set(each.columns) == {column.name})]
    found: list[exp.Expr] = []
    for text in texts:
        check = parse_statement(text)
        if check is None:
            continue
        for each in check.find_all(exp.Column):  # VALUE, in a domain
            each.set("this", exp.to_identifier(column.name, quoted=True))
        found.append(check)
    return found


def _existing(connection: "psycopg.Connection[Any]", table: Table, column: Column) -> list[str | None]:
    """Return keys that a column that refers to another table can have."""
    found: list[str | None] = []
    for reference in table.references:
        if column.name in reference.columns:
            parent = quote_ident(reference.parent_columns[reference.columns.index(column.name)])
            query = f"SELECT DISTINCT {parent}::pg_catalog.text FROM {reference.parent_sql} ORDER BY 1 LIMIT 3"  # noqa: S608
            found += [row[0] for row in try_query(connection, query) or ()]
    return found


def _pool(
    table: Table, column: Column, atoms: Atoms, values: Atoms, existing: Sequence[str | None]
) -> list[str | None]:
    """Return candidates for a column."""
    found: list[str | None] = []
    own = [atom for atom in atoms if column.name in _names(atom)]
    checks = _checks(table, column)
    if len(own) + len(checks) > 1:
        joined = exp.and_(*own, *checks)
        found += find_candidates(column.type, column.name, joined)[:MOST_JOINED]
    each = [
        find_candidates(column.type, column.name, atom)
        for atom in (*own, *checks, *(value for value in values if column.name in _names(value)))
    ]
    if len(each) > 1 and column.type.name in TEXTS:
        found += _overlay(each)
    found += itertools.chain(*each)
    found += existing
    if not column.not_null:
        found.insert(min(len(found), 2), None)
    found += make_values(column.type, ORDINARY)
    if not any("infinity" in literal.this.lower() for atom in own for literal in atom.find_all(exp.Literal)):
        found = [text for text in found if text is None or "infinity" not in text]  # an extreme value
    if column.type.name in ("json", "jsonb"):  # a column of documents seldom has a single string or number
        found.sort(key=lambda text: text is not None and text[:1] not in "{[")
    return list(dict.fromkeys(found))


def _filter_column(
    connection: "psycopg.Connection[Any]",
    table: Table,
    column: Column,
    atoms: Atoms,
    values: Atoms,
    pool: Sequence[str | None],
) -> tuple[list[str | None], list[str | None]]:
    """Return the values with which all of a column's atoms are true, and those with which one is not.

    Those that one of `values` would change come first. Left out is what the column's own constraints forbid.
    """
    checks = [*column.type.checks, *(each.sql for each in table.checks if set(each.columns) == {column.name})]
    parts = [
        " AND ".join([f"({_sql(atom)}) IS TRUE" for atom in atoms]) or "true",
        " AND ".join([f"({check}) IS NOT FALSE" for check in checks]) or "true",
    ]
    judged = _judge(connection, column, parts, pool)
    if judged is None and column.type.labels:  # a label that the type does not have: compared as text
        text = replace(column.type, sql="pg_catalog.text", labels=())
        as_text = replace(column, type=text, type_sql="pg_catalog.text")
        return _filter_column(connection, table, as_text, atoms, (), pool)
    if judged is None:
        return list(pool), []
    allowed = [(value, is_good) for value, is_good, is_allowed in judged if is_allowed]
    good = [value for value, is_good in allowed if is_good]
    changes = [each for each in values if _names(each) == {column.name}]
    if changes and good:
        name = quote_ident(column.name)
        compared = [
            f"({_sql(each)})::pg_catalog.text IS DISTINCT FROM made.{name}::pg_catalog.text" for each in changes
        ]
        rows = _judge(connection, column, [" OR ".join(compared), "true"], good) or []
        # a value for which an expression fails is among those to try, too
        unchanged = {value for value, is_changed, _ in rows if not is_changed}
        good.sort(key=lambda value: value in unchanged)
    return good, [value for value, is_good in allowed if not is_good]


def _is_forbidden(
    connection: "psycopg.Connection[Any]", table: Table, column: Column, atoms: Atoms, pool: Sequence[str | None]
) -> bool:
    """Whether values satisfy the atoms, but not the constraints of their column."""
    kind = replace(column.type, checks=(), typmod=-1)
    free = replace(column, type=kind, type_sql=kind.sql, not_null=False)
    more = [value for atom in atoms for value in find_candidates(kind, column.name, atom)]
    good, _ = _filter_column(connection, replace(table, checks=()), free, atoms, (), [*pool, *more, None])
    # all labels of an enum were tried
    return bool(good) or bool(column.type.labels)


def _judge(
    connection: "psycopg.Connection[Any]", column: Column, conditions: Sequence[str], pool: Sequence[str | None]
) -> list[tuple[str | None, bool, bool]] | None:
    """Return each value with the results of two conditions on the row `made`.

    Where the server fails on one of the values, they are asked of one by one; those that it fails on are left out. None
    where it fails on all.
    """
    kind = column.type.sql if column.type.checks else column.type_sql
    made = f"v.text::{kind} AS {quote_ident(column.name)}"
    if column.type.checks:
        made += f', v.text::{kind} AS "value"'
    query = (
        f"SELECT v.n, made.first, made.second FROM unnest({{array}}) WITH ORDINALITY AS v (text, n) "  # noqa: S608
        f"CROSS JOIN LATERAL (SELECT {conditions[0]} AS first, {conditions[1]} AS second "
        f"FROM (SELECT {made}) AS made) AS made"
    )
    rows = try_query(connection, query.replace("{array}", _array(pool)))
    if rows is not None:
        return [(pool[number - 1], first, second) for number, first, second in rows]
    found = []
    for value in pool:
        rows = try_query(connection, query.replace("{array}", _array([value])))
        found += [(value, first, second) for _, first, second in rows or ()]
    return found or None


def _combine(found: Mapping[str, Sequence[str | None]], free: Collection[str]) -> list[Row]:
    """Return rows in which each value of each column occurs once.

    The values of `free` columns, which no atom is about, are shifted, so that two columns differ.
    """
    shifts = {name: number if name in free else 0 for number, name in enumerate(found)}
    number = max((len(values) for values in found.values()), default=1)
    return [
        {name: values[(at + shifts[name]) % len(values)] for name, values in found.items() if values}
        for at in range(min(number, MOST_ROWS))
    ]


def _products(found: Mapping[str, Sequence[str | None]]) -> list[Row]:
    """Return combinations of values, those of the first values first."""
    names = list(found)
    depth = max(2, int(MOST_COMBINATIONS ** (1 / max(1, len(names)))))
    short = [list(found[name])[:depth] for name in names]
    products = itertools.islice(itertools.product(*short), MOST_COMBINATIONS)
    return [dict(zip(names, each, strict=True)) for each in products]


def _filter_rows(
    connection: "psycopg.Connection[Any]", columns: Sequence[Column], atoms: Atoms, rows: Sequence[Row]
) -> list[Row]:
    """Return the rows with which all atoms are true; all of them where the server cannot tell."""
    arrays = ", ".join(_array([row[column.name] for row in rows]) for column in columns)
    made = ", ".join(f"v.c{n}::{column.type_sql} AS {quote_ident(column.name)}" for n, column in enumerate(columns))
    names = ", ".join(f"c{n}" for n in range(len(columns)))
    condition = " AND ".join(f"({_sql(atom)}) IS TRUE" for atom in atoms)
    query = (
        f"SELECT v.n FROM unnest({arrays}) WITH ORDINALITY AS v ({names}, n) "  # noqa: S608
        f"WHERE EXISTS (SELECT FROM (SELECT {made}) AS made WHERE {condition}) LIMIT {4 * MOST_ROWS}"
    )
    found = try_query(connection, query)
    if found is None:
        return list(rows[:MOST_ROWS])
    return [rows[number - 1] for (number,) in found]


@remember
def _sql(atom: exp.Expr) -> str:
    """Return an atom as SQL over the row `made`."""
    return replace_columns(atom, lambda column: make_column("made", column.name)).sql("postgres")


def _array(texts: Sequence[str | None]) -> str:
    return f"ARRAY[{', '.join(map(quote_literal, texts))}]::pg_catalog.text[]"


def try_query(connection: "psycopg.Connection[Any]", query: str) -> list[tuple[Any, ...]] | None:
    """Return the rows of a query; None when it fails."""
    try:
        cursor = connection.execute(f"SAVEPOINT dbkit_search; {query}; RELEASE SAVEPOINT dbkit_search".encode())
    except psycopg.Error:
        connection.execute("ROLLBACK TO SAVEPOINT dbkit_search; RELEASE SAVEPOINT dbkit_search")
        return None
    cursor.nextset()
    return cursor.fetchall()
