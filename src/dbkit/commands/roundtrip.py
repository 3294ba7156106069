"""`dbkit roundtrip`: prove on a throw-away database that each migration can be undone and redone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from dbkit.commands.proof_options import asked, progress
from dbkit.redaction.outputs import print_report
from dbkit.settings import Settings


def roundtrip(settings: Settings, ini: Path, *, report: str = "text", trace: bool = False, **options: Any) -> int:
    """Print the outcome; exit code 1 when there is something that nobody has accepted.

    `trace`: before it, what each statement has locked, rewritten, scanned and written. `options` are those of
    `proving.asked`.
    """
    with asked(settings, **options) as (here, request):
        from dbkit.reports.roundtrip import FORMATS
        from dbkit.reports.trace import as_text
        from dbkit.roundtrip.prove import prove_at

        outcome, _loaded = prove_at(here, settings, ini, replace(request, trace=trace), progress())
    if trace and report == "text":
        print(as_text(outcome))
    print_report(FORMATS[report](outcome))
    return 0 if outcome.passed else 1
