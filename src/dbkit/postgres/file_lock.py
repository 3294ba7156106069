"""Locks on files: held until the descriptor is closed, at the latest when the process ends."""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from dbkit.errors import InputError


@contextlib.contextmanager
def hold_file_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which is created where it is missing, and wait for it.

    Read permission is enough to lock a file, so only the owner of its directory gets it. Raises OSError, and InputError
    for a file of another user.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    try:
        _make_private(descriptor, path)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def create_owner_file(path: Path) -> int:
    """Create a file that shows that this process is alive, and return its descriptor with the lock. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


@contextlib.contextmanager
def try_file_lock(path: Path) -> Iterator[bool]:
    """Hold the lock of an existing file unless another process holds it; yields whether it is held. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _make_private(descriptor: int, path: Path) -> None:
    """Make a lock file readable by the owner of its directory only: root may have created it in a user's project."""
    found, owner = os.fstat(descriptor), path.parent.stat().st_uid
    if not stat.S_ISREG(found.st_mode) or found.st_uid not in (owner, os.geteuid(), 0):
        raise InputError(f"{path} belongs to uid {found.st_uid}.", "Another user created it. Check it, and remove it.")
    if os.geteuid() not in (found.st_uid, 0):
        return
    if os.geteuid() == 0 and found.st_uid != owner:
        os.fchown(descriptor, owner, -1)
    if stat.S_IMODE(found.st_mode) & 0o077:
        os.fchmod(descriptor, 0o600)
