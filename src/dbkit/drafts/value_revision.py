"""Put new enum values that a draft uses into a revision before it: PostgreSQL takes their use only after a commit."""

from collections.abc import Sequence
from dataclasses import replace

from dbkit.drafts.steps import EMPTY_ON_PURPOSE, AutocommitOp, CommentOp, DraftRevision, Phase, Step


def split_values(upgrade: Sequence[Step], downgrade: Sequence[Step]) -> list[DraftRevision]:
    """Return one revision, or two where other operations use the values that are added."""
    values = [step for step in upgrade if step.phase == Phase.ADD_VALUE and isinstance(step.operation, AutocommitOp)]
    if not values:
        return [_accept_empty(DraftRevision(upgrade, downgrade))]
    added = _merge(values)
    if len(values) == len(upgrade):
        return [_accept_empty(DraftRevision([added], downgrade))]
    enums = {*added.facts}
    kept = [step for step in downgrade if isinstance(step.operation, CommentOp) and enums.intersection(step.facts)]
    first = DraftRevision([added], kept, "values")
    others = [step for step in upgrade if step not in values], [step for step in downgrade if step not in kept]
    return [_accept_empty(first), _accept_empty(DraftRevision(*others))]


def _merge(values: Sequence[Step]) -> Step:
    """Return one step outside of the transaction, which can be run again from its start."""
    operations = [each for step in values if isinstance(step.operation, AutocommitOp) for each in step.operation.ops]
    facts = tuple(fact for step in values for fact in step.facts)
    return replace(values[0], operation=AutocommitOp(operations), facts=facts)


def _accept_empty(revision: DraftRevision) -> DraftRevision:
    """Give the reason why a downgrade has no operations, where it only names the values that stay."""
    steps = list(revision.downgrade)
    if not steps or not all(isinstance(step.operation, CommentOp) for step in steps):
        return revision
    first = steps[0].operation
    if isinstance(first, CommentOp):
        steps[0] = replace(steps[0], operation=CommentOp(EMPTY_ON_PURPOSE + first.text))
    return replace(revision, downgrade=steps)
