"""`dbkit trace`: what each statement of a migration locks, rewrites, scans and writes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dbkit.commands.proof_options import asked, progress
from dbkit.redaction.outputs import print_report
from dbkit.settings import Settings


def trace(settings: Settings, ini: Path, *, revisions: Sequence[str] = (), report: str = "text", **options: Any) -> int:
    """Print the traces of these revisions, of all without any; exit code 1 when one could not be traced.

    `options` are those of `proving.asked`.
    """
    with asked(settings, only=tuple(revisions), **options) as (here, request):
        from dbkit.reports.trace import FORMATS
        from dbkit.roundtrip.prove import prove_at

        outcome, _loaded = prove_at(here, settings, ini, replace(request, trace=True), progress())
    print_report(FORMATS[report](outcome))
    return 0 if all(len(each.traces) for each in outcome.revisions) else 1
