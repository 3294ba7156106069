"""Directories that only their owner can have made, and locks that nobody else can take."""

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dbkit.errors import InputError

# Kept over a reboot, unlike /tmp, and reachable by every account, unlike most homes.
STATE = Path("/var/tmp")  # noqa: S108  # own_directory() checks the owner


def private_directory(path: Path, mode: int, uid: int | None = None) -> Path:
    """Make `path` or check that it is ours: a real directory, not a link, owned by `uid`, with no more than `mode`.

    Needed below /tmp, where anyone may have made it first. Raises InputError when it is not ours.
    """
    owner = os.geteuid() if uid is None else uid
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        pass
    else:
        give_directory(path, owner, mode)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or stat.S_IMODE(found.st_mode) & ~mode:
        raise InputError(
            f"{path} is not a directory that belongs to uid {owner} with mode {mode:o}.",
            "Somebody else made it. Look at it, remove it, and try again.",
        )
    return path


def give_directory(path: Path, uid: int, mode: int) -> None:
    """Give a directory that we have just made to `uid`, without following a link that took its place meanwhile."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchmod(descriptor, mode)
        if uid != os.geteuid():
            os.fchown(descriptor, uid, -1)
    finally:
        os.close(descriptor)


def state_directory() -> Path:
    """Where things go that cannot be below the project, because the server's account cannot go there."""
    return own_directory(STATE, f"dbkit-{os.geteuid()}", 0o755)


def own_directory(base: Path, name: str, mode: int) -> Path:
    """Our directory in one in which anybody may write: `name`, or where another user has taken that, `name-…`."""
    for path in (base / name, *sorted(base.glob(f"{name}-*"))):
        with contextlib.suppress(InputError):
            return private_directory(path, mode)
    made = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base))
    give_directory(made, os.geteuid(), mode)
    return made


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which is made where it is missing; only who owns its directory can hold it.

    To read a file is enough to lock it. Raises OSError, and InputError for a file of another user.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    try:
        _make_private(descriptor, path)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_private(descriptor: int, path: Path) -> None:
    """Let the owner of its directory, and nobody else, read the file: root may have made it in a user's project."""
    found, owner = os.fstat(descriptor), path.parent.stat().st_uid
    if not stat.S_ISREG(found.st_mode) or found.st_uid not in (owner, os.geteuid(), 0):
        raise InputError(f"{path} belongs to uid {found.st_uid}.", "Somebody else made it. Look at it, and remove it.")
    if os.geteuid() not in (found.st_uid, 0):
        return
    if os.geteuid() == 0 and found.st_uid != owner:
        os.fchown(descriptor, owner, -1)
    if stat.S_IMODE(found.st_mode) & 0o077:
        os.fchmod(descriptor, 0o600)
