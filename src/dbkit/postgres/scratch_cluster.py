"""Throw-away clusters and databases, for proofs that must not touch anything real."""

import fcntl
import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import sql

from dbkit.errors import InputError, say
from dbkit.postgres.binaries import reachable_bindir, server_bindir
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.connect import LONGEST_END, connect, end_sessions, reason_of
from dbkit.postgres.os_account import Account, account_of, server_account
from dbkit.postgres.private_dirs import give_directory, locked, own_directory
from dbkit.settings import Settings, Target

PREFIX = "dbkit-scratch-"
ROOM = 512 * 1024 * 1024  # bytes that a cluster in memory must find free: 64 MB of WAL, 40 MB of catalog, and data


@contextmanager
def cluster(settings: Settings) -> Iterator[Cluster]:
    """A running cluster that is gone afterwards, also after an exception or a signal that raises one.

    What a killed process left behind is removed first.
    """
    with future_cluster(settings) as made:
        made.ensure_running()
        yield made


@contextmanager
def future_cluster(settings: Settings) -> Iterator[Cluster]:
    """As `cluster`, but the caller is the one to start it."""
    base = _own_base()
    with ExitStack() as cleanup:
        with undisturbed():
            with locked(base / ".lock"):
                _sweep(base, settings)
                directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
                owner = os.open(directory.with_suffix(".owner"), os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o600)
                fcntl.flock(owner, fcntl.LOCK_EX)
            made = _cluster(directory, settings, server_account(settings.root))
            cleanup.callback(_discard, made, owner)
            give_directory(directory, made.account.uid, 0o700)
        guardian = _guard(made)
        cleanup.callback(guardian.communicate, b"done\n")
        yield made


# Its standard input ends without a word when we are killed: then it stops the server and removes the files.
GUARDIAN = """
read -r word && exit
"$1/pg_ctl" stop -D "$2/data" -m immediate -w
rm -rf -- "$2" "$3"
"""


