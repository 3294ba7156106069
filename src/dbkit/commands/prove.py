"""`dbkit prove`: the round trip and lint of each migration, in one run."""

from dataclasses import dataclass, replace
from pathlib import Path

from dbkit.commands.progress_line import make_progress_line
from dbkit.commands.proof_options import ProofOptions, open_proof
from dbkit.errors import InputError
from dbkit.redaction.outputs import print_report
from dbkit.settings import Settings

ONE_REPORT = {"junit": ("roundtrip", "findings of lint"), "sarif": ("lint", "verdicts of the round trip")}
"""The formats of one of the two reports: the verb that has it, and what has no place in it."""


@dataclass(frozen=True)
class ProveOptions(ProofOptions):
    """Options of `dbkit prove`."""

    trace: bool
    strict: bool
    level: str
    sizes: Path | None
    """A file with the result of `dbkit sizes`."""
    version: int
    """The major version of PostgreSQL that the advice is for; 0: that of the server it runs on."""
    report: str


def prove(settings: Settings, ini: Path, options: ProveOptions) -> int:
    """Print the outcome of a round trip and the findings of lint; return 1 where one of them is not accepted."""
    if options.report in ONE_REPORT:
        verb, other = ONE_REPORT[options.report]
        hint = f"`dbkit {verb} --format {options.report}` writes that report; text, json and github have both."
        raise InputError(f"--format {options.report} has no place for the {other}.", hint)
    with open_proof(settings, options) as (server, request):
        from dbkit.findings.finding import Level
        from dbkit.lint.run import lint_outcome
        from dbkit.reports.formats import render_prove
        from dbkit.roundtrip.prove import prove_at

        request = replace(request, trace=True, strict=options.strict or None)
        outcome, loaded = prove_at(server, settings, ini, request, make_progress_line())
        linted = lint_outcome(server, outcome, loaded, request, options.version, options.sizes)
    print_report(render_prove(outcome, linted, options.report, Level(options.level), with_trace=options.trace))
    return 0 if outcome.passed and not linted.failed else 1
