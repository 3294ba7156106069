"""`dbkit lint`: report what each migration would do to a live database, and what to write instead."""

from dataclasses import dataclass
from pathlib import Path

from dbkit.commands.proof_options import ProofOptions, open_proof
from dbkit.redaction.outputs import print_report
from dbkit.settings import Settings
from dbkit.terminal.progress import Progress


@dataclass(frozen=True)
class LintOptions(ProofOptions):
    """Options of `dbkit lint`."""

    level: str
    sizes: Path | None
    """A file with the result of `dbkit sizes`."""
    version: int
    """The major version of PostgreSQL that the advice is for; 0: that of the server it runs on."""
    report: str


def lint(settings: Settings, ini: Path, options: LintOptions) -> int:
    """Print the findings down to a level; return 1 where a danger or a warning is not accepted."""
    with open_proof(settings, options) as (server, request):
        from dbkit.findings.finding import Level
        from dbkit.lint.run import lint_project
        from dbkit.reports.formats import render_lint

        outcome = lint_project(server, settings, ini, request, Progress(), options.version, options.sizes)
    print_report(render_lint(outcome, options.report, Level(options.level)), options.report)
    return 1 if outcome.failed else 0
