"""The whole chain, taken down and up again after its parts were proven apart, where these do not show how that ends."""

import functools
from collections.abc import Collection, Sequence
from dataclasses import replace

from dbkit.findings.verdict import Verdict
from dbkit.roundtrip.apply import run_revisions
from dbkit.roundtrip.chain import ChainResult, prove_chain
from dbkit.roundtrip.checkpoint import Checkpoint
from dbkit.roundtrip.outcome import RevisionOutcome, SampleRowCount
from dbkit.roundtrip.results import ProofResult
from dbkit.roundtrip.walker import Walker, WalkRecord, WalkResult
from dbkit.roundtrip.workspace import Workspace


def is_composed(walks: Sequence[WalkResult]) -> bool:
    """Whether the chains of the parts make up the whole one, as far down as that can be undone.

    They do where each part above another one came back to the letter: what is left behind may stop what is below.
    """
    for walked in reversed(walks[1:]):
        if walked.chain_stopped_at:
            return True
        if not (walked.record and walked.record.is_exact):
            return False
    return True


def walk_whole_chain(work: Workspace, walks: Sequence[WalkResult]) -> WalkResult:
    """Return the result of one walk over the parts that these walks have proven; `work` has new databases."""
    records = [walked.record for walked in walks if walked.record]
    applied = frozenset().union(*(each.applied for each in records))
    left_out = walks[0].not_applied | (work.plan.proven - applied)
    work.applied = [script for script in work.plan.scripts if script.revision not in left_out]
    work.initial_facts = dict(records[0].initial_facts) or None
    outcomes = [outcome for each in records for outcome in each.plain]
    record_reversible(work, outcomes, frozenset().union(*(each.reversible for each in records)))
    chain = ChainResult() if run_revisions(work, work.applied, up=True) else prove_chain(work, outcomes)
    result = Walker(work).make_result(outcomes, chain)
    assert result.record is not None  # noqa: S101  # it is that of a walker
    return replace(
        result,
        record=replace(
            result.record, checkpoint=_merge_checkpoint(walks, records), initial_facts=records[0].initial_facts
        ),
        sample_rows=_merge_rows([walked.sample_rows for walked in walks]),
        shares_transaction=any(walked.shares_transaction for walked in walks),
        schema=walks[-1].schema,
    )


def record_reversible(work: Workspace, outcomes: Sequence[RevisionOutcome], reversible: Collection[str]) -> None:
    """Record for revisions that were proven elsewhere whether the chain can go through them."""
    for outcome in outcomes:
        verdict = Verdict.PROVEN if outcome.revision in reversible else Verdict.BROKEN
        work.results[outcome.revision] = ProofResult(verdict, (), 0.0)


def _merge_checkpoint(walks: Sequence[WalkResult], records: Sequence[WalkRecord]) -> Checkpoint | None:
    """Return the checkpoint of the last part, with the sample rows of the others."""
    checkpoint = records[-1].checkpoint
    if checkpoint is None:
        return None
    return replace(
        checkpoint, sample_rows=_merge_rows([*(each.sample_rows for each in walks[:-1]), checkpoint.sample_rows])
    )


def _merge_rows(counts: Sequence[SampleRowCount]) -> SampleRowCount:
    return functools.reduce(SampleRowCount.with_other, counts)