def _guard(made: Cluster) -> "subprocess.Popen[bytes]":
    """A process beside us that cleans up when nobody else can any more."""
    guardian: subprocess.Popen[bytes] = subprocess.Popen(
        ["/bin/sh", "-c", GUARDIAN, "dbkit-guardian", made.bindir, made.directory, made.socket_directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=made.environment(),
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
    with undisturbed():
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
    # its guardian may be removing it at the same time
    with suppress(FileNotFoundError):
        uid = directory.lstat().st_uid
        if uid == 0:
            # killed before it was given to the server's account: nothing has run in it
            shutil.rmtree(directory)
        else:
            _cluster(directory, settings, account_of(uid)).remove()
    _remove_files(directory)


def _own_base() -> Path:
    """Where our clusters are: nobody else can make anything there, or hold its lock. Each belongs to its account."""
    return own_directory(_base(), f"{PREFIX}{os.geteuid()}", 0o711 if os.geteuid() == 0 else 0o700)


def _base() -> Path:
    memory = Path("/dev/shm")  # noqa: S108  # own_directory() makes one of our own in it
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM:
        return memory
    return Path(tempfile.gettempdir())


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let a signal wait until what is being made can be removed, or is gone."""
    blocked = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Place(Protocol):
    """A server on which a proof may make databases."""

    @property
    def description(self) -> str:
        """Which server it is, for people."""

    @property
    def maintenance(self) -> Target:
        """How to log in to a database that is nobody's proof."""

    def create_database(self, dbname: str, template: str = "template1") -> Target:
        """Create a database: an empty one, or a copy of `template`, where sessions are ended."""

    def drop_database(self, dbname: str) -> None:
        """Drop a database, with whoever is still connected to it."""

    def rename_database(self, dbname: str, new: str) -> None:
        """Give a database another name; sessions in it are ended."""

    def target(self, dbname: str) -> Target:
        """How to log in to a database. The server may not be running yet."""


def renew(place: Place) -> None:
    """Remove all that was made in a place; of a throw-away cluster, the roles too."""
    if isinstance(place, NamedServer):
        place.drop_all()
    elif isinstance(place, Cluster):
        place.kill()
        shutil.rmtree(place.data)
        place.ensure_running()


DATABASE_PREFIX = "dbkit_proof_"
PAUSE = 0.02  # seconds between looks at sessions that end


@dataclass
class Names:
    """Names that no other database has: `token` is random, and says whose they are."""

    token: str
    number: int = 0
    """The next one's."""
    step: int = 1

    def __iter__(self) -> Iterator[str]:
        """Itself: it never ends."""
        return self

    def __next__(self) -> str:
        """One that was not given yet."""
        name = f"{DATABASE_PREFIX}{self.token}_{self.number}"
        self.number += self.step
        return name

    def share(self, number: int, of: int) -> "Names":
        """One of so many parts of the names that are left."""
        return Names(self.token, self.number + number * self.step, self.step * of)


def new_token() -> str:
    """For `Names`."""
    return secrets.token_hex(8)


@dataclass(frozen=True)
class NamedServer:
    """A server that the user names, with our databases beside others."""

    maintenance: Target
    token: str

    @property
    def description(self) -> str:
        with connect(self.maintenance) as connection:
            version = connection.info.parameter_status("server_version")
        return f"PostgreSQL {version} at {self.maintenance.server()}"

    def create_database(self, dbname: str, template: str = "template1") -> Target:
        """Create a database. Raises InputError when the user may not."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(dbname), sql.Identifier(template))
        with self._session() as connection:
            if template != "template1":
                end_sessions(connection, template)
            try:
                connection.execute(statement)
                # nobody else is to come in: what is in there is executed by the role that proves
                connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(dbname)))
                # who waits for a lock that long waits for itself
                connection.execute(sql.SQL("ALTER DATABASE {} SET lock_timeout = '30s'").format(sql.Identifier(dbname)))
            except psycopg.errors.InsufficientPrivilege as error:
                raise InputError(
                    f"cannot create a database on {self.maintenance.server()}: {error.diag.message_primary}.",
                    "Proofs are made in databases of their own: the user needs CREATEDB.",
                ) from error
        target = self.target(dbname)
        if template == "template1":
            _require_clean(target)
        return target

    def target(self, dbname: str) -> Target:
        """How to log in to a database."""
        return replace(self.maintenance, dbname=dbname)

    def drop_database(self, dbname: str) -> None:
        """Drop one of our databases."""
        with self._session() as connection:
            _drop(connection, dbname)

    def drop_all(self) -> None:
        """Drop all of our databases."""
        with connect(self.maintenance, autocommit=True) as connection:
            _drop_all(connection, self.token)

    def _session(self) -> psycopg.Connection:
        """A session that is known by its name: a server goes on with what a killed process has begun there."""
        return connect(self.maintenance, autocommit=True, application_name=f"{DATABASE_PREFIX}{self.token}")

    def rename_database(self, dbname: str, new: str) -> None:
        """Give one of our databases another name."""
        with self._session() as connection:
            end_sessions(connection, dbname)
            connection.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(dbname), sql.Identifier(new))
            )


# Functions and operators of other roles, in a new database: of the server's template
FOREIGN = """
SELECT format('%I.%I', n.nspname, p.proname), pg_get_userbyid(p.proowner)
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE p.oid >= 16384 AND p.proowner <> current_user::regrole::oid
    AND NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = p.proowner AND r.rolsuper)
    AND NOT EXISTS (SELECT FROM pg_depend AS d
                    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY 1 LIMIT 1"""


def _require_clean(target: Target) -> None:
    """Raise InputError where another role has put functions into the template: they would run as ours."""
    with connect(target) as connection:
        found = connection.execute(FOREIGN).fetchone()
    if found:
        raise InputError(
            f"template1 on {target.server()} has the function {found[0]}, which the role {found[1]} has made.",
            "A proof would run it with your rights. Have it removed, or name another server.",
        )


@contextmanager
def named_server(maintenance: Target) -> Iterator[NamedServer]:
    """The server that `maintenance` is on; all databases that were made there are gone afterwards.

    What a killed process left behind is removed first: its session no longer holds its token's lock.
    """
    place = NamedServer(maintenance, new_token())
    with connect(maintenance, autocommit=True) as session:
        if session.info.server_version >= 14_00_00:
            session.execute("SET idle_session_timeout = 0")
        session.execute("SELECT pg_catalog.pg_advisory_lock(%s::pg_catalog.int8)", [_lock_key(place.token)])
        _sweep_databases(session)
        try:
            yield place
        finally:
            with undisturbed():
                place.drop_all()


def _sweep_databases(session: psycopg.Connection) -> None:
    """Drop the databases whose process is dead."""
    for token in sorted({name.split("_")[2] for name in _databases(session)}):
        key = [_lock_key(token)]
        if session.execute("SELECT pg_catalog.pg_try_advisory_lock(%s::pg_catalog.int8)", key).fetchone() != (True,):
            continue
        try:
            if not _is_held_elsewhere(session, token):
                _drop_all(session, token)
        except psycopg.Error as error:
            say(f"could not drop the databases that a killed proof has left ({token}): {reason_of(error)}")
        finally:
            session.execute("SELECT pg_catalog.pg_advisory_unlock(%s::pg_catalog.int8)", key)


def _is_held_elsewhere(session: psycopg.Connection, token: str) -> bool:
    """Whether another session of the server holds a token's lock.

    An advisory lock belongs to the database in which it was taken: whoever is in another one could take it as well.
    pg_locks has those of all databases, and anybody may read it.
    """
    query = """
        SELECT FROM pg_catalog.pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1 AND pid <> pg_catalog.pg_backend_pid()
          AND classid = %s::pg_catalog.int8::pg_catalog.oid AND objid = %s::pg_catalog.int8::pg_catalog.oid
    """
    return bool(session.execute(query, divmod(_lock_key(token) % 2**64, 2**32)).rowcount)


def _lock_key(token: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{DATABASE_PREFIX}{token}".encode()).digest()[:8], signed=True)


def _databases(session: psycopg.Connection, token: str = "") -> list[str]:
    """The databases of proofs that this user may drop."""
    query = """
        SELECT datname FROM pg_catalog.pg_database
        WHERE pg_catalog.starts_with(datname, %s::pg_catalog.text) AND datname ~ '^dbkit_proof_[0-9a-f]{16}_[0-9]+$'
          AND pg_catalog.pg_has_role(datdba, 'USAGE')
    """
    return [row[0] for row in session.execute(query, [f"{DATABASE_PREFIX}{token}"])]


def _drop_all(session: psycopg.Connection, token: str) -> None:
    _end_sessions(session, token)
    for name in _databases(session, token):
        _drop(session, name)


def _end_sessions(session: psycopg.Connection, token: str) -> None:
    """End what processes that are dead have begun: a database would appear after all were dropped."""
    query = """
        SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(pid)) FROM pg_catalog.pg_stat_activity
        WHERE application_name = %s AND usename = current_user
    """
    deadline = time.monotonic() + LONGEST_END
    while session.execute(query, [f"{DATABASE_PREFIX}{token}"]).fetchone() != (0,) and time.monotonic() < deadline:
        time.sleep(PAUSE)


def _drop(session: psycopg.Connection, dbname: str) -> None:
    session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(dbname)))


def settings_for(settings: Settings, target: Target) -> Settings:
    """The same settings for a scratch database: nothing in it is protected, and nothing else is reached."""
    return replace(settings, target=target, app_env="test", scratch=True)
