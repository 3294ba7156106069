"""Prove the revisions of a plan: each one up, down and up again by itself; then the whole chain."""

import itertools
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from alembic.script import Script

from dbkit.catalog import Fact
from dbkit.errors import say
from dbkit.roundtrip.access import MAIN
from dbkit.roundtrip.alembic_steps import has_autocommit_block
from dbkit.roundtrip.apply import reapply_revisions
from dbkit.roundtrip.chain import ChainResult, prove_chain
from dbkit.roundtrip.checkpoint import Checkpoint, go_on_from, make_checkpoint
from dbkit.roundtrip.empty_copy import EmptyCopy
from dbkit.roundtrip.in_clone import prove_in_clone
from dbkit.roundtrip.in_transaction import prove_in_transactions
from dbkit.roundtrip.outcome import RevisionOutcome, SampleRowCount
from dbkit.roundtrip.results import REVERSIBLE, NeedsClone, Retry, RunEnd, Unsupported, combine_results
from dbkit.roundtrip.workspace import Workspace

LEAST_SECONDS = 3.0
"""The time from which on a walk makes a checkpoint: a shorter one is repeated in the time that a checkpoint takes."""


@dataclass(frozen=True)
class WalkResult:
    """The outcome of each revision that was to be proven, with what only the chain showed."""

    outcomes: tuple[RevisionOutcome, ...]
    chain_length: int
    """The number of revisions that the chain took down and up again."""
    chain_stopped_at: str | None
    """The proven revision that stopped the chain on its way down; None when none did."""
    not_applied: frozenset[str]
    """The revisions that were only to be applied, and could not be."""
    sample_rows: SampleRowCount
    shares_transaction: bool
    """Whether env.py runs all revisions of a command in one transaction."""
    record: "WalkRecord | None" = None
    """What a later run needs to go on from this one; None for what an earlier run has kept."""
    schema: tuple[tuple[Fact, str], ...] = ()
    """The catalog after the last revision, where the walk was traced."""


@dataclass(frozen=True)
class WalkRecord:
    """The facts of a walk that its outcomes do not show."""

    checkpoint: Checkpoint | None
    """None where none was wanted, or could be made."""
    applied: frozenset[str]
    """The revisions that could be applied, of those that were to be proven."""
    reversible: frozenset[str]
    """The revisions through which the chain can go."""
    is_exact: bool
    """Whether the chain came back without any difference."""
    plain: tuple[RevisionOutcome, ...]
    """The outcomes without what only the chain showed."""
    initial_facts: tuple[tuple[Fact, str], ...] = ()
    """The catalog before the first revision, where the walk began there."""


