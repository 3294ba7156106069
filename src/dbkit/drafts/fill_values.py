"""Values for a NOT NULL column that comes back in a downgrade: its former ones are gone.

They satisfy its CHECK constraints and foreign keys: values that the conditions name, and those next to them, are tried
on the scratch database.
"""

import re
from collections.abc import Sequence

import psycopg

from dbkit.drafts.changes import Changes
from dbkit.drafts.shapes import Column, Constraint, Table
from dbkit.postgres.connect import connect
from dbkit.postgres.own_statements import OwnConnection, Session
from dbkit.postgres.sql_quote import quote_literal
from dbkit.postgres.sql_text import Kind, read_string, tokenize
from dbkit.sample_data.constraints import Type
from dbkit.sample_data.patterns import match_like, match_regex
from dbkit.sample_data.values import make_shaped, values_from_checks

NEUTRAL = (
    (r"smallint|integer|bigint|numeric|real|double precision|money|oid", "0"),
    (r"text|character varying|character|citext|name|\"char\"", "''"),
    (r"boolean", "false"),
    (r"date|timestamp without time zone|timestamp with time zone", "'2000-01-01'"),
    (r"time without time zone|time with time zone", "'00:00'"),
    (r"interval", "'0'"),
    (r"uuid", "'00000000-0000-0000-0000-000000000000'"),
    (r"jsonb?", "'{}'"),
    (r"bytea|tsvector|hstore|ltree", "''"),
    (r"inet|cidr", "'0.0.0.0'"),
    (r"macaddr", "'00:00:00:00:00:00'"),
    (r"int4range|int8range|numrange|tsrange|tstzrange|daterange", "'empty'"),
    (r"\w+multirange", "'{}'"),
    (r"point", "'(0,0)'"),
    (r"xml", "'<a/>'"),
)
NUMBERED = (
    (r"smallint|integer|bigint|numeric|real|double precision|oid", "{n}"),
    (r"text|character varying|character|citext", "{n}::text"),
    (r"date", "date '2000-01-01' + {n}::integer"),
    (r"timestamp without time zone|timestamp with time zone", "timestamp '2000-01-01' + {n} * interval '1 day'"),
    (r"uuid", "md5({n}::text)::uuid"),
    (r"bytea", "decode(md5({n}::text), 'hex')"),
)
NUMBERED_FROM = {
    "number": ("{value} + {n}", "{value} - {n}"),
    "date": ("({value} + {n} * interval '1 day')", "({value} - {n} * interval '1 day')"),
    "text": ("{value} || {n}", "{n} || {value}"),
}
"""How a value of a condition is made another one for each row of a unique column."""
NUMBER = "{n}"
"""The number of the row, in these."""
ROWS_TRIED = 50
TYPE_NAMES = {
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "real": "float4",
    "double precision": "float8",
    "character varying": "varchar",
    "character": "bpchar",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
}
"""pg_type.typname where format_type() prints another name."""
FAMILIES = {
    **dict.fromkeys(("smallint", "integer", "bigint", "numeric", "real", "double precision", "money"), "number"),
    **dict.fromkeys(("date", "timestamp without time zone", "timestamp with time zone"), "date"),
    **dict.fromkeys(("text", "character varying", "character", "citext"), "text"),
}
NEXT_VALUES = {"number": (" + 1", " - 1"), "date": (" + interval '1 day'", " - interval '1 day'"), "text": ()}
ROWS = "(SELECT ctid AS row, row_number() OVER () AS number FROM {table}) AS numbered"


def neutral_update(changes: Changes, table: Table, column: Column) -> str | None:
    """Return the UPDATE that fills a column; None where no value is known."""
    if not changes.is_reversed:
        return None
    checks = [each for each in table.constraints.values() if each.kind == "c" and column.name in each.columns]
    references = [each for each in table.constraints.values() if each.kind == "f" and column.name in each.columns]
    is_unique = _is_unique(table, column)
    if references:
        value = _referred_value(changes, table, column, references, checks, is_unique=is_unique)
    elif is_unique:
        value = _numbered_value(changes, column, checks)
    else:
        value = _find_value(changes, table, column, checks)
    if value is None:
        return None
    update = f"UPDATE {table.sql} SET {column.sql} = {value}"
    if "numbered.number" not in value:
        return update
    return f"{update} FROM {ROWS.format(table=table.sql)} WHERE {table.sql}.ctid = numbered.row"


