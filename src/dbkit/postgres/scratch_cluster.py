"""Scratch clusters: throw-away PostgreSQL servers for proofs, which must not touch any real database."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from dbkit.postgres.binaries import reachable_bindir, server_bindir
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.file_lock import create_owner_file, hold_file_lock, try_file_lock
from dbkit.postgres.os_account import Account, account_of, server_account
from dbkit.postgres.private_dirs import give_directory, own_directory
from dbkit.postgres.process import program_environment
from dbkit.settings import Settings
from dbkit.signals import defer_signals

PREFIX = "dbkit-scratch-"
ROOM = 512 * 1024 * 1024  # bytes that must be free for a cluster in memory: 64 MB of WAL, 40 MB of catalog, and data


@contextmanager
def cluster(settings: Settings) -> Iterator[Cluster]:
    """A running scratch cluster, which is removed at the end, also after an exception or a signal.

    Leftovers of killed processes are removed first.
    """
    with future_cluster(settings) as made:
        made.ensure_running()
        yield made


@contextmanager
def future_cluster(settings: Settings) -> Iterator[Cluster]:
    """A scratch cluster that the caller starts; otherwise as `cluster`."""
    base = _base_directory()
    with ExitStack() as cleanup:
        with defer_signals():
            with hold_file_lock(base / ".lock"):
                _sweep(base, settings)
                directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
                owner = create_owner_file(directory.with_suffix(".owner"))
            made = _cluster(directory, settings, server_account(settings.root))
            cleanup.callback(_discard, made, owner)
            give_directory(directory, made.account.uid, 0o700)
        guardian = _start_guardian(made)
        cleanup.callback(guardian.communicate, b"done\n")
        yield made


# When the parent process is killed, standard input ends without a line: then it stops the server and removes the files.
GUARDIAN = """
read -r word && exit
"$1/pg_ctl" stop -D "$2/data" -m immediate -w
rm -rf -- "$2" "$3"
"""


def _start_guardian(made: Cluster) -> "subprocess.Popen[bytes]":
    """Start a process that cleans up after this one was killed."""
    guardian: subprocess.Popen[bytes] = subprocess.Popen(
        ["/bin/sh", "-c", GUARDIAN, "dbkit-guardian", made.bindir, made.directory, made.socket_directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=program_environment(),
        start_new_session=True,
        **made.account.popen_options,  # type: ignore[call-overload]
    )
    return guardian


def _cluster(directory: Path, settings: Settings, account: Account) -> Cluster:
    return Cluster(
        directory=directory,
        bindir=reachable_bindir(server_bindir(settings), account),
        account=account,
        lock_file=directory.with_suffix(".lock"),
        identity=directory.name,
        durable=False,
    )


def _discard(made: Cluster, owner: int) -> None:
    with defer_signals():
        made.remove()
        _remove_files(made.directory)
        os.close(owner)


def _remove_files(directory: Path) -> None:
    for suffix in (".lock", ".owner"):
        directory.with_suffix(suffix).unlink(missing_ok=True)


def _sweep(base: Path, settings: Settings) -> None:
    """Remove the clusters of dead processes: the kernel has released the lock on their owner file."""
    for path in base.glob(f"{PREFIX}*.owner"):
        if path.lstat().st_uid != os.geteuid():
            continue
        with try_file_lock(path) as is_dead:
            if is_dead:
                _remove_leftover(path.with_suffix(""), settings)


def _remove_leftover(directory: Path, settings: Settings) -> None:
    while os.path.lexists(directory):
        # its guardian may remove files at the same time; as another account, it cannot remove the directory itself
        with suppress(FileNotFoundError):
            uid = directory.lstat().st_uid
            if uid == 0:
                # killed before the directory was given to the server's account: no server has run in it
                shutil.rmtree(directory)
            else:
                _cluster(directory, settings, account_of(uid)).remove()
    _remove_files(directory)


def _base_directory() -> Path:
    """The directory of this user's clusters; no other user can create files in it, or hold its lock."""
    return own_directory(_parent_directory(), f"{PREFIX}{os.geteuid()}", 0o711 if os.geteuid() == 0 else 0o700)


def _parent_directory() -> Path:
    memory = Path("/dev/shm")  # noqa: S108  # own_directory() creates a private one in it
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM:
        return memory
    return Path(tempfile.gettempdir())
