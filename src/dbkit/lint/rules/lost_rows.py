"""Rules on rows that are lost, and on keys that are given out again."""

import re
from collections.abc import Iterator

from dbkit.findings.finding import Level
from dbkit.lint.rules.fixes import Table, execute, operation
from dbkit.lint.rules.objects import changes_of, is_reused, later_changes
from dbkit.lint.rules.rule import Violation, change_rule
from dbkit.lint.rules.successors import find_replacement
from dbkit.lint.trace_reader import TracedStatement
from dbkit.postgres.sql_quote import quote_literal, quote_name, split_name
from dbkit.postgres.sql_text import find_changed_tables
from dbkit.trace.records import Change, ChangeKind, ExecutedStatement

SETS_SEQUENCE = re.compile(r"\bsetval\b|\brestart\b", re.IGNORECASE)
SEQUENCE_CHANGES = (ChangeKind.SEQUENCE_SET, ChangeKind.SEQUENCE_ASSIGNED)
REWRITES = re.compile(r"(?:cluster|vacuum|alter|refresh|reindex)\b")
LOCKS = re.compile(r"\block (?:table )?", re.IGNORECASE)


@change_rule("table-emptied", Level.DANGER)
def table_emptied(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report TRUNCATE of a table from before the revision."""
    # an empty table that is rewritten looks the same
    is_rewrite = REWRITES.match(traced.plain_sql)
    if change.what == ChangeKind.TABLE_TRUNCATED and change.table in traced.tables and not is_rewrite:
        yield Violation(
            f"{change.table}: all rows of the table are thrown away by TRUNCATE, while reads and writes wait",
            "Running code still reads the rows, no rollback brings them back, and the table is locked until the end of"
            " the transaction.",
            "# keep the rows until no code reads them: rename the table in one release, drop it in a later one\n"
            + operation("rename_table", Table(change.table), f"{split_name(change.table)[-1]}_old"),
            "reads and writes",
            (change.table,),
        )


@change_rule("table-emptied", Level.DANGER)
def table_replaced_without_rows(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report a table from before the revision whose name a new one takes, without any of its rows."""
    table = traced.tables.get(change.table)
    is_replaced = change.what in (ChangeKind.TABLE_DROPPED, ChangeKind.TABLE_RENAMED)
    if not is_replaced or table is None or table.is_materialized_view:
        return
    replacement = find_replacement(change, traced.trace)
    if replacement and replacement.loses_rows:
        yield Violation(
            f"{change.table}: a new table takes its name, and has none of its rows",
            "Running code still reads the rows, and finds none."
            + (" No rollback brings them back." if change.what == ChangeKind.TABLE_DROPPED else ""),
            "# copy the rows before the new table takes the name, under a lock that writes wait for\n"
            + _lock_against_writes(change.table),
            tables=(change.table,),
        )


@change_rule("copy-without-lock", Level.DANGER)
def copy_without_lock(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report a table that is dropped or replaced after its rows were copied, without a lock on it during the copy."""
    is_dropped = change.what == ChangeKind.TABLE_DROPPED
    is_replaced = change.what == ChangeKind.TABLE_RENAMED and is_reused(change.before, traced.trace)
    if not (is_dropped or is_replaced) or change.table not in traced.tables:
        return
    if _is_swapped(traced, change) or any(_copies(statement, change.table, traced) for statement in traced.until):
        yield Violation(
            f"{change.table}: what other sessions write between the copy of its rows and the swap is lost",
            "The copy has a snapshot and no lock: rows that are committed after it are in the old table only.",
            "# first a trigger that writes both tables; then the rows in batches, in a separate revision; then the\n"
            "# swap. For a small table: a lock before the copy\n" + _lock_against_writes(change.table),
            tables=(change.table,),
        )


def _is_swapped(traced: TracedStatement, change: Change) -> bool:
    """Return whether one statement, such as a function, drops a table and creates one of that name.

    What it has read in a table is not counted any more once the table is dropped.
    """
    creates = any(each.what == ChangeKind.TABLE_CREATED and each.table == change.table for each in traced.changes)
    return change.what == ChangeKind.TABLE_DROPPED and creates and not LOCKS.search(traced.statement.sql)


def _lock_against_writes(table: str) -> str:
    return execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")


def _copies(statement: ExecutedStatement, table: str, traced: TracedStatement) -> bool:
    """Return whether a statement reads the rows of a table, writes them to another, and lets others write meanwhile."""
    if not any(each.relation == table and (each.scanned or each.scans) for each in statement.touched):
        return False
    writes = any(each.inserted or each.opened for each in statement.touched if each.relation != table)
    writes = writes or any(verb in ("insert", "merge") for verb, _name in find_changed_tables(statement.sql))
    if not (writes or any(each.what == ChangeKind.TABLE_CREATED for each in statement.changes)):
        return False
    if statement is traced.statement:  # all in one, such as a DO block: its locks are those of the end
        return not LOCKS.search(statement.sql)
    return not statement.blocks(table)


@change_rule("sequence-behind", Level.DANGER)
def sequence_behind(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report a sequence that gives out keys which are there; a warning where its next key is not known for sure."""
    is_assigned = change.what == ChangeKind.SEQUENCE_ASSIGNED
    if not (is_assigned or change.what == ChangeKind.SEQUENCE_SET) or change.table in traced.created:
        return
    if _is_sequence_changed_later(traced, change) or not (is_assigned or _is_set_for_keys(traced, change)):
        return
    was_read = any(each.relation == change.table for statement in traced.until for each in statement.touched)
    if change.valid and (was_read or is_assigned):
        return
    there = f"{change.detail} is there" if not change.valid else "greater keys may be there"
    # the live sequence may have passed the keys, if only code has used it so far
    is_sure = not change.valid and not (is_assigned and _is_unused(traced, change))
    yield Violation(
        f"{change.table}: the sequence {change.kind} gives out {change.name} = {change.after} next, and {there}",
        "Each INSERT that takes its key from the sequence fails with a duplicate key until the sequence has passed the"
        " greatest one.",
        _set_sequence(change),
        tables=(change.table,),
        level=Level.DANGER if is_sure else Level.WARNING,
    )


def _set_sequence(change: Change) -> str:
    """Return code that sets the sequence to the greatest key."""
    greatest = f"SELECT max({quote_name(change.name)}) FROM {change.table}"  # noqa: S608
    return execute(f"SELECT setval({quote_literal(change.kind)}, ({greatest}))")


def _is_sequence_changed_later(traced: TracedStatement, change: Change) -> bool:
    """Return whether the sequence is set once more, or no key is left that it could give out again."""
    if any(each.what == ChangeKind.TABLE_TRUNCATED and each.table == change.table for each in changes_of(traced.trace)):
        return True
    column = (change.table, change.name)
    return any(
        (each.what in SEQUENCE_CHANGES and (each.kind == change.kind or (each.table, each.name) == column))
        or (each.what in (ChangeKind.DEFAULT_CHANGED, ChangeKind.COLUMN_DROPPED) and (each.table, each.name) == column)
        or (each.what == ChangeKind.TABLE_DROPPED and each.table == change.table)
        for each in later_changes(traced.trace, change)
    )


def _is_set_for_keys(traced: TracedStatement, change: Change) -> bool:
    """Return whether a sequence is set by hand, and is one from which keys of before are taken."""
    is_new = change.kind in traced.created
    takes = (each.kind for each in changes_of(traced.trace) if each.what == ChangeKind.SEQUENCE_ASSIGNED)
    return any(map(SETS_SEQUENCE.search, traced.sql_until)) and (not is_new or change.kind in takes)


def _is_unused(traced: TracedStatement, change: Change) -> bool:
    """Return whether the revision has neither created nor set the sequence, as far as this statement."""
    names = {
        each.table if each.what == ChangeKind.OBJECT_CREATED else each.kind
        for statement in traced.until
        for each in statement.changes
        if each.what in (ChangeKind.OBJECT_CREATED, ChangeKind.SEQUENCE_SET)
    }
    return change.kind not in names | traced.created
