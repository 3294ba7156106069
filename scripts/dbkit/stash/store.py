"""Stashes on disk: one directory each, with a manifest and a file for each table.

A stash is written as `NAME.partial`, whose writer holds a lock on the file `owner` in it, and renamed to NAME when all
of it is on the disk. After it was put back it is called `NAME.restored`.
"""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from dbkit.errors import InputError
from dbkit.server.places import private_directory
from dbkit.settings import Settings, Target
from dbkit.wording import counted

PARTIAL, RESTORED = ".partial", ".restored"
FORMAT = 1
"""Of the manifest."""


@dataclass(frozen=True)
class Saved:
    """A file of a stash: its rows, bytes, and the SHA-256 of these."""

    file: str
    rows: int
    size: int
    sha256: str


@dataclass(frozen=True)
class Kept:
    """What is kept of one table. Columns are pairs of a name and a type, as they were before the rollback."""

    schema: str
    table: str
    why: str
    key: list[list[str]]
    columns: list[list[str]]
    """All that are in the file, in its order."""
    lost: list[str]
    """Those of them that are to be put back."""
    saved: Saved
    sequences: dict[str, int] = field(default_factory=dict)
    """By column, the last number of the sequence that it owns."""

    @property
    def label(self) -> str:
        """As people know it: without the schema, where that is public."""
        return self.table if self.schema == "public" else f"{self.schema}.{self.table}"

    @property
    def whole(self) -> bool:
        """Whether its rows are kept, and not only some of their values."""
        return self.why != "changed"


@dataclass(frozen=True)
class Manifest:
    """What a stash is of: a database at certain revisions, at one moment."""

    database: str
    server: str
    heads: list[str]
    """The revisions that must be applied for it to be put back."""
    revision: str
    """The revision that was undone when it was made."""
    began: str
    """When the first stash of the same rollback was made; of several, that one fits the tables best."""
    time: str
    transaction: int
    """The number of the transaction that undid it."""
    tables: list[Kept]
    format: int = FORMAT


@dataclass(frozen=True)
class Stash:
    """A complete stash."""

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """The name of its directory."""
        return self.path.name

    def __str__(self) -> str:
        counts = ", ".join(f"{kept.saved.rows:,} of {kept.label}" for kept in self.manifest.tables[:3])
        more = len(self.manifest.tables) - 3
        also = f" and {counted(more, 'more table')}" if more > 0 else ""
        return f"{self.name} (rows: {counts}{also})"


def directory(settings: Settings) -> Path:
    """Where the stashes of a project are."""
    return settings.root / ".dbkit" / "stash"


def new_name(database: str, revision: str) -> str:
    """A name for a stash, by database, revision and time (UTC)."""
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', database)}-{revision}-{moment}Z"


@contextmanager
def partial(settings: Settings, name: str) -> Iterator[Path]:
    """A directory to write a stash into, which becomes NAME at the end; after an error it is gone.

    What killed processes left behind is removed first. Raises OSError.
    """
    base = _base(settings)
    path = base / f"{name}{PARTIAL}"
    with _locked(base):
        _sweep(base)
        path.mkdir(mode=0o700)
        owner = os.open(path / "owner", os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(owner, fcntl.LOCK_EX)
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
    (settings.root / ".dbkit").mkdir(exist_ok=True)
    return private_directory(directory(settings), 0o700)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write the manifest of a stash into its directory, durably."""
    write_json(path / "manifest.json", asdict(manifest))


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


def waiting(settings: Settings, target: Target) -> list[Stash]:
    """The complete stashes of a database that were not put back: of the newest rollback first, and each in order."""
    base = directory(settings)
    if not base.is_dir():
        return []
    found = [Stash(path.parent, _read(path)) for path in base.glob("*/manifest.json") if not _is_unfinished(path)]
    own = [stash for stash in found if (stash.manifest.database, stash.manifest.server) == _place(target)]
    own.sort(key=lambda stash: stash.manifest.time)
    return sorted(own, key=lambda stash: stash.manifest.began, reverse=True)


def _is_unfinished(manifest: Path) -> bool:
    return manifest.parent.name.endswith((PARTIAL, RESTORED))


def _place(target: Target) -> tuple[str, str]:
    return target.dbname, target.server()


def _read(path: Path) -> Manifest:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        tables = [Kept(**{**kept, "saved": Saved(**kept["saved"])}) for kept in raw.pop("tables")]
        return Manifest(**raw, tables=tables)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path} is not the manifest of a stash: {error}.", "Get it back, or move its directory to another place."
        ) from error


def leftovers(settings: Settings) -> list[Path]:
    """What killed processes left behind: directories that no living process writes into."""
    base = directory(settings)
    return [path for path in sorted(base.glob(f"*{PARTIAL}")) if _is_dead(path)] if base.is_dir() else []


def discard(path: Path) -> None:
    """Remove a stash that is not needed: first its claim to be one."""
    gone = path.with_name(f"{path.name}{PARTIAL}")
    path.rename(gone)
    shutil.rmtree(gone)


def mark_restored(stash: Stash) -> Path:
    """Say that a stash was put back. Returns where it is kept from now on."""
    kept = stash.path.with_name(f"{stash.name.removesuffix(RESTORED)}{RESTORED}")
    stash.path.rename(kept)
    sync_directory(kept.parent)
    return kept


def status_of(connection: psycopg.Connection, stash: Stash) -> str | None:
    """What became of the transaction that a stash was made for: committed, aborted, in progress; None: unknown."""
    try:
        with connection.transaction():
            row = connection.execute("SELECT pg_xact_status(%s::text::xid8)", [stash.manifest.transaction]).fetchone()
    except psycopg.errors.InvalidParameterValue:  # of another server that has the name of the former one
        return None
    return row[0] if row else None


def find(settings: Settings, target: Target, name: str) -> Stash:
    """A stash of a database by its name, also one that was put back already. Raises InputError."""
    for path in (directory(settings) / name, directory(settings) / f"{name}{RESTORED}"):
        manifest = path / "manifest.json"
        if "/" not in name and name.strip(".") and not name.endswith(PARTIAL) and manifest.is_file():
            stash = Stash(path, _read(manifest))
            if (stash.manifest.database, stash.manifest.server) == _place(target):
                return stash
            other = f'"{stash.manifest.database}" on {stash.manifest.server}'
            raise InputError(f"{name} is a stash of {other}, and not of this database.")
    raise InputError(f"there is no stash {name!r}.", f"`ls {directory(settings)}` lists them.")


def needed(connection: psycopg.Connection, stashes: list[Stash]) -> list[Stash]:
    """Of the stashes, those whose rollback was committed, or may have been: all else is in the database still."""
    return [stash for stash in stashes if status_of(connection, stash) not in ("aborted", "in progress")]


def sweep(settings: Settings) -> None:
    """Remove what killed processes left behind."""
    base = directory(settings)
    if base.is_dir():
        with _locked(base):
            _sweep(base)


def _sweep(base: Path) -> None:
    for path in base.glob(f"*{PARTIAL}"):
        if _is_dead(path):
            shutil.rmtree(path)


def _is_dead(path: Path) -> bool:
    """Whether the process that writes into a directory is gone: the kernel has let go of its lock."""
    try:
        owner = os.open(path / "owner", os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(owner)
    return True


@contextmanager
def _locked(base: Path) -> Iterator[None]:
    descriptor = os.open(base / ".lock", os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
