"""Prove a project's migrations: where, which, by how many processes, and what of it was accepted."""

import functools
import itertools
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dbkit import project
from dbkit.postgres import scratch_cluster
from dbkit.project.revision_order import ancestors
from dbkit.roundtrip import acceptance, parallel
from dbkit.roundtrip.alembic_steps import mentions_server_objects
from dbkit.roundtrip.env_runner import Access, EnvRunner, database_names, environment_variables
from dbkit.roundtrip.outcome import Outcome, SampleRowCount, Verdict
from dbkit.roundtrip.sample_rows import ROWS, SampleRowOptions
from dbkit.roundtrip.scratch_server import ScratchServer, open_server
from dbkit.roundtrip.selection import Plan, Scope, select_revisions
from dbkit.roundtrip.walker import Progress, Walker, WalkResult
from dbkit.settings import Settings, Target

WORTH_SPLITTING = 100  # revisions; below, a second process costs more than it brings
MOST_JOBS = 4  # by default; each has a server process beside it
PROOF_BY_UPGRADE = 4.5  # how many times as long as a bare upgrade it takes to prove a revision


@dataclass(frozen=True)
class Request:
    """What is asked of a proof."""

    scope: Scope = field(default_factory=Scope)
    access: Access = field(default_factory=Access)
    server: Target | None = None
    """The server to make databases on; None for a throw-away one."""
    baseline: str | None = None
    jobs: int | None = None
    rows: int = ROWS
    """How many rows each table has at least, in which migrations are proven; 0 leaves tables empty."""
    seed: int = 0
    """Of the planted rows, where they are chosen at random."""
    section: str = "alembic"
    arguments: tuple[str, ...] = ()
    """Alembic's -x."""
    trace: bool = False
    """Whether to watch what each statement does."""


def prove(
    settings: Settings, ini: Path, request: Request | None = None, progress: Progress = lambda _text: None
) -> Outcome:
    """Prove the migrations of the project whose settings are in `ini`; `progress` is told what is being done.

    Raises InputError when there is nothing to prove, or when env.py cannot be run on a scratch database.
    """
    request = request or Request()
    with open_server(settings, request.server) as here:
        outcome, _loaded = prove_at(here, settings, ini, request, progress)
        return outcome


def prove_at(
    here: ScratchServer, settings: Settings, ini: Path, request: Request, progress: Progress
) -> tuple[Outcome, project.Project]:
    """As `prove`, on a server that was chosen before. Returns the project, too.

    It is loaded once: there are revision files that cannot be imported a second time, since their models are mapped.
    """
    started = time.monotonic()
    own_sockets = parallel.open_sockets()
    # nothing in it is protected, and nothing else is reached
    settings = replace(settings, target=None, app_env="test")
    main = here.place.target(next(here.names))
    # before the project is loaded: its modules may read their settings when they are imported
    with environment_variables(request.access.environment(main)):
        loaded = project.load(ini, request.section, request.arguments)
        way = select_revisions(loaded, request.scope)
        named = request.baseline or (loaded.config.get_section("dbkit") or {}).get("baseline")
        baseline = loaded.revision(named).revision if named else ""
        here.wait()
        databases = {name: here.place.target(next(here.names)) for name in database_names(loaded)}
        databases[next(iter(databases))] = main
        environment = EnvRunner(loaded, settings, request.access, databases)
        planting = SampleRowOptions(request.rows, request.seed, _samples(loaded))
        jobs = request.jobs or _default_jobs(way)
        walks = (
            _walk(environment, here, way, jobs, progress, planting, request.trace, own_sockets) if way.proven else []
        )
    covered = ancestors([baseline], way.parents) if baseline else set()
    outcomes = tuple(
        acceptance.apply_acceptance(each, covered, baseline) for walked in walks for each in walked.outcomes
    )
    # the settings file's serves `dbkit lint`, too, which says when neither needs it
    if request.baseline and request.scope.everything:
        outcomes = acceptance.report_stale_baseline(outcomes, baseline)
    whole = "the whole chain" if request.scope.everything else "the chain of these"
    chain, chain_length = _how_far(walks, whole, len(way.proven))
    outcome = Outcome(
        project=str(ini),
        server=here.place.description,
        seconds=time.monotonic() - started,
        revisions=outcomes,
        chain=chain,
        chain_length=chain_length,
        planted=functools.reduce(SampleRowCount.with_other, [walked.planted for walked in walks], SampleRowCount()),
    )
    return outcome, loaded


def _samples(loaded: project.Project) -> Path:
    """Where a project has its own rows: as its settings file says, or `samples` beside its revisions."""
    named = (loaded.config.get_section("dbkit") or {}).get("samples")
    if named and loaded.config.config_file_name:
        return Path(loaded.config.config_file_name).parent / named
    return Path(loaded.script.dir) / "samples"


def _walk(
    environment: EnvRunner,
    here: ScratchServer,
    way: Plan,
    jobs: int,
    progress: Progress,
    planting: SampleRowOptions,
    trace: bool,
    own_sockets: frozenset[str],
) -> list[WalkResult]:
    parts = _parts(way, jobs)
    if len(parts) > 1 and not any(map(mentions_server_objects, way.scripts)):
        walks = parallel.walk_in_parallel(
            environment, here.place, parts, here.names, progress, planting, trace, own_sockets
        )
        if _agree(walks):
            return walks
        scratch_cluster.renew(here.place)
    return [Walker(environment, here.place, way, here.names, progress, planting, trace).walk()]


def _agree(walks: Sequence[WalkResult]) -> bool:
    """Whether each walk could apply what another has proven: a migration may work only once on a server."""
    never = (Verdict.BROKEN, Verdict.UNPROVEN)
    outcomes = [each for walked in walks for each in walked.outcomes]
    if any(finding.failure and finding.failure.elsewhere for each in outcomes for finding in each.findings):
        return False
    failed = {each.revision for each in outcomes if each.verdict in never}
    return bool(walks) and all(walked.failed_before <= failed for walked in walks)


def _how_far(walks: Sequence[WalkResult], whole: str, wanted: int) -> tuple[str, int]:
    """How far the chain went down and up again, in words, and how many revisions it were.

    `whole` is what it is when nothing was in the way, and `wanted` how many revisions that would be.
    """
    length = 0
    for walked in reversed(walks):
        length += walked.chain_length
        if walked.chain_stopped_at:
            words = f"the chain above {walked.chain_stopped_at}"
            break
    else:
        words = whole if length == wanted else "a part of the chain"  # what could not be applied is not in it
    return (words, length) if length else ("", 0)


def _default_jobs(way: Plan) -> int:
    return min(os.cpu_count() or 1, MOST_JOBS) if len(way.proven) >= WORTH_SPLITTING else 1


def _parts(way: Plan, jobs: int) -> list[Plan]:
    """The route in pieces that take as long as each other: a later one has to apply first what comes before it."""
    wanted = [number for number, script in enumerate(way.scripts) if script.revision in way.proven]
    jobs = min(jobs, len(wanted))
    saved = 1 - 1 / PROOF_BY_UPGRADE
    bounds = [round(len(wanted) * (1 - saved**job) / (1 - saved**jobs)) for job in range(jobs + 1)]
    parts = []
    for first, end in itertools.pairwise(bounds):
        if first < end:
            last = wanted[end - 1] if end < len(wanted) else len(way.scripts) - 1
            proven = frozenset(way.scripts[number].revision for number in wanted[first:end])
            parts.append(Plan(way.scripts[: last + 1], proven, way.parents))
    return parts
