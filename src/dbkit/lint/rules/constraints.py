"""Rules on constraints."""

import re
from collections.abc import Iterator, Mapping

from dbkit.findings.finding import Level
from dbkit.lint.existing_table import ExistingTable
from dbkit.lint.rules.fixes import AUTOCOMMIT_BLOCK, Table, alter_table, operation
from dbkit.lint.rules.indexes import execute_concurrently
from dbkit.lint.rules.rule import Violation, change_rule
from dbkit.lint.rules.wording import describe_waits
from dbkit.lint.trace_reader import TracedStatement
from dbkit.postgres.sql_escape import escape
from dbkit.postgres.sql_quote import quote_name
from dbkit.postgres.sql_text import without_comments
from dbkit.trace.records import Change, ChangeKind

DEFINES_TABLE = re.compile(r"(?:create|alter)\b.*?\btable\b")
CONDITION = re.compile(r"CHECK \((.*)\)", re.DOTALL)
DEFERRABLE = re.compile(r"(?: DEFERRABLE)?(?: INITIALLY DEFERRED)?\Z")
ENFORCED = re.compile(r"\benforced\b", re.IGNORECASE)
WITHOUT_OVERLAPS = " WITHOUT OVERLAPS"
KEYWORDS = {
    kind: re.compile(rf"\b{keyword}\b")
    for kind, keyword in (
        ("check", "check"),
        ("foreign key", "references"),
        ("unique", "unique"),
        ("exclusion", "exclude"),
    )
}
"""By the kind of a constraint, the keyword that defines it."""


