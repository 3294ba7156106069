"""Rules on scans and rewrites that no rule on changes reports."""

import re
from collections.abc import Iterator

from dbkit.findings.finding import Level
from dbkit.lint.existing_table import ExistingTable
from dbkit.lint.rules.fixes import AUTOCOMMIT_BLOCK, alter_table, execute
from dbkit.lint.rules.rule import Violation, change_rule, table_rule
from dbkit.lint.trace_reader import TracedStatement
from dbkit.postgres.sql_text import plain, without_comments
from dbkit.trace.records import Change, ChangeKind

EMPTIES_VIEW = re.compile(r"refresh materialized view\b.*\bwith no data\b", re.DOTALL)
REINDEX = re.compile(r"reindex\s+(?:\([^)]*\)\s*)?(index|table|schema|database)\s+(.+)", re.IGNORECASE | re.DOTALL)


@table_rule("rewrite-under-lock", Level.DANGER)
def rewrite_under_lock(traced: TracedStatement, table: ExistingTable) -> Iterator[Violation]:
    """Report a table whose rows are all rewritten."""
    if table.is_rewritten and not EMPTIES_VIEW.match(traced.plain_sql):
        yield Violation(
            f"{table.name}: every row is rewritten while {table.blocks} wait",
            "The statement writes a new copy of the table under its lock.",
            _rewrite_concurrently(table.name, traced.statement.sql),
            table.blocks,
            (table.name,),
        )


def _rewrite_concurrently(table: str, sql: str) -> str:
    if plain(sql).startswith("refresh"):
        return execute(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {table}") + "  # it needs a unique index"
    return "# do it in a maintenance window, or with a tool that copies a table in use, such as pg_repack"


@change_rule("autovacuum-off", Level.WARNING)
def autovacuum_off(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report autovacuum that is switched off for an existing table."""
    is_off = change.what == ChangeKind.OPTION_SET and change.name == "autovacuum off"
    if is_off and change.table in traced.tables:
        yield Violation(
            f"{change.table}: autovacuum is switched off for the table",
            "Dead rows are never removed, statistics become stale, and in the end an unplanned vacuum against"
            " transaction wraparound runs.",
            alter_table(change.table, "RESET (autovacuum_enabled)") + "  # after the work",
            tables=(change.table,),
        )


@table_rule("scan-under-lock", Level.DANGER)
def scan_under_lock(traced: TracedStatement, table: ExistingTable) -> Iterator[Violation]:
    """Report a table whose rows are all read."""
    is_scanned = table.is_scanned and not table.is_rewritten and not table.changed_rows
    if is_scanned and not _fails_on_first_row(traced, table):
        yield Violation(
            f"{table.name}: every row is read while {table.blocks} wait ({table.lock})",
            "The lock is held until the whole table is read.",
            _scan_concurrently(traced.statement.sql),
            table.blocks,
            (table.name,),
        )


def _fails_on_first_row(traced: TracedStatement, table: ExistingTable) -> bool:
    """Return whether the statement adds a NOT NULL column without a value."""
    return any(
        each.what == ChangeKind.COLUMN_ADDED and each.table == table.name and each.kind == "not null" and not each.after
        for each in traced.statement.changes
    )


def _scan_concurrently(sql: str) -> str:
    reindex = REINDEX.match(without_comments(sql).strip())
    if reindex:
        return AUTOCOMMIT_BLOCK + execute(f"REINDEX {reindex[1].upper()} CONCURRENTLY {reindex[2].rstrip('; ')}")
    return (
        "# first validate the same condition under a weaker lock: as a CHECK constraint, NOT VALID, and with\n"
        "# VALIDATE CONSTRAINT in a separate revision"
    )
