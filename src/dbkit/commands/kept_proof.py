"""Find the result of a proof that an earlier run has kept; or prove, and keep what a later run needs."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from dbkit.commands.proof_options import ProofOptions, open_proof
from dbkit.project import env_file
from dbkit.project.known_revisions import known_revisions
from dbkit.proof_cache.run_entry import RunCache
from dbkit.settings import Settings

if TYPE_CHECKING:
    from dbkit.project import Project
    from dbkit.roundtrip.kept_walk import WalkCache
    from dbkit.roundtrip.prove import Request
    from dbkit.roundtrip.scratch_server import ScratchServer

    Prove = Callable[[ScratchServer, Request, WalkCache], tuple["T", Project]]
    """Proves the revisions that the request selects, after those that are kept. Returns the project, too."""

T = TypeVar("T")


@dataclass(frozen=True)
class FoundProof(Generic[T]):
    """The result of a proof, and how it was found."""

    result: T
    seconds: float | None = None
    """The seconds that it took to find a kept result; None where it was proven now."""
    problem: str = ""
    """Why it is not kept."""


@dataclass(frozen=True)
class KeptOptions(ProofOptions):
    """Options of the verbs whose results are kept."""

    no_cache: bool
    full: bool


def find_or_prove(
    settings: Settings,
    ini: Path,
    verb: str,
    options: KeptOptions,
    kind: type[T],
    prove: "Prove[T]",
    programs: Sequence[str | None] = (),
) -> FoundProof[T]:
    """Return the result that an earlier run has kept, where nothing has changed; else that of a proof, and keep it.

    `programs`: the paths of those that it starts, without those of PostgreSQL.
    """
    if not _is_kept(options):
        with open_proof(settings, options) as (server, request):
            from dbkit.roundtrip.kept_walk import WalkCache

            return FoundProof(prove(server, request, WalkCache())[0])
    cache = RunCache.open(settings, ini, verb, options, programs)
    kept = _find(cache, options, kind)
    if kept:
        return kept
    result = _prove_and_keep(cache, settings, ini, options, prove)
    return FoundProof(result, problem=cache.problem)


def find_kept(
    settings: Settings,
    ini: Path,
    verb: str,
    options: KeptOptions,
    kind: type[T],
    programs: Sequence[str | None] = (),
) -> FoundProof[T] | None:
    """Return the result that an earlier run of a verb has kept; None where there is none, or something has changed."""
    return _find(RunCache.open(settings, ini, verb, options, programs), options, kind) if _is_kept(options) else None


def _is_kept(options: KeptOptions) -> bool:
    """Whether results are kept: the state of a server that is not made for the proof is not known."""
    return not (options.no_cache or options.server)


def _find(cache: RunCache, options: KeptOptions, kind: type[T]) -> FoundProof[T] | None:
    started = time.monotonic()
    kept = None if options.full else cache.find(kind)
    return None if kept is None else FoundProof(kept, time.monotonic() - started)


def _prove_and_keep(cache: RunCache, settings: Settings, ini: Path, options: KeptOptions, prove: "Prove[T]") -> T:
    """Prove after the part that an earlier run has kept, and keep the result and such a part."""
    from dbkit.postgres.cluster import Cluster
    from dbkit.proof_cache.walk_entry import describe_walk, find_walk

    found = find_walk(cache)
    known = found.revisions if found else {}
    prepare = found.restore if found else _prepare_nothing
    with cache.recording(), open_proof(settings, options, prepare) as (server, request):
        # while the server starts
        from dbkit.roundtrip.kept_walk import KeptWalk, WalkCache

        walk = found.read(KeptWalk) if found else None
        usable = walk.first(found.matching) if found and walk else None
        walks = WalkCache(usable, found, options.full, is_kept=True)
        with known_revisions(known):
            result, loaded = prove(server, request, walks)
        scripts = {script.revision: script for script in loaded.script.walk_revisions()}
        paths = [Path(script.path) for script in scripts.values()]
        beside = [settings.root / ".env", *(ini.with_name(name) for name in ("alembic.ini", "pyproject.toml"))]
        own_variables = ["DATABASE_URL", *options.url_env, *(name for name, _ in options.set_env)]
        cache.find_inputs([*paths, *beside], own_variables, found.inputs if found and walks.used else None)
        if walks.made and isinstance(server.place, Cluster):
            from dbkit.roundtrip.prove import samples_directory

            env = env_file.find_env_file(Path(loaded.script.dir))
            made, samples = walks.made, samples_directory(loaded)
            position = made.checkpoint.position
            entry = describe_walk(cache, made, made.revisions, position, scripts, env, samples, known)
            if entry:
                entry.write(cache, partial(made.archive, server.place))
    cache.keep(result, paths)
    return result


def _prepare_nothing(_cluster: object) -> None:
    """Leave it to the cluster to make its data directory."""
