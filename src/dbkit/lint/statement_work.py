"""Estimates for single statements on live tables: how long the work of each takes, while its locks are held."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dbkit.lint.table_sizes import TableSize
from dbkit.lint.timing import Rates
from dbkit.trace.records import ChangeKind, ExecutedStatement, RelationAccess

TABLES = "rpm"
"""The kinds of relations with rows."""


@dataclass(frozen=True)
class LiveSizes:
    """The sizes of a live database's tables, and the rates at which a server works."""

    tables: dict[str, TableSize] = field(default_factory=dict)
    rates: Rates | None = None

    def estimate(self, statement: ExecutedStatement) -> float | None:
        """Return about how many seconds a statement takes; None where it works on no table of a known size."""
        if self.rates is None:
            return None
        found = [self.rates.predict(kind, self.tables[table]) for table, kind in find_work(statement, self.tables)]
        return sum(found) if found else None


def find_work(statement: ExecutedStatement, sizes: Mapping[str, TableSize]) -> Iterator[tuple[str, str]]:
    """Yield the tables of a known size that a statement works on, each with the kind of work, as `Rates` has it."""
    added = [each for each in statement.changes if each.what == ChangeKind.CONSTRAINT_ADDED]
    keys = {each.table for each in added if each.kind == "foreign key" and each.valid}
    keys |= {
        each.table
        for each in statement.changes
        if each.what == ChangeKind.CONSTRAINT_VALIDATED and each.kind == "foreign key"
    }
    for each in statement.touched:
        if not each.existed or each.kind not in TABLES or each.relation not in sizes:
            continue
        if each.rewritten:
            yield each.relation, "rewrite"
        elif each.written:
            yield each.relation, "update"
        elif each.relation in keys and each.scans:
            yield each.relation, "lookup"
        elif each.scans and not _has_new_index(statement, each):
            yield each.relation, "scan"
    for change in statement.changes:
        if change.what == ChangeKind.INDEX_ADDED and change.table in sizes and _existed(statement, change.table):
            yield change.table, "index"


def _has_new_index(statement: ExecutedStatement, table: RelationAccess) -> bool:
    """Whether an index is built on a table, for which it is scanned."""
    return any(each.what == ChangeKind.INDEX_ADDED and each.table == table.relation for each in statement.changes)


def _existed(statement: ExecutedStatement, table: str) -> bool:
    return any(each.relation == table and each.existed for each in statement.touched)
