"""A walk over a chain that is proven already, with an archive of the cluster at its checkpoint."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dbkit.postgres.cluster import Cluster
from dbkit.postgres.cluster_archive import digest_archive, restore_archive
from dbkit.project.known_revisions import KnownRevision, describe_revision
from dbkit.proof_cache.codec import Unreadable, decode, encode, encode_redacted, strings_of
from dbkit.proof_cache.inputs import MISSING, PRESENT, Inputs
from dbkit.proof_cache.model_digest import find_model_modules
from dbkit.proof_cache.recorder import project_modules
from dbkit.proof_cache.run_entry import RunCache
from dbkit.proof_cache.store import ARCHIVE, UNFINISHED, open_store

if TYPE_CHECKING:
    from alembic.script import Script

T = TypeVar("T")
PREFIX = "walk-"


@dataclass
class FoundWalk:
    """A kept walk whose inputs are what they were, at least up to its checkpoint."""

    content: Any
    """The walk, as a value of JSON."""
    revisions: Mapping[str, KnownRevision]
    """By path, those of the revisions that are what they were whose files only define names."""
    matching: int
    """The number of its first revisions that are what they were."""
    inputs: Inputs
    archive: Path
    digest: str
    is_restored: bool = field(default=False, init=False)

    def read(self, kind: type[T]) -> T | None:
        """Return the walk; None where it is no object of the class."""
        with suppress(Unreadable):
            return decode(kind, self.content)
        return None

    def restore(self, cluster: Cluster) -> None:
        """Create the data directory of a cluster from the archive; where it is damaged, none is created."""
        with suppress(OSError, ValueError):
            if digest_archive(self.archive) == self.digest:
                restore_archive(cluster, self.archive)
                self.is_restored = True


def find_walk(cache: RunCache) -> FoundWalk | None:
    """Return a kept walk; None where there is none that can be gone on from.

    The walk in it is read later, since that needs Alembic: meanwhile the cluster can be restored.
    """
    store = cache.digests.store
    if store is None:
        return None
    for name, entry in store.read_variants(f"{PREFIX}{cache.key}"):
        try:
            inputs = Inputs.from_json(entry["inputs"])
            archive = store.directory / entry["archive"]
            if not archive.is_file() or not inputs.is_current(cache.digests.digest, cache.recorder.environment):
                continue
            samples = sorted(Path(entry["samples"]).glob("*")) if entry["samples"] else []
            matching = 0
            for each in entry["revisions"]:
                if not _is_same(cache, each, samples):
                    break
                matching += 1
            if matching < entry["position"]:
                continue
            known = _read_known(entry["revisions"][:matching])
            found = FoundWalk(entry["walk"], known, matching, inputs, archive, entry["digest"])
        except (Unreadable, KeyError, TypeError, ValueError):
            continue
        cache.redacted = frozenset(strings_of(entry["walk"]))
        store.mark_used(name)
        store.mark_used(archive.name)
        return found
    return None


def _read_known(revisions: Sequence[Mapping[str, Any]]) -> dict[str, KnownRevision]:
    return {each["files"][0]: decode(KnownRevision, each["known"]) for each in revisions if each["known"]}


def _is_same(cache: RunCache, revision: Mapping[str, Any], samples: Sequence[Path]) -> bool:
    """Whether a revision file is what it was, and its sample files."""
    files: list[str] = revision["files"]
    has_samples = files[1:] == list_samples(samples, revision["id"])
    return has_samples and digest_files(cache, files) == list(revision["digest"])


@dataclass
class WalkEntry:
    """A walk that is to be kept."""

    key: str
    content: dict[str, object]

    def write(self, cache: RunCache, archive_cluster: Callable[[Path], str]) -> None:
        """Write it with the cluster, which `archive_cluster` writes to a file."""
        store = open_store(cache.root, create=True)
        if store is None:
            return
        unfinished = store.directory / f"{UNFINISHED}{secrets.token_hex(8)}"
        try:
            digest = archive_cluster(unfinished)
            archive = f"{ARCHIVE}{digest[:24]}"
            unfinished.replace(store.directory / archive)
        except OSError:
            unfinished.unlink(missing_ok=True)
            return  # there is no room for it
        cache.digests.store = store
        store.write_variant(self.key, self.content | {"archive": archive, "digest": digest})


def describe_walk(
    cache: RunCache,
    walk: object,
    kept: Sequence[str],
    position: int,
    scripts: "Mapping[str, Script]",
    env: Path,
    samples: Path | None = None,
    known: Mapping[str, KnownRevision] = {},
) -> WalkEntry | None:
    """Describe a walk over the revisions `kept`, and what it depends on; None where that is not known.

    The cluster has the first `position` of them applied. What the whole run depends on must be known already:
    `cache.inputs`. `scripts` are all revisions by id; `known`, by path, those that the walk has gone on from.
    """
    if cache.inputs is None:
        return None
    paths = {revision: Path(script.path) for revision, script in scripts.items()}
    names = sorted(samples.glob("*")) if samples else []
    files = {revision: [str(paths[revision]), *list_samples(names, revision)] for revision in kept}
    # what belongs to one revision only is not shared by all
    own = {*map(str, paths.values()), *map(str, names)}
    directories = {str(path.parent) for path in paths.values()} | ({str(samples)} if samples else set())
    models = find_model_modules(project_modules(), env, [paths[revision] for revision in kept])
    shared = cache.inputs.without(own, directories - cache.recorder.listed_by_project, models)
    # as they were when they were read
    read = {path: state for path, state in cache.inputs.files.items() if state not in (MISSING, PRESENT)}
    content = {
        "inputs": shared.as_json(),
        "revisions": [
            {
                "id": revision,
                "files": each,
                "digest": [read.get(path) or cache.digests.digest(path) for path in each],
                "known": encode(known.get(each[0]) or describe_revision(scripts[revision])),
            }
            for revision, each in files.items()
        ],
        "position": position,
        "samples": str(samples) if samples else None,
        "walk": encode_redacted(walk, cache.redacted),
    }
    return WalkEntry(f"{PREFIX}{cache.key}", content)


def list_samples(names: Sequence[Path], revision: str) -> list[str]:
    """Return the project's own rows and assertions for a revision: `r1.sql`, `r1_orders.py`."""
    found = [path for path in names if path.name.startswith(revision)]
    return [str(path) for path in found if path.name[len(revision)] in "._"]


def digest_files(cache: RunCache, paths: Sequence[str]) -> list[str]:
    """Return the digests of a revision file, and of its sample files."""
    return [cache.digests.digest(each) for each in paths]
