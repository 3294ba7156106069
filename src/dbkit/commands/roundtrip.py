"""`dbkit roundtrip`: prove on a scratch database that each migration can be undone and applied again."""

from dataclasses import dataclass, replace
from pathlib import Path

from dbkit.commands.progress_line import make_progress_line
from dbkit.commands.proof_options import ProofOptions, open_proof
from dbkit.redaction.outputs import print_report
from dbkit.settings import Settings


@dataclass(frozen=True)
class RoundtripOptions(ProofOptions):
    """Options of `dbkit roundtrip`."""

    trace: bool
    strict: bool
    report: str


def roundtrip(settings: Settings, ini: Path, options: RoundtripOptions) -> int:
    """Print the outcome of a round trip; return 1 where a finding is not accepted."""
    with open_proof(settings, options) as (server, request):
        from dbkit.reports.formats import render_roundtrip, render_trace
        from dbkit.roundtrip.prove import prove_at

        request = replace(request, trace=options.trace, strict=options.strict or None)
        outcome, _project = prove_at(server, settings, ini, request, make_progress_line())
    if options.trace and options.report == "text":
        print(render_trace(outcome, "text"))
    print_report(render_roundtrip(outcome, options.report))
    return 0 if outcome.passed else 1
