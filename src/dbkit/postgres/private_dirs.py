"""Directories that only their owner can have created, also below /tmp."""

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from dbkit.errors import InputError

# Kept over a reboot, unlike /tmp, and accessible to every account, unlike most homes
STATE = Path("/var/tmp")  # noqa: S108  # own_directory() checks the owner


def private_directory(path: Path, mode: int, uid: int | None = None) -> Path:
    """Create `path`, or check that it is a directory, not a link, that `uid` owns, with at most `mode`.

    Below /tmp another user may have created it first. Raises InputError for any other.
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
            "Another user created it. Check it, remove it, and try again.",
        )
    return path


def give_directory(path: Path, uid: int, mode: int) -> None:
    """Give a new directory to `uid`, without following a link that has replaced it meanwhile."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchmod(descriptor, mode)
        if uid != os.geteuid():
            os.fchown(descriptor, uid, -1)
    finally:
        os.close(descriptor)


def state_directory() -> Path:
    """The directory for files that the server's account could not reach below the project."""
    return own_directory(STATE, f"dbkit-{os.geteuid()}", 0o755)


def own_directory(base: Path, name: str, mode: int) -> Path:
    """A private directory in a world-writable one: `name`, or where another user has that, `name-…`."""
    for path in (base / name, *sorted(base.glob(f"{name}-*"))):
        with contextlib.suppress(InputError):
            return private_directory(path, mode)
    made = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base))
    give_directory(made, os.geteuid(), mode)
    return made
