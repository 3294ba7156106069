"""Stashes on disk: one directory for each stash, with a manifest and a file for each table.

A stash is written as `NAME.partial`, whose writer holds a lock on the file `owner` in it, and renamed to NAME when all
of it is on the disk. After it was restored it is called `NAME.restored`.
"""

import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO

from dbkit.database_url import DEFAULT_HISTORY
from dbkit.errors import InputError
from dbkit.files import make_project_directory
from dbkit.postgres.file_lock import create_owner_file, hold_file_lock, try_file_lock
from dbkit.postgres.private_dirs import private_directory
from dbkit.settings import Settings, Target
from dbkit.stash.manifest import Identity, Manifest, manifest_as_json, parse_manifest
from dbkit.wording import counted

PARTIAL, RESTORED = ".partial", ".restored"
LARGEST_JSON = 64 * 1024 * 1024  # bytes


@dataclass(frozen=True)
class Stash:
    """A complete stash."""

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """The name of its directory."""
        return self.path.name

    @property
    def contents(self) -> str:
        """The names of the tables in it, or of the sequences."""
        tables = ", ".join(entry.label for entry in self.manifest.tables)
        sequences = ", ".join(f"sequence {position.label}" for position in self.manifest.sequences)
        return tables or sequences

    def __str__(self) -> str:
        if not self.manifest.tables:
            return f"{self.name} ({self.contents})"
        counts = ", ".join(f"{entry.saved.rows:,} of {entry.label}" for entry in self.manifest.tables[:3])
        more = len(self.manifest.tables) - 3
        also = f" and {counted(more, 'more table')}" if more > 0 else ""
        return f"{self.name} (rows: {counts}{also})"


def directory(settings: Settings) -> Path:
    """Return the directory of a project's stashes."""
    return settings.root / ".dbkit" / "stash"


def make_name(database: str, revision: str) -> str:
    """Return a name for a stash: database, revision and time (UTC)."""
    moment = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%f")[:-3]
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', database)}-{revision}-{moment}Z"


@contextmanager
def write_stash(settings: Settings, name: str) -> Iterator[Path]:
    """Yield a directory to write a stash into, which is renamed to NAME at the end, and removed after an error.

    What killed processes left behind is removed first. Raises OSError.
    """
    base = _base(settings)
    path = base / f"{name}{PARTIAL}"
    with hold_file_lock(base / ".lock"):
        _sweep(base)
        path.mkdir(mode=0o700)
        owner = create_owner_file(path / "owner")
    try:
        yield path
        sync_directory(path)
        path.rename(base / name)
        sync_directory(base)
        (base / name / "owner").unlink()
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    finally:
        os.close(owner)


def _base(settings: Settings) -> Path:
    base = directory(settings)
    make_project_directory(base.parent)
    return private_directory(base, 0o700)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write the manifest of a stash into its directory, durably."""
    write_json(path / "manifest.json", manifest_as_json(manifest))


def write_json(path: Path, value: Any) -> None:
    """Write a file whole or not at all, durably."""
    new = path.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def find_waiting(settings: Settings, target: Target, here: Identity | None = None) -> list[Stash]:
    """Return the complete stashes of a database that were not restored: those of the newest rollback first, in order.

    These are the ones made under this address and name, and, where `here` identifies the database, under any other.
    """
    base = directory(settings)
    if not base.is_dir():
        return []
    found = [_read(path.parent) for path in base.glob("*/manifest.json") if not _is_unfinished(path)]
    own = [stash for stash in found if _is_of(stash, target, here)]
    own.sort(key=lambda stash: stash.manifest.time)
    return sorted(own, key=lambda stash: stash.manifest.began, reverse=True)


def describe_history(target: Target) -> str:
    """Describe where a project has its history, as far as it names that; "" for most projects."""
    history = target.history
    place = history.schema or history.search_path or ""
    return " ".join(filter(None, [place, history.table if history.table != DEFAULT_HISTORY.table else ""]))


def _is_unfinished(manifest: Path) -> bool:
    return manifest.parent.name.endswith((PARTIAL, RESTORED))


def _is_of(stash: Stash, target: Target, here: Identity | None) -> bool:
    made = stash.manifest.identity
    if stash.manifest.history != describe_history(target):
        return False
    place = (stash.manifest.database, stash.manifest.server)
    if place == (target.dbname, target.server()):
        return True
    return made is not None and here is not None and made.is_same(here)


def _read(path: Path) -> Stash:
    file = path / "manifest.json"
    try:
        return Stash(path, parse_manifest(read_json_bytes(file)))
    except (ValueError, OSError) as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(
            f"{file} is not the manifest of a stash: {text}.", "Get it back, or move its directory to another place."
        ) from error


def read_json_bytes(path: Path) -> bytes:
    """Read a JSON file in a stash. Raises OSError, and ValueError for one that is too large."""
    with open_in_stash(path) as file:
        text = file.read(LARGEST_JSON + 1)
    if len(text) > LARGEST_JSON:
        raise ValueError(f"it is larger than {LARGEST_JSON:,} bytes")
    return text


def open_in_stash(path: Path) -> BinaryIO:
    """Open a regular file directly in the directory of a stash; neither may be a link. Raises OSError."""
    parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        descriptor = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)
    finally:
        os.close(parent)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(descriptor, "rb", buffering=0)


def find_leftovers(settings: Settings) -> list[Path]:
    """Return the directories that killed processes left behind, which no living process writes into."""
    base = directory(settings)
    return [path for path in sorted(base.glob(f"*{PARTIAL}")) if _is_dead(path)] if base.is_dir() else []


def remove_stash(path: Path) -> None:
    """Remove a stash; renamed first, so that a half removed one is not taken for a stash."""
    gone = path.with_name(f"{path.name}{PARTIAL}")
    path.rename(gone)
    shutil.rmtree(gone)


def mark_restored(stash: Stash) -> Path:
    """Rename a stash that was put back, and return its new path."""
    path = stash.path.with_name(f"{stash.name.removesuffix(RESTORED)}{RESTORED}")
    stash.path.rename(path)
    sync_directory(path.parent)
    return path


def find_stash(settings: Settings, target: Target, name: str, here: Identity) -> Stash:
    """Return a stash of a database by its name, also one that was restored already. Raises InputError."""
    for path in (directory(settings) / name, directory(settings) / f"{name}{RESTORED}"):
        if "/" not in name and name.strip(".") and not name.endswith(PARTIAL) and (path / "manifest.json").is_file():
            stash = _read(path)
            if _is_of(stash, target, here):
                return stash
            other = f'"{stash.manifest.database}" on {stash.manifest.server}'
            raise InputError(f"{name} is a stash of {other}, and not of this database.")
    raise InputError(f"there is no stash {name!r}.", f"`ls {directory(settings)}` lists them.")


def remove_leftovers(settings: Settings) -> None:
    """Remove what killed processes left behind."""
    base = directory(settings)
    if base.is_dir():
        with hold_file_lock(base / ".lock"):
            _sweep(base)


def _sweep(base: Path) -> None:
    for path in base.glob(f"*{PARTIAL}"):
        if _is_dead(path):
            shutil.rmtree(path)


def _is_dead(path: Path) -> bool:
    """Whether the process that writes into a directory has ended: the kernel has released its lock."""
    try:
        with try_file_lock(path / "owner") as is_dead:
            return is_dead
    except FileNotFoundError:
        return True
