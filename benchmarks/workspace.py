"""Fresh copies of the project in a temporary directory, with an environment like that of an ordinary machine."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dbkit import settings
from dbkit.postgres.cluster import development_cluster
from dbkit.postgres.os_account import server_account

ROOT = Path(__file__).resolve().parents[1]
PASSED_ON = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
PASSED_ON_PREFIXES = ("PIP_", "UV_")
CACHES = ("PIP_CACHE_DIR", "UV_CACHE_DIR")
"""Not passed on: an empty HOME shall mean an empty cache."""


class Failed(Exception):
    """A command that was to be measured, or to prepare a measurement, did not run."""


@dataclass(frozen=True)
class Copy:
    """A copy of the project, and the HOME that its commands see."""

    root: Path
    home: Path

    @property
    def versions(self) -> Path:
        """The directory of the revision files."""
        return self.root / "backend" / "alembic" / "versions"

    def run(self, *command: str | Path) -> str:
        """Run `command` in the copy and return what it wrote on standard output. Raises Failed."""
        with subprocess.Popen(
            command,
            cwd=self.root,
            env=environment(self.home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, errors = process.communicate()
            except BaseException:
                # what the command started must not go on in a directory that is about to be removed
                os.killpg(process.pid, signal.SIGTERM)
                raise
        if process.returncode:
            raise Failed(f"{' '.join(map(str, command))}: exit {process.returncode}\n{_tail(output, errors)}")
        return output

    def seconds(self, *command: str | Path) -> float:
        """Run `command` and return how long the whole process took, in seconds of wall time. Raises Failed."""
        begun = time.perf_counter()
        self.run(*command)
        return time.perf_counter() - begun


def environment(home: Path) -> dict[str, str]:
    """PATH without the virtual environment that runs us, HOME, and what pip or uv need to reach their index.

    No PYTHONDONTWRITEBYTECODE and no DATABASE_URL, whatever is set here.
    """
    passed_on = {
        name: value
        for name, value in os.environ.items()
        if (name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)) and name not in CACHES
    }
    return passed_on | {"PATH": _path(), "HOME": str(home)}


def _path() -> str:
    entries = os.environ["PATH"].split(os.pathsep)
    if sys.prefix != sys.base_prefix:
        entries = [entry for entry in entries if Path(entry).parent != Path(sys.prefix)]
    return os.pathsep.join(entries)


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """A directory that is gone afterwards, and that the account of the embedded server can reach. Raises Failed."""
    with tempfile.TemporaryDirectory(prefix="dbkit-bench-") as name:
        path = Path(name).resolve()
        path.chmod(0o755)
        account = server_account(path)
        if not account.can(os.X_OK, path):
            raise Failed(f"{account.name}, who would run PostgreSQL, cannot go to {path}. Set TMPDIR=/var/tmp")
        yield path


@contextmanager
def copy_of_project(place: Path, home: Path | None = None) -> Iterator[Copy]:
    """`place`/project: what git knows of the project, as it is in the work tree. Gone afterwards, its server stopped.

    Without `home` it gets an empty one, `place`/home.
    """
    copy = Copy(place / "project", home or place / "home")
    copy.home.mkdir(parents=True, exist_ok=True)
    try:
        for path in _files_of_project():
            (copy.root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, copy.root / path, follow_symlinks=False)
        yield copy
    finally:
        _stop_server(copy)
        shutil.rmtree(place)


def _files_of_project() -> list[Path]:
    # safe.directory: root may measure what another user has checked out
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode:
        raise Failed(f"git ls-files: exit {result.returncode}\n{_tail(result.stdout, result.stderr)}")
    paths = [Path(name) for name in result.stdout.split("\0") if name]
    return [path for path in paths if os.path.lexists(ROOT / path)]


def _stop_server(copy: Copy) -> None:
    if (copy.root / ".dbkit" / "postgres").exists():
        development_cluster(settings.load(copy.root, environ={})).remove()


def _tail(output: str, errors: str) -> str:
    return "\n".join((output + errors).strip().splitlines()[-15:])
