"""Prove revisions within the transaction that applies each of them: upgrade, then down and up again in a savepoint.

The savepoint is always rolled back, so that each revision starts from what the upgrades alone have made, whatever a
downgrade breaks. What was touched is compared by fingerprints. That settles a proof only when nothing is in doubt;
else the revision is proven once more with the whole catalog read at each point. Where the transaction itself could be
the reason (a migration that commits, an error that only a transaction gives), it is left to clones of the database.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import psycopg
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import Script
from psycopg.pq import TransactionStatus

from dbkit import catalog
from dbkit.postgres.row_hash import FORMAT
from dbkit.project import Project
from dbkit.roundtrip import row_snapshot
from dbkit.roundtrip.alembic_steps import (
    LeavesTransaction,
    MigrationStep,
    TransactionGuard,
    commit_if_external,
    connection_of,
    describe_failure,
    fails_without_transaction,
    keep_local_settings,
    may_be_rows,
    mentions_commit,
    mentions_table,
    migration_function,
)
from dbkit.roundtrip.catalog_fingerprint import FingerprintReader, TransactionFingerprints, enable_write_counters
from dbkit.roundtrip.compare import Facts, ProofResult, Snapshot, compare_down_and_up
from dbkit.roundtrip.outcome import Failure, Finding, Verdict
from dbkit.trace.records import TraceFailed

NOT_COUNTED = (
    "track_counts is off on this server, and only a superuser may turn it on: each revision is proven in a copy of its "
    "database, which is slower"
)
UP, DOWN = "dbkit_up", "dbkit_down"
FORMATTED = "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in FORMAT.items())


class NeedsClone(BaseException):
    """Ends a run of env.py before `script`, which is to be proven by clones; nothing of it is kept.

    Not an Exception: env.py may catch those.
    """

    def __init__(self, script: Script, *, spoiled: bool = False, on_rows: Failure | None = None) -> None:
        super().__init__(script.revision)
        self.script = script
        self.spoiled = spoiled
        """Whether something of it was committed all the same."""
        self.on_rows = on_rows
        """Why its upgrade failed, where tables have rows."""


class CannotProve(BaseException):
    """The connection is not one that can be looked into: another driver, or one that commits each statement.

    Its words, where it has some, are for people: they can change that.
    """


class _Inconclusive(Exception):
    """Fingerprints are not enough to say what happened to the schema, or (`rows_only`) to rows alone."""

    def __init__(self, *, rows_only: bool = False) -> None:
        super().__init__()
        self.rows_only = rows_only


class Walk(Protocol):
    """What the walk wants, and is told."""

    def is_wanted(self, script: Script) -> bool:
        """Whether a revision is to be proven, and not only applied."""

    def begin(self, script: Script, touched: Collection[int] | None) -> Collection[int]:
        """A revision is next. `touched`: the OIDs of the tables that the one before it has touched; None when unknown.

        Returns the OIDs of the tables that have other rows now.
        """

    def make_room(self, script: Script, context: MigrationContext) -> None:
        """A revision is about to be recorded."""

    def tables(self) -> Mapping[int, str]:
        """By OID, the tables that have planted rows; none when rows are not looked at."""

    def recording(self, script: Script, connection: sa.Connection, *, up: bool) -> AbstractContextManager[None]:
        """Surrounds each run of a function of a revision."""

    def settle(self, script: Script, result: ProofResult | None, touched: Collection[int] | None) -> None:
        """A revision is applied; what its proof found, where it was wanted, and the OIDs of what it has touched."""


class TransactionProver:
    """One run of env.py that applies `scripts` one after the other, and proves those that are to be proven."""

    def __init__(self, project: Project, scripts: Sequence[Script], walk: Walk) -> None:
        self.project = project
        self.scripts = scripts
        self.walk = walk
        self.result: ProofResult | None = None
        self.watch = TransactionGuard()
        self.facts: Facts | None = None
        """The catalog as it is now, where it was just read."""
        self.touched: set[int] | None = None
        """The OIDs of what the revision at hand has touched; None when that is not known."""
        self.seen_names: set[str] = set()
        """The names, as SQL, of what it has touched."""
        self.knows_names = False
        """Whether these are all, of the way up and of the way down."""
        self.sums: dict[int, str] = {}
        """By OID, the rows of each table before the revision at hand, as one text."""

    def plan(self, _heads: tuple[str, ...], context: MigrationContext) -> Iterator[RevisionStep]:
        """What Alembic is to run."""
        self._attach(context)
        remembered = True
        for script in self.scripts:
            self.result = None
            self.walk.make_room(script, context)
            step = MigrationStep(self.project.script.revision_map, script, True)
            planted = self.walk.begin(script, self.touched)
            if self.walk.is_wanted(script):
                if not remembered:
                    self.memory = self.reader.everything()
                self._remember_rows(planted)
                step.migration_fn = self._proof_of(script)
            else:
                step.migration_fn = self._upgrade_of(script)
            remembered = self.walk.is_wanted(script)
            yield step
            commit_if_external(context)
            self.walk.settle(script, self.result, self.touched)

    def _remember_rows(self, planted: Collection[int]) -> None:
        """Read the rows of the tables that have other ones than before the last revision."""
        tables = self.walk.tables()
        if self.touched is None:
            self.sums.clear()
        changed = {*planted, *(self.touched or ()), *(tables.keys() - self.sums.keys())}
        self.sums = {oid: text for oid, text in self.sums.items() if oid in tables}
        self.sums |= self._sums({oid: tables[oid] for oid in changed if oid in tables})
        self.touched = set()

    def _sums(self, tables: Mapping[int, str]) -> dict[int, str]:
        """For each of these tables (by OID, its name as SQL) a text that differs when its rows do."""
        if not tables:
            return {}
        with self._formatted():
            rows = self.reader.execute(row_snapshot.table_hash_query(list(tables.values())))
        found = {int(number or 0): str(text) for number, text in rows}
        return {oid: found[number] for number, oid in enumerate(tables)}

    def connected(self) -> None:
        """Somebody opened a connection while env.py runs: env.py itself, or a migration."""
        self.watch.connected()

    def _attach(self, context: MigrationContext) -> None:
        connection = connection_of(context)
        driver: Any = connection.connection.driver_connection
        if not isinstance(driver, psycopg.Connection | psycopg.AsyncConnection) or driver.autocommit:
            raise CannotProve
        if not enable_write_counters(driver.pgconn):
            raise CannotProve(NOT_COUNTED)
        # psycopg would send DEALLOCATE ALL after each DROP or ALTER, and that is for our statements, too
        driver.prepare_threshold = None
        self.context = context
        self.connection = driver if isinstance(driver, psycopg.Connection) else psycopg.Connection(driver.pgconn)
        self.connection.prepare_threshold = None
        keep_local_settings(connection)
        self.watch.attach(context)
        self.version_tables = (context.version_table,)
        self.reader = FingerprintReader(self.connection.pgconn, self.version_tables)
        connection.connection.commit()
        self.memory = self.reader.everything()

    def _proof_of(self, script: Script) -> Callable[..., None]:
        def prove(**keywords: Any) -> None:
            if mentions_commit(script):
                raise NeedsClone(script)
            try:
                self._prove(script, keywords)
            except psycopg.OperationalError as error:
                # the server does not answer as it should: the transaction is not the one that we began
                raise NeedsClone(script, spoiled=True) from error

        return prove

    def _upgrade_of(self, script: Script) -> Callable[..., None]:
        def upgrade(**keywords: Any) -> None:
            if mentions_commit(script) or self._run(script, keywords, up=True):
                raise NeedsClone(script)
            self.facts = self.touched = None

        return upgrade

    def _prove(self, script: Script, keywords: dict[str, Any]) -> None:
        started = time.perf_counter()
        self.reader.begin(UP)
        self.watch.needs_catalog = False
        self.watch.statements.clear()
        self.seen_names.clear()
        self.knows_names = False
        try:
            self._compare_fingerprints(script, keywords)
            verdict: Verdict = Verdict.PROVEN
            findings: tuple[Finding, ...] = ()
            self.facts = None
        except _Inconclusive as doubt:
            self.reader.execute(f"ROLLBACK TO SAVEPOINT {UP}")
            verdict, findings = self._compare_states(script, keywords, rows_only=doubt.rows_only)
            now = self._look()
            if now.sure:
                self.memory.take(now)
            else:
                self.memory = self.reader.everything()
        self.result = ProofResult(verdict, findings, time.perf_counter() - started)

    def _compare_fingerprints(self, script: Script, keywords: dict[str, Any]) -> None:
        """Raise _InDoubt when not everything is as it should be."""
        error = self._run(script, keywords, up=True, whatever=True)
        if error:
            if self.sums and may_be_rows(error) and fails_without_transaction(error, on_rows=True):
                raise NeedsClone(script, on_rows=describe_failure(error, script))
            raise _Inconclusive
        up = self._look()
        if not up.sure or self.watch.needs_catalog:
            raise _Inconclusive
        rows_up = self._rows_after_upgrade(script, up)
        self.reader.execute(f"SAVEPOINT {DOWN}")
        self._run_surely(script, keywords, up=False)
        down = self._look()
        self.knows_names = True
        if not down.sure or self.watch.needs_catalog or not self.memory.equals(down):
            raise _Inconclusive
        self._require_rows({oid: text for oid, text in self.sums.items() if oid in self._affected(down)})
        rows = self.memory.has_rows_written(down)
        self.memory.take(up)
        if rows:
            self._check_constraints(script)
            self._run_surely(script, keywords, up=True)
            again = self._look()
            if not again.sure or not self.memory.equals(again):
                raise _Inconclusive
            self._require_rows(rows_up)
            self._check_constraints(script)
        self.reader.execute(f"ROLLBACK TO SAVEPOINT {DOWN}")

    def _look(self) -> TransactionFingerprints:
        """Read fingerprints of the schema, and note what was touched."""
        reading = self.reader.read()
        oids = reading.touched | reading.written
        self.touched = (self.touched or set()) | oids
        self.seen_names |= {name for name, _ in reading.relations.values()}
        self.seen_names |= {name for oid, name in self.walk.tables().items() if oid in oids}
        return reading

    def _affected(self, reading: TransactionFingerprints) -> set[int]:
        """The OIDs of the tables whose rows may be others, of those that were there before the revision.

        One that was made anew under its name has another OID.
        """
        names = {name for name, _ in reading.relations.values()}
        tables = self.walk.tables()
        return {oid for oid in self.sums if oid in reading.touched | reading.written or tables[oid] in names}

    def _rows_after_upgrade(self, script: Script, up: TransactionFingerprints) -> dict[int, str]:
        """The rows, after the upgrade, of the tables that it has touched and not dropped.

        Raises _InDoubt when it has changed those of a table that it does not name.
        """
        tables = self.walk.tables()
        there = {
            oid: tables[oid]
            for oid in self._affected(up)
            if up.relations.get(oid, (tables[oid], ""))[0] == tables[oid]
            and (oid in up.relations or oid not in up.touched)
        }
        sums = self._sums(there)
        for oid in sums.keys() & up.written - up.touched:
            if sums[oid] != self.sums[oid] and not self._names(script, tables[oid]):
                raise _Inconclusive(rows_only=True)
        return sums

    def _require_rows(self, expected: Mapping[int, str]) -> None:
        """Raise _InDoubt when a table's rows are others than these."""
        tables = self.walk.tables()
        if self._sums({oid: tables[oid] for oid in expected}) != expected:
            raise _Inconclusive(rows_only=True)

    def _names(self, script: Script, table: str) -> bool:
        """Whether the revision names a table, in its file or in what it runs."""
        return mentions_table(script, table.replace('"', ""), "\n".join(self.watch.statements))

    def _compare_states(
        self, script: Script, keywords: dict[str, Any], *, rows_only: bool
    ) -> tuple[Verdict, tuple[Finding, ...]]:
        """Prove it with all rows, and unless `rows_only` the whole catalog, read at each point.

        The upgrade stays, what follows is rolled back.
        """
        unchanged: Facts | None = {} if rows_only else None
        before = self._state({} if rows_only else self.facts)
        error = self._run(script, keywords, up=True)
        if error:
            raise NeedsClone(script)
        after = self._state(unchanged)
        self.facts = None if rows_only else after.facts
        self._look()
        self.reader.execute(f"SAVEPOINT {DOWN}")

        def run(up: bool) -> Failure | None:
            error = self._run(script, keywords, up=up)
            if error:
                return describe_failure(error, script)
            self._check_constraints(script)
            return None

        result = compare_down_and_up(
            script, before, after, run, lambda: self._state(unchanged), lambda table: self._names(script, table)
        )
        self.reader.execute(f"ROLLBACK TO SAVEPOINT {DOWN}")
        return result

    def _run_surely(self, script: Script, keywords: dict[str, Any], *, up: bool) -> None:
        if self._run(script, keywords, up=up, whatever=True):
            raise _Inconclusive

    def _run(
        self, script: Script, keywords: dict[str, Any], *, up: bool, whatever: bool = False
    ) -> BaseException | None:
        """Run a function of a migration, and return what it raised.

        Raises Suspended when it leaves the transaction; unless `whatever`, also when the transaction could be why it
        failed.
        """
        # Alembic remembers there which enum types it has created, and would not create them in a second upgrade
        self.context.impl.memo.clear()
        try:
            with self.walk.recording(script, connection_of(self.context), up=up), self.watch.while_running():
                migration_function(script, up=up)(**keywords)
        except (LeavesTransaction, TraceFailed) as error:
            raise NeedsClone(script) from error
        except (Exception, SystemExit) as error:
            if not whatever and not fails_without_transaction(error, on_rows=bool(self.sums)):
                raise NeedsClone(script) from error
            return error
        if self.connection.pgconn.transaction_status != TransactionStatus.INTRANS:
            raise NeedsClone(script, spoiled=True)
        return None

    def _check_constraints(self, script: Script) -> None:
        """Check what a commit would check."""
        try:
            self.reader.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except psycopg.OperationalError as error:
            raise NeedsClone(script) from error

    def _state(self, facts: Facts | None = None) -> Snapshot:
        """The database as it is now; `facts`, where its catalog is known."""
        if facts is None:
            facts = catalog.read(self.connection, version_tables=self.version_tables)
        only = self.seen_names if self.knows_names else None
        if not self.sums:
            return Snapshot(facts)
        with self._formatted():
            return Snapshot(facts, row_snapshot.read_rows(self.connection, self.version_tables, only=only))

    @contextmanager
    def _formatted(self) -> Iterator[None]:
        """Read with values written in one way, whatever the migration has set."""
        is_idle = self.connection.pgconn.transaction_status == TransactionStatus.IDLE
        self.reader.execute(f"{'BEGIN' if is_idle else 'SAVEPOINT dbkit_format'}; {FORMATTED}")
        yield
        self.reader.execute("ROLLBACK" if is_idle else "ROLLBACK TO SAVEPOINT dbkit_format; RELEASE dbkit_format")
