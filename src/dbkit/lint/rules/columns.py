"""Rules on columns: NOT NULL, types and defaults."""

import re
from collections.abc import Iterator

from dbkit.findings.finding import Level
from dbkit.lint.conversions import find_conversions
from dbkit.lint.rules.fixes import (
    Table,
    alter_table,
    backfill,
    column,
    execute,
    name_constraint,
    operation,
    sql_text,
)
from dbkit.lint.rules.indexes import find_rebuilt_indexes
from dbkit.lint.rules.objects import SEQUENCE_OF_COLUMN
from dbkit.lint.rules.rule import Violation, change_rule
from dbkit.lint.trace_reader import TracedStatement
from dbkit.postgres.sql_quote import quote_name
from dbkit.postgres.sql_text import without_comments
from dbkit.trace.records import COMPUTED, GENERATED, Change, ChangeKind

CONSTANT = re.compile(r"true|false|-?[0-9.]+|\(-[0-9.]+\)|'(?:[^']|'')*'(?:::[\w .\[\]\"(),]+)?|NULL::.*")
SET_ZONE = "SET LOCAL timezone = 'UTC'"
USING = re.compile(r"\busing\b", re.IGNORECASE)
ZONE_IS_ADDED, ZONE_IS_LOST = "timestamp with time zone", "timestamp without time zone"
CAST_AS_ASSIGNED = re.compile(
    r"(?:smallint|integer|bigint|numeric|real|double precision|text|uuid|date|time|timestamp|interval|jsonb?|bytea|inet"
    r"|cidr|boolean)\b.*"
)
"""The types to which a cast is the same as an assignment, unlike varchar(n), char(n), bit(n) and domains over them."""


