"""Lint of a proof that goes on from an earlier one: what the rules have found in its revisions is kept with them."""

from dataclasses import replace

from dbkit.lint.rules.transactions import added_labels
from dbkit.lint.run import FoundByRules
from dbkit.roundtrip.acceptance import read_acceptances
from dbkit.roundtrip.kept_walk import KeptWalk
from dbkit.roundtrip.outcome import RevisionOutcome


def kept_findings(walk: KeptWalk | None) -> FoundByRules | None:
    """Return what the rules have found in the revisions of a kept walk; None where they were not applied."""
    if walk is None or walk.lint_findings is None:
        return None
    return FoundByRules(walk.lint_findings, walk.without_lock_timeout)


def with_findings(walk: KeptWalk, found: FoundByRules, kept: int, *, keeps_traces: bool) -> KeptWalk | None:
    """Return a walk with what the rules have found in its revisions; without traces, unless `keeps_traces`.

    The first `kept` outcomes are those of an earlier walk, which may have no traces. Returns None where the rules would
    have to look at these again.
    """
    revisions = set(walk.revisions)
    if not all(each.is_traced or each.untraced for each in walk.outcomes[kept:]):
        # some could not be applied, and the finding names those that follow them
        return None if kept else walk
    return replace(
        walk,
        outcomes=walk.outcomes if keeps_traces else tuple(map(_without_needless_traces, walk.outcomes)),
        lint_findings=tuple(each for each in found.findings if each.revision in revisions),
        without_lock_timeout=tuple(each for each in found.without_lock_timeout if each in revisions),
    )


def _without_needless_traces(outcome: RevisionOutcome) -> RevisionOutcome:
    """Remove the traces, unless they show which comments of the file are needed, or what a later one must not use."""
    if read_acceptances(outcome.path) or added_labels(outcome):
        return outcome
    return replace(outcome, traces=(), ordinary=outcome.ordinary and replace(outcome.ordinary, traces=()))
