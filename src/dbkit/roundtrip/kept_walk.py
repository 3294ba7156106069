"""Go on from the checkpoint of an earlier run: the verdicts before it are kept, and those after it are found again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dbkit.catalog import Fact
from dbkit.findings.finding import LintFinding
from dbkit.findings.verdict import Verdict
from dbkit.postgres import scratch_database
from dbkit.postgres.cluster import DATABASE, Cluster
from dbkit.postgres.cluster_archive import save_archive
from dbkit.project.initial import EMPTY
from dbkit.project.revision_source import mentions_server_objects
from dbkit.proof_cache.walk_entry import FoundWalk
from dbkit.roundtrip.apply import run_revisions
from dbkit.roundtrip.chain import ChainResult, prove_chain
from dbkit.roundtrip.checkpoint import Checkpoint, position_for
from dbkit.roundtrip.env_runner import EnvRunner
from dbkit.roundtrip.outcome import RevisionOutcome
from dbkit.roundtrip.parts import find_starts
from dbkit.roundtrip.sample_rows import SampleRowOptions
from dbkit.roundtrip.selection import Plan
from dbkit.roundtrip.walker import Walker, WalkResult
from dbkit.roundtrip.whole_chain import record_reversible
from dbkit.roundtrip.workspace import Progress, open_workspace


@dataclass(frozen=True)
class KeptWalk:
    """A walk that a later run goes on from: at its checkpoint, with its verdicts."""

    checkpoint: Checkpoint
    outcomes: tuple[RevisionOutcome, ...]
    """Of the revisions before the checkpoint, in order, and of those after it that are still what they were."""
    reversible: frozenset[str]
    initial_facts: tuple[tuple[Fact, str], ...]
    """The catalog before the first revision."""
    chain_length: int
    chain_stopped_at: str | None
    is_exact: bool
    """Whether each of these revisions, and the chain of them, came back to the letter: then a chain of others
    can go on from them."""
    shares_transaction: bool
    lint_findings: tuple[LintFinding, ...] | None = None
    """What lint has found in these revisions, before acceptances and sizes; None where it did not look."""
    without_lock_timeout: tuple[str, ...] = ()
    """Those of the revisions that wait for locks without a limit, where lint has looked."""

    @property
    def revisions(self) -> tuple[str, ...]:
        """Return the ids of the revisions, in the order of the walk."""
        return tuple(each.revision for each in self.outcomes)

    def archive(self, cluster: Cluster, path: Path) -> str:
        """Stop the cluster, and write it to a file, for `walk_on`. Returns the digest of the file."""
        kept = [self.checkpoint.with_rows] if self.checkpoint.with_rows else []
        return save_archive(cluster, path, self.checkpoint.empty, kept)

    def first(self, count: int) -> "KeptWalk":
        """Return the walk with its first `count` verdicts only."""
        outcomes, left_out = self.outcomes[:count], {each.revision for each in self.outcomes[count:]}
        return replace(
            self,
            outcomes=outcomes,
            reversible=self.reversible - left_out,
            chain_length=max(self.chain_length - len(left_out), 0),
            lint_findings=self.lint_findings and tuple(e for e in self.lint_findings if e.revision not in left_out),
            without_lock_timeout=tuple(each for each in self.without_lock_timeout if each not in left_out),
        )

    def part_for(self, plan: Plan) -> "KeptWalk | None":
        """Return the part that a plan begins with; None unless it goes on from the checkpoint, and proves all."""
        scripts = [script.revision for script in plan.scripts]
        count = self.checkpoint.position
        if (
            tuple(scripts[:count]) != self.revisions[:count]
            or len(scripts) <= count
            or plan.proven != frozenset(scripts)
            or any(map(mentions_server_objects, plan.scripts))
        ):
            return None
        # the databases are as they would be after a proof of these only where nothing in their rows had to change
        for outcome, revision in zip(self.outcomes[count:], scripts[count:-1], strict=False):
            if outcome.revision != revision or not _is_plain(outcome):
                break
            count += 1
        return self.first(count)

    def as_result(self) -> WalkResult:
        """Return it as the result of a walk over these revisions."""
        return WalkResult(
            self.outcomes,
            self.chain_length,
            self.chain_stopped_at,
            frozenset(),
            self.checkpoint.sample_rows,
            self.shares_transaction,
        )


@dataclass
class WalkCache:
    """The kept part of an earlier walk, and what this one leaves for a later one."""

    walk: KeptWalk | None = None
    """The kept part of the earlier walk, where it can be read."""
    found: FoundWalk | None = None
    """The entry of that walk."""
    is_full: bool = False
    """Whether the whole chain is taken down and up again, whatever is kept."""
    is_kept: bool = False
    """Whether this run is to leave something for a later one."""
    used: KeptWalk | None = None
    """The kept part from which this walk went on."""
    made: KeptWalk | None = None

    @property
    def is_restored(self) -> bool:
        """Whether the server, which is running, has the checkpoint of an earlier walk."""
        return self.found is not None and self.found.is_restored

    @property
    def kept(self) -> int:
        """Return the number of verdicts that were taken from the kept part."""
        return len(self.used.outcomes) if self.used else 0


def walk_on(
    environment: EnvRunner,
    place: scratch_database.ProofServer,
    plan: Plan,
    names: scratch_database.DatabaseNames,
    progress: Progress,
    options: SampleRowOptions,
    trace: bool,
    cache: WalkCache,
    found: KeptWalk,
) -> list[WalkResult]:
    """Prove the revisions of a plan after those that are kept; the databases of the checkpoint are on the server.

    Those whose verdicts are kept, and that come after the checkpoint, are applied.
    """
    number = found.checkpoint.position
    environment.template = DATABASE  # as the archive has it
    before = frozenset(found.revisions[:number])
    rest = Plan(plan.scripts[number:], plan.proven - set(found.revisions), plan.parents)
    work = open_workspace(environment, place, rest, names, progress, options, trace, before)
    at = position_for(len(plan.scripts), number)
    work.continues = True
    starts = [start - number for start in find_starts(plan, options) if start > number]
    walker = Walker(work, checkpoint_at=at and at - number, start=found.checkpoint, starts=starts)
    outcomes = walker.prove_revisions()
    cache.used = found
    chain = ChainResult() if cache.is_full or not found.is_exact else walker.prove_chain(outcomes)
    if chain.is_exact:
        return [found.as_result(), walker.make_result(outcomes, chain)]
    return [_walk_whole_chain(walker, found, plan, outcomes)]


def _walk_whole_chain(walker: Walker, found: KeptWalk, plan: Plan, outcomes: Sequence[RevisionOutcome]) -> WalkResult:
    """Take the whole chain down and up again, which begins on a new copy of the checkpoint."""
    work = walker.work
    everything = [*found.outcomes, *outcomes]
    work.sample_rows.close()
    chain = ChainResult()
    with work.sample_rows.paused():
        work.databases.drop()
        work.databases.create()
        if walker.empty_copy.is_usable and not run_revisions(work, work.applied, up=True):
            scripts = {script.revision: script for script in plan.scripts}
            before = found.revisions[: found.checkpoint.position]
            work.applied = [*(scripts[revision] for revision in before), *work.applied]
            work.plan, work.base, work.run_state = plan, frozenset(), None
            work.initial_facts = dict(found.initial_facts)
            work.databases.template = EMPTY
            record_reversible(work, found.outcomes, found.reversible)
            chain = prove_chain(work, everything)
    result = walker.make_result(everything, chain)
    return replace(result, sample_rows=result.sample_rows.with_other(found.checkpoint.sample_rows))


def keep_walk(walks: Sequence[WalkResult], plan: Plan, found: KeptWalk | None) -> KeptWalk | None:
    """Return what a later run can go on from; None where there is no new checkpoint."""
    records = [each.record for each in walks if each.record]
    checkpoint = next((each.checkpoint for each in records if each.checkpoint), None)
    facts = found.initial_facts if found else next((each.initial_facts for each in records if each.initial_facts), ())
    outcomes = [each for walked in walks for each in (walked.record.plain if walked.record else walked.outcomes)]
    if checkpoint is None or not facts or [each.revision for each in outcomes] != [s.revision for s in plan.scripts]:
        return None
    length, stopped_at = count_chain(walks)
    before = outcomes[: checkpoint.position]
    others = [each.sample_rows for each in walks[:-1]]
    sample_rows = checkpoint.sample_rows
    for each in (*others, *([found.checkpoint.sample_rows] if found else [])):
        sample_rows = sample_rows.with_other(each)
    return KeptWalk(
        replace(checkpoint, sample_rows=sample_rows),
        tuple(outcomes),
        frozenset().union(*(each.reversible for each in records), found.reversible if found else ()),
        facts,
        length,
        stopped_at,
        length >= len(outcomes) - len(before)
        and all(each.is_exact for each in records)
        and not any(map(_leaves_something, before)),
        any(each.shares_transaction for each in walks),
    )


def count_chain(walks: Sequence[WalkResult]) -> tuple[int, str | None]:
    """Return how many revisions went down and up again, and which one stopped the chain on its way down."""
    length = 0
    for walked in reversed(walks):
        length += walked.chain_length
        if walked.chain_stopped_at:
            return length, walked.chain_stopped_at
    return length, None


def _is_plain(outcome: RevisionOutcome) -> bool:
    """Whether a revision works on the rows as they are, and leaves nothing behind."""
    return (
        outcome.verdict == Verdict.PROVEN
        and outcome.transactional
        and not (outcome.findings or outcome.notes or outcome.warnings or outcome.preconditions)
    )


def _leaves_something(outcome: RevisionOutcome) -> bool:
    """Whether the schema after the downgrade was not to the letter that of before."""
    return any(finding.difference for finding in (*outcome.findings, *outcome.notes))
