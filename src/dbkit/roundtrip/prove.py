"""Prove a project's migrations: on which server, which revisions, by how many processes, and what is accepted."""

import functools
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from dbkit import project
from dbkit.errors import DbkitError
from dbkit.findings.verdict import Verdict
from dbkit.postgres import scratch_database
from dbkit.project import env_file
from dbkit.project.revision_order import ancestors
from dbkit.project.revision_source import mentions_server_objects
from dbkit.roundtrip import acceptance, parallel
from dbkit.roundtrip.access import Access, database_names, environment_variables
from dbkit.roundtrip.checkpoint import position_for
from dbkit.roundtrip.env_runner import EnvRunner
from dbkit.roundtrip.kept_walk import WalkCache, count_chain, keep_walk, walk_on
from dbkit.roundtrip.outcome import Outcome, RevisionOutcome, SampleRowCount
from dbkit.roundtrip.parts import find_starts, split_plan
from dbkit.roundtrip.sample_rows import ROWS, SampleRowOptions
from dbkit.roundtrip.scratch_server import ScratchServer, open_server
from dbkit.roundtrip.selection import Plan, Scope, select_revisions
from dbkit.roundtrip.walker import Walker, WalkResult
from dbkit.roundtrip.whole_chain import is_composed, walk_whole_chain
from dbkit.roundtrip.workspace import Progress, open_workspace
from dbkit.settings import Settings, Target

REVISIONS_FOR_TWO_PROCESSES = 100  # below, a second process costs more than it saves
MOST_JOBS = 4  # by default; each has a server process beside it


@dataclass(frozen=True)
class Request:
    """The options of a proof."""

    scope: Scope = field(default_factory=Scope)
    access: Access = field(default_factory=Access)
    server: Target | None = None
    """The server to create databases on; None for a scratch cluster."""
    baseline: str | None = None
    jobs: int | None = None
    rows: int = ROWS
    """The least number of rows in each table; 0 leaves tables empty."""
    seed: int = 0
    """The seed of the sample rows, where they are chosen at random."""
    section: str = "alembic"
    arguments: tuple[str, ...] = ()
    """Alembic's -x."""
    trace: bool = False
    """Whether to record what each statement does."""
    keeps_schema: bool = False
    """Whether the outcome has the catalog at the end, with a trace."""
    extra_rows: bool = True
    """Whether to prove with rows that statements meet, and with extreme ones, too."""
    strict: bool | None = None
    """Whether a failure that only extreme values cause is a finding; None: as the settings file has it."""


def prove(
    settings: Settings, ini: Path, request: Request | None = None, progress: Progress = lambda _text: None
) -> Outcome:
    """Prove the migrations of the project whose settings file is `ini`; `progress` is called before each step.

    Raises InputError when there is nothing to prove, or when env.py cannot be run on a scratch database.
    """
    request = request or Request()
    with open_server(settings, request.server) as server:
        outcome, _loaded = prove_at(server, settings, ini, request, progress)
        return outcome


