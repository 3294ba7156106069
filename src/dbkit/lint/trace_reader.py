"""The statements of a trace, each with the tables from before the revision that it concerns."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from dbkit.lint.existing_table import RELKINDS, ExistingTable, read_table
from dbkit.postgres.sql_text import plain
from dbkit.trace.records import Change, ChangeKind, ExecutedStatement, Trace

CREATES_FUNCTION = re.compile(r"\bcreate\s+(?:or\s+replace\s+)?(?:function|procedure)\s+(?:\w+\.)?(\w+)", re.IGNORECASE)
VERSION_TABLE = "alembic_version"
"""Alembic's own, by its usual name: it has one row, and no running code uses it."""
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
    """What running code does not know: tables and other objects that the revision created in earlier statements, or
    an unreleased revision before it, and columns, as table.column."""
    number: int
    """Its place in the trace."""
    bodies: tuple[str, ...]
    """The earlier statements that have created the functions which this one calls."""

    @property
    def until(self) -> tuple[ExecutedStatement, ...]:
        """The statements of the trace up to this one."""
        return self.trace.statements[: self.number + 1]

    @property
    def later(self) -> tuple[ExecutedStatement, ...]:
        """The statements of the trace after this one."""
        return self.trace.statements[self.number + 1 :]

    @cached_property
    def sql_until(self) -> tuple[str, ...]:
        """The SQL up to this statement, with that of functions which this one may call."""
        return tuple(each.sql for each in self.until)

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


def read_statements(trace: Trace, version: int, unreleased: Collection[str] = frozenset()) -> Iterator[TracedStatement]:
    """Yield the statements of a trace from its first to its last, without those on dbkit's own tables.

    `unreleased`: the tables, columns and other objects of revisions that are as new as this one.
    """
    history = _RelationHistory(unreleased)
    functions: dict[str, str] = {}
    for number, statement in enumerate(trace):
        if OWN_TABLES.search(plain(statement.sql)):
            continue
        history.add_relations(statement)
        shared = history.find_shared_partitions(statement)
        bodies = [created for name, created in functions.items() if re.search(rf"\b{name}\b", statement.sql)]
        yield TracedStatement(
            statement,
            trace,
            version,
            history.read_tables(statement, shared, bodies),
            tuple(each for each in statement.changes if each.table not in shared),
            frozenset(history.created),
            number,
            tuple(bodies),
        )
        created = CREATES_FUNCTION.search(statement.sql)
        functions |= {created[1]: statement.sql} if created else {}
        history.add_changes(statement)


def find_created(trace: Trace, unreleased: Collection[str] = frozenset()) -> frozenset[str]:
    """Return what a trace has created, by the names at its end, with `unreleased`."""
    history = _RelationHistory(unreleased)
    for statement in trace:
        history.add_relations(statement)
        history.add_changes(statement)
    return frozenset(history.created)


class _RelationHistory:
    """The relations of one trace so far."""

    def __init__(self, created: Collection[str]) -> None:
        self.kinds: dict[str, str] = {}
        """By name, the kinds of the relations from before the revision."""
        self.roots: dict[str, str] = {}
        """By name of a partition, the partitioned table at the top."""
        self.created: set[str] = set(created)

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

    def read_tables(
        self, statement: ExecutedStatement, shared: Mapping[str, str], bodies: Sequence[str]
    ) -> dict[str, ExistingTable]:
        """Return by name the tables from before the revision that the transaction has locked."""
        used = [each for each in statement.touched if each.existed]
        names = dict.fromkeys([*dict(statement.inherited_locks), *(each.relation for each in used)])
        return {
            name: read_table(
                name,
                self.kinds[name],
                statement,
                [each for each in used if shared.get(each.relation, each.relation) == name],
                bodies,
            )
            for name in names
            if self.kinds.get(name) in RELKINDS and name not in {*self.created, *shared, VERSION_TABLE}
        }

    def add_changes(self, statement: ExecutedStatement) -> None:
        """Remember what a statement created, and the new names of tables."""
        for change in statement.changes:
            if change.what in (ChangeKind.TABLE_CREATED, ChangeKind.OBJECT_CREATED):
                self.created.add(change.table)
            elif change.what == ChangeKind.COLUMN_ADDED:
                self.created.add(f"{change.table}.{change.name}")
            elif change.what in (ChangeKind.TABLE_RENAMED, ChangeKind.OBJECT_RENAMED):
                self._rename(change.before, change.after)

    def _rename(self, before: str, after: str) -> None:
        if self.kinds.get(before):
            self.kinds[after] = self.kinds[before]
        was_created = before in self.created
        columns = {name.rpartition(".")[2] for name in self.created if name.rpartition(".")[0] == before}
        self.created -= {before, after}
        self.created |= {after} if was_created else set()
        self.created |= {f"{after}.{name}" for name in columns}


def _newly_blocked(statement: ExecutedStatement) -> set[str]:
    return {each.relation for each in statement.touched if each.lock is not None and each.lock.blocks}
