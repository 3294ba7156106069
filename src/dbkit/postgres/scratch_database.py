"""Scratch databases: names, and the servers on which proofs create them (a scratch cluster, or one the user names)."""

import hashlib
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import psycopg
from psycopg import sql

from dbkit.errors import InputError, describe_error, describe_login_error, say
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.connect import LONGEST_END, connect, end_sessions, keeps_session
from dbkit.settings import Settings, Target
from dbkit.signals import defer_signals

DATABASE_PREFIX = "dbkit_proof_"
PAUSE = 0.02  # seconds between looks at sessions that end


class ProofServer(Protocol):
    """A server on which a proof creates scratch databases."""

    @property
    def description(self) -> str:
        """Version and address of the server, for display."""

    @property
    def maintenance(self) -> Target:
        """Connection parameters for a database that no proof uses."""

    def create_database(self, dbname: str, template: str = "template1") -> Target:
        """Create an empty database, or a copy of `template`, whose sessions are ended."""

    def drop_database(self, dbname: str) -> None:
        """Drop a database, and end its sessions."""

    def rename_database(self, dbname: str, new: str) -> None:
        """Rename a database, and end its sessions."""

    def target(self, dbname: str) -> Target:
        """Connection parameters for a database. The server may not be running yet."""


def renew(place: ProofServer) -> None:
    """Remove all scratch databases from a server; from a scratch cluster, everything else, too, such as roles."""
    if isinstance(place, NamedServer):
        place.drop_all()
    elif isinstance(place, Cluster):
        place.kill()
        shutil.rmtree(place.data)
        place.ensure_running()


@dataclass
class DatabaseNames:
    """Names for the scratch databases of one proof, which its random `token` sets apart from others."""

    token: str
    number: int = 0
    """The number of the next name."""
    step: int = 1

    def __iter__(self) -> Iterator[str]:
        """An iterator without an end."""
        return self

    def __next__(self) -> str:
        """A new name."""
        name = f"{DATABASE_PREFIX}{self.token}_{self.number}"
        self.number += self.step
        return name

    def share(self, number: int, of: int) -> "DatabaseNames":
        """Part `number` of the remaining names in `of` parts: for a worker process."""
        return DatabaseNames(self.token, self.number + number * self.step, self.step * of)


def new_token() -> str:
    """A token for `DatabaseNames`."""
    return secrets.token_hex(8)