def _find_value(changes: Changes, table: Table, column: Column, checks: Sequence[Constraint]) -> str | None:
    """Return a value that the conditions allow; an expression for each row where they have several columns."""
    neutral = _neutral_value(column)
    alone = [each for each in checks if set(each.columns) == {column.name}]
    together = [each for each in checks if each not in alone]
    of_domain = changes.domain_conditions(column)
    if not checks and not of_domain:
        return neutral
    candidates = [*([neutral] if neutral else []), *_make_candidates(column, _texts(checks) + of_domain)]
    allowed = _select_allowed(changes, column, candidates, alone)
    if not together:
        return allowed[0] if allowed else neutral
    others = [table.columns[name] for each in together for name in each.columns if name != column.name]
    family = FAMILIES.get(column.type_name, "")
    same = [each for each in others if family and FAMILIES.get(each.type_name) == family]
    beside = [f"{table.sql}.{each.sql}{more}" for each in same for more in ("", *NEXT_VALUES[family])]
    values = ", ".join(f"({value}, {place})" for place, value in enumerate(dict.fromkeys([*allowed, *beside])))
    listed = f"SELECT value::{column.type}, place FROM (VALUES {values}) AS listed (value, place)"
    return (
        f"(SELECT {column.sql} FROM ({listed})"
        f" AS candidate ({column.sql}, place_of_candidate) WHERE {column.sql} IS NOT NULL AND {_all_of(checks)}"
        " ORDER BY place_of_candidate LIMIT 1)"
    )


def _numbered_value(changes: Changes, column: Column, checks: Sequence[Constraint]) -> str | None:
    """Return an expression with another value for each row, which the conditions on this column allow."""
    alone = [each for each in checks if set(each.columns) == {column.name}]
    of_domain = changes.domain_conditions(column)
    is_limited = bool(alone or of_domain)
    usual = _lookup(NUMBERED, column)
    forms = NUMBERED_FROM.get(FAMILIES.get(column.type_name, ""), ())
    found = _make_candidates(column, _texts(alone) + of_domain) if is_limited and forms else []
    candidates = [usual] if usual else []
    candidates += [form.replace("{value}", value) for form in forms for value in found]
    if is_limited:
        candidates += _number_shapes(column)
        candidates = [each for each in candidates if _is_allowed_for_all(changes, column, each, alone)] or candidates
    return candidates[0].replace(NUMBER, "numbered.number") if candidates else None


def _number_shapes(column: Column) -> list[str]:
    """Return texts of common shapes with a number in them, as expressions."""
    shapes = make_shaped(_as_type(column), range(7, 8))
    return [quote_literal(text).replace("7", f"' || {NUMBER} || '") for text in shapes if text.count("7") == 1]


def _referred_value(
    changes: Changes,
    table: Table,
    column: Column,
    references: Sequence[Constraint],
    checks: Sequence[Constraint],
    *,
    is_unique: bool,
) -> str | None:
    """Return a subquery for a value of the referenced tables that agrees with the other columns of the foreign keys."""
    first, *others = references
    referred = changes.after.tables.get(first.referred) if first.referred else None
    if referred is None:
        return None
    pairs = dict(zip(first.columns, first.referred_columns, strict=True))
    value = f"referred.{referred.columns[pairs[column.name]].sql}"
    conditions = _agree(table, column, referred, first, "referred")
    for each in others:
        beside = changes.after.tables.get(each.referred) if each.referred else None
        if beside is None:
            return None
        same = beside.columns[each.referred_columns[each.columns.index(column.name)]].sql
        agree = [f"beside.{same} = {value}", *_agree(table, column, beside, each, "beside")]
        conditions.append(f"EXISTS (SELECT FROM {beside.sql} AS beside WHERE {' AND '.join(agree)})")
    order = ", ".join(f"referred.{referred.columns[each].sql}" for each in first.referred_columns)
    source = f"SELECT {value} FROM {referred.sql} AS referred"
    if conditions:
        source += f" WHERE {' AND '.join(conditions)}"
    if checks:
        source = f"SELECT {column.sql} FROM ({source} ORDER BY {order}) AS candidate ({column.sql})"
        source += f" WHERE {_all_of(checks)} ORDER BY {column.sql}"
    else:
        source += f" ORDER BY {order}"
    offset = " OFFSET numbered.number - 1" if is_unique and len(pairs) == 1 else ""
    return f"({source} LIMIT 1{offset})"


def _agree(table: Table, column: Column, referred: Table, reference: Constraint, alias: str) -> list[str]:
    """Return the conditions on the other columns of a foreign key."""
    return [
        f"({table.sql}.{table.columns[own].sql} IS NULL OR {alias}.{referred.columns[other].sql}"
        f" = {table.sql}.{table.columns[own].sql})"
        for own, other in zip(reference.columns, reference.referred_columns, strict=True)
        if own != column.name
    ]


