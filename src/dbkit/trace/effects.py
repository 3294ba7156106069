"""The effects of one executed statement: how it used each relation, and the tables before and after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dbkit.trace.known_relations import KnownRelations, Tables
from dbkit.trace.queries import LockedRelation, RowCounts
from dbkit.trace.records import Change, Lock, RelationAccess


@dataclass(frozen=True)
class Effects:
    """The effects of a statement."""

    inherited_locks: tuple[tuple[str, Lock], ...] = ()
    """Relations that existed before the revision, each with the lock of earlier statements of the transaction."""
    touched: Sequence[RelationAccess] = ()
    before: Tables = field(default_factory=dict)
    after: Tables = field(default_factory=dict)
    changes: Sequence[Change] = ()
    """Changes to what is no part of a table."""

    @property
    def former_names(self) -> dict[int, str]:
        """Return the names of the tables before the statement, by OID."""
        return {oid: relation.name for oid, (relation, _) in self.before.items()}


@dataclass(frozen=True)
class RelationState:
    """A relation before a statement."""

    existed: bool
    """Whether it existed before the revision."""
    known: KnownRelations
    locked: LockedRelation | None = None


def relation_access(
    before: RelationState, now: LockedRelation, counts: RowCounts, known_now: KnownRelations
) -> RelationAccess | None:
    """Return how a statement used a relation; None when it did not, or when it has created and dropped it."""
    was = before.known.relations.get(now.oid)
    if (now.kind == "" and was is None) or (now == before.locked and not any(counts)):
        return None
    relation = was or now.as_relation()
    lock_before = before.locked.lock if before.locked else None
    table = known_now.relations.get(now.table) if now.table else None
    return RelationAccess(
        relation.name,
        relation.kind,
        before.existed,
        now.lock if lock_before is None or now.lock > lock_before else None,
        now.lock,
        lock_before,
        was is not None and now.filenode not in (0, was.filenode),
        *counts,
        now.writes and not (before.locked and before.locked.writes),
        table.name if table else "",
        before.known.root_of(relation),
        _unique_keys(now.oid, counts, known_now),
    )


def _unique_keys(oid: int, counts: RowCounts, known: KnownRelations) -> tuple[tuple[str, ...], ...]:
    """Return the unique keys of a table in which rows may have been changed."""
    shape = known.shapes.get(oid)
    return shape.unique_keys if shape and (counts.updated or counts.deleted or counts.scans or counts.scanned) else ()


@dataclass(frozen=True)
class RebuiltIndexes:
    """The indexes that have another file after a statement."""

    tables: Mapping[int, int]
    """By OID of an index, the table."""

    def locks(self, before: KnownRelations, after: KnownRelations) -> dict[int, Lock]:
        """Return the locks without which the files of tables and indexes could not have been replaced.

        A statement that works on all tables goes on to the next while the locks of the first are read.
        https://www.postgresql.org/docs/18/sql-reindex.html
        """
        rewritten = {oid for oid in before.relations if _is_rewritten(oid, before, after) and oid in before.shapes}
        shared = dict.fromkeys(self.tables.values(), Lock.SHARE)
        return {**shared, **dict.fromkeys((*self.tables, *rewritten), Lock.ACCESS_EXCLUSIVE)}


def find_rebuilt_indexes(before: KnownRelations, after: KnownRelations) -> RebuiltIndexes:
    """Return the indexes that have another file; one that was built concurrently is another index."""
    return RebuiltIndexes(
        {
            index: table
            for table, shape in before.shapes.items()
            for index in shape.indexes
            if _is_rewritten(index, before, after)
        }
    )


def _is_rewritten(oid: int, before: KnownRelations, after: KnownRelations) -> bool:
    was, now = before.relations.get(oid), after.relations.get(oid)
    return was is not None and now is not None and was.filenode != now.filenode


def probed_access(
    before: RelationState, oid: int, lock: Lock, known_now: KnownRelations, rebuilt: RebuiltIndexes
) -> RelationAccess:
    """Return how a statement with transactions to itself used a relation, by its lock."""
    was = before.known.relations[oid]
    table = before.known.relations.get(rebuilt.tables[oid]) if oid in rebuilt.tables else None
    return RelationAccess(
        was.name,
        was.kind,
        before.existed,
        lock,
        lock,
        rewritten=_is_rewritten(oid, before.known, known_now),
        scans=int(oid in rebuilt.tables.values()),
        table=table.name if table else "",
        partition_of=before.known.root_of(was),
    )
