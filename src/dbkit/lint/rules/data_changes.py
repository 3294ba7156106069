"""Rules on statements that change or read rows."""

import itertools
import re
from collections.abc import Iterator, Sequence

from dbkit.findings.finding import Level
from dbkit.lint.existing_table import RELKINDS, ExistingTable
from dbkit.lint.rules.fixes import update_in_batches
from dbkit.lint.rules.rule import Violation, statement_rule
from dbkit.lint.rules.wording import describe_waits
from dbkit.lint.trace_reader import TracedStatement
from dbkit.postgres.sql_text import find_changed_tables, plain
from dbkit.trace.records import Change, ChangeKind, Lock

FOR = re.compile(r"\bfor\b", re.IGNORECASE)
LOCKS_ROWS = re.compile(r"\bfor (?:no key )?(?:update|share)\b|\bfor key share\b")
LIMIT = re.compile(r"\blimit\b|\bfetch (?:first|next)\b")
BLOCK = re.compile(r"(?:do|call|select|with)\b")
QUERY = re.compile(
    r"\(*(?:(?:select|with|table|values|copy|do|call|declare|fetch|execute|explain)\b"
    r"|create (?:\w+ )*(?:table|materialized view)\b.*\bas\b)"
)


@statement_rule("lock-kept-during-data-change", Level.DANGER)
def lock_kept_during_data_change(traced: TracedStatement) -> Iterator[Violation]:
    """Report rows that are changed or read while the transaction holds a blocking lock."""
    changes_data = _changes_data(traced)
    locks = _inherited_locks(traced)
    if changes_data and (traced.statement.changes or _locks_by_itself(traced)):  # a function with both
        locks += [(table.name, table.lock) for table in traced.tables.values() if table.blocks]
    validated = [each for each in traced.changes if each.what == ChangeKind.CONSTRAINT_VALIDATED]
    if validated and not changes_data:
        locks = _locks_beside(validated, locks, traced)
    if not locks or not (changes_data or _is_query(traced, validated)):
        return
    strongest = max(lock for _, lock in locks)
    blocked = {name: lock.blocks for name, lock in sorted(locks, key=lambda each: each[1])}
    subjects = [table.name for table in _changed_tables(traced) or _scanned_tables(traced)]
    verbs = {verb for verb, _table in find_changed_tables(traced.statement.sql)}
    is_copy = changes_data and not _changed_tables(traced) and verbs <= {"insert"}
    work = "copied" if is_copy else "worked on" if changes_data else "read"
    yield Violation(
        f"{describe_waits(blocked)} while the rows of {', '.join(subjects)} are {work}, under the lock of an earlier"
        " statement",
        "A lock is held until the end of the transaction, which now lasts as long as the work on the rows.",
        "# schema in one revision, data in the next\n" + update_in_batches(*subjects)
        if changes_data
        else "# read first, before anything is locked; or in a separate revision",
        strongest.blocks,
        tuple(sorted(blocked)),
        Level.DANGER if changes_data or strongest == Lock.ACCESS_EXCLUSIVE else Level.WARNING,
        tuple(subjects),
    )


@statement_rule("data-in-one-transaction", Level.WARNING)
def data_in_one_transaction(traced: TracedStatement) -> Iterator[Violation]:
    """Report an UPDATE or DELETE of all rows that is not a batch of a loop."""
    changed = _changed_tables(traced)
    if changed and not traced.statement.in_transaction and _is_batch(traced.statement.sql):
        return
    for table in changed:
        yield Violation(
            f"{table.name}: {'' if table.changed_rows else 'up to '}all rows are changed in one transaction",
            "Every row stays locked until the transaction ends, vacuum cannot clean up, standbys fall behind, and a"
            " failure near the end undoes all of it.",
            update_in_batches(table.name),
            tables=(table.name,),
        )


def _is_batch(sql: str) -> bool:
    from dbkit.lint.batches import is_batch  # the parser takes a quarter of a second to import

    return is_batch(sql)


def _locks_by_itself(traced: TracedStatement) -> bool:
    """Return whether a block of code takes a lock, and then works on rows."""
    return bool(BLOCK.match(traced.plain_sql)) and any(table.blocks for table in traced.tables.values())


@statement_rule("data-in-one-transaction", Level.WARNING)
def rows_changed_one_by_one(traced: TracedStatement) -> Iterator[Violation]:
    """Report a loop, or a call with many sets of parameters, that changes by key each row that a query has read."""
    statement = traced.statement
    changed = {each.relation for each in statement.touched if each.existed and each.updated + each.deleted}
    if not statement.in_transaction or statement.line is None or not changed:
        return
    loop = [each for each in traced.trace if each.line == statement.line]
    executions = sum(each.executions for each in loop)
    before = itertools.takewhile(lambda each: each.line != statement.line, traced.trace)
    read = {access.scanned for each in before if not each.changes for access in each.touched}
    if statement is not loop[-1] or executions == 1 or executions not in read:
        return
    for table in traced.tables.values():
        if table.name in changed and not (table.changed_rows or table.is_searched):
            yield Violation(
                f"{table.name}: all rows are changed in one transaction, one by one",
                "A loop over the rows that a query returns is a change of all of them, and takes longer than one"
                " statement.",
                update_in_batches(table.name),
                tables=(table.name,),
            )


@statement_rule("data-in-one-transaction", Level.WARNING)
def rows_locked_in_one_transaction(traced: TracedStatement) -> Iterator[Violation]:
    """Report SELECT … FOR UPDATE of all rows."""
    texts = [plain(each) for each in (*traced.bodies, traced.statement.sql) if FOR.search(each)]
    if not any(LOCKS_ROWS.search(text) and not LIMIT.search(text) for text in texts):
        return
    for access in traced.statement.touched:
        table = traced.tables.get(access.relation)
        if table is not None and access.scans and access.lock == Lock.ROW_SHARE and table.is_scanned:
            yield Violation(
                f"{table.name}: every row is locked for update until the end of the transaction",
                "Other sessions that change or lock one of the rows wait until the migration ends.",
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
    # a new serial or identity column opens its sequence
    written = (each for each in statement.touched if each.written or (each.opened and each.kind in RELKINDS))
    writes = any(written) or bool(find_changed_tables(statement.sql))
    return bool(_changed_tables(traced) or (_scanned_tables(traced) and writes))


def _is_query(traced: TracedStatement, validated: Sequence[Change]) -> bool:
    """Return whether the statement reads rows and alters nothing; it prolongs the locks as an UPDATE does.

    `validated`: the constraints for which it reads them.
    """
    alters = any(each.table in traced.tables and each not in validated for each in traced.changes)
    is_query = bool(validated) or bool(QUERY.match(traced.plain_sql))
    return bool(_scanned_tables(traced)) and is_query and not alters


def _locks_beside(
    validated: Sequence[Change], locks: Sequence[tuple[str, Lock]], traced: TracedStatement
) -> list[tuple[str, Lock]]:
    """Return the locks that the validation of constraints prolongs, without those that are reported with these."""
    reported = {
        name
        for each in validated
        if each.table in traced.tables and traced.tables[each.table].blocks
        for name in (each.table, each.references)
    }
    return [(name, lock) for name, lock in locks if name not in reported]


def _inherited_locks(traced: TracedStatement) -> list[tuple[str, Lock]]:
    """Return the blocking locks of earlier statements, by table."""
    return [(name, lock) for name, lock in traced.statement.inherited_locks if lock.blocks and name in traced.tables]
