"""Prove one revision within the transaction that applies it: upgrade, then down and up again after a savepoint.

The savepoint is always rolled back, so that each revision starts from what the upgrades alone have made, whatever a
downgrade breaks. What the revision touched is compared by fingerprints. Where they leave a doubt, the revision is
proven again with the whole catalog and the rows read at each point. Where the transaction itself could be the
cause (a migration that commits, an error that only a transaction gives), the run of env.py is stopped, and the revision
is proven in a clone of the databases.
"""

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from enum import Enum, auto
from typing import Any

import psycopg
from alembic.script import Script

from dbkit.coverage.recorder import StatementRun
from dbkit.errors import EnvInterrupt
from dbkit.findings.verdict import Verdict
from dbkit.postgres.abort_watch import AbortWatch
from dbkit.postgres.own_statements import project_settings
from dbkit.preconditions.shapes import Shapes, read_shapes
from dbkit.project.revision_source import function_line, mentions_table
from dbkit.roundtrip.alembic_steps import connection_of, migration_function
from dbkit.roundtrip.assertions import prove_assertions
from dbkit.roundtrip.branches import RevisionBranches
from dbkit.roundtrip.catalog_fingerprint import TransactionFingerprints
from dbkit.roundtrip.compare import Facts, Findings, Snapshot, compare_down_and_up, judge_failed_downgrade
from dbkit.roundtrip.extra_rows import prove_with_extra_rows
from dbkit.roundtrip.extreme_pass import is_extreme_pass_wanted, prove_with_extreme_rows
from dbkit.roundtrip.failures import describe_failure, fails_whatever_rows, fails_without_transaction
from dbkit.roundtrip.inserted_rows import read_inserted
from dbkit.roundtrip.notes import mark_touched_columns
from dbkit.roundtrip.outcome import Failure, Finding
from dbkit.roundtrip.preconditions import Preconditions
from dbkit.roundtrip.proof_connection import DOWN, UP, ProofConnection
from dbkit.roundtrip.results import NeedsClone, ProofResult, Retry, RunEnd, add_rows, failed_upgrade
from dbkit.roundtrip.row_snapshot import RowDifference
from dbkit.roundtrip.run_state import RunState
from dbkit.roundtrip.sequences import find_sequences_behind
from dbkit.roundtrip.transaction_guard import LeavesTransaction, TransactionGuard, mentions_extension
from dbkit.roundtrip.violating_rows import remove_violating_rows
from dbkit.roundtrip.workspace import Workspace
from dbkit.trace.records import TraceFailed


class EnvRunStopped(EnvInterrupt):
    """Ends a run of env.py within a migration; the transaction of that migration is rolled back."""

    def __init__(self, end: RunEnd) -> None:
        super().__init__()
        self.end = end
        """The return value of the run."""


class Doubt(Enum):
    """A question that fingerprints leave open."""

    ROWS = auto()
    SCHEMA = auto()
    """The schema, and rows, too."""