@dataclass(frozen=True)
class NamedServer:
    """A server that the user names with --server, with scratch databases beside others."""

    maintenance: Target
    token: str

    @property
    def description(self) -> str:
        """Version and address of the server, for display."""
        with connect(self.maintenance) as connection:
            version = connection.info.parameter_status("server_version")
        return f"PostgreSQL {version} at {self.maintenance.server()}"

    def create_database(self, dbname: str, template: str = "template1") -> Target:
        """Create a scratch database. Raises InputError without the privilege to do so."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(dbname), sql.Identifier(template))
        with self._session() as connection:
            if template != "template1":
                end_sessions(connection, template)
            try:
                connection.execute(statement)
                # no other role may connect: what is in there is executed with the rights of the role that proves
                connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(dbname)))
                # a wait of that length is a deadlock of the proof with itself
                connection.execute(sql.SQL("ALTER DATABASE {} SET lock_timeout = '30s'").format(sql.Identifier(dbname)))
            except psycopg.errors.InsufficientPrivilege as error:
                raise InputError(
                    f"cannot create a database on {self.maintenance.server()}: {describe_error(error, primary=True)}.",
                    "Proofs use scratch databases: the user needs CREATEDB.",
                ) from error
        target = self.target(dbname)
        if template == "template1":
            _require_clean(target)
        return target

    def target(self, dbname: str) -> Target:
        """Connection parameters for a database."""
        return replace(self.maintenance, dbname=dbname)

    def drop_database(self, dbname: str) -> None:
        """Drop a scratch database."""
        with self._session() as connection:
            _drop(connection, dbname)

    def drop_all(self) -> None:
        """Drop all scratch databases of this proof."""
        with connect(self.maintenance, autocommit=True) as connection:
            _drop_all(connection, self.token)

    def _session(self) -> psycopg.Connection:
        """Connect under the name of the token, by which statements that outlive their process are found."""
        return connect(self.maintenance, autocommit=True, application_name=f"{DATABASE_PREFIX}{self.token}")

    def rename_database(self, dbname: str, new: str) -> None:
        """Rename a scratch database."""
        with self._session() as connection:
            end_sessions(connection, dbname)
            connection.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(dbname), sql.Identifier(new))
            )


# Functions of other roles in a new database: they come from the server's template
FOREIGN_FUNCTION = """
SELECT format('%I.%I', n.nspname, p.proname), pg_get_userbyid(p.proowner)
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE p.oid >= 16384 AND p.proowner <> current_user::regrole::oid
    AND NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = p.proowner AND r.rolsuper)
    AND NOT EXISTS (SELECT FROM pg_depend AS d
                    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY 1 LIMIT 1"""


def _require_clean(target: Target) -> None:
    """Raise InputError where the template has functions of another role: a proof would run them with its rights."""
    with connect(target) as connection:
        found = connection.execute(FOREIGN_FUNCTION).fetchone()
    if found:
        raise InputError(
            f"template1 on {target.server()} has the function {found[0]}, which belongs to the role {found[1]}.",
            "A proof would run it with your rights. Have it dropped, or name another server.",
        )


@contextmanager
def named_server(maintenance: Target) -> Iterator[NamedServer]:
    """The server of `maintenance`; all scratch databases of this proof are dropped at the end.

    Those of killed processes are dropped first: their sessions no longer hold the advisory lock of their token.
    """
    place = NamedServer(maintenance, new_token())
    with connect(maintenance, autocommit=True) as session:
        if not keeps_session(session):
            raise InputError(
                f"{maintenance.server()} is a pooler (PgBouncer or the like) in transaction mode.",
                "A proof makes and drops databases, to which such a pooler keeps connections: name the server itself.",
            )
        if session.info.server_version >= 14_00_00:
            session.execute("SET idle_session_timeout = 0")
        session.execute("SELECT pg_catalog.pg_advisory_lock(%s::pg_catalog.int8)", [_lock_key(place.token)])
        _drop_leftovers(session)
        try:
            yield place
        finally:
            with defer_signals():
                place.drop_all()


def _drop_leftovers(session: psycopg.Connection) -> None:
    """Drop the scratch databases of dead processes."""
    for token in sorted({name.split("_")[2] for name in _databases(session)}):
        key = [_lock_key(token)]
        if session.execute("SELECT pg_catalog.pg_try_advisory_lock(%s::pg_catalog.int8)", key).fetchone() != (True,):
            continue
        try:
            if not _is_held_elsewhere(session, token):
                _drop_all(session, token)
        except psycopg.Error as error:
            say(f"could not drop the scratch databases of a killed proof ({token}): {describe_login_error(error)}")
        finally:
            session.execute("SELECT pg_catalog.pg_advisory_unlock(%s::pg_catalog.int8)", key)


def _is_held_elsewhere(session: psycopg.Connection, token: str) -> bool:
    """Whether another session of the server holds the advisory lock of a token.

    An advisory lock belongs to the database in which it was taken: a session of another database can take it, too.
    pg_locks has those of all databases, and any role may read it.
    """
    query = """
        SELECT FROM pg_catalog.pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1 AND pid <> pg_catalog.pg_backend_pid()
          AND classid = %s::pg_catalog.int8::pg_catalog.oid AND objid = %s::pg_catalog.int8::pg_catalog.oid
    """
    return bool(session.execute(query, divmod(_lock_key(token) % 2**64, 2**32)).rowcount)


def _lock_key(token: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{DATABASE_PREFIX}{token}".encode()).digest()[:8], "big", signed=True)


def _databases(session: psycopg.Connection, token: str = "") -> list[str]:
    """The scratch databases that this user may drop."""
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
    """End the sessions of dead processes: a CREATE DATABASE could finish after all were dropped."""
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
    """The same settings for a scratch database, which has no protection and no journal."""
    return replace(settings, target=target, app_env="test", scratch=True)
