"""`dbkit roundtrip`: prove on a scratch database that each migration can be undone and applied again."""

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dbkit.commands.progress_line import make_progress_line
from dbkit.commands.proof_options import ProofOptions, open_proof
from dbkit.project import env_file
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
    full: bool


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
    if options.no_cache or options.server:
        return _prove(settings, ini, options)
    cache = RunCache.open(settings, ini, "roundtrip", options)
    kept = None if options.full else cache.find(Outcome)
    if kept:
        return replace(kept, seconds=time.monotonic() - started, kept=len(kept.revisions))
    return _prove_and_keep(cache, settings, ini, options)


def _prove(settings: Settings, ini: Path, options: RoundtripOptions) -> "Outcome":
    with open_proof(settings, options) as (server, request):
        from dbkit.roundtrip.prove import prove_at

        request = replace(request, trace=options.trace, strict=options.strict or None)
        return prove_at(server, settings, ini, request, make_progress_line())[0]


def _prove_and_keep(cache: RunCache, settings: Settings, ini: Path, options: RoundtripOptions) -> "Outcome":
    """Prove from where an earlier run can be gone on from, and keep what a later run needs."""
    from dbkit.postgres.cluster import Cluster
    from dbkit.proof_cache.walk_entry import find_walk, keep_walk
    from dbkit.roundtrip.kept_walk import KeptWalk, WalkCache

    found = find_walk(cache, KeptWalk)
    prepare = found.restore if found else (lambda _cluster: None)
    with cache.recording(), open_proof(settings, options, prepare) as (server, request):
        from dbkit.roundtrip.prove import prove_at, samples_directory

        request = replace(request, trace=options.trace, strict=options.strict or None)
        walks = WalkCache(lambda: found.walk if found and found.is_restored else None, options.full)
        outcome, loaded = prove_at(server, settings, ini, request, make_progress_line(), walks)
        revisions = [(script.revision, Path(script.path)) for script in loaded.script.walk_revisions()]
        beside = [settings.root / ".env", *(ini.with_name(name) for name in ("alembic.ini", "pyproject.toml"))]
        own_variables = ["DATABASE_URL", *options.url_env, *(name for name, _ in options.set_env)]
        used = found.inputs if found and walks.kept else None
        cache.find_inputs([*(path for _, path in revisions), *beside], own_variables, used)
        made = walks.made
        if made and isinstance(cluster := server.place, Cluster):
            samples = samples_directory(loaded)
            env = env_file.find_env_file(Path(loaded.script.dir))
            keep_walk(cache, made, made.revisions, dict(revisions), env, samples, partial(made.archive, cluster))
    cache.keep(replace(outcome, kept=0), [path for _, path in revisions])
    return replace(outcome, not_kept=cache.problem)
