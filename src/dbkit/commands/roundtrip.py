"""`dbkit roundtrip`: prove on a scratch database that each migration can be undone and applied again."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dbkit.commands.kept_proof import KeptOptions, find_or_prove
from dbkit.redaction.outputs import print_report
from dbkit.settings import Settings
from dbkit.terminal.progress import Progress

if TYPE_CHECKING:
    from dbkit.project import Project
    from dbkit.roundtrip.kept_walk import WalkCache
    from dbkit.roundtrip.prove import Request
    from dbkit.roundtrip.scratch_server import ScratchServer


@dataclass(frozen=True)
class RoundtripOptions(KeptOptions):
    """Options of `dbkit roundtrip`."""

    trace: bool
    strict: bool
    report: str


def roundtrip(settings: Settings, ini: Path, options: RoundtripOptions) -> int:
    """Print the outcome of a round trip; return 1 where a finding is not accepted."""
    from dbkit.reports.formats import render_roundtrip, render_trace
    from dbkit.roundtrip.outcome import Outcome

    def prove(server: "ScratchServer", request: "Request", walks: "WalkCache") -> "tuple[Outcome, Project]":
        from dbkit.roundtrip.prove import prove_at

        request = replace(request, trace=options.trace, strict=options.strict or None)
        outcome, loaded = prove_at(server, settings, ini, request, Progress(), walks)
        return outcome.without_ordinary(), loaded

    found = find_or_prove(settings, ini, "roundtrip", options, Outcome, prove)
    outcome = found.result.marked(found.seconds, found.problem)
    if options.trace and options.report == "text":
        print(render_trace(outcome, "text"))
    print_report(render_roundtrip(outcome, options.report), options.report)
    return 0 if outcome.passed else 1
