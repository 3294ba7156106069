"""Start and stop one PostgreSQL cluster that listens on a private unix socket only."""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from dbkit.errors import CheckFailed, InputError, say
from dbkit.postgres.binaries import program_major, reachable_bindir, server_bindir
from dbkit.postgres.connect import end_sessions, ignore_libpq_environment, open_connection
from dbkit.postgres.os_account import Account, account_of, server_account
from dbkit.postgres.private_dirs import STATE, locked, private_directory, state_directory
from dbkit.settings import Settings, Target

DATABASE = "app"
SUPERUSER = "postgres"
PORT = 5432  # of the socket's name; said, so that the caller's PGPORT does not matter
# sockaddr_un holds 104 bytes on macOS, 108 on Linux, with the socket's own name in it
LONGEST_SOCKET_DIRECTORY = 103 - len(f"/.s.PGSQL.{PORT}")
ANSWER_TIMEOUT = 5.0  # seconds
START_TIMEOUT = 60.0  # seconds; a cluster that crashed under load replays its log first


@dataclass(frozen=True)
class Cluster:
    """A cluster below `directory`: `data/`, `server.log`, and a socket."""

    directory: Path
    bindir: Path
    account: Account
    lock_file: Path
    identity: str
    """Random, and kept with the project: a new clone in an old one's place is another cluster."""
    durable: bool = True
    """False for throw-away clusters: no fsync, and as little as possible written ahead."""

    @property
    def data(self) -> Path:
        """The data directory, which exists once initdb has finished."""
        return self.directory / "data"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.directory / "server.log"

    @property
    def socket_directory(self) -> Path:
        """Below the cluster where a socket's path can be that long and plain; else a short one, named by hash."""
        inside = self.directory / "socket"
        name = str(inside)
        # a throw-away one's is in URLs that are handed out
        plain = r"[\w ./+=@:-]+" if self.durable else r"[\w./-]+"
        if re.fullmatch(plain, name, re.ASCII) and len(name) <= LONGEST_SOCKET_DIRECTORY:
            return inside
        digest = hashlib.sha256(os.fsencode(f"{self.identity}{name}")).hexdigest()[:16]
        return Path(f"/tmp/dbkit-{self.account.uid}-{digest}")  # noqa: S108  # checked for owner

    def target(self, dbname: str = DATABASE) -> Target:
        """How to log in to `dbname`. The server may not be running; one of another account's is refused by libpq."""
        peer = (("requirepeer", self.account.name),)
        return Target(dbname=dbname, user=SUPERUSER, host=str(self.socket_directory), port=PORT, query=peer)

    @property
    def maintenance(self) -> Target:
        """How to log in to the database that is there from the beginning."""
        return self.target("postgres")

    @property
    def description(self) -> str:
        """Which server it is, for people."""
        with open_connection(self.target("postgres"), ANSWER_TIMEOUT, autocommit=True) as connection:
            return f"PostgreSQL {connection.info.parameter_status('server_version')}"

    def exists(self) -> bool:
        """Whether initdb has been done. Raises InputError when it was done by somebody else."""
        self._check_owner()
        return self.data.is_dir()

    def ensure_running(self) -> Target:
        """Create what is missing, start what is stopped, and say how to log in to the application's database.

        Any number of processes may call this at once. Raises InputError or CheckFailed, with the server's reason.
        """
        ignore_libpq_environment()
        self._check_owner()
        # a server answers for a moment longer, when its data directory is removed
        if self.exists() and self._has_database():
            return self.target()
        with self._lock():
            if not self.exists():
                pid = self.end_removed_server()
                if pid is not None:
                    say(f"{self.data} was removed while its server ran (pid {pid}): ended it, making a new cluster")
                self._initialise()
                self._start()
            elif not self._answers():
                self._stop_unreachable()
                self._start()
            if not self._has_database():
                self.create_database(DATABASE)
        return self.target()

    def create_database(self, dbname: str, template: str = "template1") -> Target:
        """Create a database on the running server: an empty one, or a copy of `template`, where sessions are ended."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(dbname), sql.Identifier(template))
        with open_connection(self.target("postgres"), ANSWER_TIMEOUT, autocommit=True) as connection:
            if template != "template1":
                end_sessions(connection, template)
            connection.execute(statement)
        return self.target(dbname)

    def drop_database(self, dbname: str) -> None:
        """Drop a database of the running server, if it is there, with whoever is still connected to it."""
        with open_connection(self.target("postgres"), ANSWER_TIMEOUT, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(dbname)))

    def rename_database(self, dbname: str, new: str) -> None:
        """Give a database of the running server another name; sessions in it are ended."""
        statement = sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(dbname), sql.Identifier(new))
        with open_connection(self.target("postgres"), ANSWER_TIMEOUT, autocommit=True) as connection:
            end_sessions(connection, dbname)
            connection.execute(statement)

    def stop(self) -> bool:
        """Stop the server and wait until it is down. Says whether there was one to stop."""
        self._check_owner()
        with self._lock():
            if not self.exists() or not self._is_running():
                return False
            self._stop()
            return True

    def _stop(self) -> None:
        self._run("pg_ctl", "stop", "-D", str(self.data), "-m", "fast", "-w", "-t", str(int(START_TIMEOUT)))

    def removed_server(self) -> int | None:
        """The process of a server of this cluster, whose data directory was removed while it ran.

        It notices within a minute, and ends. Only where the system has /proc: elsewhere nobody can tell.
        """
        for entry in Path("/proc").glob("[0-9]*"):
            if self._is_removed_server(int(entry.name)):
                return int(entry.name)
        return None

    def end_removed_server(self) -> int | None:
        """End the server whose data directory was removed. Returns which process it was; None when there is none.

        Raises CheckFailed, naming it, when it does not end.
        """
        pid = self.removed_server()
        deadline = time.monotonic() + START_TIMEOUT
        while pid is not None and self._is_removed_server(pid):
            if time.monotonic() > deadline:
                raise CheckFailed(
                    f"{self.data} was removed while its server ran (pid {pid}), which does not end.", f"kill -9 {pid}"
                )
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGQUIT)
            time.sleep(0.05)
        return pid

    def _is_removed_server(self, pid: int) -> bool:
        try:
            is_ours = Path(f"/proc/{pid}").stat().st_uid == self.account.uid
            return is_ours and self._is_server(pid) and str(Path(f"/proc/{pid}/cwd").readlink()).endswith(" (deleted)")
        except OSError:
            return False

    def _stop_unreachable(self) -> None:
        """Stop a server that runs without its socket, which somebody has removed; it can only be started again."""
        pid = self._recorded_pid()
        socket = self.socket_directory / f".s.PGSQL.{PORT}"
        if pid is not None and self._is_server(pid) and not socket.exists():
            say(f"the socket of the embedded server (pid {pid}) was removed; starting it again")
            self._stop()

    def kill(self) -> None:
        """Stop the server at once, as `pg_ctl stop -m immediate`, which looks only every 0.1 s whether it is done.

        What a throw-away cluster has not written yet is lost.
        """
        pid = self._recorded_pid()
        while pid is not None and self._is_server(pid):
            with contextlib.suppress(ProcessLookupError):
                self.account.do(lambda running=pid: os.kill(running, signal.SIGQUIT))  # type: ignore[misc]
            time.sleep(0.005)

    def remove(self) -> None:
        """Stop the server and delete the cluster."""
        if self.durable:
            self.stop()
        else:
            self.kill()
        for directory in (self.socket_directory, self.directory):
            if directory.exists():
                shutil.rmtree(directory)

    # The database is trusted by connecting to it, never by its pid file.

    def _has_database(self) -> bool:
        return self._answers(DATABASE)

    def _answers(self, dbname: str = "postgres") -> bool:
        if not self.socket_directory.exists():
            return False
        # it may be below /tmp, where anybody could have made it and listen in it
        private_directory(self.socket_directory, 0o700, self.account.uid)
        try:
            open_connection(self.target(dbname), ANSWER_TIMEOUT, autocommit=True).close()
        except psycopg.OperationalError:
            return False
        return True

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        with contextlib.ExitStack() as held:
            try:
                self.lock_file.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(locked(self.lock_file))
            except OSError as error:
                raise InputError(
                    f"cannot use {self.lock_file}: {error.strerror}.",
                    "The embedded server needs a project directory that you may write to.",
                ) from error
            yield

    def _initialise(self) -> None:
        self._make_directory(self.directory)
        self.account.do(self._remove_leftovers)
        unfinished = self.directory / f"data.new-{os.getpid()}"
        options = ["-A", "trust", "--auth-host=reject", "-U", SUPERUSER, "-E", "UTF8", "--locale=C"]
        if program_major(self.bindir / "postgres") >= 17:
            options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if not self.durable:
            options.append("--no-sync")
        self._run("initdb", "-D", str(unfinished), *options)
        self._write(unfinished / "postgresql.conf", os.O_APPEND, "include = 'dbkit.conf'\n")
        self.account.do(lambda: unfinished.rename(self.data))

    def _remove_leftovers(self) -> None:
        for leftover in self.directory.glob("data.new-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _start(self) -> None:
        self._check_major()
        sockets = self._make_directory(self.socket_directory)
        self._write_config(sockets)
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            said = self.log.lstat().st_size if os.path.lexists(self.log) else 0
            server = self._spawn()
            while server.poll() is None and time.monotonic() < deadline:
                if self._answers():
                    # it lives on without us: not a child to wait for, nor one to warn about
                    server.returncode = 0
                    return
                time.sleep(0.01)
            reason = self._logged_since(said)
            if server.poll() is None:
                server.returncode = 0
                raise CheckFailed(
                    f"PostgreSQL is still starting after {START_TIMEOUT:g} s: {reason}", "Try again later."
                )
            # backends of a server that was killed still hold its shared memory; they notice, and go
            if "shared memory block" not in reason or time.monotonic() > deadline:
                raise CheckFailed(f"PostgreSQL did not start: {reason}", f"Its log is {self.log}")
            time.sleep(0.1)

    def _spawn(self) -> subprocess.Popen[bytes]:
        environment = self.environment()
        stale = self._stale_pid()
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

    def _stale_pid(self) -> int | None:
        """The pid in a pid file that is not this server's; a file that cannot be read as one is removed."""
        pid = self._recorded_pid()
        if pid is None:
            self.account.do(lambda: (self.data / "postmaster.pid").unlink(missing_ok=True))
            return None
        return None if self._is_server(pid) else pid

    def _recorded_pid(self) -> int | None:
        try:
            first = self._read(self.data / "postmaster.pid").split("\n", 1)[0]
        except FileNotFoundError:
            return None
        return int(first) if first.strip().isdigit() else None

    def _is_running(self) -> bool:
        if self._answers():
            return True
        pid = self._recorded_pid()
        return pid is not None and self._is_server(pid)

    def _is_server(self, pid: int) -> bool:
        """Whether `pid` is a live postmaster that was started on this data directory."""
        try:
            state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            if Path("/proc/self/stat").exists():
                return False
            listing = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, check=False)  # noqa: S607
            return os.fsencode(f"postgres -D {self.data}") in listing.stdout
        return state != "Z" and arguments[1:3] == [b"-D", os.fsencode(self.data)]

    def _check_major(self) -> None:
        have = self.major()
        want = str(program_major(self.bindir / "postgres"))
        if have != want:
            raise InputError(
                f"the cluster in {self.directory} was made by PostgreSQL {have}, {self.bindir} is {want}.",
                f"`make reset` keeps it as {self.directory}-{have} and makes a new one.\n"
                f"To go on with it, set PG_BINDIR in .env to the programs of PostgreSQL {have}.",
            )

    def major(self) -> str:
        """The major version of PostgreSQL that has made the cluster. Raises InputError where it does not say."""
        try:
            return self._read(self.data / "PG_VERSION").strip()
        except OSError as error:
            raise InputError(f"cannot read {self.data / 'PG_VERSION'}: {error.strerror}.") from error

    def _check_owner(self) -> None:
        if not self.directory.exists():
            return
        owner = self.directory.stat().st_uid
        if owner != self.account.uid:
            raise InputError(
                f"the cluster in {self.directory} belongs to uid {owner}, and you would run it as "
                f"{self.account.name} (uid {self.account.uid}).",
                "Use the account that made it, or set DATABASE_URL in .env.",
            )

    def _make_directory(self, path: Path) -> Path:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if self.account.can(os.W_OK | os.X_OK, path.parent):
                self.account.do(lambda: path.mkdir(0o700, exist_ok=True))
            return private_directory(path, 0o700, self.account.uid)
        except OSError as error:
            raise InputError(f"cannot make {path}: {error.strerror}.") from error

    def _write_config(self, sockets: Path) -> None:
        """The kit's options; written at each start, because the project may have been moved."""
        quoted = str(sockets).replace("'", "''")
        lines = [
            "# Written by dbkit at each start; your own settings go into postgresql.conf, above the include.",
            "listen_addresses = ''",
            f"port = {PORT}",
            f"unix_socket_directories = '{quoted}'",
            "unix_socket_permissions = 0700",
            "timezone = 'UTC'",
            "log_timezone = 'UTC'",
            # statements that fail, and where they came from, may have a password in them
            "log_min_error_statement = panic",
            "log_error_verbosity = terse",
        ]
        if not self.durable:
            lines += [
                "fsync = off",
                "synchronous_commit = off",
                "full_page_writes = off",
                "wal_level = minimal",
                "max_wal_senders = 0",
                "jit = off",
                # nobody else is here: who waits for a lock that long waits for itself
                "lock_timeout = 30s",
            ]
        self._write(self.data / "dbkit.conf", os.O_CREAT | os.O_TRUNC, "\n".join(lines) + "\n")

    def _write(self, path: Path, flags: int, text: str) -> None:
        with os.fdopen(self.account.open_file(path, os.O_WRONLY | flags), "w") as file:
            file.write(text)

    def _read(self, path: Path, offset: int = 0) -> str:
        with os.fdopen(self.account.open_file(path, os.O_RDONLY), "rb") as file:
            return file.read()[offset:].decode(errors="replace")

    def _run(self, program: str, *arguments: str) -> None:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            [self.bindir / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=self.environment(),
            start_new_session=True,
            **self.account.popen_options,  # type: ignore[call-overload]
        )
        try:
            output, _ = process.communicate()
        except BaseException:
            # asked to stop, initdb ends its own child and takes away what it made; killed, it would not
            process.terminate()
            process.wait()
            raise
        if process.returncode:
            raise CheckFailed(f"{program} failed (exit {process.returncode}).", output.decode(errors="replace").strip())

    def environment(self) -> dict[str, str]:
        """For PostgreSQL's programs. Nothing of ours: an unknown locale, PGDATA or PGHOST would lead them astray."""
        kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
        return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C", "TZ": "UTC"}

    def _logged_since(self, offset: int) -> str:
        """The end of what the server wrote after `offset` bytes of its log, without the times."""
        text = self._read(self.log, offset)
        return " ".join(re.sub(r"^\S+ \S+ \S+ \[\d+\] ", "", line) for line in text.splitlines()[-4:])


