"""The operating-system account that runs PostgreSQL, which refuses to run as root."""

import errno
import json
import os
import pwd
import socket
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dbkit.errors import InputError


@dataclass(frozen=True)
class Account:
    """An unprivileged user of this machine."""

    name: str
    uid: int
    gid: int

    @property
    def popen_options(self) -> dict[str, object]:
        """Keywords for subprocess that run the child as this account, without the groups of this process."""
        if os.geteuid() == self.uid:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can(self, mode: int, path: Path) -> bool:
        """Whether this account has the permission `mode` (os.R_OK, …) for `path`, including its parents."""
        return self._try(lambda: os.access(path, mode))

    def do(self, action: Callable[[], object]) -> None:
        """Run `action` on files or processes of this account, as this account. Raises its OSError.

        As root, an action could follow a link that the account has put into any part of a path.
        """
        if os.geteuid() == self.uid:
            action()
            return
        reader, writer = os.pipe()

        def report_error() -> bool:
            try:
                action()
            except OSError as error:
                os.write(writer, json.dumps([error.errno, error.strerror, str(error.filename or "")]).encode())
                return False
            return True

        try:
            is_done = self._try(report_error)
        finally:
            os.close(writer)
        with os.fdopen(reader) as pipe:
            report = pipe.read()
        if not is_done:
            raise OSError(*json.loads(report)) if report else OSError(f"an action as {self.name} has failed")

    def open_file(self, path: Path, flags: int) -> int:
        """Open a regular file that belongs to this account, as this account, and return its descriptor.

        Raises OSError, also for a link and for other than a regular file.
        """
        ours, childs = socket.socketpair()
        with ours, childs:
            self.do(lambda: _send(childs, path, flags))
            return socket.recv_fds(ours, 1, 1)[1][0]

    def read_file(self, path: Path, offset: int = 0) -> str:
        """Read the text of a regular file of this account, from `offset` bytes on. Raises OSError."""
        with os.fdopen(self.open_file(path, os.O_RDONLY), "rb") as file:
            return file.read()[offset:].decode(errors="replace")

    def write_file(self, path: Path, text: str, flags: int = os.O_CREAT | os.O_TRUNC) -> None:
        """Write a regular file of this account, which is replaced unless `flags` are others. Raises OSError."""
        with os.fdopen(self.open_file(path, os.O_WRONLY | flags), "w") as file:
            file.write(text)

    def _try(self, question: Callable[[], bool]) -> bool:
        if os.geteuid() == self.uid:
            return question()
        child = os.fork()
        if child == 0:
            answer = False
            try:
                os.setgroups([])
                os.setgid(self.gid)
                os.setuid(self.uid)
                answer = question()
            finally:
                os._exit(0 if answer else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _send(channel: socket.socket, path: Path, flags: int) -> None:
    # without O_NONBLOCK, a pipe in its place would block
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        socket.send_fds(channel, [b"."], [descriptor])
    finally:
        os.close(descriptor)


def account_of(uid: int) -> Account:
    """The account with this uid. Raises InputError for one without a name, as which PostgreSQL does not run."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise InputError(
            f"PostgreSQL needs a named account, and uid {uid} has no name on this machine.",
            "Add it to /etc/passwd, or set DATABASE_URL in .env.",
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def server_account(project: Path) -> Account:
    """The account for servers: the current one; for root the owner of the project, else `postgres`, else `nobody`.

    Raises InputError for root where none of these exists.
    """
    if os.geteuid() != 0:
        return account_of(os.geteuid())
    owner = project.stat().st_uid
    lookups: list[Callable[[], pwd.struct_passwd]] = [
        lambda: pwd.getpwuid(owner),
        lambda: pwd.getpwnam("postgres"),
        lambda: pwd.getpwnam("nobody"),
    ]
    for look_up in lookups:
        try:
            entry = look_up()
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise InputError(
        "PostgreSQL does not run as root, and there is no account postgres or nobody to run it as.",
        "Run this as an ordinary user, or set DATABASE_URL in .env.",
    )
