"""`dbkit roundtrip`: prove on a scratch database that each migration can be undone and applied again."""

import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dbkit.commands.progress_line import make_progress_line
from dbkit.commands.proof_options import ProofOptions, open_proof
from dbkit.proof_cache.run_entry import RunCache
from dbkit.redaction.outputs import print_report
from dbkit.settings import Settings

if TYPE_CHECKING:
    from dbkit.roundtrip.outcome import Outcome


@dataclass(frozen=True)
class RoundtripOptions(ProofOptions):
    """Options of `dbkit roundtrip`."""

    trace: bool
    strict: bool
    report: str
    no_cache: bool


def roundtrip(settings: Settings, ini: Path, options: RoundtripOptions) -> int:
    """Print the outcome of a round trip; return 1 where a finding is not accepted."""
    from dbkit.reports.formats import render_roundtrip, render_trace

    outcome = _find_or_prove(settings, ini, options)
    if options.trace and options.report == "text":
        print(render_trace(outcome, "text"))
    print_report(render_roundtrip(outcome, options.report))
    return 0 if outcome.passed else 1


def _find_or_prove(settings: Settings, ini: Path, options: RoundtripOptions) -> "Outcome":
    """Return the outcome that an earlier run has found, where nothing has changed; else that of a proof."""
    from dbkit.roundtrip.outcome import Outcome

    started = time.monotonic()
    # the state of a server that is not made for the proof is not known
    cache = None if options.no_cache or options.server else RunCache.open(settings, ini, "roundtrip", options)
    kept = cache.find(Outcome) if cache else None
    if kept:
        return replace(kept, seconds=time.monotonic() - started, kept=len(kept.revisions))
    with cache.recording() if cache else nullcontext(), open_proof(settings, options) as (server, request):
        from dbkit.roundtrip.prove import prove_at

        request = replace(request, trace=options.trace, strict=options.strict or None)
        outcome, loaded = prove_at(server, settings, ini, request, make_progress_line())
    if cache:
        files = [Path(script.path) for script in loaded.script.walk_revisions()]
        files += [settings.root / ".env", *(ini.with_name(name) for name in ("alembic.ini", "pyproject.toml"))]
        cache.keep(outcome, files, ["DATABASE_URL", *options.url_env, *(name for name, _ in options.set_env)])
    return replace(outcome, not_kept=cache.problem) if cache else outcome