class RevisionProof:
    """The proof of one revision."""

    most_alone = 12

    def __init__(
        self, work: Workspace, connection: ProofConnection, guard: TransactionGuard, script: Script, state: RunState
    ) -> None:
        self.work = work
        self.connection = connection
        self.guard = guard
        self.script = script
        self.state = state
        self.keywords: dict[str, Any] = {}
        """Alembic's arguments for the migration's function."""
        self.statements: list[str] = []
        """The executed statements of the revision."""
        self.touched_names: set[str] = set()
        """The names, as SQL, of the tables that it has touched."""
        self.knows_all_names = False
        """Whether these are all, of the way up and of the way down."""
        self.runs: dict[str, list[StatementRun]] = {"upgrade": [], "downgrade": []}
        """By direction, the statements that it has executed, with the rows that they met."""
        self.branches = RevisionBranches(str(script.path))
        self.preconditions = Preconditions()
        self.sequences_behind: dict[str, RowDifference] = {}
        """By column, those whose sequence will give out a key that exists."""
        self._is_same_without_rows = False
        """Whether a function has failed that would fail in the same way without rows."""
        self.names_before = frozenset(work.sample_rows.table_names().values())
        """The tables that existed before the revision."""

    def apply(self, keywords: dict[str, Any]) -> None:
        """Apply the revision without a proof."""
        self.keywords = keywords
        if self.run(up=True):
            raise EnvRunStopped(NeedsClone())
        self.state.facts = self.state.touched = None

    def prove(self, keywords: dict[str, Any]) -> ProofResult:
        """Prove the revision; afterwards it is applied."""
        started = time.perf_counter()
        self.keywords = keywords
        self.connection.begin(UP)
        result = add_rows(self._prove_with_ordinary_rows(), self._sequence_findings())
        if self.work.sample_rows.options.extra:
            with self.work.traces.paused():
                result = self._prove_further(result.with_ordinary())
        result = result.changed(lambda each: mark_touched_columns(each, self.connection.driver, self.statements))
        return replace(result, seconds=time.perf_counter() - started)

    def _prove_further(self, result: ProofResult) -> ProofResult:
        """Add what assertions and further rows show."""
        result = self._prove_assertions(result)
        extreme = self._prove_with_extreme_rows if is_extreme_pass_wanted(self) else None
        return prove_with_extra_rows(self, result, extreme)

    def _prove_assertions(self, result: ProofResult) -> ProofResult:
        """Add what the project's own assertions find; the upgrade, with the savepoint after it, stays."""
        assertions = self.work.assertions_of(self.script)
        if not assertions:
            return result

        @contextmanager
        def connect() -> "Iterator[psycopg.Connection[Any]]":
            yield self.connection.driver
            if not self.connection.is_in_transaction:  # a function has committed
                raise EnvRunStopped(NeedsClone(has_committed=True))

        result = prove_assertions(assertions, self.script, result, run=self.run_and_check, connect=connect)
        self.connection.roll_back_to(DOWN)
        return result

    def _prove_with_extreme_rows(self, result: ProofResult) -> ProofResult:
        return prove_with_extreme_rows(self, result, self.state.touched or ())

    @property
    def version_tables(self) -> Collection[str]:
        """The names of the tables that get no rows."""
        return self.connection.version_tables

    def restore(self) -> "psycopg.Connection[Any]":
        """Roll back to the savepoint before the upgrade. Returns the connection."""
        self.connection.roll_back_to(UP)
        return self.connection.driver

    def keep_rows(self) -> None:
        """Planted rows stay until the next rollback."""

    def read_rows(self, names: Collection[str] | None) -> Snapshot:
        """Return the rows of these tables (as SQL); None for all."""
        return self.connection.read_snapshot({}, with_rows=True, only=names)

    def upgrade(self) -> Failure | None:
        """Apply the revision, and set the savepoint after it."""
        error = self.run(up=True, accept_all=True)
        if error:
            return describe_failure(error, self.script)
        self.connection.set_savepoint(DOWN)
        return None

    def read_shapes(self) -> Shapes:
        """Return what the catalog demands of rows, of the tables that the revision has touched."""
        with project_settings(self.connection.driver):
            return read_shapes(self.connection.driver, self.state.touched)

    def find_written_tables(self) -> set[str]:
        """Return the tables of before, as SQL, whose rows the transaction may have changed."""
        found = self.connection.fingerprints.read()
        tables = self.work.sample_rows.table_names()
        return {name for oid, name in tables.items() if oid in found.touched | found.written}

    def find_inserted(self) -> set[tuple[int, str, str]]:
        """Return the values of the rows that the transaction has inserted into tables of before.

        Where it has updated rows, too, only values in keys.
        """
        known = self.work.sample_rows.known_tables().tables
        tables = [known[oid] for oid in self.state.touched or () if oid in known]
        return read_inserted(self.connection.driver, tables) if tables else set()

    def apply_again(self) -> None:
        """Apply the revision once more, from the savepoint before it."""
        self.restore()
        if self.run(up=True):
            raise EnvRunStopped(NeedsClone())
        self._record_applied()

    def _prove_with_ordinary_rows(self) -> ProofResult:
        found = self._compare_fingerprints()
        if isinstance(found, ProofResult):
            self.state.facts = None
            return found
        self.connection.roll_back_to(UP)
        verdict, findings = self._compare_snapshots(rows_only=found is Doubt.ROWS)
        self._record_applied()
        # as it is reported after a proof without rows: what is about rows comes last
        findings = tuple(sorted(findings, key=lambda each: bool(each.rows))) if self._is_same_without_rows else findings
        return ProofResult(verdict, findings, 0.0, is_same_without_rows=self._is_same_without_rows)

    def _record_applied(self) -> None:
        """Remember the state after the upgrade, which is not known from an earlier reading."""
        applied = self._read_fingerprints()
        if applied.is_complete:
            self.state.fingerprints.update(applied)
        else:
            self.state.fingerprints = self.connection.fingerprints.read_all()

    # By fingerprints

    def _compare_fingerprints(self) -> ProofResult | Doubt:
        """Upgrade, downgrade, and upgrade again where rows were written."""
        error = self.run(up=True, accept_all=True)
        if error and remove_violating_rows(self, error):
            error = self.run(up=True, accept_all=True)
        if error:
            self._stop_for_rows(error)
            return Doubt.SCHEMA
        up = self._read_fingerprints()
        if not self._covers_all(up):
            return Doubt.SCHEMA
        rows_up = self._hash_rows_after_upgrade(up)
        if rows_up is None:
            return Doubt.ROWS
        self.connection.set_savepoint(DOWN)
        if error := self.run(up=False, accept_all=True):
            return self._judge_failed_downgrade(error, up, rows_up)
        down = self._read_fingerprints()
        self.knows_all_names = True
        if not self._covers_all(down) or not self.state.fingerprints.match(down):
            return Doubt.SCHEMA
        affected = self._affected_tables(down)
        if not self._has_rows({oid: text for oid, text in self.state.table_hashes.items() if oid in affected}):
            return Doubt.ROWS
        has_rows_written = self.state.fingerprints.has_rows_written(down)
        self.state.fingerprints.update(up)
        if has_rows_written and (doubt := self._compare_second_upgrade(rows_up)):
            return doubt
        self.connection.roll_back_to(DOWN)
        return ProofResult(Verdict.PROVEN, (), 0.0)

    def _judge_failed_downgrade(
        self, error: BaseException, up: TransactionFingerprints, rows_up: Mapping[int, str]
    ) -> ProofResult | Doubt:
        """Return the result of a downgrade that fails, where the upgrade has changed rows of named tables only."""
        if not fails_without_transaction(error, on_rows=bool(self.state.table_hashes)):
            raise EnvRunStopped(NeedsClone()) from error
        tables = self.work.sample_rows.table_names()
        changed = [oid for oid in self._affected_tables(up) if rows_up.get(oid) != self.state.table_hashes[oid]]
        if not all(self.mentions(tables[oid]) for oid in changed):
            return Doubt.SCHEMA
        failed = describe_failure(error, self.script)
        finding = Finding("down", failure=failed, line=failed.line)
        self.state.fingerprints.update(up)
        self.connection.roll_back_to(DOWN)
        self._learn_whether_rows_matter(error)
        verdict = judge_failed_downgrade(failed)
        return ProofResult(verdict, (finding,), 0.0, is_same_without_rows=self._is_same_without_rows)

    def _learn_whether_rows_matter(self, error: BaseException) -> None:
        """Learn whether a function would have failed in the same way without rows."""
        executed = [run.sql for runs in self.runs.values() for run in runs]
        self._is_same_without_rows = fails_whatever_rows(error, executed)

    def _compare_second_upgrade(self, rows_up: dict[int, str]) -> Doubt | None:
        self._check_constraints()
        if self.run(up=True, accept_all=True):
            return Doubt.SCHEMA
        again = self._read_fingerprints()
        if not again.is_complete or not self.state.fingerprints.match(again):
            return Doubt.SCHEMA
        if not self._has_rows(rows_up):
            return Doubt.ROWS
        self._check_constraints()
        return None

    def _stop_for_rows(self, error: BaseException) -> None:
        """Stop the run for a proof without rows, if the upgrade failed while tables have rows."""
        if self.work.sample_rows.has_rows and fails_without_transaction(error, on_rows=True):
            self.work.results[self.script.revision] = failed_upgrade(self.script, error)
            raise EnvRunStopped(Retry(self.script))

    def _read_fingerprints(self) -> TransactionFingerprints:
        """Read the fingerprints of what the transaction has touched, and remember what that is."""
        found = self.connection.fingerprints.read()
        oids = found.touched | found.written
        new = found.relations.keys() - self.state.fingerprints.relations.keys()
        for each in find_sequences_behind(self.connection.driver, new, self.names_before):
            self.sequences_behind.setdefault(f"{each.table}.{each.column}", each)
        self.state.touched = (self.state.touched or set()) | oids
        self.touched_names |= {name for name, _ in found.relations.values()}
        self.touched_names |= {name for oid, name in self.work.sample_rows.table_names().items() if oid in oids}
        return found

    def _sequence_findings(self) -> Findings:
        line = function_line(self.script, "upgrade")
        return tuple(Finding("up", rows=each, line=line) for each in self.sequences_behind.values())

    def _covers_all(self, found: TransactionFingerprints) -> bool:
        """Whether fingerprints cover everything that the revision has done so far."""
        return found.is_complete and not any(map(mentions_extension, self.statements))

    def _affected_tables(self, found: TransactionFingerprints) -> set[int]:
        """Return the OIDs of the tables whose rows may differ now, of those that existed before the revision.

        A table that was created again under the same name has another OID.
        """
        names = {name for name, _ in found.relations.values()}
        tables = self.work.sample_rows.table_names()
        return {oid for oid in self.state.table_hashes if oid in found.touched | found.written or tables[oid] in names}

    def _hash_rows_after_upgrade(self, up: TransactionFingerprints) -> dict[int, str] | None:
        """Hash the rows of the tables that the upgrade has touched and not dropped.

        Returns None when it has changed the rows of a table that it does not name.
        """
        tables = self.work.sample_rows.table_names()
        present = {
            oid: tables[oid]
            for oid in self._affected_tables(up)
            if up.relations.get(oid, (tables[oid], ""))[0] == tables[oid]
            and (oid in up.relations or oid not in up.touched)
        }
        hashes = self.connection.hash_tables(present)
        for oid in hashes.keys() & up.written - up.touched:
            if hashes[oid] != self.state.table_hashes[oid] and not self.mentions(tables[oid]):
                return None
        return hashes

    def _has_rows(self, expected: dict[int, str]) -> bool:
        """Whether tables have the rows that these hashes are of."""
        tables = self.work.sample_rows.table_names()
        return self.connection.hash_tables({oid: tables[oid] for oid in expected}) == expected

    def mentions(self, table: str) -> bool:
        """Whether the revision contains the name of a table, in its file or in what it executes."""
        return mentions_table(self.script, table.replace('"', ""), "\n".join(self.statements))

    # By the whole catalog

    def _compare_snapshots(self, *, rows_only: bool) -> tuple[Verdict, Findings]:
        """Prove it with all rows and, unless `rows_only`, the whole catalog read at each point; the upgrade stays."""
        unchanged: Facts | None = {} if rows_only else None
        before = self._read_snapshot({} if rows_only else self.state.facts)
        if self.run(up=True):
            raise EnvRunStopped(NeedsClone())
        after = self._read_snapshot(unchanged)
        self.state.facts = None if rows_only else after.facts
        self._read_fingerprints()
        self.connection.set_savepoint(DOWN)
        result = compare_down_and_up(
            self.script,
            before,
            after,
            run=self.run_and_check,
            read=lambda: self._read_snapshot(unchanged),
            is_named=self.mentions,
        )
        self.connection.roll_back_to(DOWN)
        return result

    def run_and_check(self, up: bool) -> Failure | None:
        error = self.run(up=up)
        if error:
            self._learn_whether_rows_matter(error)
            return describe_failure(error, self.script)
        self._check_constraints()
        return None

    def _read_snapshot(self, facts: Facts | None) -> Snapshot:
        only = self.touched_names if self.knows_all_names else None
        return self.connection.read_snapshot(facts, with_rows=bool(self.state.table_hashes), only=only)

    # The migration's functions

    def run(self, *, up: bool, accept_all: bool = False) -> BaseException | None:
        """Run a function of the migration, and return what it raised.

        Stops the run of env.py when the function leaves the transaction; unless `accept_all`, also when the transaction
        could be why it failed.
        """
        context = self.connection.context
        # Alembic remembers there which enum types it has created, and would not create them in a second upgrade
        context.impl.memo.clear()
        self.connection.prepare_driver()
        watch = AbortWatch()
        try:
            with ExitStack() as stack:
                stack.enter_context(watch.watching(connection_of(context)))
                if self.work.is_wanted(self.script):
                    # before the trace, which divides strings with several statements
                    stack.enter_context(self.connection.recorder.recording(str(self.script.path)))
                    stack.enter_context(self.work.traces.recording(self.script, connection_of(context), up=up))
                    stack.enter_context(self.branches.tracing())
                stack.enter_context(self.guard.guarding(self.statements))
                migration_function(self.script, up=up)(**self.keywords)
        except (LeavesTransaction, TraceFailed) as error:
            raise EnvRunStopped(NeedsClone()) from error
        except (Exception, SystemExit) as raised:
            cause = watch.find_cause(raised)
            if not accept_all and not fails_without_transaction(cause, on_rows=bool(self.state.table_hashes)):
                raise EnvRunStopped(NeedsClone()) from raised
            return cause
        finally:
            self.runs["upgrade" if up else "downgrade"] += self.connection.recorder.runs
            self._refresh()
        if not self.connection.is_in_transaction:
            raise EnvRunStopped(NeedsClone(has_committed=True))
        return None

    def _refresh(self) -> None:
        try:
            self.connection.refresh()
        except psycopg.OperationalError as error:
            raise EnvRunStopped(NeedsClone()) from error

    def _check_constraints(self) -> None:
        """Check the deferred constraints, as a commit would."""
        try:
            self.connection.check_constraints()
        except psycopg.OperationalError as error:
            raise EnvRunStopped(NeedsClone()) from error
