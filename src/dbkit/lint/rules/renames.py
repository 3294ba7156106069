"""Rules on names that running code may still use after the migration."""

import itertools
import re
from collections.abc import Iterator

from dbkit.findings.finding import Level
from dbkit.lint.rules.fixes import execute
from dbkit.lint.rules.objects import (
    PUBLICATION,
    SEQUENCE_OF_COLUMN,
    TRIGGER_FUNCTION,
    UNUSED_BY_CODE,
    WITH_WORDS,
    changes_of,
    find_lost_words,
    is_reused,
    later_changes,
)
from dbkit.lint.rules.rule import Violation, change_rule, statement_rule
from dbkit.lint.rules.successors import Replacement, find_replacement
from dbkit.lint.trace_reader import TracedStatement
from dbkit.postgres.sql_quote import quote_literal, split_name
from dbkit.trace.records import COMPUTED, Change, ChangeKind

CASCADE = re.compile(r"\bcascade\b", re.IGNORECASE)
OLD_CODE = "Until the last process has restarted, old code runs on the new schema."
DROPPED_PARTS = {ChangeKind.TRIGGER_DROPPED: "trigger", ChangeKind.RULE_DROPPED: "rule"}
IN_TABLES = {
    ChangeKind.CONSTRAINT_DROPPED: "constraint",
    ChangeKind.TRIGGER_DROPPED: "trigger",
    ChangeKind.POLICY_DROPPED: "policy",
    ChangeKind.COLUMN_DROPPED: "column",
    ChangeKind.DEFAULT_CHANGED: "default of",
    ChangeKind.INDEX_DROPPED: "index",
}
"""What CASCADE drops in tables that stay."""
GO_WITH_COLUMN = (ChangeKind.CONSTRAINT_DROPPED, ChangeKind.INDEX_DROPPED)