def prove_at(
    server: ScratchServer,
    settings: Settings,
    ini: Path,
    request: Request,
    progress: Progress,
    cache: WalkCache | None = None,
) -> tuple[Outcome, project.Project]:
    """Prove as `prove` does, on a server that is open. Returns the project, too.

    With a `cache`, it goes on from the checkpoint of an earlier run, which is on the server, and makes one.

    It is loaded once: some revision files cannot be imported a second time, since their models are mapped.
    """
    started = time.monotonic()
    own_sockets = parallel.open_sockets()
    # nothing in it is protected, and nothing else is reached
    settings = replace(settings, target=None, app_env="test")
    main = server.place.target(next(server.names))
    own = replace(settings, ini=ini, section=request.section, arguments=request.arguments)
    # before the project is loaded: its modules may read their settings when they are imported
    with environment_variables(request.access.environment(main)):
        loaded = _load(own, request.access, main)
        plan = select_revisions(loaded, request.scope)
        named = request.baseline or loaded.dbkit.baseline
        baseline = loaded.revision(named).revision if named else ""
        server.wait()
        databases = {name: server.place.target(next(server.names)) for name in database_names(loaded)}
        databases[next(iter(databases))] = main
        # behind gate.install, too, no variable of env.py has to be named
        redirects = request.access.redirects or env_file.keeps_connection(Path(loaded.script.dir))
        environment = EnvRunner(loaded, settings, replace(request.access, redirects=redirects), databases)
        planned = _PlannedWalk(environment, server, plan, request, progress, own_sockets)
        walks = planned.run(cache) if plan.proven else []
    whole = "the whole chain" if request.scope.everything else "the chain of these"
    chain, chain_length = _describe_chain(walks, whole, len(plan.proven))
    outcome = Outcome(
        project=str(ini),
        server=server.place.description,
        seconds=time.monotonic() - started,
        revisions=_accept(
            walks, plan, request, baseline, loaded.dbkit.strict if request.strict is None else request.strict
        ),
        chain=chain,
        chain_length=chain_length,
        sample_rows=functools.reduce(SampleRowCount.with_other, [each.sample_rows for each in walks], SampleRowCount()),
        shares_transaction=any(each.shares_transaction for each in walks),
        kept=cache.kept if cache else 0,
        schema=walks[-1].schema if walks and request.keeps_schema else (),
    )
    return outcome, loaded


def _load(settings: Settings, access: Access, main: Target) -> project.Project:
    """Load the project, unless its env.py was asked for its databases before. Raises InputError."""
    try:
        return project.load_project(settings)
    except DbkitError as first:
        # a class of settings may refuse a URL without a host
        with environment_variables(replace(access, has_host=True).environment(main)), suppress(DbkitError):
            return project.load_project(settings)
        raise first


def _accept(
    walks: Sequence[WalkResult], plan: Plan, request: Request, baseline: str, strict: bool
) -> tuple[RevisionOutcome, ...]:
    """Return the outcomes with what the revision files and the baseline accept."""
    found = [each for walked in walks for each in walked.outcomes]
    accepted = _accept_outcomes(found, plan, request, baseline, strict)
    if not request.extra_rows:
        return accepted
    ordinary = _accept_outcomes([each.ordinary or each for each in found], plan, request, baseline, strict)
    return tuple(replace(each, ordinary=other) for each, other in zip(accepted, ordinary, strict=True))


def _accept_outcomes(
    found: Sequence[RevisionOutcome], plan: Plan, request: Request, baseline: str, strict: bool
) -> tuple[RevisionOutcome, ...]:
    covered = ancestors([baseline], plan.parents) if baseline else set()
    found = [each.as_strict() if strict else each for each in found]
    outcomes = tuple(acceptance.apply_acceptance(each, covered, baseline) for each in found)
    # a baseline of the settings file is also for `dbkit lint`, which reports when neither needs it
    if request.baseline and request.scope.everything:
        outcomes = acceptance.report_stale_baseline(outcomes, baseline)
    return outcomes


def samples_directory(loaded: project.Project) -> Path:
    """Return the directory of a project's own rows: as set in its config file, or `samples` beside its revisions."""
    return loaded.dbkit.samples or Path(loaded.script.dir) / "samples"


