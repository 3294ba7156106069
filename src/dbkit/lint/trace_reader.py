"""The statements of a trace, each with the tables from before the revision that it concerns."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from dbkit.lint.existing_table import RELKINDS, ExistingTable, read_table
from dbkit.postgres.sql_text import plain
from dbkit.trace.records import Change, ChangeKind, ExecutedStatement, Trace

OWN_TABLES = re.compile(r"\bdbkit_(?:backfill|journal)\b")


@dataclass(frozen=True)
class TracedStatement:
    """One statement of a trace, with what the rules need to know."""

    statement: ExecutedStatement
    trace: Trace
    version: int
    """The major version of PostgreSQL that the findings are for."""
    tables: Mapping[str, ExistingTable]
    """By name, the tables from before the revision that the transaction has locked; for partitions that are treated
    like their partitioned table, that one."""
    changes: tuple[Change, ...]
    """Changes of the catalog, without those that partitions share with their partitioned table."""
    created: frozenset[str]
    """Tables that the revision created in earlier statements, and columns, as table.column."""

    @cached_property
    def plain_sql(self) -> str:
        """The SQL without comments and strings, in lower case."""
        return plain(self.statement.sql)

    @cached_property
    def newly_blocked(self) -> set[str]:
        """The relations on which this statement took a lock that other sessions wait for."""
        return _newly_blocked(self.statement)

    def has_change(self, kind: ChangeKind) -> bool:
        """Return whether the statement made a change of this kind, to any table."""
        return any(each.what == kind for each in self.statement.changes)


def read_statements(trace: Trace, version: int) -> Iterator[TracedStatement]:
    """Yield the statements of a trace from its first to its last, without those on dbkit's own tables."""
    history = _RelationHistory()
    for statement in trace:
        if OWN_TABLES.search(plain(statement.sql)):
            continue
        history.add_relations(statement)
        shared = history.find_shared_partitions(statement)
        yield TracedStatement(
            statement,
            trace,
            version,
            history.read_tables(statement, shared),
            tuple(each for each in statement.changes if each.table not in shared),
            frozenset(history.created),
        )
        history.add_changes(statement)


class _RelationHistory:
    """The relations of one trace so far."""

    def __init__(self) -> None:
        self.kinds: dict[str, str] = {}
        """By name, the kinds of the relations from before the revision."""
        self.roots: dict[str, str] = {}
        """By name of a partition, the partitioned table at the top."""
        self.created: set[str] = set()

    def add_relations(self, statement: ExecutedStatement) -> None:
        """Remember the relations that a statement used."""
        self.kinds |= {each.relation: each.kind for each in statement.touched if each.existed}
        self.roots |= {each.relation: each.partition_of for each in statement.touched if each.partition_of}

    def find_shared_partitions(self, statement: ExecutedStatement) -> dict[str, str]:
        """Return the partitions that a statement treats like their partitioned table, which is the value."""
        present = {name for name, _lock in statement.inherited_locks} | {each.relation for each in statement.touched}
        changed = {each.table for each in statement.changes}
        locked = _newly_blocked(statement)
        return {
            name: root
            for name, root in self.roots.items()
            if root in present and (root in changed or name not in locked | changed)
        }

    def read_tables(self, statement: ExecutedStatement, shared: Mapping[str, str]) -> dict[str, ExistingTable]:
        """Return by name the tables from before the revision that the transaction has locked."""
        used = [each for each in statement.touched if each.existed]
        names = dict.fromkeys([*dict(statement.inherited_locks), *(each.relation for each in used)])
        return {
            name: read_table(
                name,
                self.kinds[name],
                statement,
                [each for each in used if shared.get(each.relation, each.relation) == name],
            )
            for name in names
            if self.kinds.get(name) in RELKINDS and name not in self.created and name not in shared
        }

    def add_changes(self, statement: ExecutedStatement) -> None:
        """Remember what a statement created, and the new names of tables."""
        for change in statement.changes:
            if change.what == ChangeKind.TABLE_CREATED:
                self.created.add(change.table)
            elif change.what == ChangeKind.COLUMN_ADDED:
                self.created.add(f"{change.table}.{change.name}")
            elif change.what == ChangeKind.TABLE_RENAMED and self.kinds.get(change.before):
                self.kinds[change.after] = self.kinds[change.before]


def _newly_blocked(statement: ExecutedStatement) -> set[str]:
    return {each.relation for each in statement.touched if each.lock is not None and each.lock.blocks}
