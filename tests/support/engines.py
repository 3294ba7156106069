"""Servers that speak PostgreSQL's protocol and are something else: what each says at the login and to the first queries."""

import asyncio
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from support import wire

TEXT = 25  # the OID of the type
GREETING = {
    "server_version": "16.4",
    "server_encoding": "UTF8",
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "integer_datetimes": "on",
    "standard_conforming_strings": "on",
}
SHOWN = {
    "transaction isolation level": "read committed",
    "standard_conforming_strings": "on",
    "server_version_num": "160004",
}
VERSION = re.compile(r"select\s+(pg_catalog\.)?version\s*\(\s*\)", re.IGNORECASE)
QUIET = re.compile(r"(begin|commit|rollback|set|deallocate|discard|close|reset|savepoint|release)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Engine:
    """A database of that kind."""

    name: str
    """As a message names it."""
    version: str
    """The text of version()."""
    greeting: Mapping[str, str] = field(default_factory=dict)
    """Other values at the login than those of PostgreSQL."""

    def answer(self, query: str) -> tuple[list[str], list[str]] | str:
        """Return the columns and the row of a query; the text of an error where it does not know a part of it."""
        text = query.strip().rstrip(";")
        if VERSION.fullmatch(text):
            return ["version"], [self.version]
        if match := re.fullmatch(r"show\s+(.*)", text, re.IGNORECASE):
            return [match[1]], [SHOWN.get(match[1].lower(), "on")]
        if re.fullmatch(r"select\s+(pg_catalog\.)?current_schema\(\)", text, re.IGNORECASE):
            return ["current_schema"], ["public"]
        if re.fullmatch(r"select\s+1", text, re.IGNORECASE):
            return ["one"], ["1"]
        if QUIET.match(text) or not text or "pg_type" in text:  # SQLAlchemy looks for hstore
            return [], []
        return "syntax error, or a function that this engine does not have"


ENGINES = [
    Engine(
        "CockroachDB",
        "CockroachDB CCL v25.4.0 (x86_64-pc-linux-gnu, built 2025/11/03 17:15:12, go1.23.12)",
        {"server_version": "18.0", "crdb_version": "CockroachDB CCL v25.4.0 (x86_64-pc-linux-gnu)"},
    ),
    Engine(
        "CockroachDB", "CockroachDB OSS v22.2.1 (x86_64-apple-darwin, built 2022/12/07)", {"server_version": "13.0.0"}
    ),
    Engine(
        "YugabyteDB",
        "PostgreSQL 15.12-YB-2025.1.0.0-b0 on x86_64-pc-linux-gnu, compiled by clang version 19.1.0, 64-bit",
        {"server_version": "15.12-YB-2025.1.0.0-b0"},
    ),
    Engine("YugabyteDB", "PostgreSQL 11.2-YB-2.20.1.0-b0 on aarch64-unknown-linux-gnu, compiled by clang version 16"),
    Engine(
        "Amazon Redshift",
        "PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2 20041017 (Red Hat 3.4.2-6.fc3), "
        "Redshift 1.0.77467",
        {"server_version": "8.0.2", "client_encoding": "UNICODE", "server_encoding": "UNICODE"},
    ),
    Engine("Amazon Aurora DSQL", "PostgreSQL 16", {"server_version": "16"}),
    Engine(
        "Materialize",
        "PostgreSQL 14.0.0 on x86_64-unknown-linux-gnu (Materialize v0.130.4)",
        {"server_version": "14.0.0"},
    ),
    Engine("RisingWave", "PostgreSQL 13.14.0-RisingWave-3.0.3 (ec07f2eb759bd2d8a12a55b030bf581b82adb4b9)"),
    Engine(
        "QuestDB", "PostgreSQL 12.3, compiled by Visual C++ build 1914, 64-bit, QuestDB", {"server_version": "12.3"}
    ),
    Engine(
        "CrateDB", "CrateDB 5.9.5 (built a1b2c3d/2025-01-01, Linux 6.1 amd64, OpenJDK 22)", {"server_version": "14.0"}
    ),
    Engine("H2", "PostgreSQL 8.2.23 server protocol using H2 2.2.224 (2023-09-17)", {"server_version": "8.2.23"}),
    Engine(
        "openGauss", "(openGauss 5.0.0 build a07d57c3) compiled at 2023-03-29 03:07:56", {"server_version": "9.2.4"}
    ),
    Engine(
        "Greenplum",
        "PostgreSQL 12.12 (Greenplum Database 7.1.0 build commit:e7c2b1f) on x86_64-pc-linux-gnu, compiled by gcc",
        {"server_version": "12.12"},
    ),
]
POSTGRES = [
    "PostgreSQL 18.1 on x86_64-pc-linux-gnu, compiled by gcc (Debian 12.2.0-14) 12.2.0, 64-bit",
    "PostgreSQL 16.4 (Ubuntu 16.4-1.pgdg22.04+1) on x86_64-pc-linux-gnu, compiled by gcc, 64-bit",
    "PostgreSQL 19devel on x86_64-pc-linux-gnu, compiled by gcc-14, 64-bit",
    "PostgreSQL 18beta1 on aarch64-apple-darwin, compiled by Apple clang version 16.0.0, 64-bit",
    "PostgreSQL 16.3 (EnterpriseDB Advanced Server 16.3.0) on x86_64-pc-linux-gnu, compiled by gcc, 64-bit",
    "PostgreSQL 15.4 on x86_64-pc-linux-gnu, compiled by x86_64-unknown-linux-gnu-gcc (GCC) 9.5.0, 64-bit",
    "PostgreSQL 17.2 on aarch64-unknown-linux-gnu, compiled by clang, 64-bit, by a company that nobody knows",
    "PostgreSQL 14.4 (Apache Cloudberry 1.6.0 build 1) on x86_64-pc-linux-gnu, compiled by gcc, 64-bit",
    "PostgreSQL 16.2, compiled by Visual C++ build 1937, 64-bit",
    "PostgreSQL 17.4 on x86_64-pc-linux-gnu, compiled by emcc (Emscripten) 3.1.74, 32-bit",
]
"""What PostgreSQL and those that are built from it say."""


def _row(values: list[str]) -> bytes:
    cells = b"".join(struct.pack("!i", len(each.encode())) + each.encode() for each in values)
    return wire.message(b"D", struct.pack("!h", len(values)) + cells)


def _columns(names: list[str]) -> bytes:
    if not names:
        return wire.message(b"n")
    fields = b"".join(wire.text(each) + struct.pack("!ihihih", 0, 0, TEXT, -1, -1, 0) for each in names)
    return wire.message(b"T", struct.pack("!h", len(names)) + fields)


class _Session:
    """One connection, with the queries that it has received."""

    def __init__(self, engine: Engine, queries: list[str]) -> None:
        self.engine, self.queries = engine, queries
        self.statements: dict[bytes, str] = {}
        self.bound = ""
        self.failed = False
        self.status = b"I"

    def _note(self, query: str) -> tuple[list[str], list[str]] | str:
        self.queries.append(query)
        word = query.strip().split(" ")[0].rstrip(";").lower() if query.strip() else ""
        self.status = {"begin": b"T", "commit": b"I", "rollback": b"I"}.get(word, self.status)
        found = self.engine.answer(query)
        if isinstance(found, str) and self.status == b"T":
            self.status = b"E"
        return found

    def reply(self, kind: bytes, body: bytes) -> bytes:
        """The reply to one message."""
        if self.failed and kind != b"S":
            return b""
        if kind == b"Q":
            return self._simple(body[:-1].decode())
        if kind == b"P":
            name, text, _ = body.split(b"\0", 2)
            self.statements[name] = text.decode()
            return wire.message(b"1")
        if kind == b"B":
            self.bound = self.statements[body.split(b"\0", 2)[1]]
            return wire.message(b"2")
        if kind == b"D":
            query = self.statements[body[1:-1]] if body[:1] == b"S" else self.bound
            described = self.engine.answer(query)
            if isinstance(described, str):
                self.queries.append(query)
                return self._fail(described)
            parameters = wire.message(b"t", struct.pack("!h", 0)) if body[:1] == b"S" else b""
            return parameters + _columns(described[0])
        if kind == b"E":
            found = self._note(self.bound)
            if isinstance(found, str):
                return self._fail(found)
            return (_row(found[1]) if found[0] else b"") + wire.message(b"C", wire.text("SELECT 1"))
        if kind == b"S":
            self.failed = False
            return wire.ready(self.status)
        return wire.message(b"3") if kind == b"C" else b""

    def _fail(self, words: str) -> bytes:
        self.failed = True
        return wire.error("42601", words)

    def _simple(self, query: str) -> bytes:
        found = self._note(query)
        if isinstance(found, str):
            return wire.error("42601", found) + wire.ready(self.status)
        rows = _columns(found[0]) + _row(found[1]) if found[0] else b""
        return rows + wire.message(b"C", wire.text("SELECT 1")) + wire.ready(self.status)


@contextmanager
def serving(engine: Engine) -> Iterator[tuple[int, list[str]]]:
    """Serve as an engine on a port of loopback. Yields the port, and the queries that were received."""
    queries: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        code, _ = await wire.read_startup(reader, writer)
        if code == wire.CANCEL_REQUEST:
            return
        values = {**GREETING, **engine.greeting}
        greeting = b"".join(wire.parameter(name, value) for name, value in values.items())
        writer.write(wire.message(b"R", b"\0\0\0\0") + greeting + wire.key_data(4711, 1) + wire.ready())
        session = _Session(engine, queries)
        while True:
            kind, body = await wire.read_message(reader)
            if kind == b"X":
                return
            writer.write(session.reply(kind, body))

    with wire.listening_on_loopback(serve) as port:
        yield port, queries
