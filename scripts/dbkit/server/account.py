"""Which account runs PostgreSQL, which refuses to run as root."""

import os
import pwd
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
        """Keywords for subprocess: run the child as this account, with none of our groups."""
        if os.geteuid() == self.uid:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can(self, mode: int, path: Path) -> bool:
        """Whether this account may do `mode` (os.R_OK, …) with `path`, all its parents included."""
        return self._try(lambda: os.access(path, mode))

    def open_file(self, path: Path, flags: int) -> int:
        """Open or make a file that belongs to this account, and return its descriptor.

        The account may write to the directory, and we may be root: a link that it put there is not followed.
        """
        descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        if os.geteuid() != self.uid:
            os.fchown(descriptor, self.uid, self.gid)
        return descriptor

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


def account_of(uid: int) -> Account:
    """The account with this number. Raises InputError for one without a name, which PostgreSQL does not run as."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise InputError(
            f"PostgreSQL needs a named account, and uid {uid} has no name on this machine.",
            "Add it to /etc/passwd, or set DATABASE_URL in .env.",
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def server_account(project: Path) -> Account:
    """Ourselves; when we are root, the owner of the project, else `postgres`, else `nobody`.

    No account is made. Raises InputError when we are root and there is none to use.
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