@change_rule("rename-breaks-code", Level.WARNING)
def rename_breaks_code(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report a renamed table or column, unless a view or another table takes the old name."""
    is_table = change.what == ChangeKind.TABLE_RENAMED
    if not (is_table or change.what == ChangeKind.COLUMN_RENAMED) or change.table not in traced.tables:
        return
    if any(each.what == ChangeKind.OBJECT_RENAMED and each.kind == "schema" for each in traced.statement.changes):
        return  # it is reported itself, and not with each of its tables
    if f"{change.table}.{change.name}" in traced.created or (is_table and _is_name_new(traced, change)):
        return
    replacement = find_replacement(change, traced.trace) if is_table else None
    if replacement:
        yield from _find_missing_in_replacement(traced, change, replacement)
        return
    what = "table" if is_table else "column"
    name = f"{change.table}.{change.before}" if change.name else change.before
    yield Violation(
        f"{name}: the {what} is renamed to {change.after}, and running code uses the old name",
        OLD_CODE,
        _keep_both_names(change),
        tables=(change.table,),
    )


def _is_name_new(traced: TracedStatement, change: Change) -> bool:
    """Return whether the revision has given the table its name before, whatever it was called then."""
    earlier = itertools.takewhile(lambda each: each is not change, changes_of(traced.trace))
    return any(each.what == ChangeKind.TABLE_RENAMED and each.after == change.table for each in earlier)


def _find_missing_in_replacement(
    traced: TracedStatement, change: Change, replacement: Replacement
) -> Iterator[Violation]:
    """Report what the table or view that takes the name of a table lacks."""
    old, new = replacement.old, replacement.new
    if old is new:
        return
    lost = [
        name for name in change.columns if name not in new.columns and f"{change.table}.{name}" not in traced.created
    ]
    if lost:
        they = "them" if len(lost) > 1 else "it"
        yield Violation(
            f"{change.table}: the {new.kind} that takes its name has no column {', '.join(lost)}, and running code may"
            f" still use {they}",
            OLD_CODE,
            f"# give the {new.kind} all columns of the old one, until no code uses them",
            tables=(change.table,),
        )
    if new.is_read_only:
        yield Violation(
            f"{change.table}: the view that takes its name cannot be written, and INSERTs, UPDATEs and DELETEs of"
            " running code fail",
            "A view with DISTINCT, GROUP BY, LIMIT, a set operation or several tables is not updatable.",
            "# a view of the one table with its columns; or an INSTEAD OF trigger",
            tables=(change.table,),
        )


@change_rule("rename-breaks-code", Level.WARNING)
def object_rename_breaks_code(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report a renamed view, function, type or schema, a label of an enum, and a column of a view."""
    # code does not name what PostgreSQL has named for a serial or an identity
    is_of_column = change.kind == SEQUENCE_OF_COLUMN and split_name(change.table)[-1].endswith("_seq")
    if change.table in traced.created or change.kind == TRIGGER_FUNCTION or is_of_column:
        return
    if change.what == ChangeKind.OBJECT_RENAMED and not is_reused(change.before, traced.trace):
        yield Violation(
            f"{change.before}: the {change.kind} is renamed to {change.after}, and running code uses the old name",
            OLD_CODE,
            "# create the new one beside it; drop the old one in a later release, when no code uses it",
        )
    elif change.what == ChangeKind.LABEL_RENAMED and not _is_label_added(traced, change):
        yield Violation(
            f"{change.table}: the label {change.before} is renamed to {change.after or 'nothing'}, and running code"
            " writes and compares the old one",
            OLD_CODE,
            execute(f"ALTER TYPE {change.table} ADD VALUE {quote_literal(change.after)}")
            + "\n# write and read both; update the rows; stop to use the old one in a later release",
        )
    elif change.what == ChangeKind.OBJECT_CHANGED and change.columns and change.kind in WITH_WORDS:
        yield Violation(
            f"{change.table}: the {change.kind} has no {WITH_WORDS[change.kind]} {', '.join(change.columns)} any more,"
            f" and {'its subscribers' if change.kind == PUBLICATION else 'running code'} may use it",
            OLD_CODE,
            f"# keep what the {change.kind} has; or create another one with the new ones",
        )


def _is_label_added(traced: TracedStatement, change: Change) -> bool:
    return any(
        each.what in (ChangeKind.LABEL_ADDED, ChangeKind.LABEL_RENAMED)
        and change.before in (each.after, "")
        and each.table == change.table
        for each in changes_of(traced.trace)
    )


def _keep_both_names(change: Change) -> str:
    if change.name:
        return "# add the new column, write both, backfill, read the new one; drop the old one in a later release"
    view = f"CREATE VIEW {change.before} AS SELECT * FROM {change.after}"  # noqa: S608
    return f"# in the same transaction: keep the old name for as long as old code runs\n{execute(view)}"


@change_rule("drop-breaks-code", Level.WARNING)
def drop_breaks_code(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report a dropped table or column that existed before the revision."""
    is_table = change.what == ChangeKind.TABLE_DROPPED
    if not (is_table or change.what == ChangeKind.COLUMN_DROPPED) or change.table not in traced.tables:
        return
    if f"{change.table}.{change.name}" in traced.created or (is_table and _is_name_new(traced, change)):
        return
    replacement = find_replacement(change, traced.trace) if is_table else None
    if replacement:
        yield from _find_missing_in_replacement(traced, change, replacement)
        return
    if not is_table and _is_computed_again(traced, change):
        return
    name = f"{change.table}.{change.name}" if change.name else change.table
    what = "table" if is_table else "column"
    yield Violation(
        f"{name}: the {what} is dropped, and running code may still use it",
        "Models name all columns in their SELECTs: old code fails until its last process has restarted."
        " Its data is lost, too.",
        "# first release code that does not use it; then drop it, and accept this: # dbkit: ok drop-breaks-code, …",
        tables=(change.table,),
    )


def _is_computed_again(traced: TracedStatement, change: Change) -> bool:
    """Return whether a generated column is dropped and added with another expression."""
    return change.detail.startswith(COMPUTED) and any(
        each.what == ChangeKind.COLUMN_ADDED
        and (each.table, each.name) == (change.table, change.name)
        and each.after.startswith(COMPUTED)
        for each in later_changes(traced.trace, change)
    )


@change_rule("drop-breaks-code", Level.WARNING)
def object_drop_breaks_code(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report a dropped view, function, type, sequence or schema that has no successor, and what the successor lacks."""
    is_dropped = change.what == ChangeKind.OBJECT_DROPPED and change.kind not in UNUSED_BY_CODE
    if not is_dropped or change.table in traced.created:
        return
    lost = find_lost_words(change, traced.trace)
    if lost == ():
        return
    what = f"{WITH_WORDS.get(change.kind, '')} {', '.join(lost)} is not in the new {change.kind}" if lost else ""
    yield Violation(
        f"{change.table}: the {what or f'{change.kind} is dropped'}, and running code may still use it",
        OLD_CODE,
        "# first release code that does not use it; then drop it, and accept this: # dbkit: ok drop-breaks-code, …",
    )


@change_rule("drop-breaks-code", Level.WARNING)
def part_drop_breaks_code(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report a trigger or a rule that is dropped, a partition that is detached, and a view without its rows."""
    if change.what == ChangeKind.PARTITION_DETACHED and not _is_dropped_or_created(traced, change.table):
        yield Violation(
            f"{change.table}: it is detached from {change.before}, whose queries no longer see its rows",
            OLD_CODE,
            "# first release code that does not need the rows; then detach it, and accept this:\n"
            "# dbkit: ok drop-breaks-code, …",
            tables=(change.table,),
        )
    elif change.what in DROPPED_PARTS and change.table in traced.tables and not _is_part_replaced(traced, change):
        what = DROPPED_PARTS[change.what]
        yield Violation(
            f"{change.table}: the {what} {change.name} is dropped or disabled, and running code relies on what it does",
            OLD_CODE,
            "# first release code that does it itself; then drop it, and accept this: # dbkit: ok drop-breaks-code, …",
            tables=(change.table,),
        )
    elif change.what == ChangeKind.OPTION_SET and change.name == "unpopulated" and change.table in traced.tables:
        yield Violation(
            f"{change.table}: it is not populated any more (WITH NO DATA), and each query of it fails",
            OLD_CODE,
            execute(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {change.table}") + "  # it needs a unique index",
            tables=(change.table,),
        )


def _is_part_replaced(traced: TracedStatement, change: Change) -> bool:
    """Return whether the revision adds another trigger or rule, or drops the table, too."""
    added = (ChangeKind.TRIGGER_ADDED, ChangeKind.RULE_ADDED, ChangeKind.TABLE_DROPPED)
    is_created = f"{change.table}.{change.name}" in traced.created
    return is_created or any(each.what in added and each.table == change.table for each in changes_of(traced.trace))


def _is_dropped_or_created(traced: TracedStatement, table: str) -> bool:
    dropped = (each.table for each in traced.statement.changes if each.what == ChangeKind.TABLE_DROPPED)
    return table in traced.created or table in dropped


@statement_rule("cascade-drops-more", Level.WARNING)
def cascade_drops_more(traced: TracedStatement) -> Iterator[Violation]:
    """Report what a statement drops without naming it."""
    if not traced.statement.changes:
        return
    text = "\n".join(traced.sql_until)
    victims = list(dict.fromkeys(_find_victims(traced, text))) if CASCADE.search(text) else []
    if victims:
        yield Violation(
            f"CASCADE drops {', '.join(victims)}",
            "CASCADE drops whatever depends on the object, also what was added after the migration was written.",
            "# name each of them in a separate statement, and drop without CASCADE",
        )


def _find_victims(traced: TracedStatement, text: str) -> Iterator[str]:
    dropped = {each.table for each in traced.statement.changes if each.what == ChangeKind.TABLE_DROPPED}
    with_constraint = {
        (each.table, each.name, ChangeKind.INDEX_DROPPED)
        for each in traced.statement.changes
        if each.what == ChangeKind.CONSTRAINT_DROPPED
    }
    without_column = {each.table for each in traced.statement.changes if each.what == ChangeKind.COLUMN_DROPPED}
    for change in traced.statement.changes:
        is_object = change.what == ChangeKind.OBJECT_DROPPED and change.kind not in UNUSED_BY_CODE
        if is_object or (change.what == ChangeKind.TABLE_DROPPED and change.table in traced.tables):
            name = change.table.partition("(")[0].rpartition(".")[2]
            if change.table not in traced.created and not _is_named(name, text):
                yield f"{change.kind or 'table'} {change.table}"
        elif change.what in IN_TABLES and change.table in traced.tables and change.table not in dropped:
            is_own = change.what in GO_WITH_COLUMN and change.table in without_column
            is_own = is_own or (change.table, change.name, change.what) in with_constraint
            is_lost = change.what != ChangeKind.DEFAULT_CHANGED or not change.after
            is_created = f"{change.table}.{change.name}" in traced.created
            if is_lost and not (is_own or is_created or _is_named(change.name, text)):
                yield f"{IN_TABLES[change.what]} {change.name} of {change.table}"


def _is_named(name: str, text: str) -> bool:
    return bool(re.search(rf"(?<![\w$]){re.escape(name.strip(chr(34)))}(?![\w$])", text, re.IGNORECASE))