def development_cluster(settings: Settings) -> Cluster:
    """The project's own cluster: `.dbkit/postgres`, or below /var/tmp where the server's account cannot go there.

    Finding it starts nothing and makes nothing but directories.
    """
    account = server_account(settings.root)
    bindir = reachable_bindir(server_bindir(settings), account)
    lock_file = settings.root / ".dbkit" / "postgres.lock"
    directory = settings.root / ".dbkit" / "postgres"
    identity = _identity(settings.root / ".dbkit")
    is_elsewhere = any((own / identity).exists() for own in STATE.glob(f"dbkit-{os.geteuid()}*"))
    if not account.can(os.X_OK, settings.root) or (is_elsewhere and not directory.exists()):
        directory = state_directory() / identity
    if directory.is_dir() and os.geteuid() == 0:
        account = _owner(directory, account)
    return Cluster(directory=directory, bindir=bindir, account=account, lock_file=lock_file, identity=identity)


def _identity(directory: Path) -> str:
    """The project's random name for itself, made once."""
    path = directory / "identity"
    try:
        if not path.exists():
            directory.mkdir(exist_ok=True)
            unfinished = path.with_name(f"identity.{secrets.token_hex(8)}")
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w") as file:
                file.write(secrets.token_hex(8))
            with contextlib.suppress(FileExistsError):  # another process was first
                os.link(unfinished, path)
            unfinished.unlink()
        identity = path.read_text()
    except OSError as error:
        raise InputError(
            f"cannot use {path}: {error.strerror}.",
            "The embedded server needs a project directory that you may write to.",
        ) from error
    if not re.fullmatch(r"[0-9a-f]{16}", identity):  # it becomes a part of paths
        raise InputError(f"{path} is not what dbkit has written there.", "Remove it, and the cluster that it is of.")
    return identity


def _owner(directory: Path, otherwise: Account) -> Account:
    """As root: go on as the account that a cluster was made by."""
    uid = directory.stat().st_uid
    return otherwise if uid in (0, otherwise.uid) else account_of(uid)
