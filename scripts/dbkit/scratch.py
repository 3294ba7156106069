"""Throw-away clusters and databases, for proofs that must not touch anything real."""

import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from dbkit.server.account import Account, account_of, server_account
from dbkit.server.binaries import reachable_bindir, server_bindir
from dbkit.server.cluster import Cluster
from dbkit.server.places import give_directory
from dbkit.settings import Settings, Target

PREFIX = "dbkit-scratch-"
ROOM = 512 * 1024 * 1024  # bytes that a cluster in memory must find free: 64 MB of WAL, 40 MB of catalog, and data


@contextmanager
def cluster(settings: Settings) -> Iterator[Cluster]:
    """A running cluster that is gone afterwards, also after an exception or a signal that raises one.

    What a killed process left behind is removed first.
    """
    base = _base()
    with ExitStack() as cleanup:
        with _undisturbed():
            with _locked(base / f"{PREFIX}{os.geteuid()}.lock"):
                _sweep(base, settings)
                directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
                owner = os.open(directory.with_suffix(".owner"), os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o600)
                fcntl.flock(owner, fcntl.LOCK_EX)
            made = _cluster(directory, settings, server_account(settings.root))
            cleanup.callback(_discard, made, owner)
            give_directory(directory, made.account.uid, 0o700)
        made.ensure_running()
        yield made


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
    with _undisturbed():
        made.remove()
        _remove_files(made.directory)
        os.close(owner)


def _remove_files(directory: Path) -> None:
    for suffix in (".lock", ".owner"):
        directory.with_suffix(suffix).unlink(missing_ok=True)


def _sweep(base: Path, settings: Settings) -> None:
    """Remove the clusters whose owner is dead: the kernel has let go of its lock."""
    for path in base.glob(f"{PREFIX}*.owner"):
        if path.lstat().st_uid != os.geteuid():
            continue
        owner = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove_leftover(path.with_suffix(""), settings)
        except BlockingIOError:
            continue
        finally:
            os.close(owner)


def _remove_leftover(directory: Path, settings: Settings) -> None:
    if directory.exists():
        uid = directory.stat().st_uid
        if uid == 0:
            # killed before it was given to the server's account: nothing has run in it
            shutil.rmtree(directory)
        else:
            _cluster(directory, settings, account_of(uid)).remove()
    _remove_files(directory)


def _base() -> Path:
    memory = Path("/dev/shm")  # noqa: S108  # mkdtemp makes a directory of its own in it
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM:
        return memory
    return Path(tempfile.gettempdir())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let a signal wait until what is being made can be removed, or is gone."""
    blocked = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def settings_for(settings: Settings, target: Target) -> Settings:
    """The same settings for a scratch database: nothing in it is protected, and nothing else is reached."""
    return replace(settings, target=target, app_env="test")
