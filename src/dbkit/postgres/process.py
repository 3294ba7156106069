"""The server process (postmaster) of a data directory: start it, find it, stop it, and run PostgreSQL's programs.

A pid file may be stale, and its number another process's: the database is trusted by connecting to it, and a process
only when it was started on this data directory.
"""

import contextlib
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from dbkit.errors import CheckFailed
from dbkit.postgres.os_account import Account

START_TIMEOUT = 60.0  # seconds; a server that crashed under load replays its WAL first


@dataclass(frozen=True)
class ServerProcess:
    """The server process of a data directory, which may be running or not."""

    data: Path
    log: Path
    bindir: Path
    account: Account

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the server process without waiting until it accepts connections."""
        environment = program_environment()
        stale = self._find_stale_pid()
        if stale is not None:
            # PostgreSQL takes a pid file that names its grandparent for a leftover, and still makes sure by the
            # shared memory that no backend is left: CreateLockFile() in src/backend/utils/init/miscinit.c
            environment["PG_GRANDPARENT_PID"] = str(stale)
        log = self.account.open_file(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            server: subprocess.Popen[bytes] = subprocess.Popen(
                [self.bindir / "postgres", "-D", self.data],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=environment,
                umask=0o077,
                start_new_session=True,
                **self.account.popen_options,  # type: ignore[call-overload]
            )
            return server
        finally:
            os.close(log)

    def running_pid(self) -> int | None:
        """The pid of the running server process; None when it does not run."""
        pid = self._read_pid_file()
        return pid if pid is not None and self._is_postmaster(pid) else None

    def stop(self) -> None:
        """Stop the server with `pg_ctl stop -m fast`, and wait until it is down."""
        arguments = ("stop", "-D", str(self.data), "-m", "fast", "-w", "-t", str(int(START_TIMEOUT)))
        run_program(self.bindir / "pg_ctl", *arguments, account=self.account)

    def kill(self) -> None:
        """Stop the server at once, as `pg_ctl -m immediate`, which waits in steps of 0.1 s. Unwritten data is lost."""
        pid = self._read_pid_file()
        while pid is not None and self._is_postmaster(pid):
            with contextlib.suppress(ProcessLookupError):
                self.account.do(lambda running=pid: os.kill(running, signal.SIGQUIT))  # type: ignore[misc]
            time.sleep(0.005)

    def find_orphan(self) -> int | None:
        """The pid of a server process whose data directory was removed while it ran; None where there is none.

        The server notices within a minute, and ends. Found through /proc only.
        """
        for entry in Path("/proc").glob("[0-9]*"):
            if self._is_orphan(int(entry.name)):
                return int(entry.name)
        return None

    def end_orphan(self) -> int | None:
        """End the server process whose data directory was removed, and return its pid; None where there is none.

        Raises CheckFailed when it does not end.
        """
        pid = self.find_orphan()
        deadline = time.monotonic() + START_TIMEOUT
        while pid is not None and self._is_orphan(pid):
            if time.monotonic() > deadline:
                raise CheckFailed(
                    f"{self.data} was removed while its server ran (pid {pid}), which does not end.", f"kill -9 {pid}"
                )
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGQUIT)
            time.sleep(0.05)
        return pid

    def log_size(self) -> int:
        """The size of the server's log in bytes."""
        return self.log.lstat().st_size if os.path.lexists(self.log) else 0

    def read_log(self, offset: int) -> str:
        """The last messages in the server's log after `offset` bytes, without their times."""
        lines = self.account.read_file(self.log, offset).splitlines()[-4:]
        return " ".join(re.sub(r"^\S+ \S+ \S+ \[\d+\] ", "", line) for line in lines)

    def _find_stale_pid(self) -> int | None:
        """The pid in a pid file of another process; a file without a pid is removed."""
        pid = self._read_pid_file()
        if pid is None:
            self.account.do(lambda: (self.data / "postmaster.pid").unlink(missing_ok=True))
            return None
        return None if self._is_postmaster(pid) else pid

    def _read_pid_file(self) -> int | None:
        try:
            first = self.account.read_file(self.data / "postmaster.pid").split("\n", 1)[0]
        except FileNotFoundError:
            return None
        return int(first) if first.strip().isdigit() else None

    def _is_postmaster(self, pid: int) -> bool:
        """Whether `pid` is a live process that was started as the server of this data directory."""
        try:
            state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            if Path("/proc/self/stat").exists():
                return False
            listing = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, check=False)  # noqa: S607
            return os.fsencode(f"postgres -D {self.data}") in listing.stdout
        return state != "Z" and arguments[1:3] == [b"-D", os.fsencode(self.data)]

    def _is_orphan(self, pid: int) -> bool:
        try:
            is_ours = Path(f"/proc/{pid}").stat().st_uid == self.account.uid
            working_directory = str(Path(f"/proc/{pid}/cwd").readlink()) if is_ours else ""
        except OSError:
            return False
        return working_directory.endswith(" (deleted)") and self._is_postmaster(pid)


def run_program(path: Path, *arguments: str, account: Account) -> None:
    """Run one of PostgreSQL's programs as `account`. Raises CheckFailed with its output."""
    process: subprocess.Popen[bytes] = subprocess.Popen(
        [path, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=program_environment(),
        start_new_session=True,
        **account.popen_options,  # type: ignore[call-overload]
    )
    try:
        output, _ = process.communicate()
    except BaseException:
        # on SIGTERM initdb ends its child process and removes its files; on SIGKILL it could not
        process.terminate()
        process.wait()
        raise
    if process.returncode:
        raise CheckFailed(f"{path.name} failed (exit {process.returncode}).", output.decode(errors="replace").strip())


def program_environment() -> dict[str, str]:
    """The environment for PostgreSQL's programs, without the caller's locale, PGDATA, PGHOST and the like."""
    kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C", "TZ": "UTC"}