@change_rule("unnamed-constraint", Level.WARNING)
def unnamed_constraint(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report a constraint without a name in the SQL.

    Not a primary key, since a table has only one, nor NOT NULL, which is dropped by the name of its column.
    """
    keyword = KEYWORDS.get(change.kind)
    if change.what != ChangeKind.CONSTRAINT_ADDED or keyword is None:
        return
    defines_constraint = DEFINES_TABLE.match(traced.plain_sql) and keyword.search(traced.plain_sql)
    if defines_constraint and change.name.lower() not in traced.statement.sql.lower():
        yield Violation(
            f"{change.table}: the {change.kind} constraint has no name in the migration; PostgreSQL named it"
            f" {change.name}",
            "A migration that drops it needs this name, which depends on what existed before; the models do not have"
            " it.",
            _name_constraint(traced, change),
            tables=(change.table,),
            level=Level.WARNING if change.table in traced.tables else Level.NOTE,
        )


def _name_constraint(traced: TracedStatement, change: Change) -> str:
    first = "# once for all in the models: MetaData(naming_convention={…}); here, a name "
    changes = (each for each in traced.statement.changes if each.what == ChangeKind.COLUMN_ADDED)
    added = {each.name for each in changes if each.table == change.table}
    if len(change.columns) == 1 and added.issuperset(change.columns):
        # a separate statement would read every row
        reference = change.after.partition(" REFERENCES ")[2]
        inline = f"REFERENCES {reference}" if reference else change.after
        return f"{first}where the column is added:\n# ADD COLUMN … CONSTRAINT {quote_name(change.name)} {inline}"
    return f"{first}in place of None\n{_add_constraint(change, change.after)}"


@change_rule("foreign-key-of-new-table", Level.WARNING)
def foreign_key_of_new_table(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report a foreign key of a new table that blocks an existing one; a note where there is a lock_timeout."""
    if change.what != ChangeKind.CONSTRAINT_ADDED or change.kind != "foreign key" or change.table in traced.tables:
        return
    parent = traced.tables.get(change.references)
    if parent and parent.blocks:
        yield Violation(
            f"{parent.name}: {parent.blocks} wait until the end of the transaction for {change.name} of the new table"
            f" {change.table}",
            "A foreign key takes SHARE ROW EXCLUSIVE on the table that it references, even if its own table is new.",
            _add_foreign_key_alone(change),
            parent.blocks,
            (parent.name,),
            Level.NOTE if traced.statement.lock_timeout else Level.WARNING,
        )


def _add_foreign_key_alone(change: Change) -> str:
    """Return code that adds the key in a short transaction."""
    return (
        f"# create {change.table} without the key, and fill it; then, in a separate, short revision\n"
        + _add_constraint(change, f"{_definition(change)} NOT VALID")
        + "\n"
        + _validate_later(change)
    )


@change_rule("check-in-one-step", Level.DANGER)
def check_in_one_step(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report a check that is validated in the transaction that adds it."""
    table = traced.tables.get(change.table)
    if table is None or change.kind != "check" or not _is_validated(traced, change):
        return
    if table.is_scanned and table.blocks:
        yield Violation(
            f"{table.name}: every row is checked for {change.name} while {table.blocks} wait",
            _why_validated(traced, change) or "The check is added and validated in one step, under ACCESS EXCLUSIVE.",
            _add_check_not_valid(traced, change),
            table.blocks,
            (table.name,),
        )


def _add_check_not_valid(traced: TracedStatement, change: Change) -> str:
    condition = CONDITION.fullmatch(_definition(change))
    if condition is None:  # NO INHERIT
        return _add_in_two_steps(traced, change, _add_constraint(change, f"{_definition(change)} NOT VALID"))
    added = operation(
        "create_check_constraint",
        change.name,
        Table(change.table),
        escape(condition[1]),
        postgresql_not_valid=True,
    )
    return _add_in_two_steps(traced, change, added)


@change_rule("foreign-key-in-one-step", Level.DANGER)
def foreign_key_in_one_step(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report a foreign key that is validated in the transaction that adds it."""
    table = traced.tables.get(change.table)
    if table is None or change.kind != "foreign key" or not _is_validated(traced, change):
        return
    if not (table.is_scanned and table.blocks):
        return
    blocked = _blocked_by_key(table, traced.tables.get(change.references))
    yield Violation(
        f"{table.name}: every row is looked up in {change.references} for {change.name} while"
        f" {describe_waits(blocked)}",
        _why_validated(traced, change)
        or "The key is added and validated in one step, with SHARE ROW EXCLUSIVE on both tables.",
        _add_foreign_key_not_valid(traced, change, table),
        table.blocks,
        tuple(blocked),
    )


def _blocked_by_key(table: ExistingTable, parent: ExistingTable | None) -> Mapping[str, str]:
    blocked = {table.name: table.blocks}
    if parent and parent.blocks:
        blocked.setdefault(parent.name, parent.blocks)
    return blocked


def _add_foreign_key_not_valid(traced: TracedStatement, change: Change, table: ExistingTable) -> str:
    if table.is_partitioned and traced.version < 18:
        return "# On a partitioned table NOT VALID needs PostgreSQL 18: add the key to each partition, in two steps."
    return _add_in_two_steps(traced, change, _add_constraint(change, f"{_definition(change)} NOT VALID"))


@change_rule("constraint-builds-index", Level.DANGER)
def constraint_builds_index(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report a unique, primary key or exclusion constraint that builds its index."""
    table = traced.tables.get(change.table)
    if table is None or change.kind not in ("unique", "primary key", "exclusion"):
        return
    if _is_validated(traced, change) and _builds_index(traced, change):
        yield Violation(
            f"{table.name}: the index of {change.name} is built while {table.blocks} wait",
            f"Adding a {change.kind} constraint builds its index under ACCESS EXCLUSIVE.",
            _build_index_first(traced, change, table),
            table.blocks,
            (table.name,),
        )


def _builds_index(traced: TracedStatement, change: Change) -> bool:
    return bool(_index_of(traced, change))


def _index_of(traced: TracedStatement, change: Change) -> str:
    """Return the definition of the index that the statement builds for a constraint; "" where it builds none."""
    indexes = (each for each in traced.statement.changes if each.what == ChangeKind.INDEX_ADDED)
    return next((each.after for each in indexes if (each.table, each.name) == (change.table, change.name)), "")


def _build_index_first(traced: TracedStatement, change: Change, table: ExistingTable) -> str:
    """Return code that builds the index concurrently and adds the constraint with it."""
    if change.kind == "exclusion" or WITHOUT_OVERLAPS in change.after:
        return (
            "# An exclusion constraint cannot be built concurrently: add it in a maintenance window, or to a new table."
        )
    if table.is_partitioned:
        return "# On a partitioned table it cannot be built concurrently: add it in a maintenance window."
    kind = change.kind.upper()
    needs_not_null = kind == "PRIMARY KEY"
    first = "# its columns must be NOT NULL already, or all rows are scanned\n" if needs_not_null else ""
    name, deferrable = quote_name(change.name), DEFERRABLE.findall(change.after)[0]
    return (
        f"{first}# in a separate revision\n{AUTOCOMMIT_BLOCK}{_create_unique_index(traced, change)}\n"
        "# in the next revision\n"
        + alter_table(
            change.table,
            f"ADD CONSTRAINT {name} {kind} USING INDEX {name}{deferrable}",
        )
    )


def _create_unique_index(traced: TracedStatement, change: Change) -> str:
    """Return the call that builds the index of a constraint, with INCLUDE, NULLS NOT DISTINCT and its storage."""
    index, columns = _index_of(traced, change), ", ".join(map(quote_name, change.columns))
    if not index.endswith(f" USING btree ({columns})"):
        return execute_concurrently(index)
    return operation(
        "create_index",
        change.name,
        Table(change.table),
        change.columns,
        unique=True,
        postgresql_concurrently=True,
    )


def _is_validated(traced: TracedStatement, change: Change) -> bool:
    """Return whether the statement validates a constraint.

    A constraint that a new type of its column rebuilds is reported with the type, unless it is a foreign key, whose
    column may be in another table.
    """
    if change.what not in (ChangeKind.CONSTRAINT_ADDED, ChangeKind.CONSTRAINT_VALIDATED) or not change.valid:
        return False
    return change.kind == "foreign key" or not _is_rebuilt(traced, change)


def _is_rebuilt(traced: TracedStatement, change: Change) -> bool:
    return bool(change.before) and traced.has_change(ChangeKind.TYPE_CHANGED)


def _why_validated(traced: TracedStatement, change: Change) -> str:
    """Return why a constraint is validated that was not added in one step; empty for one that was."""
    if change.what == ChangeKind.CONSTRAINT_VALIDATED:
        if _is_enforced(traced):
            return "It was there, NOT ENFORCED, and is enforced and validated in one step."
        return "It was added NOT VALID, but is validated in the same transaction, which still holds the lock."
    if _is_rebuilt(traced, change):
        return "It existed before, and is checked again because a column has a new type."
    return ""


def _definition(change: Change) -> str:
    return change.after.removesuffix(" NOT VALID")


def _add_constraint(change: Change, definition: str) -> str:
    return alter_table(change.table, f"ADD CONSTRAINT {quote_name(change.name)} {definition}")


def _add_in_two_steps(traced: TracedStatement, change: Change, added: str) -> str:
    """Return code that adds a constraint by the call `added`, NOT VALID, and validates it in the next revision.

    One that was there before is dropped, unless it only has to be validated.
    """
    name, validated = quote_name(change.name), _validate_later(change)
    added_before = any(
        each.what == ChangeKind.CONSTRAINT_ADDED and (each.table, each.name) == (change.table, change.name)
        for statement in traced.until
        for each in statement.changes
    )
    is_dropped = bool(change.before)
    if change.what == ChangeKind.CONSTRAINT_VALIDATED and not added_before:
        if not _is_enforced(traced):
            return validated
        is_dropped = True
    if is_dropped and _is_rebuilt(traced, change):
        dropped = alter_table(change.table, f"DROP CONSTRAINT {name}")
        return f"# before the new type\n{dropped}\n# after it\n{added}\n{validated}"
    if is_dropped:
        added = alter_table(
            change.table,
            f"DROP CONSTRAINT {name}, ADD CONSTRAINT {name} {_definition(change)} NOT VALID",
        )
    return f"{added}\n{validated}"


def _validate_later(change: Change) -> str:
    validated = alter_table(change.table, f"VALIDATE CONSTRAINT {quote_name(change.name)}")
    return f"# in the next revision; reads and writes continue\n{validated}"


def _is_enforced(traced: TracedStatement) -> bool:
    """Return whether the statement makes a constraint ENFORCED that was not."""
    return any(ENFORCED.search(without_comments(sql)) for sql in (traced.statement.sql, *traced.bodies))
