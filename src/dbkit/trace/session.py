"""One connection of a migration, traced: its locks and counters are read before and after each statement."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from dbkit.postgres.sql_text import ends_transaction, plain, rolls_back
from dbkit.settings import Target
from dbkit.trace import queries
from dbkit.trace.catalog_objects import compare_objects, find_renamed_schemas
from dbkit.trace.effects import Effects, RelationState, find_rebuilt_indexes, probed_access, relation_access
from dbkit.trace.known_relations import KnownRelations, read_known_relations, tables_before_and_after
from dbkit.trace.lock_probe import ProbedLocks, probe_locks
from dbkit.trace.prepared_queries import PreparedQueries
from dbkit.trace.probes import Sequences, add_details, find_assigned_sequences, find_truncated
from dbkit.trace.queries import LockedRelation, RowCounts, SessionState
from dbkit.trace.records import Change, ChangeKind, ExecutedStatement, Lock, RelationAccess
from dbkit.trace.schema_diff import compare_shapes
from dbkit.trace.statement_text import controls_transaction, ends_own_transactions

PASSED_BY = "-- run past SQLAlchemy"
# It must be the first statement of a transaction, before any query
SETS_TRANSACTION = re.compile(
    r"set (?:transaction\b|(?:session |local )?transaction_(?:isolation|read_only|deferrable)\b)"
)
ROLLS_BACK = re.compile(r"\brollback\b", re.IGNORECASE)
RENAMES_NOTHING = re.compile(
    r"""(?: create \ (?: (?: unique | global | local | temp | temporary | unlogged ) \ )*
                (?: table | index | sequence ) \b (?! .* \b as \ (?: select | with | execute ) \b )
          | drop \ (?: table | index | sequence ) \b
          | alter \ table \b (?! .* \b (?: rename | set \ schema ) \b )
          | comment \ on \b )""",
    re.DOTALL | re.VERBOSE,
)
"""Statements, in their plain form, that give no object another name."""
UNITS = {"": 1, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
LONGEST_TIMEOUT = 60_000
"""Milliseconds; a lock_timeout above is as good as none for the queries that wait behind it."""
ORIGIN = "origin"  # the default of session_replication_role
IDLE = 0  # libpq's PQTRANS_IDLE
SERVER_SOURCES = ("default", "database", "configuration file")
"""The sources, in pg_settings, of a lock_timeout that env.py did not set."""


@dataclass
class RunningStatement:
    """The statement that runs, from just before until just after."""

    has_own_transactions: bool = False
    """Whether it ends its transactions itself."""
    is_wrapped: bool = False
    """Whether the tracer has given it a transaction: it would run in autocommit."""
    sets_transaction: bool = False
    """Whether it is SET TRANSACTION, before which nothing may be read."""
    started: float = field(default_factory=time.perf_counter)
    probed: ProbedLocks = field(default_factory=ProbedLocks)
    probe: ExitStack = field(default_factory=ExitStack)
    """Ends the lock probe of a statement with transactions to itself."""


@dataclass
class OpenTransaction:
    """The state of the transaction between its statements."""

    number: int = 0
    begins: bool = True
    """Whether it begins with the next statement."""
    is_unread: bool = False
    """Whether locks and counters were not read yet, because of SET TRANSACTION."""
    is_wrapped: bool = False
    """Whether the tracer has begun it, for several statements in one string."""
    locks: dict[int, LockedRelation] = field(default_factory=dict)
    """By OID, the relations that the session had locked after the last statement."""
    catalogs: frozenset[str] = frozenset()
    """The tables of the system that it has written to by itself."""
    sequences: Sequences = field(default_factory=Sequences)

    def take_locks(self, state: SessionState) -> dict[int, LockedRelation]:
        """Take over the locks of a state of the session. Returns those of relations that are not the system's."""
        self.locks = {oid: each for oid, each in state.locks.items() if oid >= queries.FIRST_OWN_OID}
        self.catalogs = frozenset(each.name for oid, each in state.locks.items() if oid not in self.locks)
        return self.locks


