"""Create the data directory of a cluster with initdb, and check the version of an existing one."""

import os
import shutil
from pathlib import Path

from dbkit.errors import InputError
from dbkit.postgres.binaries import program_major
from dbkit.postgres.os_account import Account
from dbkit.postgres.private_dirs import private_directory
from dbkit.postgres.process import run_program

SUPERUSER = "postgres"


def initialise(directory: Path, bindir: Path, account: Account, *, is_durable: bool) -> None:
    """Create `directory`/data: with initdb under another name, and renamed when it is complete."""
    make_directory(directory, account)
    account.do(lambda: _remove_leftovers(directory))
    unfinished = directory / f"data.new-{os.getpid()}"
    options = ["-A", "trust", "--auth-host=reject", "-U", SUPERUSER, "-E", "UTF8", "--locale=C"]
    if program_major(bindir / "postgres") >= 17:
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    if not is_durable:
        options.append("--no-sync")
    run_program(bindir / "initdb", "-D", str(unfinished), *options, account=account)
    account.write_file(unfinished / "postgresql.conf", "include = 'dbkit.conf'\n", os.O_APPEND)
    account.do(lambda: unfinished.rename(directory / "data"))


def _remove_leftovers(directory: Path) -> None:
    for leftover in directory.glob("data.new-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def make_directory(path: Path, account: Account) -> Path:
    """Create a directory that only `account` may enter, or check an existing one. Raises InputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if account.can(os.W_OK | os.X_OK, path.parent):
            account.do(lambda: path.mkdir(0o700, exist_ok=True))
        return private_directory(path, 0o700, account.uid)
    except OSError as error:
        raise InputError(f"cannot create {path}: {error.strerror}.") from error


def read_major(data: Path, account: Account) -> str:
    """The major version of PostgreSQL that created a data directory. Raises InputError where it cannot be read."""
    try:
        return account.read_file(data / "PG_VERSION").strip()
    except OSError as error:
        raise InputError(f"cannot read {data / 'PG_VERSION'}: {error.strerror}.") from error


def require_same_major(directory: Path, bindir: Path, account: Account) -> None:
    """Raise InputError when the cluster was created by another major version than that of the programs."""
    have = read_major(directory / "data", account)
    want = str(program_major(bindir / "postgres"))
    if have != want:
        raise InputError(
            f"the cluster in {directory} was created by PostgreSQL {have}, but {bindir} has PostgreSQL {want}.",
            f"`make reset` keeps it as {directory}-{have} and creates a new one.\n"
            f"To keep using it, set PG_BINDIR in .env to the programs of PostgreSQL {have}.",
        )