def _texts(checks: Sequence[Constraint]) -> list[str]:
    return [each.expression or "" for each in checks]


def _make_candidates(column: Column, conditions: Sequence[str]) -> list[str]:
    """Return values that conditions name, and those next to them, as SQL."""
    texts = [read_string(each.text) for one in conditions for each in tokenize(one) if each.kind == Kind.STRING]
    if column.uses and column.uses.kind == "enum":
        return [f"{quote_literal(text)}::{column.type}" for text in texts] + [
            f"(enum_range(NULL::{column.type}))[{place}]" for place in (2, 3)
        ]
    if column.element:
        element = _lookup_type(NEUTRAL, column.element)
        return [f"ARRAY[{', '.join([element] * count)}]::{column.type}" for count in (1, 2, 3)] if element else []
    if column.type_name == "boolean":
        return ["true"]
    if column.type_name in ("json", "jsonb"):
        return [f"'{text}'::{column.type}" for text in ("[]", "[0]", '""', "0", "true")]
    found = values_from_checks(_as_type(column), conditions)
    family = FAMILIES.get(column.type_name, "")
    if family == "text":
        found = [each for text in texts for each in (*match_like(text), *match_regex(text))] + found
    if family == "number":
        return [each if column.type_name == "money" else str(each) for each in found]
    literals = [f"{quote_literal(each)}::{column.type}" for each in dict.fromkeys(found)]
    return literals + [f"{each}{more}" for each in literals for more in NEXT_VALUES["date"] if family == "date"]


def _select_allowed(
    changes: Changes, column: Column, candidates: Sequence[str], checks: Sequence[Constraint]
) -> list[str]:
    """Return the candidates that the conditions allow, by the scratch database."""
    wanted = f"SELECT {column.sql} IS NOT NULL AND {_all_of(checks)}"
    with connect(changes.after_target, session=Session.PROJECT, autocommit=True) as connection:
        return [
            each
            for each in dict.fromkeys(candidates)
            if _holds(connection, f"{wanted} FROM (SELECT ({each})::{column.type}) AS v ({column.sql})")
        ]


def _is_allowed_for_all(changes: Changes, column: Column, value: str, checks: Sequence[Constraint]) -> bool:
    """Whether a numbered expression is allowed for many numbers, and another value for each."""
    numbered = value.replace(NUMBER, "n")
    query = (
        f"SELECT bool_and({_all_of(checks)}) AND count(DISTINCT {column.sql}) = {ROWS_TRIED}"
        f" FROM (SELECT ({numbered})::{column.type} FROM generate_series(1, {ROWS_TRIED}) AS n) AS v ({column.sql})"
    )
    with connect(changes.after_target, session=Session.PROJECT, autocommit=True) as connection:
        return _holds(connection, query)


def _holds(connection: OwnConnection, query: str) -> bool:
    """Whether a query gives true; a value that the type does not have is not allowed."""
    try:
        row = connection.execute(query.encode()).fetchone()
    except psycopg.Error as error:
        if error.sqlstate is None:  # no answer of the server
            raise
        return False
    return bool(row and row[0])


def _all_of(checks: Sequence[Constraint]) -> str:
    """The conditions together: one of a column that is still NULL is not violated."""
    return " AND ".join(f"({each.expression}) IS NOT FALSE" for each in checks) or "true"


def _as_type(column: Column) -> Type:
    numbers = [int(each) for each in re.findall(r"\d+", column.type.partition("(")[2])]
    name = TYPE_NAMES.get(column.type_name, column.type_name)
    typmod = -1
    if numbers and name == "numeric":
        typmod = (numbers[0] << 16 | (numbers[1] if len(numbers) > 1 else 0)) + 4
    elif numbers and name in ("varchar", "bpchar"):
        typmod = numbers[0] + 4
    return Type(name, "b", column.type, typmod)


def _neutral_value(column: Column) -> str | None:
    if column.element:
        return "'{}'"
    if column.uses and column.uses.kind == "enum":
        return f"(enum_range(NULL::{column.type}))[1]"
    return _lookup(NEUTRAL, column)


def _lookup(values: tuple[tuple[str, str], ...], column: Column) -> str | None:
    return _lookup_type(values, column.type_name)


def _lookup_type(values: tuple[tuple[str, str], ...], type_name: str) -> str | None:
    return next((value for pattern, value in values if re.fullmatch(pattern, type_name)), None)


def _is_unique(table: Table, column: Column) -> bool:
    keys = [each.columns for each in table.constraints.values() if each.kind in "pux"]
    keys += [tuple(map(str, each.columns)) for each in table.indexes.values() if each.is_unique]
    return any(column.name in key for key in keys)
