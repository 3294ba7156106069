"""The relations of a database as they were last read, and the definitions of its tables."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from dbkit.trace.catalog_objects import CatalogObjects, read_catalog_objects
from dbkit.trace.prepared_queries import PreparedQueries
from dbkit.trace.queries import (
    TABLE_KINDS,
    LockedRelation,
    Relation,
    SessionState,
    TableShape,
    read_locks_of_others,
    read_relations,
    read_shape_hashes,
    read_shape_versions,
    read_shapes,
)
from dbkit.trace.records import Lock

FEW_TABLES = 4
"""So many tables are read again as fast as it is found which of them have changed."""
Tables = Mapping[int, tuple[Relation, TableShape]]
"""By OID, tables with their definitions."""


@dataclass(frozen=True)
class KnownRelations:
    """The relations of a database, and the shapes of its tables, by OID."""

    relations: Mapping[int, Relation]
    shapes: Mapping[int, TableShape]
    hashes: Mapping[int, int]
    """The hashes of the shapes; none of those that were read within a transaction, which may be rolled back."""
    objects: CatalogObjects = field(default_factory=CatalogObjects)
    versions: Mapping[int, int] = field(default_factory=dict)
    """The versions of the shapes of tables, where they were read together with these."""
    read_at: SessionState | None = None
    """The state of the session, in a transaction, at which all of this is as the server has it; None where unknown."""

    @property
    def names(self) -> dict[int, str]:
        """Return the names of all relations, by OID."""
        return {oid: relation.name for oid, relation in self.relations.items()}

    def root_of(self, relation: Relation) -> str:
        """Return the name of the table that it is a partition of; "" where it is none."""
        return self.relations[relation.root].name if relation.root in self.relations else ""

    @property
    def is_complete(self) -> bool:
        """Whether the shape of each table is known."""
        return all(oid in self.shapes for oid, each in self.relations.items() if each.kind in TABLE_KINDS)

    def tables(self, oids: set[int]) -> Tables:
        """Return those of these relations that are tables."""
        return {oid: (self.relations[oid], self.shapes[oid]) for oid in oids if oid in self.shapes}

    def shape_of(self, table: str) -> TableShape | None:
        """Return the shape of a table, by its name."""
        return next((shape for oid, shape in self.shapes.items() if self.relations[oid].name == table), None)

    def updated(
        self, queries: PreparedQueries, changed: Iterable[LockedRelation], dropped: set[int], *, may_rename: bool
    ) -> "KnownRelations":
        """Return what is known once relations may have been changed, and were dropped.

        Of many tables, only those are read again whose rows in the catalog are other ones; all, where a name may have
        changed: it is in the definitions of other tables.
        """
        found = {each.oid: each for each in changed}
        relations = {oid: each.as_relation().with_name_of(self.relations.get(oid)) for oid, each in found.items()}
        tables = [oid for oid, each in found.items() if each.kind in TABLE_KINDS]
        versions: Mapping[int, int] = {}
        if len(tables) > FEW_TABLES:
            versions = read_shape_versions(queries, tables)
            if not may_rename:
                tables = [oid for oid in tables if versions.get(oid) != self.versions.get(oid)]
        shapes = read_shapes(queries, tables)
        return KnownRelations(
            {oid: each for oid, each in {**self.relations, **relations}.items() if oid not in dropped},
            {oid: each for oid, each in {**self.shapes, **shapes}.items() if oid not in dropped},
            {oid: value for oid, value in self.hashes.items() if oid not in found.keys() | dropped},
            self.objects,
            versions,
        )

    def holds_at(self, now: SessionState) -> bool:
        """Whether all of this is as the server has it, since the same transaction has changed nothing in between."""
        then = self.read_at
        return (
            then is not None
            and then.transaction == now.transaction != 0
            and (then.catalog_writes, then.search_path) == (now.catalog_writes, now.search_path)
            and then.counts_writes
            and now.counts_writes
            # what was rolled back in between stays counted, and its locks do not stay
            and then.locks.keys() <= now.locks.keys()
        )

    def with_names_in(self, schemas: set[int], queries: PreparedQueries) -> "KnownRelations":
        """Return what is known with the names of the relations in schemas that were renamed."""
        now = {oid: each for oid, each in read_relations(queries).items() if _schema_of(each) in schemas}
        names = {oid: each._replace(name=now[oid].name) for oid, each in self.relations.items() if oid in now}
        return replace(self, relations={**self.relations, **names})

    def with_renamed_indexes(self, queries: PreparedQueries, now: SessionState) -> "KnownRelations":
        """Return what is known with the shapes of tables of which only an index was locked, and perhaps altered."""
        strong = {oid: each for oid, each in now.locks.items() if each.lock >= Lock.SHARE_UPDATE_EXCLUSIVE}
        tables = {each.table for each in strong.values() if each.table in self.shapes} - strong.keys()
        return replace(self, shapes={**self.shapes, **read_shapes(queries, sorted(tables))})

    def with_objects(self, queries: PreparedQueries) -> "KnownRelations":
        """Return what is known with the objects as they are now."""
        objects = read_catalog_objects(queries, self.objects)
        return self if objects is self.objects else replace(self, objects=objects)


def _schema_of(relation: Relation) -> int:
    return int(relation.catalog_name.partition(".")[0])


def read_known_relations(queries: PreparedQueries, earlier: KnownRelations | None = None) -> KnownRelations:
    """Read all relations, and the shapes of tables but for those that have the same hash as in `earlier`.

    Tables that another session has locked are left out: reading an expression would wait for the lock, and the session
    may be one of the migration's own that goes on only afterwards.
    """
    relations, hashes = read_relations(queries), read_shape_hashes(queries)
    locked = read_locks_of_others(queries)
    tables = [oid for oid, each in relations.items() if each.kind in TABLE_KINDS and oid not in locked]
    same = {
        oid: earlier.shapes[oid]
        for oid in (tables if earlier else ())
        if earlier and oid in hashes and earlier.hashes.get(oid) == hashes[oid]
    }
    shapes = read_shapes(queries, [oid for oid in tables if oid not in same])
    objects = read_catalog_objects(queries, earlier.objects if earlier else CatalogObjects())
    return KnownRelations(relations, {**same, **shapes}, hashes, objects)


def tables_before_and_after(before: KnownRelations, after: KnownRelations, oids: set[int]) -> tuple[Tables, Tables]:
    """Return these tables before and after, without those that could not be read at one of the two times."""
    unread = {
        oid
        for oid in before.relations.keys() & after.relations.keys()
        if (oid in before.shapes) != (oid in after.shapes)
    }
    changed = {
        oid
        for oid in oids - unread
        if before.shapes.get(oid) is not after.shapes.get(oid) or before.relations.get(oid) != after.relations.get(oid)
    }
    return before.tables(changed), after.tables(changed)
