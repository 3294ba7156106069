"""A round trip's outcome as text."""

from dbkit.roundtrip.outcome import Outcome, RevisionOutcome, Verdict
from dbkit.runner import count


def render(outcome: Outcome) -> str:
    """What was found, each with the place to mend it, and a summary."""
    parts = [_revision(each) for each in outcome.revisions if each.verdict != Verdict.PROVEN or each.notes]
    parts += [f"chain: {finding.words}" for finding in outcome.chain]
    return "\n".join([*parts, _summary(outcome)])


def _revision(each: RevisionOutcome) -> str:
    head = f'{each.verdict}: {each.revision} "{each.message}"'
    if each.verdict == Verdict.PROVEN:
        head = f'note: {each.revision} "{each.message}"'
    lines = [finding.words for finding in (*each.findings, *each.notes)]
    if each.verdict in (Verdict.DIRTY, Verdict.BROKEN):
        lines.append(f"downgrade() is at {each.path}:{each.line}")
    return "\n  ".join([head, *lines])


def _summary(outcome: Outcome) -> str:
    counts = [f"{outcome.count(verdict)} {verdict}" for verdict in Verdict if outcome.count(verdict)]
    chain = "and the whole chain came back" if not outcome.chain else "but the whole chain did not come back"
    if outcome.chain_stopped_at:
        chain = chain.replace("the whole chain", f"the chain above {outcome.chain_stopped_at}")
    return (
        f"{count(len(outcome.revisions))} on PostgreSQL {outcome.server_version}: {', '.join(counts)}, {chain} "
        f"({outcome.seconds:.1f} s; the tables were empty, so nothing is said about rows)."
    )
