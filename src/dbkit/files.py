"""Write a file that the user names: whole or not at all, and never another thing in its place."""

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

# A new file cannot be made beside it, or not be given its owner or its name. Not that the disk is full: the former
# content would be lost.
NOT_BESIDE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.ENAMETOOLONG)


def write(path: Path, content: str | bytes) -> None:
    """Write `content` to `path`, which may be there already. Raises OSError.

    A regular file is replaced at once by a new one with its mode and owner; where that cannot be (its directory is not
    writable, it is a mount point, it has other names), it is written in place. A symbolic link stays, and what it
    points to is written. What is no regular file (a device, a pipe) is written to.
    """
    data = content.encode() if isinstance(content, str) else content
    target = Path(os.path.realpath(path))
    try:
        found = path.stat()
    except FileNotFoundError:
        _replace(target, data, None)
        return
    if not stat.S_ISREG(found.st_mode):
        # the name as it was given: what /proc/self/fd/1 points to has no other
        _write_through(path, data, os.O_NOCTTY)
    elif found.st_nlink > 1 or not _is_same(target, found) or not _try_to_replace(target, data, found):
        _write_through(path, data, os.O_TRUNC)


def is_stdout(path: Path) -> bool:
    """Whether `path` is another name of what standard output goes to, such as /dev/stdout."""
    try:
        return os.path.samestat(path.stat(), os.fstat(1))
    except OSError:
        return False


def _is_same(target: Path, found: os.stat_result) -> bool:
    """Whether a name leads to a file: that of /proc/self/fd/3 does not, when the file was removed meanwhile."""
    try:
        return os.path.samestat(target.lstat(), found)
    except OSError:
        return False


def _try_to_replace(target: Path, data: bytes, found: os.stat_result) -> bool:
    if not os.access(target, os.W_OK):
        return False  # who may write to the directory only must not change it: that ends in the right error
    try:
        _replace(target, data, found)
    except OSError as error:
        if error.errno not in NOT_BESIDE:
            raise
        return False
    return True


def _replace(target: Path, data: bytes, former: os.stat_result | None) -> None:
    """Write a new file beside `target`, and give it its name."""
    beside = target.with_name(f".dbkit-{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600 if former else 0o666)
    try:
        try:
            if former:
                if (former.st_uid, former.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(descriptor, former.st_uid, former.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(former.st_mode))
            _write_all(descriptor, data)
        finally:
            os.close(descriptor)
        beside.replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            beside.unlink()
        raise


def _write_through(path: Path, data: bytes, flags: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | flags)
    try:
        _write_all(descriptor, data)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
