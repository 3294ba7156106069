"""A table that was there before a revision, as one of its statements met it."""

from collections.abc import Sequence

from dbkit.postgres.sql_text import targets, tokens, unquoted
from dbkit.trace.records import Lock, RelationAccess, Statement
from dbkit.trace.statement_text import ends_own_transactions


class Table:
    """What a statement has done to it, with its partitions, and what waits for it."""

    def __init__(self, name: str, kind: str, statement: Statement, met: Sequence[RelationAccess]) -> None:
        """`met`: it, and its partitions, as far as the statement has touched them."""
        self.name = name
        self.partitioned = kind == "p"
        self.is_view = kind == "m"
        scanned = [each for each in met if _is_scanned(each, statement)]
        locks = [each.held for each in met if each.relation == name and each.held]
        self.lock = max([*locks, dict(statement.kept).get(name, Lock.ACCESS_SHARE)])
        """The strongest lock on it, of this statement and of earlier ones."""
        self.scanned = bool(scanned)
        """Whether its rows were read, or would have been if it had any."""
        is_not_counted = self.is_view or (not statement.in_transaction and ends_own_transactions(statement.sql))
        self.rewritten = any(each.rewritten and (each in scanned or is_not_counted) for each in met)
        self.changed = 0 if self.is_view else sum(each.updated + each.deleted for each in met)
        changed = {target for verb, target in targets(statement.sql) if verb != "insert"}
        self.is_searched = not self.is_view and any(
            not each.inserted and (each.opened or {_last_part(name), _last_part(each.relation)} & changed)
            for each in scanned
        )
        """Whether rows to be changed were looked for, found or not."""
        blocks = statement.blocks(name)
        self.blocks = "" if self.is_view and blocks == Lock.SHARE.blocks else blocks
        """What waits for it. Nobody writes to a materialized view."""


def _last_part(name: str) -> str:
    """Of a name as SQL, without its schema."""
    return unquoted([token.text for token in tokens(name)][-1])


def _is_scanned(each: RelationAccess, statement: Statement) -> bool:
    # TRUNCATE makes the table anew, and then scans what is empty for its indexes
    is_emptied = each.rewritten and not (each.scanned or statement.changes)
    return each.scanned > 0 or (each.scans > 0 and not is_emptied)
