"""The states of the databases at the points of a proof by clones: read as far as they differ.

Before the upgrade and after it, copies of the databases are made; the content of these states is read from the copies,
once it is known which tables and objects a later state has otherwise.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dbkit.postgres.connect import connect
from dbkit.roundtrip.access import Databases
from dbkit.roundtrip.catalog_fingerprint import TransactionFingerprints, read_known_fingerprints
from dbkit.roundtrip.compare import Snapshot
from dbkit.roundtrip.databases import ProofDatabases
from dbkit.roundtrip.fingerprint_sql import COMMON
from dbkit.roundtrip.row_versions import RowVersions


@dataclass
class KnownState:
    """A state that a later one is compared with, and that a copy of the databases has."""

    versions: Mapping[str, RowVersions]
    """By database."""
    copy: Databases = field(default_factory=dict)
    snapshot: Snapshot = field(default_factory=lambda: Snapshot({}, {}))
    """What was read of it: the rows of tables that differ in another state; the catalog, where that differs."""
    tables: dict[str, set[int]] = field(default_factory=dict)
    """By database, the OIDs of the tables whose rows were read."""
    whole: set[str] = field(default_factory=set)
    """The databases whose catalog was read."""


class CloneStates:
    """The states before the upgrade of one revision and after it, and comparisons with them."""

    def __init__(self, databases: ProofDatabases, *, with_rows: bool) -> None:
        self.databases = databases
        self.with_rows = with_rows
        self.before = KnownState({})
        self.after = KnownState({})
        self.known: Mapping[str, RowVersions] | None = None
        """The versions before the upgrade, where they are known."""
        self.tables: dict[str, set[int]] = {name: set() for name in databases.databases}
        """By database, the OIDs of the tables whose rows may differ between two states."""

    def read_before(self) -> None:
        """Read the versions before the upgrade; afterwards, give `before` the copy that is made of this state."""
        self.before, self.known = KnownState(self.known or self._read_versions()), None

    def read_after(self) -> None:
        """Read what the upgrade has changed; afterwards, give `after` the copy that is made of this state."""
        self.after = KnownState(self._read_versions(), self.databases.databases)
        self._add_tables(self.before, self.after)

    def read_undone(self) -> Snapshot:
        """Read the present state as far as it differs from that before the upgrade, and that state, too."""
        return self._read_compared(self.before)

    def read_again(self) -> Snapshot:
        """Read the present state as far as it differs from that after the upgrade, and that state, too."""
        return self._read_compared(self.after)

    def find_touched(self) -> set[int] | None:
        """Return the OIDs of what the upgrade has touched; None where there are several databases."""
        if len(self.after.versions) != 1:
            return None
        ((name, after),) = self.after.versions.items()
        before = self.before.versions[name]
        return before.changed_relations(after) | before.changed_rows(after)

    def touched_tables(self) -> set[str]:
        """Return the names, as SQL, of the tables that a function of the revision has touched so far."""
        return {
            versions.names[oid]
            for state in (self.before, self.after)
            for name, versions in state.versions.items()
            for oid in self.tables[name] & versions.names.keys()
        }

    def _read_versions(self) -> dict[str, RowVersions]:
        return {
            name: self.databases.read_row_versions(target, with_rows=self.with_rows)
            for name, target in self.databases.databases.items()
        }

    def _read_compared(self, known: KnownState) -> Snapshot:
        present = KnownState(self._read_versions(), self.databases.databases)
        self._add_tables(known, present)
        self._complete_rows(present)
        for name in present.versions:
            if name in known.whole or not _has_same_catalog(known, present, name):
                self._read_catalog(known, name)
                self._read_catalog(present, name)
        return present.snapshot

    def _add_tables(self, one: KnownState, other: KnownState) -> None:
        for name, versions in one.versions.items():
            self.tables[name] |= versions.changed_rows(other.versions[name])
        for state in (self.before, self.after):
            self._complete_rows(state)

    def _complete_rows(self, state: KnownState) -> None:
        """Read the rows of the tables that differ in another state, as far as that was not done yet."""
        for name, versions in state.versions.items():
            known = state.tables.setdefault(name, set())
            oids = (self.tables[name] & versions.rows.keys()) - known
            known |= oids
            if oids:
                state.snapshot.rows.update(self.databases.read_rows(name, state.copy[name], oids))

    def _read_catalog(self, state: KnownState, name: str) -> None:
        if name not in state.whole:
            state.whole.add(name)
            state.snapshot.facts.update(self.databases.read_facts(name, state.copy[name]))


def _has_same_catalog(known: KnownState, present: KnownState, name: str) -> bool:
    """Whether a database has the same schema in two states; what was written is compared by fingerprints."""
    one, other = known.versions[name], present.versions[name]
    relations, catalogs = one.changed_relations(other), one.changed_catalogs(other)
    if not catalogs <= COMMON.keys():
        return False
    if not (relations or catalogs):
        return True
    with connect(known.copy[name], autocommit=True) as connection:
        fingerprints = read_known_fingerprints(connection.pgconn, relations, catalogs)
    with connect(present.copy[name], autocommit=True) as connection:
        now = read_known_fingerprints(connection.pgconn, relations, catalogs)
    return fingerprints.match(
        TransactionFingerprints(frozenset(relations), now.relations, now.common, frozenset(), is_complete=True)
    )
