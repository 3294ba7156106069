"""Rules on statements that change or read rows."""

import re
from collections.abc import Iterator

from dbkit.findings.finding import Level
from dbkit.lint.existing_table import ExistingTable
from dbkit.lint.rules.fixes import update_in_batches
from dbkit.lint.rules.rule import Violation, statement_rule
from dbkit.lint.rules.wording import describe_waits
from dbkit.lint.trace_reader import TracedStatement
from dbkit.postgres.sql_text import find_changed_tables
from dbkit.trace.records import Lock

# a batch is limited by a number of rows or by a range of keys
BATCH = re.compile(r"\blimit\b|\bbetween\b|[<>]")
QUERY = re.compile(
    r"\(*(?:(?:select|with|table|values|copy|do|call|declare|fetch|execute|explain)\b"
    r"|create (?:\w+ )*(?:table|materialized view)\b.*\bas\b)"
)


@statement_rule("lock-kept-during-data-change", Level.DANGER)
def lock_kept_during_data_change(traced: TracedStatement) -> Iterator[Violation]:
    """Report rows that are changed or read while the transaction holds a blocking lock."""
    changes_data = _changes_data(traced)
    locks = _inherited_locks(traced)
    if traced.statement.changes and changes_data:  # a function with both
        locks += [(table.name, table.lock) for table in traced.tables.values() if table.blocks]
    if not locks or not (changes_data or _is_query(traced)):
        return
    strongest = max(lock for _, lock in locks)
    blocked = {name: lock.blocks for name, lock in sorted(locks, key=lambda each: each[1])}
    subject = ", ".join(table.name for table in _changed_tables(traced) or _scanned_tables(traced))
    yield Violation(
        f"{describe_waits(blocked)} while the rows of {subject} are {'worked on' if changes_data else 'read'}, under"
        " the lock of an earlier statement",
        "A lock is held until the end of the transaction, which now lasts as long as the work on the rows.",
        "# schema in one revision, data in the next\n" + update_in_batches(subject)
        if changes_data
        else "# read first, before anything is locked; or in a separate revision",
        strongest.blocks,
        tuple(sorted(blocked)),
        Level.DANGER if changes_data or strongest == Lock.ACCESS_EXCLUSIVE else Level.WARNING,
    )


@statement_rule("data-in-one-transaction", Level.WARNING)
def data_in_one_transaction(traced: TracedStatement) -> Iterator[Violation]:
    """Report an UPDATE or DELETE of all rows that is not a batch of a loop."""
    if not traced.statement.in_transaction and BATCH.search(traced.plain_sql):
        return
    for table in _changed_tables(traced):
        yield Violation(
            f"{table.name}: {'' if table.changed_rows else 'up to '}all rows are changed in one transaction",
            "Every row stays locked until the transaction ends, vacuum cannot clean up, standbys fall behind, and a"
            " failure near the end undoes all of it.",
            update_in_batches(table.name),
            tables=(table.name,),
        )


def _changed_tables(traced: TracedStatement) -> list[ExistingTable]:
    return [table for table in traced.tables.values() if table.changed_rows or table.is_searched]


def _scanned_tables(traced: TracedStatement) -> list[ExistingTable]:
    return [table for table in traced.tables.values() if table.is_scanned]


def _changes_data(traced: TracedStatement) -> bool:
    """Return whether the statement changes rows of existing tables, or reads them to write elsewhere."""
    statement = traced.statement
    writes = any(each.written or each.opened for each in statement.touched) or bool(find_changed_tables(statement.sql))
    return bool(_changed_tables(traced) or (_scanned_tables(traced) and writes))


def _is_query(traced: TracedStatement) -> bool:
    """Return whether the statement reads rows and changes nothing; it prolongs the locks as an UPDATE does."""
    alters = any(each.table in traced.tables for each in traced.statement.changes)
    return bool(_scanned_tables(traced)) and bool(QUERY.match(traced.plain_sql)) and not alters


def _inherited_locks(traced: TracedStatement) -> list[tuple[str, Lock]]:
    """Return the blocking locks of earlier statements, by table."""
    return [(name, lock) for name, lock in traced.statement.inherited_locks if lock.blocks and name in traced.tables]
