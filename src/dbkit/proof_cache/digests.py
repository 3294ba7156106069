"""Digests of files, which are computed again only where a file may have changed since."""

import hashlib
import os
import time
from dataclasses import dataclass, field

from dbkit.proof_cache.inputs import MISSING, PRESENT
from dbkit.proof_cache.store import Store

NAME = "digests"
TOO_RECENT = 2_000_000_000
"""Nanoseconds: a file that has changed so shortly before may change again without another time, as of git's index."""
Signature = tuple[int, ...]


def signature_of(path: str) -> Signature | None:
    """Return what changes with a file: its size, its times, its inode. None where there is no file."""
    try:
        found = os.stat(path)  # noqa: PTH116  # hundreds of them
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_mode


@dataclass
class Digests:
    """Digests of files by path, with the signatures that the files had. They are kept in the store."""

    store: Store | None
    known: dict[str, tuple[Signature, str]] = field(default_factory=dict)
    has_changed: bool = False

    @classmethod
    def load(cls, store: Store | None) -> "Digests":
        """Return the digests of the store."""
        found = store.read(NAME) if store else None
        known = {path: (tuple(signature), digest) for path, (signature, digest) in (found or {}).items()}
        return cls(store, known)

    def digest(self, path: str) -> str:
        """Return the digest of a file; MISSING or PRESENT where it is none that can be read."""
        signature = signature_of(path)
        if signature is None:
            return MISSING
        known = self.known.get(path)
        if known and known[0] == signature:
            return known[1]
        now = time.time_ns()
        try:
            with open(path, "rb") as file:  # noqa: PTH123  # hundreds of them
                found = hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else ""
                if not found:
                    found = hashlib.sha256(file.read()).hexdigest()
        except OSError:
            return PRESENT
        if max(signature[1], signature[2]) < now - TOO_RECENT and signature_of(path) == signature:
            self.known[path] = signature, found
            self.has_changed = True
        return found

    def save(self) -> None:
        """Keep them, without files that are gone."""
        if self.store and self.has_changed:
            self.store.write(NAME, {path: known for path, known in self.known.items() if os.path.exists(path)})  # noqa: PTH110
            self.has_changed = False