class TracedSession:
    """A connection, from its first statement until the revision ends."""

    def __init__(
        self,
        connection: Any,
        driver: Any,
        target: Callable[[str], Target],
        known: Callable[[str], KnownRelations | None] = lambda _database: None,
    ) -> None:
        """`connection` is the DBAPI's, `driver` the driver's own; `target` returns how to connect to a database.

        `known` returns what is known of a database, or of one that it has replaced.
        """
        self.connection, self.driver, self.target = connection, driver, target
        self.cursor = connection.cursor()
        self.transaction = OpenTransaction()
        self.statement = RunningStatement()
        was_idle = self._is_idle()
        self.queries = PreparedQueries(self.cursor, driver)
        ((self.pid, self.version, self.database),) = self.queries.read("session", queries.SESSION)
        ((self.lock_timeout, source, standard),) = self.queries.read("lock_timeout", queries.LOCK_TIMEOUT)
        # the limit that RESET brings back is that of the server, unless env.py connects with another one
        is_of_server = source in (*SERVER_SOURCES, "session")
        self.default_timeouts = {0, milliseconds(standard)} if is_of_server else {0}
        """The limits that neither env.py nor the migration has set."""
        self.role = ORIGIN
        """session_replication_role after the last statement."""
        self.state = queries.read_state(self.queries)
        """The state of the session after the last statement."""
        self.known = self._read_known(known(self.database))
        self.before = (self.known, self.state.search_path)
        """What was known before the revision, with the search path."""
        self.existing = frozenset(self.known.relations)
        """The OIDs of what existed before the revision."""
        self.counts: dict[int, RowCounts] = queries.read_row_counts(self.queries)
        """The counters of the session after the last statement."""
        self.has_written_catalog = False
        """Whether a statement has written to a table of the system by itself."""
        if not was_idle:
            self.transaction.take_locks(self.state)
        if was_idle and not connection.autocommit:
            connection.rollback()

    @property
    def has_lock_timeout(self) -> bool:
        """Whether env.py, or a migration, had set a lock_timeout after the last statement."""
        return milliseconds(self.lock_timeout) not in self.default_timeouts

    def _read_known(self, earlier: KnownRelations | None) -> KnownRelations:
        if earlier and earlier.holds_at(self.state):
            return earlier.with_renamed_indexes(self.queries, self.state)
        return read_known_relations(self.queries, earlier)

    def known_at_end(self) -> KnownRelations:
        """Return what is known after the revision, which may hold until the transaction changes something else."""
        before, search_path = self.before
        is_exact = (
            not self.has_written_catalog
            and self.state.search_path == search_path
            # the names of relations have changed with a schema's
            and before.objects.schemas == self.known.objects.schemas
            and self.known.is_complete
        )
        # a statement that locks a composite type has added it
        relations = {oid: each for oid, each in self.known.relations.items() if each.kind in queries.RELATION_KINDS}
        return replace(self.known, relations=relations, read_at=self.state if is_exact else None)

    # One statement

    def begin(self, text: str) -> None:
        """Prepare for a statement that runs next."""
        transaction, is_idle, is_outside = self.transaction, self._is_idle(), self._is_outside()
        has_own = ends_own_transactions(text) if is_outside else ends_transaction(text)
        statement = self.statement = RunningStatement(
            has_own_transactions=has_own,
            is_wrapped=is_outside and not has_own,
            sets_transaction=bool(SETS_TRANSACTION.match(plain(text))),
        )
        transaction.begins = transaction.begins or (is_idle and not has_own)
        if transaction.begins or has_own:
            transaction.number += 1
        if has_own:
            # BEGIN and COMMIT take no lock, and the probe would wait for the locks of that transaction
            if is_outside and not controls_transaction(text):
                statement.probed = statement.probe.enter_context(probe_locks(self.target(self.database), self.pid))
        else:
            self._begin_in_transaction(statement)
        statement.started = time.perf_counter()

    def _begin_in_transaction(self, statement: RunningStatement) -> None:
        transaction = self.transaction
        if statement.is_wrapped:
            self.cursor.execute("BEGIN")
        transaction.is_unread = transaction.is_unread or (transaction.begins and transaction.number > 1)
        transaction.begins = False
        if transaction.is_unread and not statement.sets_transaction:
            transaction.is_unread = False
            self.counts = queries.read_row_counts(self.queries)
            self._read_session()

    def end(self, text: str, line: int | None) -> ExecutedStatement:
        """Return what the statement did, which has run."""
        statement = self.statement
        seconds = time.perf_counter() - statement.started
        statement.probe.close()
        self.queries.note_statement(text)
        effects = self._read_effects(statement, text)
        # what is rolled back was recorded with the statement that did it
        is_undone = statement.has_own_transactions and rolls_back(text)
        names = {**effects.former_names, **self.known.names}
        found = () if is_undone else (*compare_shapes(effects.before, effects.after, names), *effects.changes)
        if found and not statement.has_own_transactions:
            found = tuple(add_details(self.cursor, found, self.known, effects.touched))
            assigned = tuple(find_assigned_sequences(self.cursor, found, self.known, self.before[0].objects))
            if assigned:
                self._read_session()  # the question for the greatest key has read rows
                found += assigned
        executed = ExecutedStatement(
            text,
            line,
            self.transaction.number,
            not (statement.has_own_transactions or statement.is_wrapped),
            tuple(effects.touched),
            tuple(found),
            effects.inherited_locks,
            seconds,
            self.has_lock_timeout,
            unseen=statement.probed.unseen,
        )
        if statement.is_wrapped:
            self._end_wrapping("COMMIT")
        return executed

    def fail(self) -> None:
        """Clean up after a statement that has failed."""
        self.statement.probe.close()
        if self.statement.is_wrapped or self.transaction.is_wrapped:
            self._end_wrapping("ROLLBACK")

    def close(self) -> None:
        """End the lock probe where a signal came while a statement ran."""
        self.statement.probe.close()

    # The transaction

    def begin_string(self, statements: Sequence[str]) -> None:
        """Prepare for several statements in one string: outside of a transaction, the server runs them in one."""
        if self._is_outside() and not any(map(ends_own_transactions, statements)):
            self.transaction.is_wrapped = True
            self.cursor.execute("BEGIN")

    def end_string(self) -> None:
        """Commit after several statements in one string."""
        if self.transaction.is_wrapped:
            self._end_wrapping("COMMIT")

    def end_transaction(self) -> None:
        """Forget the state of the transaction, which has ended."""
        self.transaction = OpenTransaction(self.transaction.number)
        self.statement.is_wrapped = False

    def _end_wrapping(self, how: str) -> None:
        """End a transaction that the tracer has begun."""
        self.cursor.execute(how)
        self.end_transaction()

    def find_passed_by(self) -> ExecutedStatement | None:
        """Return what the driver's own cursor has done in the open transaction since the last statement seen."""
        transaction = self.transaction
        is_known = (not transaction.begins and not transaction.is_unread) or not transaction.number
        if self._is_idle() or not is_known:
            return None
        state = queries.read_state(self.queries)
        if OpenTransaction().take_locks(state) == transaction.locks and self._counts_with(state) == self.counts:
            return None
        self.statement = RunningStatement(started=self.statement.started)
        executed = self.end(PASSED_BY, None)
        locks = (each.lock for each in executed.touched if each.existed and each.lock)
        return executed if executed.changes or any(lock >= Lock.ROW_EXCLUSIVE for lock in locks) else None

    # Effects

    def _read_effects(self, statement: RunningStatement, text: str) -> Effects:
        if statement.has_own_transactions:
            return self._effects_of_own_transactions(statement)
        return Effects() if statement.sets_transaction else self._effects_in_transaction(text)

    def _effects_in_transaction(self, text: str) -> Effects:
        """Return what a statement has done in a transaction that is still open."""
        before, counts, known = self.transaction.locks, self.counts, self.known
        catalogs, state = self.transaction.catalogs, self.state
        self._read_session()
        now = self.transaction.locks
        written = [*_find_written_catalogs(catalogs, self.transaction.catalogs)]
        self.has_written_catalog = self.has_written_catalog or bool(written)
        others = [*self._find_settings(), *written]
        dropped = {oid for oid, each in now.items() if not each.kind}
        changed = {oid for oid, each in now.items() if each.lock >= Lock.SHARE_UPDATE_EXCLUSIVE} - dropped
        if self._may_have_changed_catalog(state, text):
            may_rename = not RENAMES_NOTHING.match(plain(text))
            found = known.updated(self.queries, (now[oid] for oid in changed), dropped, may_rename=may_rename)
            self.known = found.with_objects(self.queries)
            moved = find_renamed_schemas(known.objects, self.known.objects)
            if moved:
                self.known = self.known.with_names_in(moved, self.queries)
                changed |= self.known.relations.keys() & known.relations.keys()
        nothing = RowCounts()
        accesses = {
            oid: relation_access(
                RelationState(oid in self.existing, known, before.get(oid)),
                each,
                self.counts.get(oid, nothing).since(counts.get(oid, nothing)),
                self.known,
            )
            for oid, each in now.items()
            if each != before.get(oid) or self.counts.get(oid, nothing) != counts.get(oid, nothing)
        }
        touched = {oid: each for oid, each in accesses.items() if each}
        others += self._find_others(known, touched)
        present = self.existing & known.relations.keys()
        inherited = tuple((known.relations[oid].name, each.lock) for oid, each in before.items() if oid in present)
        tables = tables_before_and_after(known, self.known, changed | dropped)
        return Effects(inherited, [*touched.values()], *tables, others)

    def _may_have_changed_catalog(self, before: SessionState, text: str) -> bool:
        """Whether a table or another object may be another one than in an earlier state of the session."""
        now = self.state
        is_counted = before.counts_writes and now.counts_writes
        if not is_counted or (before.catalog_writes, before.search_path) != (now.catalog_writes, now.search_path):
            return True
        # what is rolled back stays counted, and its locks do not stay
        return text == PASSED_BY or bool(ROLLS_BACK.search(text)) or not before.locks.keys() <= now.locks.keys()

    def _find_others(self, known: KnownRelations, touched: dict[int, RelationAccess]) -> list[Change]:
        """Return the changes to what is no part of a table, and to rows, that no lock and no counter shows."""
        sequences, locks = self.transaction.sequences, self.transaction.locks
        were_set = [*sequences.find_set(self.cursor, locks.values(), touched.values())]
        if were_set:
            self._read_session()  # the question for the greatest key has read rows
        objects = compare_objects(known.objects, self.known.objects)
        return [*objects, *find_truncated(self.cursor, touched), *were_set]

    def _find_settings(self) -> Iterator[Change]:
        """Yield the settings that a statement has changed, of those that decide on what others notice."""
        had_timeout, role, timeout = self.has_lock_timeout, self.role, self.lock_timeout
        self.lock_timeout, self.role = self.state.lock_timeout, self.state.replication_role
        is_long = milliseconds(timeout) <= LONGEST_TIMEOUT < milliseconds(self.lock_timeout)
        if had_timeout and (is_long or not self.has_lock_timeout):
            ((_, source, _),) = self.queries.read("lock_timeout", queries.LOCK_TIMEOUT)
            kind = "" if source == "session" else "reset"
            yield Change(ChangeKind.SETTING_CHANGED, "", "lock_timeout", kind, before=timeout, after=self.lock_timeout)
        if role != self.role:
            yield Change(ChangeKind.SETTING_CHANGED, "", "session_replication_role", before=role, after=self.role)

    def _effects_of_own_transactions(self, statement: RunningStatement) -> Effects:
        """Return what a statement has done that has ended its transactions."""
        known = self.known
        self.end_transaction()
        if not self._is_idle():
            return Effects()
        self.known = read_known_relations(self.queries, known)
        if not self.connection.autocommit:
            self.connection.rollback()
        rebuilt = find_rebuilt_indexes(known, self.known)
        locks = dict(statement.probed.locks)
        for oid, lock in rebuilt.locks(known, self.known).items():
            locks[oid] = max(lock, locks.get(oid, lock))
        touched = [
            probed_access(RelationState(oid in self.existing, known), oid, lock, self.known, rebuilt)
            for oid, lock in locks.items()
            if oid in known.relations
        ]
        both = {*known.shapes, *self.known.shapes}
        changed = {oid for oid in both if known.tables({oid}) != self.known.tables({oid})}
        others = [*compare_objects(known.objects, self.known.objects)]
        return Effects((), touched, *tables_before_and_after(known, self.known, changed), others)

    # The connection

    def _read_session(self) -> None:
        """Read the session's settings, locks and counters."""
        self.state = queries.read_state(self.queries)
        self.transaction.take_locks(self.state)
        self.counts = self._counts_with(self.state)

    def _counts_with(self, state: SessionState) -> dict[int, RowCounts]:
        """Return the counters of all tables: within a transaction, only those of locked ones have changed."""
        counts = {oid: each for oid, each in self.counts.items() if oid not in state.counts}
        return counts | {oid: each for oid, each in state.counts.items() if any(each)}

    def _is_outside(self) -> bool:
        """Whether a statement would run in autocommit."""
        return bool(self.connection.autocommit) and self._is_idle()

    def _is_idle(self) -> bool:
        """Whether there is no transaction. With a driver that does not report it, the events of SQLAlchemy do."""
        info = getattr(self.driver, "info", None)
        if info is not None:  # psycopg and psycopg2
            return bool(info.transaction_status == IDLE)
        is_in_transaction = getattr(self.driver, "is_in_transaction", None)  # asyncpg
        return is_in_transaction is not None and not is_in_transaction()


def milliseconds(timeout: str) -> int:
    """Return a setting such as lock_timeout in milliseconds: "3s" is 3000."""
    number = timeout.rstrip("abcdefghijklmnopqrstuvwxyz")
    return int(float(number) * UNITS.get(timeout.removeprefix(number), 1))


def _find_written_catalogs(before: frozenset[str], now: frozenset[str]) -> Iterator[Change]:
    """Yield the tables of the system that a statement has written to for the first time in the transaction."""
    for name in sorted(now - before - queries.LOCKED_BY_COMMANDS):
        yield Change(ChangeKind.CATALOG_WRITTEN, name)
