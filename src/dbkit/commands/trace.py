"""`dbkit trace`: show what each statement of a migration locks, rewrites, scans and writes."""

from dataclasses import dataclass, replace
from pathlib import Path

from dbkit.commands.proof_options import ProofOptions, open_proof
from dbkit.redaction.outputs import print_report
from dbkit.settings import Settings
from dbkit.terminal.progress import Progress


@dataclass(frozen=True)
class TraceOptions(ProofOptions):
    """Options of `dbkit trace`."""

    report: str


def trace(settings: Settings, ini: Path, options: TraceOptions) -> int:
    """Print the traces of the revisions; return 1 where one could not be traced."""
    with open_proof(settings, options) as (server, request):
        from dbkit.reports.formats import render_trace
        from dbkit.roundtrip.prove import prove_at

        request = replace(request, trace=True, extra_rows=False)
        outcome, _project = prove_at(server, settings, ini, request, Progress())
    print_report(render_trace(outcome, options.report), options.report)
    return 0 if all(len(each.traces) for each in outcome.revisions) else 1