@dataclass(frozen=True)
class _PlannedWalk:
    """The walk over the revisions of a plan, on a server that is open."""

    environment: EnvRunner
    server: ScratchServer
    plan: Plan
    request: Request
    progress: Progress
    own_sockets: frozenset[str]

    @property
    def options(self) -> SampleRowOptions:
        """Return the options of the sample rows."""
        directory = samples_directory(self.environment.project)
        return SampleRowOptions(self.request.rows, self.request.seed, directory, self.request.extra_rows)

    def run(self, cache: WalkCache | None) -> list[WalkResult]:
        """Prove the revisions after those that are kept, and keep what a later run needs."""
        place, names, is_traced = self.server.place, self.server.names, self.request.trace
        is_whole = self.request.scope.everything and not self.environment.project.initial
        can_keep = cache is not None and cache.is_kept and is_whole
        if cache and cache.is_restored:
            part = cache.walk.part_for(self.plan) if can_keep and cache.walk else None
            if part:
                walks = walk_on(
                    self.environment, place, self.plan, names, self.progress, self.options, is_traced, cache, part
                )
                cache.made = keep_walk(walks, self.plan, part)
                return walks
            scratch_database.renew(place)
        walks = self._run_whole(position_for(len(self.plan.scripts)) if can_keep else None)
        if cache and can_keep:
            cache.made = keep_walk(walks, self.plan, None)
        return walks

    def _run_whole(self, checkpoint_at: int | None) -> list[WalkResult]:
        """Prove all revisions: in several processes where that is possible, else in this one."""
        place, names, options, is_traced = self.server.place, self.server.names, self.options, self.request.trace
        _make_template(self.environment, self.server)
        starts = find_starts(self.plan, options)
        parts = split_plan(self.plan, self.request.jobs or _default_jobs(self.plan), starts if options.rows else None)
        if len(parts) > 1 and not any(map(mentions_server_objects, self.plan.scripts)):
            walks = parallel.walk_in_parallel(
                self.environment,
                place,
                parts,
                names,
                self.progress,
                options,
                is_traced,
                self.own_sockets,
                checkpoint_at,
                starts,
            )
            if _agree(walks):
                return walks if is_composed(walks) else [self._walk_whole_chain(walks)]
            scratch_database.renew(place)
            _make_template(self.environment, self.server)
        work = open_workspace(self.environment, place, self.plan, names, self.progress, options, is_traced)
        return [Walker(work, checkpoint_at=checkpoint_at, starts=starts).walk()]

    def _walk_whole_chain(self, walks: Sequence[WalkResult]) -> WalkResult:
        """Take the whole chain down and up on new databases without rows, in the place of the first process's."""
        place = self.server.place
        for target in self.environment.databases.values():
            place.drop_database(target.dbname)
        options = replace(self.options, rows=0, extra=False)
        work = open_workspace(self.environment, place, self.plan, self.server.names, self.progress, options)
        return walk_whole_chain(work, walks)


def _make_template(environment: EnvRunner, server: ScratchServer) -> None:
    """Create the database that the scratch databases are copies of, where the chain does not begin on an empty one."""
    initial = environment.project.initial
    if initial:
        environment.template = initial.make_template(server.place, next(server.names))


def _agree(walks: Sequence[WalkResult]) -> bool:
    """Whether each walk could apply what another one has proven: a migration may work only once on a server."""
    outcomes = [each for walked in walks for each in walked.outcomes]
    if any(finding.failure and finding.failure.elsewhere for each in outcomes for finding in each.findings):
        return False
    failed = {each.revision for each in outcomes if each.verdict in (Verdict.BROKEN, Verdict.UNPROVEN)}
    return bool(walks) and all(walked.not_applied <= failed for walked in walks)


def _describe_chain(walks: Sequence[WalkResult], whole: str, wanted: int) -> tuple[str, int]:
    """Return how far the chain went down and up again, in words, and how many revisions that were.

    `whole` are the words when nothing stopped it, and `wanted` is how many revisions that would be.
    """
    length, stopped_at = count_chain(walks)
    # what could not be applied is not in it
    words = whole if length == wanted else "a part of the chain"
    if stopped_at:
        words = f"the chain above {stopped_at}"
    return (words, length) if length else ("", 0)


def _default_jobs(plan: Plan) -> int:
    return min(os.cpu_count() or 1, MOST_JOBS) if len(plan.proven) >= REVISIONS_FOR_TWO_PROCESSES else 1