@change_rule("not-null-by-scan", Level.DANGER)
def not_null_by_scan(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report SET NOT NULL that scans the table."""
    table = traced.tables.get(change.table)
    if change.what != ChangeKind.NOT_NULL_SET or table is None or table.is_rewritten:
        return
    if table.is_scanned and table.blocks:
        yield Violation(
            f"{table.name}: every row is scanned for a NULL in {change.name} while {table.blocks} wait",
            "SET NOT NULL holds ACCESS EXCLUSIVE and scans the whole table, unless a validated CHECK constraint proves"
            " that there is no NULL.",
            _set_not_null(change, traced.version),
            table.blocks,
            (table.name,),
        )


def _set_not_null(change: Change, version: int) -> str:
    """Return code that validates NOT NULL under a weaker lock."""
    table, column = change.table, quote_name(change.name)
    name = name_constraint(table, change.name, "not_null")
    condition = f"NOT NULL {column}" if version >= 18 else f"CHECK ({column} IS NOT NULL)"
    lines = [
        alter_table(table, f"ADD CONSTRAINT {quote_name(name)} {condition} NOT VALID"),
        "# in the next revision; reads and writes continue",
        alter_table(table, f"VALIDATE CONSTRAINT {quote_name(name)}"),
    ]
    if version < 18:
        lines += [
            "# in the revision after that; no scan, since the check proves it",
            operation("alter_column", Table(table), change.name, nullable=False),
            operation("drop_constraint", name, Table(table)),
        ]
    return "\n".join(lines)


@change_rule("type-change-rewrites", Level.DANGER)
def type_change_rewrites(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report a new type that rewrites the table or rebuilds an index."""
    table = traced.tables.get(change.table)
    if change.what != ChangeKind.TYPE_CHANGED or table is None:
        return
    if change.detail:
        yield Violation(
            f"{table.name}: {change.name} was {change.before}, is {change.after}: every row is rewritten unless the"
            f" session's {change.detail} is UTC",
            "Between timestamp and timestamptz PostgreSQL leaves the rows as they are only if the TimeZone of the"
            " session is UTC, as it was here: elsewhere the values change, and each row is written.",
            f"{execute(SET_ZONE)}  # the zone that the values of {change.name} are in",
            table.blocks,
            (table.name,),
        )
        return
    rebuilt = find_rebuilt_indexes(traced.statement)
    if not table.is_rewritten and not (rebuilt and table.is_scanned):
        return
    what = "every row is rewritten" if table.is_rewritten else f"{', '.join(rebuilt)} is rebuilt"
    yield Violation(
        f"{table.name}: {what} while {table.blocks} wait: {change.name} was {change.before}, is {change.after}",
        "The new type stores values differently, so PostgreSQL rewrites the table and rebuilds all its indexes.",
        _add_column_of_new_type(traced, change),
        table.blocks,
        (table.name,),
    )


def _add_column_of_new_type(traced: TracedStatement, change: Change) -> str:
    """Return code that adds a column of the new type and fills it in batches."""
    added = operation("add_column", Table(change.table), column(f"{change.name}_new"))
    new = quote_name(f"{change.name}_new")
    return (
        f"{added}  # {change.after}; a trigger keeps it up to date\n"
        "# in a separate revision\n"
        + backfill(change.table, f"{new} = {_convert(traced, change)}", f"{new} IS NULL")
        + "\n# when the code uses the new column: drop the old one"
    )


def _convert(traced: TracedStatement, change: Change) -> str:
    """Return the expression that gives a value of the new type, as the statement does."""
    texts = (traced.statement.sql, *traced.bodies)
    expressions = [expression for sql in texts for expression in find_conversions(sql, change.name)]
    old = quote_name(change.name)
    if expressions:
        return expressions[0]
    if any(USING.search(without_comments(sql)) for sql in texts):
        return "…"  # in a statement that is put together when it runs
    if ZONE_IS_ADDED in (change.before, change.after) and ZONE_IS_LOST in (change.before, change.after):
        return f"{old} AT TIME ZONE '…'"  # a cast takes the zone of the session, which may be another one there
    # without USING, a value is assigned; a cast to a type with a length would cut it instead of raising an error
    return f"{old}::{change.after}" if CAST_AS_ASSIGNED.fullmatch(change.after) else old


@change_rule("volatile-default", Level.DANGER)
def volatile_default(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report a new column whose value is computed for each row."""
    table = traced.tables.get(change.table)
    if change.what != ChangeKind.COLUMN_ADDED or table is None or not table.is_rewritten:
        return
    if not _is_constant(traced, change) and (change.after or not _has_other_change(traced, change)):
        yield Violation(
            f"{table.name}: every row is rewritten for {change.name} while {table.blocks} wait",
            "A constant default is only stored in the catalog; a value that differs by row (random(), a sequence, an"
            " identity, a stored generated column) is computed and written for each row. So is one that the constraints"
            " of a domain must be checked for.",
            _add_column_without_default(traced, change),
            table.blocks,
            (table.name,),
        )


def _is_constant(traced: TracedStatement, change: Change) -> bool:
    """Return whether the column has a constant, and another new one a value that is computed for each row."""
    added = [each for each in traced.statement.changes if (each.what, each.table) == (change.what, change.table)]
    computed = [each for each in added if each.after and not CONSTANT.fullmatch(each.after)]
    return bool(computed) and change not in computed


def _has_other_change(traced: TracedStatement, change: Change) -> bool:
    """Return whether a statement does more to a table than to add columns without a default."""
    return any(
        each.table == change.table and each.kind != "not null" and (each.what != change.what or bool(each.after))
        for each in traced.statement.changes
    )


def _add_column_without_default(traced: TracedStatement, change: Change) -> str:
    """Return code that adds the column, then its default for new rows, and fills existing rows in batches."""
    default = change.after
    if not default:
        return (
            "# a column of a domain that has constraints is written for all existing rows; use the type that the\n"
            "# domain is based on, and a CHECK that is added NOT VALID"
        )
    if default.startswith(COMPUTED):
        return (
            "# a generated column is written for all existing rows; use a plain column instead,\n"
            "# a trigger for new rows, and batches for existing rows"
        )
    is_identity = default.startswith(GENERATED)
    value = "nextval('…')" if is_identity else default
    sql = quote_name(change.name)
    added = operation("add_column", Table(change.table), column(change.name, nullable=True))
    lines = [
        f"{added}  # {change.before}",
        *_create_sequences(traced, change, is_identity=is_identity),
        operation("alter_column", Table(change.table), change.name, server_default=sql_text(value)),
        "# in a separate revision",
        backfill(change.table, f"{sql} = {value}", f"{sql} IS NULL"),
    ]
    if is_identity:
        lines.append("# at last, an identity that starts behind the greatest value takes the place of the sequence")
    return "\n".join(lines)


def _create_sequences(traced: TracedStatement, change: Change, *, is_identity: bool) -> list[str]:
    """Return code that creates the sequence of a serial or an identity column."""
    owner = f"OWNED BY {change.table}.{quote_name(change.name)}"
    if is_identity:
        return [execute(f"CREATE SEQUENCE … {owner}")]
    kind = "" if change.before == "bigint" else f" AS {change.before}"
    created = (each for each in traced.statement.changes if each.what == ChangeKind.OBJECT_CREATED)
    names = [each.table for each in created if each.kind == SEQUENCE_OF_COLUMN]
    # the server writes it so, also with a backslash
    used = [name for name in names if change.after == "nextval('" + name.replace("'", "''") + "'::regclass)"]
    return [execute(f"CREATE SEQUENCE {name}{kind} {owner}") for name in used]
