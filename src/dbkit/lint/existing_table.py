"""A table from before the revision, as one statement of the revision used it."""

from collections.abc import Sequence
from dataclasses import dataclass

from dbkit.postgres.sql_quote import split_name
from dbkit.postgres.sql_text import find_changed_tables
from dbkit.trace.records import ChangeKind, ExecutedStatement, Lock, RelationAccess
from dbkit.trace.statement_text import ends_own_transactions

RELKINDS = ("r", "p", "m", "f")
"""The kinds of relations with rows, as in pg_class.relkind."""


@dataclass(frozen=True)
class ExistingTable:
    """The effect of one statement on a table and its partitions."""

    name: str
    is_partitioned: bool
    is_materialized_view: bool
    lock: Lock
    """The strongest lock on it, of this statement or of an earlier one in the transaction."""
    blocks: str
    """What waits for that lock: "reads and writes", "writes", or nothing."""
    is_scanned: bool
    """Whether its rows were read, or would have been if it had any."""
    is_rewritten: bool
    changed_rows: int
    is_searched: bool
    """Whether the statement searched it for rows to change, found or not."""


def read_table(
    name: str, kind: str, statement: ExecutedStatement, accesses: Sequence[RelationAccess], bodies: Sequence[str] = ()
) -> ExistingTable:
    """Return what a statement did to a table. `accesses` are those to the table and to its partitions.

    `bodies`: the statements that have created the functions which it calls.
    """
    is_view = kind == "m"
    scanned = [each for each in accesses if _is_scanned(each, statement)]
    is_by_key = _is_by_key(name, statement, accesses, bodies)
    # the rows that these statements read are not counted
    is_uncounted = is_view or (not statement.in_transaction and ends_own_transactions(statement.sql))
    return ExistingTable(
        name,
        is_partitioned=kind == "p",
        is_materialized_view=is_view,
        lock=_strongest_lock(name, statement, accesses),
        blocks=_blocks(name, statement, is_view=is_view),
        is_scanned=bool(scanned) and not is_by_key,
        is_rewritten=any(each.rewritten and (each in scanned or is_uncounted) for each in accesses),
        changed_rows=0 if is_view or is_by_key else sum(each.updated + each.deleted for each in accesses),
        is_searched=not (is_view or is_by_key) and _is_searched(name, statement, scanned),
    )


def _is_by_key(
    name: str, statement: ExecutedStatement, accesses: Sequence[RelationAccess], bodies: Sequence[str]
) -> bool:
    """Return whether the statement changes only rows of the table that it names by a unique key."""
    keys = {key for each in accesses for key in each.unique_keys}
    names = {_last_part(each) for each in (name, *(access.relation for access in accesses))}
    if not keys:
        return False
    from dbkit.lint.key_access import changes_by_key  # the parser takes a quarter of a second to import

    return changes_by_key((statement.sql, *bodies), names, keys)


def _strongest_lock(name: str, statement: ExecutedStatement, accesses: Sequence[RelationAccess]) -> Lock:
    held = [each.held for each in accesses if each.relation == name and each.held]
    return max([*held, dict(statement.inherited_locks).get(name, Lock.ACCESS_SHARE)])


def _blocks(name: str, statement: ExecutedStatement, *, is_view: bool) -> str:
    blocks = statement.blocks(name)
    # there are no writes to a materialized view
    return "" if is_view and blocks == Lock.SHARE.blocks else blocks


def _is_scanned(access: RelationAccess, statement: ExecutedStatement) -> bool:
    # TRUNCATE replaces the table's file, and then scans the empty one for its indexes
    others = any(each.what != ChangeKind.TABLE_TRUNCATED for each in statement.changes)
    is_truncated = access.rewritten and not (access.scanned or others)
    return access.scanned > 0 or (access.scans > 0 and not is_truncated)


def _is_searched(name: str, statement: ExecutedStatement, scanned: Sequence[RelationAccess]) -> bool:
    changed = {target for verb, target in find_changed_tables(statement.sql) if verb != "insert"}
    return any(
        not each.inserted and (each.opened or {_last_part(name), _last_part(each.relation)} & changed)
        for each in scanned
    )


def _last_part(name: str) -> str:
    """Return a qualified name without its schema and without quotes."""
    return split_name(name)[-1]
