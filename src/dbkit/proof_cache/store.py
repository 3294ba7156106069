"""The directory with what is kept: private, bounded in size, and safe to use by several processes at a time."""

import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbkit.errors import InputError
from dbkit.files import make_project_directory
from dbkit.postgres.private_dirs import own_directory

FORMAT = "dbkit-proofs-2"
"""The version of the format; an entry of another one is ignored."""
NAME = "proofs"
LARGEST = 48 * 1024 * 1024
"""The most bytes that entries take; the ones that were not used for longest are removed."""
VARIANTS = 4
"""The most entries with the same key, which differ in their inputs: those of branches that take turns."""
ABANDONED_AFTER = 3600.0  # seconds until a file that a killed process has left unfinished is removed
UNFINISHED = "unfinished-"
ARCHIVE = "archive-"
MOST_ARCHIVES = 4
"""The most archives of clusters, of some 60 MB each: of `roundtrip`, `lint` and `prove`, and of the head."""


@dataclass(frozen=True)
class Store:
    """Entries as files of JSON with a checksum: one that is damaged, or of another format, is as good as missing."""

    directory: Path

    def read(self, name: str) -> Any:
        """Return an entry; None where there is none that is complete and of this format."""
        try:
            head, _, body = (self.directory / name).read_bytes().partition(b"\n")
        except OSError:
            return None
        if head.decode("ascii", "replace") != _head(body):
            return None
        try:
            return json.loads(body)
        except ValueError:
            return None

    def read_variants(self, key: str) -> Iterator[tuple[str, Any]]:
        """Yield the names and the content of the entries with a key, those that were used last first."""
        for name in sorted(self._names(f"{key}-"), key=self._last_use, reverse=True):
            content = self.read(name)
            if content is not None:
                yield name, content

    def write(self, name: str, content: object) -> bool:
        """Write an entry: completely, or not at all. Returns False where the directory cannot be written to."""
        return self._write(name, _as_json(content))

    def _write(self, name: str, body: bytes) -> bool:
        unfinished = self.directory / f"{UNFINISHED}{secrets.token_hex(8)}"
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(f"{_head(body)}\n".encode() + body)
            unfinished.replace(self.directory / name)
        except OSError:
            unfinished.unlink(missing_ok=True)
            return False
        return True

    def write_variant(self, key: str, content: object) -> None:
        """Write an entry beside others with the same key, and remove what is too much."""
        body = _as_json(content)
        self._write(f"{key}-{hashlib.sha256(body).hexdigest()[:16]}", body)
        for name in sorted(self._names(f"{key}-"), key=self._last_use, reverse=True)[VARIANTS:]:
            self.remove(name)
        self.trim()

    def mark_used(self, name: str) -> None:
        """Record that an entry was of use, for `trim`."""
        with suppress(OSError):
            os.utime(self.directory / name)

    def remove(self, name: str) -> None:
        """Remove an entry, or an archive."""
        with suppress(OSError):
            (self.directory / name).unlink()

    def trim(self) -> None:
        """Remove the oldest entries beyond the bound, and what killed processes have left unfinished."""
        for name in self._names(UNFINISHED):
            if time.time() - self._last_use(name) > ABANDONED_AFTER:
                self.remove(name)
        for name in sorted(self._names(ARCHIVE), key=self._last_use, reverse=True)[MOST_ARCHIVES:]:
            self.remove(name)
        room = LARGEST
        for name in sorted(self._names(""), key=self._last_use, reverse=True):
            path = self.directory / name
            with suppress(OSError):
                if path.is_file() and not name.startswith((UNFINISHED, ARCHIVE)):
                    room -= path.stat().st_size
                    if room < 0:
                        self.remove(name)

    def _names(self, prefix: str) -> list[str]:
        try:
            return [path.name for path in self.directory.iterdir() if path.name.startswith(prefix)]
        except OSError:
            return []

    def _last_use(self, name: str) -> float:
        try:
            return (self.directory / name).stat().st_mtime
        except OSError:
            return 0.0


def open_store(root: Path, *, create: bool) -> Store | None:
    """Return the store of the project in `root`; None where it is missing, or where none can be made.

    A directory of another user, or one into which others can write, is left alone: another one is used beside it.
    """
    state = root / ".dbkit"
    try:
        if create:
            make_project_directory(state)
        if not state.is_dir() or not (create or any(state.glob(f"{NAME}*"))):
            return None
        return Store(own_directory(state, NAME, 0o700))
    except (OSError, InputError):
        return None  # the project is read-only here


def _as_json(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _head(body: bytes) -> str:
    return f"{FORMAT} {hashlib.sha256(body).hexdigest()}"
