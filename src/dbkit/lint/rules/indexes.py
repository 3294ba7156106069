"""Rules on indexes."""

import re
from collections.abc import Iterator

from dbkit.findings.finding import Level
from dbkit.lint.existing_table import ExistingTable
from dbkit.lint.rules.fixes import AUTOCOMMIT_BLOCK, Table, execute_block, operation
from dbkit.lint.rules.rule import Violation, change_rule
from dbkit.lint.trace_reader import TracedStatement
from dbkit.trace.records import Change, ChangeKind, ExecutedStatement, Lock

PLAIN_INDEX = re.compile(r"CREATE (UNIQUE )?INDEX \S+ ON \S+ USING btree \(([a-z_0-9]+(?:, [a-z_0-9]+)*)\)")


@change_rule("index-without-concurrently", Level.DANGER)
def index_without_concurrently(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report an index that is built without CONCURRENTLY."""
    table = traced.tables.get(change.table)
    if change.what != ChangeKind.INDEX_ADDED or table is None or (table.is_partitioned and not change.valid):
        return  # ON ONLY a partitioned table nothing is built
    waiting = table.blocks or ("refreshes" if table.is_materialized_view and table.lock >= Lock.SHARE else "")
    is_rebuilt = change.name in find_rebuilt_indexes(traced.statement)
    if waiting and not is_rebuilt and not _belongs_to_constraint(traced, change):
        yield Violation(
            f"{table.name}: {change.name} is built while {waiting} wait",
            "CREATE INDEX holds SHARE until the end of the transaction, which blocks REFRESH, and reads wait behind"
            " that. CONCURRENTLY blocks nothing."
            if table.is_materialized_view
            else "CREATE INDEX holds SHARE until the end of the transaction: writes wait. CONCURRENTLY blocks nothing.",
            _create_index_concurrently(change, table),
            table.blocks,
            (table.name,),
        )


def _belongs_to_constraint(traced: TracedStatement, index: Change) -> bool:
    return any(
        each.what == ChangeKind.CONSTRAINT_ADDED and each.name == index.name and each.table == index.table
        for each in traced.statement.changes
    )


def _create_index_concurrently(change: Change, table: ExistingTable) -> str:
    if table.is_partitioned:
        return (
            "# CONCURRENTLY does not work on a partitioned table: create the index ON ONLY the table, then one on\n"
            "# each partition concurrently, and attach those with ALTER INDEX … ATTACH PARTITION."
        )
    simple = PLAIN_INDEX.fullmatch(change.after)
    if simple:
        unique = {"unique": True} if simple[1] else {}
        call = operation(
            "create_index",
            change.name,
            Table(change.table),
            simple[2].split(", "),
            **unique,
            postgresql_concurrently=True,
        )
    else:
        call = execute_concurrently(change.after)
    return f"# in a separate revision\n{AUTOCOMMIT_BLOCK}{call}"


def execute_concurrently(definition: str) -> str:
    """Return the call that builds an index concurrently, from its definition."""
    return execute_block(definition.replace("INDEX ", "INDEX CONCURRENTLY ", 1))


def find_rebuilt_indexes(statement: ExecutedStatement) -> list[str]:
    """Return the indexes that a statement dropped and created again, and those with a new file."""
    dropped = {each.name for each in statement.changes if each.what == ChangeKind.INDEX_DROPPED}
    added = [each.name for each in statement.changes if each.what == ChangeKind.INDEX_ADDED and each.name in dropped]
    return added + [each.relation for each in statement.touched if each.kind == "i" and each.rewritten]
