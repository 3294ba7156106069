"""Directories that only their owner can have made."""

import os
import stat
from pathlib import Path

from dbkit.errors import InputError

# Kept over a reboot, unlike /tmp, and reachable by every account, unlike most homes.
STATE_DIRECTORY = Path(f"/var/tmp/dbkit-{os.geteuid()}")  # noqa: S108  # state_directory() checks its owner


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
    return private_directory(STATE_DIRECTORY, 0o755)
