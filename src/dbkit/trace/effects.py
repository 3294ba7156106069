"""The effects of one executed statement: how it used each relation, and the tables before and after it."""

from collections.abc import Sequence
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


def probed_access(before: RelationState, oid: int, lock: Lock, known_now: KnownRelations) -> RelationAccess:
    """Return how a statement with transactions to itself used a relation, by the lock that was probed."""
    was, now = before.known.relations[oid], known_now.relations.get(oid)
    return RelationAccess(
        was.name,
        was.kind,
        before.existed,
        lock,
        lock,
        rewritten=now is not None and was.filenode != now.filenode,
        partition_of=before.known.root_of(was),
    )
