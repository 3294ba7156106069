"""Poolers before a server: PgBouncer, and one in Python that can be made to behave as any of them."""

import asyncio
import os
import secrets
import shutil
import struct
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg

from dbkit.postgres.cluster import Cluster
from support import wire
from support.pair import Project, url_of
from support.running import until
from support.servers import free_port

LOCKS = """SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
SETTINGS = "SELECT name, setting FROM pg_settings WHERE name = ANY (%s) ORDER BY name"
CHANGED = ["lock_timeout", "statement_timeout", "synchronous_commit", "idle_session_timeout", "search_path"]
REFUSALS = {
    "refused": "unsupported startup parameter: options",
    "unknown": "Feature not supported: RDS Proxy currently doesn\u2019t support command-line options.",
}
FULL = "MaxClientsInSessionMode: max clients reached - in Session mode max clients are limited to pool_size"
PGBOUNCER = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")


@contextmanager
def pgbouncer(cluster: Cluster, directory: Path, mode: str = "transaction", *settings: str) -> Iterator[int]:
    """PgBouncer before a cluster, on a port of its own."""
    assert PGBOUNCER
    port = free_port()
    directory.mkdir()
    target = cluster.target()
    (directory / "users.txt").write_text('"postgres" ""\n')
    (directory / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={target.host}\n[pgbouncer]\npool_mode = {mode}\nauth_type = trust\n"
        f"auth_file = {directory}/users.txt\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        + "\n".join(settings)
    )
    user = []
    if os.geteuid() == 0:
        user = ["-u", cluster.account.name]
        for path in (directory, *directory.iterdir()):
            os.chown(path, cluster.account.uid, cluster.account.gid)
        for path in directory.parents:
            if path.owner() == "root" and path != Path("/"):
                path.chmod(path.stat().st_mode | 0o011)
    process = subprocess.Popen([PGBOUNCER, "-q", *user, directory / "pgbouncer.ini"], stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: _answers(port, process))
        yield port
    finally:
        process.terminate()
        process.communicate()


def _answers(port: int, process: "subprocess.Popen[str]") -> bool:
    assert process.poll() is None, process.stderr and process.stderr.read()
    try:
        # not psycopg.connect, which has options in `nox -s hostile`: PgBouncer refuses them
        psycopg.Connection.connect(host="127.0.0.1", port=port, dbname="postgres", user="postgres").close()
    except psycopg.OperationalError:
        return False
    return True


@dataclass(frozen=True)
class Kind:
    """How a pooler behaves."""

    mode: str = "transaction"
    """session, transaction, statement, or pins: transaction mode until the client changes a setting, as RDS Proxy does."""
    takes: str = "last"
    """Which idle server connection it takes: the last one that became idle, the first one, or any ("random")."""
    size: int = 20
    key: str = "own"
    """What it gives to its clients as BackendKeyData: "own", the "server"'s, or "none"."""
    options: str = "refused"
    """What it does with the startup parameter `options`: "refused" (by the words of PgBouncer), "unknown" (by those of RDS
    Proxy), "ignored"."""
    when_full: str = "waits"
    """Whether a client "waits" while all server connections are taken, or is "refused" at the login, as by Supavisor."""
    resets: bool = True
    """Whether it executes DISCARD ALL after a client of session mode."""
    links: str = "query"
    """When a client of session mode gets its server connection: at its first "query", as with PgBouncer, or at the "login"."""
    prefers_own: bool = False
    """Whether it takes the server connection that the client had before, where that is idle."""
    changes_after: int = 0
    """After how many transactions of a client it gets another server connection, in spite of that; 0 for never."""
    first: int = 1
    """How many server connections it opens before it reuses one."""


@dataclass
class _Server:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    greeting: list[bytes] = field(default_factory=list)
    key: tuple[int, int] = (0, 0)
    status: bytes = b"I"


