"""The part of a chain that is proven already, with an archive of the cluster that has it applied."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from dbkit.postgres.cluster import Cluster
from dbkit.postgres.cluster_archive import digest_archive, restore_archive
from dbkit.proof_cache.codec import Unreadable, decode, encode_redacted
from dbkit.proof_cache.inputs import Inputs
from dbkit.proof_cache.model_digest import find_model_modules
from dbkit.proof_cache.recorder import project_modules
from dbkit.proof_cache.run_entry import RunCache
from dbkit.proof_cache.store import ARCHIVE, UNFINISHED, open_store

T = TypeVar("T")
PREFIX = "walk-"


@dataclass
class FoundWalk(Generic[T]):
    """A kept part of a chain whose inputs are what they were."""

    walk: T
    inputs: Inputs
    archive: Path
    digest: str
    is_restored: bool = False

    def restore(self, cluster: Cluster) -> None:
        """Create the data directory of a cluster from the archive; where it is damaged, none is created."""
        with suppress(OSError, ValueError):
            if digest_archive(self.archive) == self.digest:
                restore_archive(cluster, self.archive)
                self.is_restored = True


def find_walk(cache: RunCache, kind: type[T]) -> FoundWalk[T] | None:
    """Return the kept part of a chain; None where there is none that can be gone on from."""
    store = cache.digests.store
    if store is None:
        return None
    for name, entry in store.read_variants(f"{PREFIX}{cache.key}"):
        try:
            inputs = Inputs.from_json(entry["inputs"])
            archive = store.directory / entry["archive"]
            if not archive.is_file() or not inputs.is_current(cache.digests.digest, cache.recorder.environment):
                continue
            if any(digest_files(cache, each["files"]) != each["digest"] for each in entry["revisions"]):
                continue
            samples = sorted(Path(entry["samples"]).glob("*"))
            if any(list_samples(samples, each["id"]) != each["files"][1:] for each in entry["revisions"]):
                continue
            found = FoundWalk(decode(kind, entry["walk"]), inputs, archive, entry["digest"])
        except (Unreadable, KeyError, TypeError, ValueError):
            continue
        store.mark_used(name)
        store.mark_used(archive.name)
        return found
    return None


def keep_walk(
    cache: RunCache,
    walk: object,
    kept: Sequence[str],
    paths: Mapping[str, Path],
    env: Path,
    samples: Path,
    archive_cluster: Callable[[Path], str],
) -> None:
    """Keep the part of a chain with the revisions `kept`, and the cluster, which `archive_cluster` writes to a file.

    What the whole run depends on must be known already: `cache.inputs`. `paths` are those of all revision files.
    """
    store = open_store(cache.root, create=True)
    if store is None or cache.inputs is None:
        return
    unfinished = store.directory / f"{UNFINISHED}{secrets.token_hex(8)}"
    try:
        digest = archive_cluster(unfinished)
        archive = f"{ARCHIVE}{digest[:24]}"
        unfinished.replace(store.directory / archive)
    except OSError:
        unfinished.unlink(missing_ok=True)
        return  # there is no room for it
    names = sorted(samples.glob("*"))
    files = {revision: [str(paths[revision]), *list_samples(names, revision)] for revision in kept}
    # what belongs to one revision only is not shared by all
    own = {*map(str, paths.values()), *map(str, names)}
    directories = {str(path.parent) for path in paths.values()} | {str(samples)}
    models = find_model_modules(project_modules(), env, [paths[revision] for revision in kept])
    shared = cache.inputs.without(own, directories - cache.recorder.listed_by_project, models)
    content = {
        "inputs": shared.as_json(),
        "revisions": [
            {"id": revision, "files": each, "digest": digest_files(cache, each)} for revision, each in files.items()
        ],
        "samples": str(samples),
        "walk": encode_redacted(walk),
        "archive": archive,
        "digest": digest,
    }
    store.write_variant(f"{PREFIX}{cache.key}", content)


def list_samples(names: Sequence[Path], revision: str) -> list[str]:
    """Return the project's own rows and assertions for a revision: `r1.sql`, `r1_orders.py`."""
    found = [path for path in names if path.name.startswith(revision)]
    return [str(path) for path in found if path.name[len(revision)] in "._"]


def digest_files(cache: RunCache, paths: Sequence[str]) -> list[str]:
    """Return the digests of a revision file, and of its sample files."""
    return [cache.digests.digest(each) for each in paths]
