"""One PostgreSQL cluster that listens on a private unix socket only: create, start, stop and remove it."""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from dbkit.errors import CheckFailed, InputError, say
from dbkit.files import make_project_directory
from dbkit.postgres.binaries import reachable_bindir, server_bindir
from dbkit.postgres.config import PORT, cluster_config
from dbkit.postgres.connect import end_sessions, ignore_libpq_environment, open_connection
from dbkit.postgres.file_lock import hold_file_lock
from dbkit.postgres.initdb import SUPERUSER, initialise, make_directory, read_major, require_same_major
from dbkit.postgres.os_account import Account, account_of, server_account
from dbkit.postgres.own_statements import OwnConnection
from dbkit.postgres.private_dirs import STATE, private_directory, state_directory
from dbkit.postgres.process import START_TIMEOUT, ServerProcess
from dbkit.settings import Settings, Target

DATABASE = "app"
# sockaddr_un holds 104 bytes on macOS, 108 on Linux, with the socket's own name in it
LONGEST_SOCKET_DIRECTORY = 103 - len(f"/.s.PGSQL.{PORT}")
CONNECT_TIMEOUT = 5.0  # seconds


@dataclass(frozen=True)
class Cluster:
    """A cluster below `directory`: `data/`, `server.log`, and a socket."""

    directory: Path
    bindir: Path
    account: Account
    lock_file: Path
    identity: str
    """Random, and kept with the project: a new clone in the place of an old one is another cluster."""
    durable: bool = True
    """False for throw-away clusters, which run without fsync and with a minimal WAL."""

    @property
    def data(self) -> Path:
        """The data directory, which exists once initdb has finished."""
        return self.directory / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.directory / "server.log"

    @property
    def process(self) -> ServerProcess:
        """The server process, running or not."""
        return ServerProcess(self.data, self.log, self.bindir, self.account)

    @property
    def socket_directory(self) -> Path:
        """A directory below the cluster where its path is short and plain enough, else one in /tmp, named by hash."""
        inside = self.directory / "socket"
        name = str(inside)
        # the path for a throw-away cluster becomes a part of URLs
        plain = r"[\w ./+=@:-]+" if self.durable else r"[\w./-]+"
        if re.fullmatch(plain, name, re.ASCII) and len(name) <= LONGEST_SOCKET_DIRECTORY:
            return inside
        digest = hashlib.sha256(os.fsencode(f"{self.identity}{name}")).hexdigest()[:16]
        return Path(f"/tmp/dbkit-{self.account.uid}-{digest}")  # noqa: S108  # checked for owner

    def target(self, dbname: str = DATABASE) -> Target:
        """Connection parameters for `dbname`. libpq refuses a server that runs as another account."""
        peer = (("requirepeer", self.account.name),)
        return Target(dbname=dbname, user=SUPERUSER, host=str(self.socket_directory), port=PORT, query=peer)

    @property
    def maintenance(self) -> Target:
        """Connection parameters for the database that initdb creates."""
        return self.target("postgres")

    @property
    def description(self) -> str:
        """The server's version, for display."""
        with self._connect() as connection:
            return f"PostgreSQL {connection.info.parameter_status('server_version')}"

    def exists(self) -> bool:
        """Whether initdb has finished. Raises InputError for a cluster of another account."""
        self._require_owner()
        return self.data.is_dir()

    def ensure_running(self) -> Target:
        """Create what is missing, start the server, and return the connection parameters of the application's database.

        Safe to call from several processes at once. Raises InputError or CheckFailed with the server's reason.
        """
        ignore_libpq_environment()
        self._require_owner()
        # a server whose data directory was removed accepts connections for a moment
        if self.exists() and self._accepts_connections(DATABASE):
            return self.target()
        with self._hold_lock():
            if not self.exists():
                pid = self.process.end_orphan()
                if pid is not None:
                    say(f"{self.data} was removed while its server ran (pid {pid}): ended it, creating a new cluster")
                initialise(self.directory, self.bindir, self.account, is_durable=self.durable)
                self._start()
            elif not self._accepts_connections():
                self._stop_without_socket()
                self._start()
            if not self._accepts_connections(DATABASE):
                self.create_database(DATABASE)
        return self.target()

    def create_database(self, dbname: str, template: str = "template1") -> Target:
        """Create an empty database, or a copy of `template`, whose sessions are ended."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(dbname), sql.Identifier(template))
        with self._connect() as connection:
            if not self.durable and connection.info.server_version >= 15_00_00:
                statement += sql.SQL(" STRATEGY file_copy")  # without fsync faster than by way of the log
            if template != "template1":
                end_sessions(connection, template)
            connection.execute(statement)
        return self.target(dbname)

    def drop_database(self, dbname: str) -> None:
        """Drop a database, if it exists, and end its sessions."""
        with self._connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(dbname)))

    def rename_database(self, dbname: str, new: str) -> None:
        """Rename a database, and end its sessions."""
        statement = sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(dbname), sql.Identifier(new))
        with self._connect() as connection:
            end_sessions(connection, dbname)
            connection.execute(statement)

    def stop(self) -> bool:
        """Stop the server and wait until it is down. Returns whether one was running."""
        self._require_owner()
        with self._hold_lock():
            if not self.exists() or not (self._accepts_connections() or self.process.running_pid()):
                return False
            self.process.stop()
            return True

    def kill(self) -> None:
        """Stop the server at once. Unwritten data is lost."""
        self.process.kill()

    def remove(self) -> None:
        """Stop the server and delete the cluster."""
        if self.durable:
            self.stop()
        else:
            self.kill()
        for directory in (self.socket_directory, self.directory):
            if directory.exists():
                shutil.rmtree(directory)

    def major(self) -> str:
        """The major version of PostgreSQL that created the cluster. Raises InputError where it cannot be read."""
        return read_major(self.data, self.account)

    def _connect(self, dbname: str = "postgres") -> OwnConnection:
        return open_connection(self.target(dbname), CONNECT_TIMEOUT, autocommit=True)

    def _accepts_connections(self, dbname: str = "postgres") -> bool:
        if not self.socket_directory.exists():
            return False
        # below /tmp another account could have created it, and listen in it
        private_directory(self.socket_directory, 0o700, self.account.uid)
        try:
            self._connect(dbname).close()
        except psycopg.OperationalError:
            return False
        return True

    def _stop_without_socket(self) -> None:
        """Stop a server whose socket file was removed; only a restart creates it again."""
        pid = self.process.running_pid()
        socket = self.socket_directory / f".s.PGSQL.{PORT}"
        if pid is not None and not socket.exists():
            say(f"the socket of the embedded server (pid {pid}) was removed; starting it again")
            self.process.stop()

    @contextlib.contextmanager
    def _hold_lock(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            try:
                self.lock_file.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(hold_file_lock(self.lock_file))
            except OSError as error:
                raise _not_usable(self.lock_file, error) from error
            yield

    def _start(self) -> None:
        require_same_major(self.directory, self.bindir, self.account)
        sockets = make_directory(self.socket_directory, self.account)
        self.account.write_file(self.data / "dbkit.conf", cluster_config(sockets, is_durable=self.durable))
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            log_size = self.process.log_size()
            server = self.process.spawn()
            while server.poll() is None and time.monotonic() < deadline:
                if self._accepts_connections():
                    # it outlives this process: no child to wait for, nor to warn about
                    server.returncode = 0
                    return
                time.sleep(0.01)
            reason = self.process.read_log(log_size)
            if server.poll() is None:
                server.returncode = 0
                raise CheckFailed(
                    f"PostgreSQL is still starting after {START_TIMEOUT:g} s: {reason}", "Try again later."
                )
            # backends of a killed server still hold its shared memory; they end soon
            if "shared memory block" not in reason or time.monotonic() > deadline:
                raise CheckFailed(f"PostgreSQL did not start: {reason}", f"Its log is {self.log}")
            time.sleep(0.1)

    def _require_owner(self) -> None:
        if not self.directory.exists():
            return
        owner = self.directory.stat().st_uid
        if owner != self.account.uid:
            raise InputError(
                f"the cluster in {self.directory} belongs to uid {owner}, but would run as "
                f"{self.account.name} (uid {self.account.uid}).",
                "Use the account that created it, or set DATABASE_URL in .env.",
            )


def development_cluster(settings: Settings) -> Cluster:
    """The project's cluster: `.dbkit/postgres`, or below /var/tmp where the server's account cannot enter the project.

    Starts no server, and creates directories only.
    """
    account = server_account(settings.root)
    bindir = reachable_bindir(server_bindir(settings), account)
    lock_file = settings.root / ".dbkit" / "postgres.lock"
    directory = settings.root / ".dbkit" / "postgres"
    identity = _read_identity(settings.root / ".dbkit")
    is_elsewhere = any((own / identity).exists() for own in STATE.glob(f"dbkit-{os.geteuid()}*"))
    if not account.can(os.X_OK, settings.root) or (is_elsewhere and not directory.exists()):
        directory = state_directory() / identity
    if directory.is_dir() and os.geteuid() == 0:
        account = _owner(directory, account)
    return Cluster(directory=directory, bindir=bindir, account=account, lock_file=lock_file, identity=identity)


def _read_identity(directory: Path) -> str:
    """The project's random identity, which is created at the first call."""
    path = directory / "identity"
    try:
        if not path.exists():
            make_project_directory(directory)
            unfinished = path.with_name(f"identity.{secrets.token_hex(8)}")
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w") as file:
                file.write(secrets.token_hex(8))
            with contextlib.suppress(FileExistsError):  # another process was first
                os.link(unfinished, path)
            unfinished.unlink()
        identity = path.read_text()
    except OSError as error:
        raise _not_usable(path, error) from error
    if not re.fullmatch(r"[0-9a-f]{16}", identity):  # it becomes a part of paths
        raise InputError(f"{path} does not contain what dbkit wrote.", "Remove it, and the cluster that belongs to it.")
    return identity


def _not_usable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"cannot use {path}: {error.strerror}.",
        "The embedded server needs a project directory with write permission.",
    )


def _owner(directory: Path, otherwise: Account) -> Account:
    """As root: the account that created a cluster."""
    uid = directory.stat().st_uid
    return otherwise if uid in (0, otherwise.uid) else account_of(uid)
