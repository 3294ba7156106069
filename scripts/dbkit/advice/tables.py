"""A table that was there before a revision, as one of its statements met it."""

from dbkit.trace.records import Lock, Statement, Touched
from dbkit.trace.sql import is_alone


class Table:
    """What a statement has done to it, and what waits for it."""

    def __init__(self, name: str, kind: str, statement: Statement, touched: Touched | None) -> None:
        self.name = name
        self.partitioned = kind == "p"
        is_view = kind == "m"
        touched = touched or Touched(name, kind, existed=True)
        kept = dict(statement.kept).get(name)
        self.lock = max(touched.held or Lock.ACCESS_SHARE, kept or Lock.ACCESS_SHARE)
        """The strongest lock on it, of this statement and of earlier ones."""
        # TRUNCATE makes the table anew, and then scans what is empty for its indexes
        is_emptied = touched.rewritten and not (touched.scanned or statement.changes)
        self.scanned = touched.scanned > 0 or (touched.scans > 0 and not is_emptied)
        """Whether its rows were read, or would have been if it had any."""
        is_not_counted = is_alone(statement.sql) or is_view
        self.rewritten = touched.rewritten and (self.scanned or is_not_counted)
        self.changed = 0 if is_view else touched.updated + touched.deleted
        self.is_searched = touched.lock == Lock.ROW_EXCLUSIVE and not touched.inserted and self.scanned
        """Whether rows to be changed were looked for, found or not."""
        blocks = statement.blocks(name)
        self.blocks = "" if is_view and blocks == Lock.SHARE.blocks else blocks
        """What waits for it. Nobody writes to a materialized view."""
