"""`dbkit lint`: what each migration would do to a live database, and what to write instead."""

from pathlib import Path
from typing import Any

from dbkit.commands.proof_options import asked, progress
from dbkit.redaction.outputs import print_report
from dbkit.settings import Settings


def lint(
    settings: Settings,
    ini: Path,
    *,
    report: str = "text",
    level: str = "warning",
    version: int = 0,
    sizes: Path | None = None,
    **options: Any,
) -> int:
    """Print what was found, down to `level`; exit code 1 when there is a danger or a warning that nobody has accepted.

    `version` is the major version of the server that the advice is for; 0: that of the one it runs on.
    `sizes` is the saved answer of `dbkit sizes`. `options` are those of `proving.asked`.
    """
    with asked(settings, **options) as (here, request):
        from dbkit.findings.finding import Level
        from dbkit.lint.run import lint_project
        from dbkit.reports.lint import FORMATS

        advised = lint_project(here, settings, ini, request, progress(), version, sizes)
    print_report(FORMATS[report](advised, Level(level)))
    return 1 if advised.failed else 0
