"""Prove revisions within the transactions that apply them, several in one run of env.py."""

from collections.abc import Callable, Collection, Iterator, Sequence
from enum import Enum, auto
from typing import Any

import psycopg
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import Script
from sqlalchemy.exc import SQLAlchemyError

from dbkit.errors import DbkitError, sqlstate_of
from dbkit.project.revision_source import mentions_commit
from dbkit.roundtrip.alembic_steps import MigrationStep, commit_if_external
from dbkit.roundtrip.apply import widen_version_table
from dbkit.roundtrip.proof_connection import ProofConnection, open_proof_connection
from dbkit.roundtrip.results import NeedsClone, ProofResult, Proven, Retry, RunEnd, Unsupported, failed_upgrade
from dbkit.roundtrip.revision_proof import EnvRunStopped, RevisionProof
from dbkit.roundtrip.run_state import RunState
from dbkit.roundtrip.transaction_guard import TransactionGuard
from dbkit.roundtrip.workspace import Workspace


def prove_in_transactions(work: Workspace, scripts: Sequence[Script]) -> RunEnd:
    """Run env.py once: apply revisions one after the other, and prove those that are wanted. Returns how it ended."""
    work.versions = None
    run = _TransactionRun(work, scripts)
    end = _run(work, run)
    work.touched = run.state.touched if run.state and isinstance(end, Proven) else None
    # another step of the proof, or a copy, changes the databases otherwise
    work.run_state = run.state if isinstance(end, Retry) and run.stage is not Stage.AFTER else None
    return end


def _run(work: Workspace, run: "_TransactionRun") -> RunEnd:
    try:
        work.environment.run(run.migrations, run.guard.refuse_connection)
    except EnvRunStopped as stopped:
        return stopped.end
    except Exception as error:
        if not isinstance(run.end, Proven):
            return run.end  # env.py failed after its migrations, which ended before the head
        if isinstance(error, DbkitError):
            raise
        return run.end_after(error)
    finally:
        run.close()
        work.sample_rows.close()
    return run.end


class Stage(Enum):
    """The code that runs at a time, in a run of env.py."""

    BEFORE = auto()
    """env.py, before its migrations."""
    OURS = auto()
    """The proof of a revision."""
    STEP = auto()
    """Alembic or env.py, at a revision."""
    AFTER = auto()
    """env.py, after all revisions."""


class _TransactionRun:
    """One run of env.py."""

    def __init__(self, work: Workspace, scripts: Sequence[Script]) -> None:
        self.work = work
        self.scripts = scripts
        self.guard = TransactionGuard()
        self.end: RunEnd = Proven()
        """The end of the run, when it was not stopped within a migration."""
        self.result: ProofResult | None = None
        """The result of the last proof, until it is recorded."""
        self.stage = Stage.BEFORE
        self.connection: ProofConnection | None = None
        self.state = work.run_state
        """What is known of the databases; None until the first reading."""

    def close(self) -> None:
        """Leave the session to the driver, which env.py may still use in another run."""
        if self.connection:
            self.connection.close()

    def end_after(self, error: Exception) -> RunEnd:
        """Return the end of a run that an error has ended, of env.py or of a commit. Raises what is neither."""
        has_rows = self.work.sample_rows.has_rows
        if self.stage is Stage.AFTER and has_rows:
            last = self.scripts[-1]
            self.work.results[last.revision] = failed_upgrade(last, error, self.work.results.get(last.revision))
            return Retry(last)
        is_env = self.stage is Stage.STEP or (self.stage is Stage.BEFORE and has_rows)
        if is_env or isinstance(error, SQLAlchemyError | psycopg.Error) or sqlstate_of(error):
            # a commit checks deferred constraints, and env.py may have met rows: in a clone it fails again
            return NeedsClone()
        raise error

    def migrations(self, _heads: tuple[str, ...], context: MigrationContext) -> Iterator[RevisionStep]:
        """Yield the steps of the run, as Alembic's `fn`."""
        connection = open_proof_connection(context)
        if isinstance(connection, Unsupported):
            self.end = connection
            return
        self.connection = connection
        self.stage = Stage.OURS
        self.guard.attach(context)
        self.state = state = self.state or RunState(connection.fingerprints.read_all())
        is_known = True
        """Whether the fingerprints in `state` are those of the database as it is."""
        for script in self.scripts:
            widen_version_table(self.work, script, context)
            changed = self.work.prepare(script, state.touched)
            step = MigrationStep(self.work.environment.project.script.revision_map, script, True)
            is_wanted = self.work.is_wanted(script)
            if is_wanted:
                if not is_known:
                    state.fingerprints = connection.fingerprints.read_all()
                self._hash_rows(connection, state, changed)
            is_known = is_wanted
            step.migration_fn = self._function(RevisionProof(self.work, connection, self.guard, script, state))
            self.stage = Stage.STEP
            yield step
            self.stage = Stage.OURS
            commit_if_external(context)
            connection.refresh()
            self.work.applied.append(script)
            if is_wanted and self._record_result(script, state.touched):
                self.end = Retry(script)
                return
            self.work.sample_rows.queue_files(script)
        self.stage = Stage.AFTER

    def _hash_rows(self, connection: ProofConnection, state: RunState, changed: Collection[int]) -> None:
        """Hash the rows of the tables that have other rows than before the last revision."""
        tables = self.work.sample_rows.table_names()
        if state.touched is None:
            state.table_hashes.clear()
        stale = {*changed, *(state.touched or ()), *(tables.keys() - state.table_hashes.keys())}
        state.table_hashes = {oid: text for oid, text in state.table_hashes.items() if oid in tables}
        state.table_hashes |= connection.hash_tables({oid: tables[oid] for oid in stale if oid in tables})
        state.touched = set()

    def _record_result(self, script: Script, touched: Collection[int] | None) -> bool:
        """Record the result of a proof. Returns whether the revision is to be proven again without rows."""
        assert self.result is not None  # noqa: S101  # its function has run
        result = self.work.record_result(script, self.result, lambda oid, _name: touched is None or oid in touched)
        return self.work.should_retry(result)

    def _function(self, proof: RevisionProof) -> Callable[..., None]:
        """Return the function that Alembic runs in place of upgrade()."""

        def function(**keywords: Any) -> None:
            self.stage = Stage.OURS
            run(keywords)
            self.stage = Stage.STEP

        def run(keywords: dict[str, Any]) -> None:
            if mentions_commit(proof.script):
                raise EnvRunStopped(NeedsClone())
            if not self.work.is_wanted(proof.script):
                proof.apply(keywords)
                return
            try:
                self.result = proof.prove(keywords)
            except psycopg.OperationalError as error:
                # the server does not answer as it should: the transaction is not the one that we began
                raise EnvRunStopped(NeedsClone(has_committed=True)) from error

        return function
