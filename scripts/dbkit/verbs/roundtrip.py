"""`dbkit roundtrip`: prove on a throw-away database that each migration can be undone and redone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from dbkit.outputs import print_report
from dbkit.settings import Settings
from dbkit.verbs.proving import asked, progress


def roundtrip(settings: Settings, ini: Path, *, report: str = "text", trace: bool = False, **options: Any) -> int:
    """Print the outcome; exit code 1 when there is something that nobody has accepted.

    `trace`: before it, what each statement has locked, rewritten, scanned and written. `options` are those of
    `proving.asked`.
    """
    with asked(settings, **options) as (here, request):
        from dbkit.roundtrip.proof import prove_at
        from dbkit.roundtrip.report import FORMATS
        from dbkit.trace.report import as_text

        outcome, _loaded = prove_at(here, settings, ini, replace(request, trace=trace), progress())
    if trace and report == "text":
        print(as_text(outcome))
    print_report(FORMATS[report](outcome))
    return 0 if outcome.passed else 1
