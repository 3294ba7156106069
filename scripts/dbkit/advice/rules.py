"""Findings from what was seen while a revision ran."""

from collections.abc import Iterator

from dbkit.advice.findings import Advice
from dbkit.roundtrip.outcome import RevisionOutcome


def advise(outcome: RevisionOutcome) -> Iterator[Advice]:
    """What a traced revision would do to a live database."""
    yield from ()
