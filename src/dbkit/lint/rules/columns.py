"""Rules on columns: NOT NULL, types and defaults."""

from collections.abc import Iterator

from dbkit.findings.finding import Level
from dbkit.lint.rules.indexes import find_rebuilt_indexes
from dbkit.lint.rules.rule import Violation, change_rule
from dbkit.lint.trace_reader import TracedStatement
from dbkit.trace.records import COMPUTED, GENERATED, Change, ChangeKind


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
    table, column = change.table, change.name
    name = f"{table.rpartition('.')[2]}_{column}_not_null"
    if version >= 18:
        return (
            f'op.execute("ALTER TABLE {table} ADD CONSTRAINT {name} NOT NULL {column} NOT VALID")\n'
            "# in the next revision; reads and writes continue\n"
            f'op.execute("ALTER TABLE {table} VALIDATE CONSTRAINT {name}")'
        )
    return (
        f'op.execute("ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({column} IS NOT NULL) NOT VALID")\n'
        "# in the next revision; reads and writes continue\n"
        f'op.execute("ALTER TABLE {table} VALIDATE CONSTRAINT {name}")\n'
        "# in the revision after that; no scan, since the check proves it\n"
        f'op.alter_column("{table}", "{column}", nullable=False)\n'
        f'op.drop_constraint("{name}", "{table}")'
    )


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
            f"op.execute(\"SET LOCAL timezone = 'UTC'\")  # the zone that the values of {change.name} are in",
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
        _add_column_of_new_type(change),
        table.blocks,
        (table.name,),
    )


def _add_column_of_new_type(change: Change) -> str:
    """Return code that adds a column of the new type and fills it in batches."""
    table, column = change.table, change.name
    return (
        f'op.add_column("{table}", sa.Column("{column}_new", …))  # {change.after}; a trigger keeps it up to date\n'
        "# in a separate revision\n"
        f'backfill(op, "{table}", "{column}_new = {column}::{change.after}", where="{column}_new IS NULL")\n'
        "# when the code uses the new column: drop the old one"
    )


@change_rule("volatile-default", Level.DANGER)
def volatile_default(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report a new column whose value is computed for each row."""
    table = traced.tables.get(change.table)
    if change.what != ChangeKind.COLUMN_ADDED or table is None or not table.is_rewritten:
        return
    if change.after or not _has_other_change(traced, change):
        yield Violation(
            f"{table.name}: every row is rewritten for {change.name} while {table.blocks} wait",
            "A constant default is only stored in the catalog; a value that differs by row (random(), a sequence, an"
            " identity, a stored generated column) is computed and written for each row. So is one that the constraints"
            " of a domain must be checked for.",
            _add_column_without_default(change),
            table.blocks,
            (table.name,),
        )


def _has_other_change(traced: TracedStatement, change: Change) -> bool:
    """Return whether a statement does more to a table than to add columns without a default."""
    return any(
        each.table == change.table and each.kind != "not null" and (each.what != change.what or bool(each.after))
        for each in traced.statement.changes
    )


def _add_column_without_default(change: Change) -> str:
    """Return code that adds the column, then its default for new rows, and fills existing rows in batches."""
    table, column, default = change.table, change.name, change.after
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
    return (
        f'op.add_column("{table}", sa.Column("{column}", …, nullable=True))  # {change.before}\n'
        + (f'op.execute("CREATE SEQUENCE … OWNED BY {table}.{column}")\n' if is_identity else "")
        + f'op.alter_column("{table}", "{column}", server_default=sa.text("{value}"))\n'
        + "# in a separate revision\n"
        + f'backfill(op, "{table}", "{column} = {value}", where="{column} IS NULL")'
        + (
            "\n# at last, an identity that starts behind the greatest value takes the place of the sequence"
            * is_identity
        )
    )