class _Pool:
    """The server connections for one database and user."""

    def __init__(self, cluster: Cluster, kind: Kind, login: Mapping[str, str]) -> None:
        self.cluster, self.kind, self.login = cluster, kind, login
        self.greeting = b""
        self.key = (0, 0)
        self.idle: list[_Server] = []
        self.servers: list[_Server] = []
        self.counts: list[int] = []
        self.count = 0
        self.changed = asyncio.Condition()

    def refusal(self, given: Mapping[str, str]) -> str:
        """Why a client is not let in; "" where it is."""
        if "options" in given and self.kind.options in REFUSALS:
            return REFUSALS[self.kind.options]
        is_full = self.kind.when_full == "refused" and self.count == self.kind.size and not self.idle
        return FULL if is_full else ""

    async def take(self, preferred: _Server | None = None) -> _Server:
        """An idle server connection, a new one while there may be more, or the next one that becomes idle."""
        async with self.changed:
            while True:
                if self.kind.prefers_own and preferred in self.idle:
                    assert preferred
                    self.idle.remove(preferred)
                    return preferred
                if self.idle and self.count >= self.kind.first:
                    last = len(self.idle) - 1
                    index = {"last": last, "first": 0, "random": secrets.randbelow(last + 1)}[self.kind.takes]
                    return self.idle.pop(index)
                if self.count < self.kind.size:
                    self.count += 1
                    return await self._open()
                await self.changed.wait()

    async def give_back(self, server: _Server, *, broken: bool = False) -> None:
        """Make a server connection idle, or forget it."""
        async with self.changed:
            if broken:
                server.writer.close()
                self.count -= 1
            else:
                self.idle.append(server)
            self.changed.notify()

    async def _open(self) -> _Server:
        server = _Server(*await self.connect())
        self.servers.append(server)
        parameters = {"user": self.login["user"], "database": self.login["database"]}
        body = struct.pack("!I", 196608) + b"".join(map(wire.text, (x for pair in parameters.items() for x in pair)))
        server.writer.write(struct.pack("!I", len(body) + 5) + body + b"\0")
        while True:
            kind, rest = await wire.read_message(server.reader)
            if kind == b"K":
                server.key = struct.unpack("!iI", rest[:8])
            elif kind == b"S":
                server.greeting.append(wire.message(kind, rest))
            elif kind == b"Z":
                return server
            elif kind == b"E":
                raise ConnectionError(rest.decode(errors="replace"))

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the server."""
        target = self.cluster.target()
        assert target.host
        if target.host.startswith("/"):
            return await asyncio.open_unix_connection(f"{target.host}/.s.PGSQL.{target.port or 5432}")
        return await asyncio.open_connection(target.host, target.port)


class _Client:
    """One connection of a client."""

    def __init__(self, pool: _Pool, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pool, self.kind = pool, pool.kind
        self.reader, self.writer = reader, writer
        self.server: _Server | None = None
        self.former: _Server | None = None
        self.replies = self.transactions = 0
        self.keeps_server = self.kind.mode == "session"
        self.pump: asyncio.Task[None] | None = None

    async def serve(self, key: tuple[int, int]) -> None:
        """Log in, and forward messages until the client leaves."""
        is_linked = self.kind.mode == "session" and self.kind.links == "login"
        if is_linked or not self.pool.greeting or self.kind.key == "server":
            self.server = await self.pool.take()
            self.pool.greeting, self.pool.key = b"".join(self.server.greeting), self.server.key
            if not is_linked:
                await self.pool.give_back(self.server)
                self.server, self.former = None, self.server
        keys = {"own": wire.key_data(*key), "server": wire.key_data(*self.pool.key), "none": b""}
        self.writer.write(wire.message(b"R", b"\0\0\0\0") + self.pool.greeting + keys[self.kind.key] + wire.ready())
        try:
            while True:
                kind, body = await wire.read_message(self.reader)
                if kind == b"X":
                    break
                await self._forward(kind, body)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            await self._leave()

    async def _forward(self, kind: bytes, body: bytes) -> None:
        begins = body.strip(b"\0").upper().startswith((b"BEGIN", b"START"))
        if self.kind.mode == "statement" and kind in b"QP" and begins:
            self.writer.write(wire.error("08P01", "transaction blocks not allowed in statement pooling mode", "FATAL"))
            raise ConnectionError
        if self.kind.mode == "pins" and (b"set_config" in body or body.upper().startswith(b"SET ")):
            self.keeps_server = True
        if self.server is None:
            self.transactions += 1
            others = [each for each in self.pool.idle if each is not self.former]
            if self.transactions == self.kind.changes_after and others:
                self.former = others[0]
            self.server = await self.pool.take(self.former)
        if self.pump is None or self.pump.done():
            self.pump = asyncio.create_task(self._answer(self.server))
        if kind in b"QS":
            self.replies += 1
        self.server.writer.write(wire.message(kind, body))

    async def _answer(self, server: _Server) -> None:
        """Forward what the server says, until it is idle and the mode gives it to the next client."""
        while True:
            kind, body = await wire.read_message(server.reader)
            if kind == b"Z":
                self.replies -= 1
                server.status = body
                if not self.keeps_server and body == b"I" and self.replies == 0:
                    self.server, self.former, self.pump = None, server, None
                    await self.pool.give_back(server)
                    self.writer.write(wire.message(kind, body))
                    return
            self.writer.write(wire.message(kind, body))

    async def cancel(self, server: _Server) -> None:
        """Cancel what the server does for this client."""
        _, writer = await self.pool.connect()
        writer.write(struct.pack("!IIiI", 16, wire.CANCEL_REQUEST, *server.key))
        await writer.drain()
        writer.close()

    async def _leave(self) -> None:
        self.pool.counts.append(self.transactions)
        if self.pump is not None:
            self.pump.cancel()
            await asyncio.gather(self.pump, return_exceptions=True)
        if (server := self.server) is None:
            return
        is_broken = bool(self.replies) or server.status != b"I"
        if not is_broken and self.kind.resets:
            server.writer.write(wire.message(b"Q", wire.text("DISCARD ALL")))
            while (await wire.read_message(server.reader))[0] != b"Z":
                pass
        await self.pool.give_back(server, broken=is_broken)


@contextmanager
def pooler(cluster: Cluster, kind: Kind, counts: list[int] | None = None) -> Iterator[int]:
    """A pooler of a kind before a cluster, on a port of its own. `counts` gets the number of each client's transactions."""
    pools: dict[tuple[str, str], _Pool] = {}
    clients: dict[tuple[int, int], _Client] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        code, body = await wire.read_startup(reader, writer)
        if code == wire.CANCEL_REQUEST:
            key = struct.unpack("!iI", body)
            for own, client in clients.items():
                if client.server and key == (client.server.key if kind.key == "server" else own):
                    await client.cancel(client.server)
            return
        given = wire.startup_parameters(body)
        place = given["user"], given.get("database", given["user"])
        login = {"user": place[0], "database": place[1]}
        pool = pools.setdefault(place, _Pool(cluster, kind, login))
        if refusal := pool.refusal(given):
            writer.write(wire.error("08P01", refusal, "FATAL"))
            return
        key = 1 + secrets.randbelow(2**31 - 1), secrets.randbelow(2**32)
        clients[key] = client = _Client(pool, reader, writer)
        with suppress(ConnectionError):
            await client.serve(key)

    def close() -> None:
        for pool in pools.values():
            if counts is not None:
                counts.extend(pool.counts)
            for server in pool.servers:
                server.writer.close()

    with wire.listening_on_loopback(serve, close) as port:
        yield port


def through(project: Project, port: int) -> dict[str, str]:
    """The environment with which a project connects through a pooler."""
    return {"DATABASE_URL": url_of(replace(project.target, host="127.0.0.1", port=port))}


def settings_through(project: Project, port: int) -> list[tuple[object, ...]]:
    """The settings of the next client of a pooler."""
    target = replace(project.target, host="127.0.0.1", port=port)
    with psycopg.Connection.connect(**target.parameters(), autocommit=True) as connection:
        return connection.execute(SETTINGS, [CHANGED]).fetchall()
