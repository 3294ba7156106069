"""Prove a revision with clones of the databases: for what leaves its transaction, or fails only because of it."""

import time
from dataclasses import replace

from alembic.script import Script

from dbkit.findings.verdict import Verdict
from dbkit.postgres.connect import connect
from dbkit.postgres.own_statements import Session
from dbkit.project.revision_source import mentions_server_objects, mentions_table
from dbkit.roundtrip.assertions import prove_assertions
from dbkit.roundtrip.clone_states import CloneStates
from dbkit.roundtrip.compare import compare_down_and_up
from dbkit.roundtrip.exercise_in_clone import CloneExercise
from dbkit.roundtrip.extra_rows import prove_with_extra_rows
from dbkit.roundtrip.notes import mark_touched_columns
from dbkit.roundtrip.outcome import Failure, Finding
from dbkit.roundtrip.results import ProofResult
from dbkit.roundtrip.workspace import Workspace


def prove_in_clone(work: Workspace, script: Script) -> ProofResult:
    """Apply a revision to the databases; then undo and apply it again in their place, and put a clone back.

    Records the result and returns it. Where the upgrade fails, the databases are as before, and it is not applied.
    """
    started = time.perf_counter()
    # a run of env.py that ended here has filled the tables
    changed = work.prepare(script, () if work.prepared == script.revision else None)
    work.sample_rows.close()
    proof = _CloneProof(work, script)
    proof.states.known = None if changed else work.versions
    work.forget_changes()
    result = proof.prove()
    if script in work.applied and work.is_wanted(script):
        work.versions, work.touched = proof.states.after.versions, proof.states.find_touched()
    result = replace(result, seconds=time.perf_counter() - started)
    return work.record_result(script, result, lambda _oid, name: mentions_table(script, name))


class _CloneProof:
    """The proof of one revision."""

    def __init__(self, work: Workspace, script: Script) -> None:
        self.work = work
        self.script = script
        self.databases = work.databases
        self.with_rows = work.sample_rows.is_active
        self.states = CloneStates(work.databases, with_rows=self.with_rows)
        self.exercise = CloneExercise(work, script)

    def prove(self) -> ProofResult:
        """Apply the revision and prove it."""
        missing = self.work.missing_parents(self.script)
        if missing:
            words = f"it follows {', '.join(missing)}, which could not be applied"
            return self._result(Verdict.UNPROVEN, Finding("up", failure=Failure(words)))
        if not self.work.is_wanted(self.script):
            return self._apply()
        self.states.read_before()
        failed = self._upgrade()
        if failed and self._may_try_again() and self.exercise.remove_violating_rows(failed):
            self.states.read_before()
            failed = self._upgrade()
        if failed:
            return self._result(Verdict.BROKEN, Finding("up", failure=failed, line=failed.line))
        self.states.read_after()
        self.work.applied.append(self.script)
        result = self._prove_applied()
        self.exercise.touched_names |= self.states.touched_tables()
        if self.work.sample_rows.options.extra:
            with self.work.traces.paused():
                result = prove_with_extra_rows(self.exercise, self._prove_assertions(result.with_ordinary()), None)
        if result.findings:
            with self.exercise.connect() as connection:
                statements = [run.sql for runs in self.exercise.runs.values() for run in runs]
                result = result.changed(lambda each: mark_touched_columns(each, connection, statements))
        self.databases.drop(self.states.before.copy)
        return result

    def _apply(self) -> ProofResult:
        """Apply the revision without a proof."""
        failed = self._upgrade()
        if failed:
            return self._result(Verdict.BROKEN, Finding("up", failure=failed, line=failed.line))
        self.databases.drop(self.states.before.copy)
        self.work.applied.append(self.script)
        return self._result(Verdict.UNPROVEN)

    def _prove_applied(self) -> ProofResult:
        result = self._down_and_up()
        phase, failed = next(((each.phase, each.failure) for each in result.findings if each.failure), ("", None))
        # of two upgrades, only the first is recorded
        is_recorded = phase != "reup" or not self.work.traces.has_upgrade(self.script)
        if failed and is_recorded and self._may_be_trace(failed):
            return self._down_and_up_untraced(failed)
        return result

    def _prove_assertions(self, result: ProofResult) -> ProofResult:
        """Add what the project's own assertions find, in the first database."""
        assertions = self.work.assertions_of(self.script)
        if not assertions:
            return result
        clone = self.databases.copy()
        first = next(iter(self.databases.databases.values()))
        result = prove_assertions(
            assertions,
            self.script,
            result,
            run=self.exercise.run_and_check,
            connect=lambda: connect(first, session=Session.PROJECT),
        )
        self.databases.replace_by(clone)
        return result

    def _upgrade(self) -> Failure | None:
        """Apply the revision. Where it fails, a backup removes what it has committed."""
        traces, backup = self.work.traces, self.databases.copy()
        failed = self.exercise.upgrade()
        if failed and self._may_be_trace(failed):
            traces.left_out[self.script.revision] = failed.words
            self.databases.replace_by(backup)
            backup = self.databases.copy()
            failed = self.exercise.upgrade()
        if failed:
            traces.left_out.pop(self.script.revision, None)
            self.databases.replace_by(backup)
        else:
            self.states.before.copy = backup
            self.exercise.backup = backup if self._may_exercise() else None
        return failed

    def _may_exercise(self) -> bool:
        """Whether rows may be planted, and the revision run again from the databases before it."""
        return self.work.sample_rows.options.extra and self._may_try_again()

    def _may_try_again(self) -> bool:
        """Whether the revision may be run again, from the databases before it, with other rows."""
        is_repeatable = not mentions_server_objects(self.script)
        return self.with_rows and is_repeatable and self.work.is_wanted(self.script)

    def _down_and_up(self) -> ProofResult:
        states = self.states
        states.after.copy = clone = self.databases.copy()
        reads = iter((states.read_undone, states.read_again))
        verdict, findings = compare_down_and_up(
            self.script,
            states.before.snapshot,
            states.after.snapshot,
            run=self.exercise.run_and_check,
            read=lambda: next(reads)(),
            is_named=lambda table: mentions_table(self.script, table),
        )
        self.databases.replace_by(clone)
        return self._result(verdict, *findings)

    def _down_and_up_untraced(self, failed: Failure) -> ProofResult:
        """Prove it again without a trace, which may be why it failed."""
        left_out = self.work.traces.left_out
        left_out[self.script.revision] = failed.words
        result = self._down_and_up()
        if any(each.failure for each in result.findings):
            del left_out[self.script.revision]
        return result

    def _may_be_trace(self, failed: Failure) -> bool:
        """Whether the revision may have failed because it was traced."""
        return self.work.traces.is_recorded(self.script) and not failed.raised

    def _result(self, verdict: Verdict, *findings: Finding) -> ProofResult:
        return ProofResult(verdict, findings, 0.0, transactional=False)
