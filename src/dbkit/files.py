"""Write a file that the user names: completely or not at all, and without replacing other than a regular file."""

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

# Errors after which the file is written in place: no new file can be created beside it, or get its owner or its name.
# Not a full disk: the former content would be lost.
IN_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.ENAMETOOLONG)


def write_file(path: Path, content: str | bytes) -> None:
    """Write `content` to `path`, which may exist. Raises OSError.

    An existing regular file is replaced atomically, with its mode and owner; where that is not possible (its directory
    is not writable, it is a mount point, it has several links), it is written in place. A symbolic link stays, and its
    target is written. Other files (a device, a pipe) are written to.
    """
    data = content.encode() if isinstance(content, str) else content
    target = Path(os.path.realpath(path))
    try:
        found = path.stat()
    except FileNotFoundError:
        _replace(target, data, None)
        return
    if not stat.S_ISREG(found.st_mode):
        # by the given name: the target of /proc/self/fd/1 has no other
        _write_through(path, data, os.O_NOCTTY)
    elif found.st_nlink > 1 or not _is_same(target, found) or not _try_to_replace(target, data, found):
        _write_through(path, data, os.O_TRUNC)


def make_project_directory(path: Path) -> None:
    """Create a project's `.dbkit`, with a `.gitignore`: stashed rows must not get into a repository. Raises OSError."""
    path.mkdir(exist_ok=True)
    with suppress(OSError), (path / ".gitignore").open("x") as file:
        file.write("*\n")


def is_stdout(path: Path) -> bool:
    """Whether `path` is the file of standard output, such as /dev/stdout."""
    try:
        return os.path.samestat(path.stat(), os.fstat(1))
    except OSError:
        return False


def _is_same(target: Path, found: os.stat_result) -> bool:
    """Whether a name leads to a file: the target of /proc/self/fd/3 does not, after the file was removed."""
    try:
        return os.path.samestat(target.lstat(), found)
    except OSError:
        return False


def _try_to_replace(target: Path, data: bytes, found: os.stat_result) -> bool:
    if not os.access(target, os.W_OK):
        return False  # a read-only file must not change, and writing in place raises the error
    try:
        _replace(target, data, found)
    except OSError as error:
        if error.errno not in IN_PLACE:
            raise
        return False
    return True


def _replace(target: Path, data: bytes, former: os.stat_result | None) -> None:
    """Write a new file beside `target`, and rename it to that."""
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
