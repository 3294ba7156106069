"""One connection of a migration: what it holds and has done, before and after each statement."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from dbkit.postgres.sql_text import ends_transaction, plain, rolls_back
from dbkit.settings import Target
from dbkit.trace import queries
from dbkit.trace.lock_probe import ProbedLocks, probe_locks
from dbkit.trace.queries import TABLE_KINDS, LockedRelation, Relation, RowCounts, TableShape
from dbkit.trace.records import Lock, RelationAccess, Statement
from dbkit.trace.schema_diff import compare_shapes
from dbkit.trace.statement_text import controls_transaction, ends_own_transactions

PASSED_BY = "-- run past SQLAlchemy"
# it must be the first of a transaction, before any query
SETS_TRANSACTION = re.compile(
    r"set (?:transaction\b|(?:session |local )?transaction_(?:isolation|read_only|deferrable)\b)"
)
IDLE = 0  # as libpq has it: no transaction
SCRATCH = ("default", "database", "configuration file")  # where a lock_timeout comes from that env.py did not set


@dataclass(frozen=True)
class KnownRelations:
    """The relations of a database, and the shapes of its tables, by OID."""

    relations: Mapping[int, Relation]
    shapes: Mapping[int, TableShape]
    versions: Mapping[int, int]
    """Of the shapes, where they are known: none of those that were read within a transaction, which may be undone."""

    @property
    def names(self) -> dict[int, str]:
        """By OID."""
        return {oid: relation.name for oid, relation in self.relations.items()}

    def root_of(self, relation: Relation) -> str:
        """The name of the table that it is a partition of; "" where it is none."""
        return self.relations[relation.root].name if relation.root in self.relations else ""

    def of(self, oids: set[int]) -> dict[int, tuple[Relation, TableShape]]:
        """Those of these that are tables."""
        return {oid: (self.relations[oid], self.shapes[oid]) for oid in oids if oid in self.shapes}


class TracedSession:
    """One connection, from when it is first seen until the revision ends."""

    def __init__(
        self,
        connection: Any,
        driver: Any,
        target: Callable[[str], Target],
        known: Callable[[str], KnownRelations | None] = lambda _database: None,
    ) -> None:
        """`connection` is the DBAPI's, `driver` what is behind it; `target` tells how to log in to a database.

        `known` tells what was known of a database, or of one that had its place.
        """
        self.connection, self.driver, self.target = connection, driver, target
        self.cursor = connection.cursor()
        self.transaction = 0
        """The number of the transaction."""
        self.is_fresh = True
        """Whether a transaction begins with the next statement."""
        self.is_alone = self.is_by_itself = self.is_string = False
        """Whether the statement that runs ends its transactions itself; whether it was given one of its own, by us;
        whether the string that it is in was."""
        self.sets_transaction = self.is_unread = False
        """Whether it is SET TRANSACTION, before which nothing may be read; whether nothing was read for that reason."""
        self.started = 0.0
        self.in_the_way = ExitStack()
        self.held_up = ProbedLocks()
        was_idle = self._is_idle()
        ((self.pid, self.version, self.database),) = self._query(queries.SESSION)
        ((self.timeout, source),) = self._query(queries.LOCK_TIMEOUT)
        self.no_timeout = {"0", self.timeout} if source in SCRATCH else {"0"}
        self.known = self._look_around(known(self.database))
        self.first = frozenset(self.known.relations)
        """The OIDs of what was there before the revision."""
        self.seen: dict[int, LockedRelation] = {} if was_idle else queries.read_locks(self.cursor)
        """What it had locked after the last statement of the transaction."""
        self.counts: dict[int, RowCounts] = queries.read_row_counts(self.cursor)
        """What it had counted by then."""
        if was_idle and not connection.autocommit:
            connection.rollback()

    @property
    def has_lock_timeout(self) -> bool:
        """Whether env.py, or a migration, has set one when this was last looked at."""
        return self.timeout not in self.no_timeout

    def begin(self, statement: str) -> None:
        """A statement is next."""
        is_idle, is_outside = self._is_idle(), self._is_outside()
        self.is_alone = ends_own_transactions(statement) if is_outside else ends_transaction(statement)
        self.is_by_itself = is_outside and not self.is_alone
        self.is_fresh = self.is_fresh or (is_idle and not self.is_alone)
        self.sets_transaction = bool(SETS_TRANSACTION.match(plain(statement)))
        if self.is_fresh or self.is_alone:
            self.transaction += 1
        if self.is_alone:
            # what begins or ends a transaction takes no lock, and the locks of that transaction would be in our way
            if is_outside and not controls_transaction(statement):
                self.held_up = self.in_the_way.enter_context(probe_locks(self.target(self.database), self.pid))
        else:
            if self.is_by_itself:
                self.cursor.execute("BEGIN")
            self.is_unread = self.is_unread or (self.is_fresh and self.transaction > 1)
            self.is_fresh = False
            if self.is_unread and not self.sets_transaction:
                self.is_unread = False
                self.seen, self.counts = queries.read_locks(self.cursor), queries.read_row_counts(self.cursor)
        self.started = time.perf_counter()

    def end(self, statement: str, line: int | None) -> Statement:
        """It has run; returns what it did."""
        seconds = time.perf_counter() - self.started
        self.in_the_way.close()
        kept, touched, before, after = self._done()
        # what is rolled back was told where it was done
        is_undone = self.is_alone and rolls_back(statement)
        found = () if is_undone else compare_shapes(before, after, {**names_before(before), **self.known.names})
        made = Statement(
            statement,
            line,
            self.transaction,
            not (self.is_alone or self.is_by_itself),
            tuple(touched),
            tuple(found),
            kept,
            seconds,
            self.has_lock_timeout,
            unseen=self.held_up.unseen,
        )
        self.held_up = ProbedLocks()
        if self.is_by_itself:
            self.cursor.execute("COMMIT")
            self.ended()
        return made

    def begin_string(self, statements: Sequence[str]) -> None:
        """Several statements are next that are one string: outside of a transaction, the server gives them one."""
        if self._is_outside() and not any(map(ends_own_transactions, statements)):
            self.is_string = True
            self.cursor.execute("BEGIN")

    def end_string(self) -> None:
        """They have run."""
        if self.is_string:
            self.is_string = False
            self.cursor.execute("COMMIT")
            self.ended()

    def passed_by(self) -> Statement | None:
        """What was done in the open transaction since the last statement that was seen: by the driver's own cursor."""
        is_known = (not self.is_fresh and not self.is_unread) or not self.transaction
        if self._is_idle() or not is_known:
            return None
        if (queries.read_locks(self.cursor), queries.read_row_counts(self.cursor)) == (self.seen, self.counts):
            return None
        self.is_alone = self.is_by_itself = self.sets_transaction = False
        found = self.end(PASSED_BY, None)
        strong = (each.lock for each in found.touched if each.existed and each.lock)
        return found if found.changes or any(lock >= Lock.ROW_EXCLUSIVE for lock in strong) else None

    def failed(self) -> None:
        """The statement has failed."""
        self.in_the_way.close()
        self.held_up = ProbedLocks()
        if self.is_by_itself or self.is_string:
            self.is_string = False
            self.cursor.execute("ROLLBACK")
            self.ended()

    def ended(self) -> None:
        """The transaction has ended."""
        self.is_fresh, self.is_by_itself, self.seen = True, False, {}
        self.is_unread = False

    def _done(self) -> "_Found":
        if self.is_alone:
            return self._of_one_alone()
        return ((), [], {}, {}) if self.sets_transaction else self._of_one_inside()

    def _of_one_inside(self) -> "_Found":
        """What a statement has done in a transaction that is still open."""
        before, counts, known = self.seen, self.counts, self.known
        self.seen, self.counts = queries.read_locks(self.cursor), queries.read_row_counts(self.cursor)
        ((self.timeout,),) = self._query("SELECT current_setting('lock_timeout')")
        gone = {oid for oid, seen in self.seen.items() if not seen.kind}
        strong = {oid for oid, seen in self.seen.items() if seen.lock >= Lock.SHARE_UPDATE_EXCLUSIVE} - gone
        self.known = self._renewed(strong, gone)
        nothing = RowCounts()
        touched = [
            self._touched(known, before.get(oid), seen, self.counts.get(oid, nothing).since(counts.get(oid, nothing)))
            for oid, seen in self.seen.items()
        ]
        kept = tuple((known.relations[oid].name, seen.lock) for oid, seen in before.items() if oid in self._here(known))
        return kept, [each for each in touched if each], *_both(known, self.known, strong | gone)

    def _here(self, known: KnownRelations) -> set[int]:
        return {oid for oid in self.first if oid in known.relations}

    def _renewed(self, strong: set[int], gone: set[int]) -> KnownRelations:
        """What is known now, with `strong` read anew."""
        seen = {oid: self.seen[oid] for oid in strong}
        relations = {oid: Relation(each.name, each.kind, each.filenode, each.root) for oid, each in seen.items()}
        tables = [oid for oid, each in seen.items() if each.kind in TABLE_KINDS]
        return KnownRelations(
            {oid: each for oid, each in {**self.known.relations, **relations}.items() if oid not in gone},
            {
                oid: each
                for oid, each in {**self.known.shapes, **queries.read_shapes(self.cursor, tables)}.items()
                if oid not in gone
            },
            {oid: version for oid, version in self.known.versions.items() if oid not in strong | gone},
        )

    def _touched(
        self, known: KnownRelations, before: LockedRelation | None, now: LockedRelation, counts: RowCounts
    ) -> RelationAccess | None:
        """How the statement met a relation; None when not at all, or when it was there for its time only."""
        was = known.relations.get(now.oid)
        if (now.kind == "" and was is None) or (now == before and not any(counts)):
            return None
        relation = was or Relation(now.name, now.kind, now.filenode, now.root)
        lock_before = before.lock if before else None
        table = self.known.relations.get(now.table) if now.table else None
        return RelationAccess(
            relation.name,
            relation.kind,
            now.oid in self.first,
            now.lock if lock_before is None or now.lock > lock_before else None,
            now.lock,
            lock_before,
            was is not None and now.filenode not in (0, was.filenode),
            *counts,
            now.writes and not (before and before.writes),
            table.name if table else "",
            known.root_of(relation),
        )

    def _of_one_alone(self) -> "_Found":
        """What a statement has done that has ended its transactions."""
        known = self.known
        self.ended()
        if not self._is_idle():
            return (), [], {}, {}
        self.known = self._look_around()
        if not self.connection.autocommit:
            self.connection.rollback()
        touched = [
            RelationAccess(
                known.relations[oid].name,
                known.relations[oid].kind,
                oid in self.first,
                lock,
                lock,
                rewritten=(
                    oid in self.known.relations and known.relations[oid].filenode != self.known.relations[oid].filenode
                ),
                partition_of=known.root_of(known.relations[oid]),
            )
            for oid, lock in self.held_up.locks.items()
            if oid in known.relations
        ]
        both = {*known.shapes, *self.known.shapes}
        moved = {oid for oid in both if known.of({oid}) != self.known.of({oid})}
        return (), touched, *_both(known, self.known, moved)

    def _look_around(self, known: KnownRelations | None = None) -> KnownRelations:
        """Read all relations; the shapes only of those that are not `known` in this version.

        And not of those that another session has locked: reading an expression waits for it, and it may be one of the
        migration's own that goes on only afterwards.
        """
        relations, versions = queries.read_relations(self.cursor), queries.read_shape_hashes(self.cursor)
        locked = queries.read_locks_of_others(self.cursor)
        tables = [oid for oid, each in relations.items() if each.kind in TABLE_KINDS and oid not in locked]
        have = (
            {oid: known.shapes[oid] for oid in tables if oid in versions and known.versions.get(oid) == versions[oid]}
            if known
            else {}
        )
        return KnownRelations(
            relations,
            {**have, **queries.read_shapes(self.cursor, [oid for oid in tables if oid not in have])},
            versions,
        )

    def _query(self, query: str) -> Any:
        self.cursor.execute(query)
        return self.cursor.fetchall()

    def _is_outside(self) -> bool:
        """Whether a statement would run by itself."""
        return bool(self.connection.autocommit) and self._is_idle()

    def _is_idle(self) -> bool:
        """Whether there is no transaction. Of a driver that does not say so, commit and rollback are waited for."""
        info = getattr(self.driver, "info", None)
        if info is not None:  # psycopg and psycopg2
            return bool(info.transaction_status == IDLE)
        is_in_transaction = getattr(self.driver, "is_in_transaction", None)  # asyncpg
        return is_in_transaction is not None and not is_in_transaction()


_Tables = Mapping[int, tuple[Relation, TableShape]]
_Found = tuple[tuple[tuple[str, Lock], ...], list[RelationAccess], _Tables, _Tables]


def _both(before: KnownRelations, after: KnownRelations, oids: set[int]) -> "tuple[_Tables, _Tables]":
    """These tables before and after, without those that could not be read at one of the two times."""
    unread = {
        oid
        for oid in before.relations.keys() & after.relations.keys()
        if (oid in before.shapes) != (oid in after.shapes)
    }
    return before.of(oids - unread), after.of(oids - unread)


def names_before(tables: _Tables) -> dict[int, str]:
    """By OID."""
    return {oid: relation.name for oid, (relation, _) in tables.items()}