class Walker:
    """Walks through the revisions of a plan.

    Each is proven in its transaction where that is possible, else in a clone of the databases. The tables are filled
    before each revision; one that fails on rows is proven again on databases without rows.
    """

    def __init__(
        self,
        work: Workspace,
        *,
        checkpoint_at: int | None = None,
        start: Checkpoint | None = None,
        starts: Collection[int] = (),
    ) -> None:
        """`checkpoint_at`: before which revision of the plan; `start`: the checkpoint that the databases are at.

        `starts`: the positions in the plan at which new sample rows are made.
        """
        self.work = work
        self.empty_copy = EmptyCopy(work)
        self.checkpoint_at = checkpoint_at
        self.start = start
        self.starts = starts
        self.checkpoint: Checkpoint | None = None
        self.started = time.monotonic()

    def walk(self) -> WalkResult:
        """Prove each revision, then take the chain down and up, unless it is one revision on a database of others."""
        outcomes = self.prove_revisions()
        return self.make_result(outcomes, self.prove_chain(outcomes) if self.work.proves_chain else ChainResult())

    def prove_revisions(self) -> list[RevisionOutcome]:
        """Prove each revision by itself."""
        scripts = self.work.plan.scripts
        # after a checkpoint, rows go through the revisions that are only applied, too
        first = 0 if self.start else next(n for n, script in enumerate(scripts) if self.work.is_wanted(script))
        self._prove_all(scripts[:first])
        if self.work.sample_rows.options.rows:
            self.empty_copy.create()
            self.work.sample_rows.is_active = True
        if self.start:
            go_on_from(self.work, self.start)
        middle = max(first, len(scripts) if self.checkpoint_at is None else self.checkpoint_at)
        bounds = {first, middle, *(start for start in self.starts if first < start < len(scripts)), len(scripts)}
        for begin, end in itertools.pairwise(sorted(bounds)):
            if begin > first and begin in self.starts:
                self._make_new_rows()
            if begin == middle and time.monotonic() - self.started >= LEAST_SECONDS:
                self.checkpoint = make_checkpoint(self.work, self.empty_copy)
            self._prove_all(scripts[begin:end])
        self.work.sample_rows.fill(None if self.work.proves_chain else ())
        self.work.sample_rows.close()
        return [self.work.make_outcome(script) for script in scripts if self.work.is_wanted(script)]

    def _prove_all(self, scripts: Sequence[Script]) -> None:
        """Apply revisions, and prove those that are to be proven."""
        waiting = list(scripts)
        while waiting:
            within = list(itertools.takewhile(lambda script: not has_autocommit_block(script), waiting))
            end = self._prove_in_transactions(within)
            applied = {each.revision for each in self.work.applied}
            waiting = [script for script in waiting if script.revision not in applied]
            if isinstance(end, Retry):
                if self._prove_without_rows(end.script):
                    waiting = [script for script in waiting if script is not end.script]
                    continue
                if end.script.revision in applied:
                    self.work.sample_rows.queue_files(end.script)
                    continue
            if waiting:
                self._prove_in_clone(waiting.pop(0))

    def _prove_in_transactions(self, scripts: Sequence[Script]) -> RunEnd:
        """Prove as many revisions as possible in one run of env.py."""
        applicable = self._applicable(scripts)
        if self.work.needs_clones or not applicable:
            return NeedsClone()
        end = prove_in_transactions(self.work, applicable)
        if isinstance(end, Unsupported):
            self.work.needs_clones = True
            if end.reason:
                say(f"{end.reason}.")
        elif isinstance(end, NeedsClone) and end.has_committed:
            self._rebuild_databases()
        return end

    def _make_new_rows(self) -> None:
        """Put new sample rows in the place of those that have gone through revisions, unless migrations need these."""
        self.work.forget_changes()
        if self.empty_copy.replace_databases():
            self.empty_copy.keep()
            self.work.sample_rows.begin_again()
        self.work.run_state, self.work.prepared = None, ""

    def _applicable(self, scripts: Sequence[Script]) -> list[Script]:
        """Return the revisions that can be applied when those before them are."""
        applied = {*self.work.base, *(each.revision for each in self.work.applied)}
        found = []
        for script in scripts:
            if applied.issuperset(self.work.plan.parents[script.revision]):
                found.append(script)
                applied.add(script.revision)
        return found

    def _rebuild_databases(self) -> None:
        """Create the databases again, since a revision has committed a part of itself. Raises CheckFailed."""
        self.work.databases.drop()
        self.work.databases.create()
        self.work.sample_rows.forget_tables()
        self.work.prepared = ""
        self.work.forget_changes()
        reapply_revisions(self.work)

    def _prove_in_clone(self, script: Script) -> None:
        result = prove_in_clone(self.work, script)
        if self.work.should_retry(result) and self._prove_without_rows(script):
            return
        if script in self.work.applied:
            self.work.sample_rows.queue_files(script)

    def _prove_without_rows(self, script: Script) -> bool:
        """Prove a revision that has failed again, without rows. Returns False where that cannot be done.

        The next revisions are proven on the databases with rows, unless its upgrade works only without them.
        """
        with_rows, was_applied = self.work.results[script.revision], script in self.work.applied
        if was_applied:
            self.work.applied.remove(script)
        is_copy = self.empty_copy.replace_databases()
        self.work.run_state = None
        self.work.forget_changes()
        if not is_copy and (was_applied or not self.work.sample_rows.remove()):
            self.work.applied += [script] if was_applied else []
            return False
        with self.work.sample_rows.paused():
            self._prove_all([script])
        self.work.forget_changes()
        self.work.results[script.revision] = combine_results(with_rows, self.work.results[script.revision])
        is_applied = script in self.work.applied
        if is_copy and ((is_applied and not was_applied) or not self.empty_copy.put_rows_back()):
            self.empty_copy.keep()
        elif was_applied and not is_applied:
            self.work.applied.append(script)
        if script in self.work.applied:
            self.work.sample_rows.queue_files(script)
        return True

    def prove_chain(self, outcomes: Sequence[RevisionOutcome]) -> ChainResult:
        """Take the chain down and up, without rows; not where migrations need rows to work."""
        if self.work.sample_rows.is_active:
            if not self.empty_copy.replace_databases():
                return ChainResult()
            self.empty_copy.drop_rows()
        with self.work.sample_rows.paused():
            return prove_chain(self.work, outcomes)

    def make_result(self, outcomes: list[RevisionOutcome], chain: ChainResult) -> WalkResult:
        """Return the outcomes with what the chain has shown."""
        plain = tuple(outcomes)
        for revision, finding in chain.findings:
            numbers = [number for number, each in enumerate(outcomes) if each.revision == revision] or [-1]
            outcomes[numbers[0]] = outcomes[numbers[0]].with_chain(finding)
        proven = [script.revision for script in self.work.applied if self.work.is_wanted(script)]
        only_applied = {script.revision for script in self.work.plan.scripts} - self.work.plan.proven
        results = self.work.results.items()
        begins = not self.work.base and self.work.is_wanted(self.work.plan.scripts[0])
        record = WalkRecord(
            self.checkpoint,
            frozenset(proven),
            frozenset(revision for revision, each in results if each.schema_verdict in REVERSIBLE),
            chain.is_exact,
            plain,
            tuple((self.work.initial_facts or {}).items()) if begins else (),
        )
        return WalkResult(
            record=record,
            outcomes=tuple(outcomes),
            chain_length=chain.length,
            chain_stopped_at=proven[-chain.length - 1] if chain.length < len(proven) else None,
            not_applied=frozenset(only_applied - {script.revision for script in self.work.applied}),
            sample_rows=self.work.sample_rows.count_rows(),
            shares_transaction=self.work.environment.shares_transaction,
            schema=self._read_schema(chain),
        )

    def _read_schema(self, chain: ChainResult) -> tuple[tuple[Fact, str], ...]:
        """Return the catalog after the last revision, as the chain has found it, or as it is where none was taken."""
        databases = self.work.databases
        # of several databases, names would not be those of tables
        if not self.work.traces.wanted or list(databases.databases) != [MAIN]:
            return ()
        return tuple((databases.read_catalog() if chain.head is None else chain.head).items())
