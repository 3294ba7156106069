"""A round trip's outcome as text."""

from dbkit.roundtrip.outcome import Outcome
from dbkit.runner import count

LONGEST_DIFFERENCE = 40  # lines


def render(outcome: Outcome) -> str:
    """The findings, each with its difference, and a summary."""
    parts = []
    for finding in outcome.findings:
        shown = [f"  {line}" for line in finding.lines[:LONGEST_DIFFERENCE]]
        if len(finding.lines) > LONGEST_DIFFERENCE:
            shown.append(f"  … {len(finding.lines) - LONGEST_DIFFERENCE} more lines")
        parts.append("\n".join([f"NOT TRUE: {finding.claim}", *shown]))
    verdict = "the schema came back both times" if not outcome.findings else "the schema did not come back"
    parts.append(
        f"{count(outcome.revisions)} up, down to base and up again on PostgreSQL {outcome.server_version}: {verdict} "
        f"({outcome.seconds:.1f} s; the tables were empty, so nothing is said about rows)."
    )
    return "\n".join(parts)
