"""A network that goes silent hangs nothing, and what was committed is asked on a new connection."""

import contextlib
import os
import selectors
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from dbkit.postgres.bounded_connection import NETWORK
from dbkit.postgres.connect import connect
from dbkit.settings import Target
from support import pair as pair_module
from support.pair import Project
from support.running import others_slow

BOUND = 120  # seconds; a process that is ended by this has hung
WAIT = {"MIGRATION_WAIT": "2s"}
JOURNAL = b'INSERT INTO "public"."dbkit_journal"'


class Proxy:
    """A TCP proxy on loopback that swallows what passes from some moment on, and keeps every connection open."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.after = b""
        """What a client must have sent, before `trigger` counts."""
        self.trigger = b""
        """The connection that sends this is silent from then on; with `forwards`, what it sent gets to the server."""
        self.forwards = True
        self.accepts_only = False
        """Whether new connections are accepted and nothing more."""
        self.silences_all = False
        """Whether no new connection passes either, once the trigger has come."""
        self.was_triggered = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sockets: list[socket.socket] = [self.listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for each in self.sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.sockets.append(client)
                if self.accepts_only or (self.silences_all and self.was_triggered.is_set()):
                    continue
                server = socket.create_connection((self.target.host, self.target.port))
                self.sockets.append(server)
                threading.Thread(target=self._pass, args=(client, server), daemon=True).start()

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        silent, seen = False, b""
        with contextlib.suppress(OSError, ValueError), selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in selector.select():
                    data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    if not data:
                        if silent:  # it is a proxy that does not tell
                            selector.unregister(key.fileobj)
                            continue
                        client.close()
                        server.close()
                        return
                    if silent:
                        continue
                    if key.fileobj is client and self.trigger:
                        seen += data
                        armed = self.after in seen
                        if armed and self.trigger in seen[seen.find(self.after) :]:
                            silent = True
                            self.was_triggered.set()
                            if not self.forwards:
                                continue
                    key.data.sendall(data)


@pytest.fixture
def proxy(password_server: Target) -> Iterator[Proxy]:
    made = Proxy(password_server)
    yield made
    made.close()


@pytest.fixture
def project(proxy: Proxy, password_server: Target, tmp_path: Path) -> Iterator[Project]:
    """A project of one revision, whose database is behind the proxy."""
    with connect(password_server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE behind")
        behind = replace(password_server, dbname="behind", port=proxy.port)
        pair = pair_module.make(tmp_path, behind, behind)
        pair.write("op.execute('CREATE TABLE t (id int)')")
        yield pair.gated
        proxy.close()
        connection.execute(sql.SQL("DROP DATABASE behind WITH (FORCE)"))


def upgrade(project: Project) -> subprocess.CompletedProcess[str]:
    return ended(project.start("upgrade", "head", env=WAIT))


def ended(process: "subprocess.Popen[str]") -> subprocess.CompletedProcess[str]:
    """What a process has said when it has ended. Raises TimeoutExpired for one that hangs."""
    with process:
        try:
            stdout, stderr = process.communicate(timeout=BOUND)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def directly(project: Project, password_server: Target, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(**replace(project.target, port=password_server.port).parameters()) as connection:
        return connection.execute(query).fetchall()


VERSION = "SELECT version_num FROM alembic_version"
OURS = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'behind' AND application_name = 'dbkit migrate'"


def test_a_commit_whose_reply_is_lost_is_told_as_done(project: Project, proxy: Proxy, password_server: Target) -> None:
    proxy.after, proxy.trigger = JOURNAL, b"COMMIT"
    typed = upgrade(project)
    assert proxy.was_triggered.is_set()
    assert typed.returncode == 0, typed.stderr
    assert "the connection was lost at the COMMIT of the upgrade of rev1" in typed.stderr
    assert "a new connection shows that it is committed" in typed.stderr
    assert directly(project, password_server, VERSION) == [("rev1",)]
    assert directly(project, password_server, OURS) == [(0,)]  # and nothing keeps the migration lock


@pytest.mark.slow
@pytest.mark.parametrize(
    ("after", "trigger", "forwards"),
    others_slow(
        1,
        [
            (JOURNAL, b"COMMIT", False),  # the COMMIT is swallowed
            (b"", b"CREATE TABLE t", True),  # during DDL
            (b"", b"CREATE TABLE t", False),
        ],
    ),
)
def test_what_was_not_committed_is_told_as_failed_and_never_comes_later(
    project: Project, proxy: Proxy, password_server: Target, after: bytes, trigger: bytes, forwards: bool
) -> None:
    proxy.after, proxy.trigger, proxy.forwards = after, trigger, forwards
    typed = upgrade(project)
    assert typed.returncode == 1, typed.stderr
    assert "nothing of it was kept, the database is at base (nothing is applied), and it is safe to run again" in (
        typed.stderr
    )
    assert directly(project, password_server, OURS) == [(0,)]
    assert directly(project, password_server, "SELECT to_regclass('t')") == [(None,)]
    proxy.trigger = b""
    assert upgrade(project).returncode == 0


@pytest.mark.slow
def test_more_migrations_than_the_one_whose_reply_is_lost(project: Project, proxy: Proxy) -> None:
    path = project.versions / "rev2.py"
    path.write_text((project.versions / "rev1.py").read_text().replace("rev1", "rev2").replace("None", "'rev1'"))
    path.write_text(path.read_text().replace("TABLE t", "TABLE u"))
    proxy.after, proxy.trigger = JOURNAL, b"COMMIT"
    typed = upgrade(project)
    assert typed.returncode == 1, typed.stderr
    assert "it is committed, and 1 more were not begun" in typed.stderr
    proxy.trigger = b""
    assert upgrade(project).returncode == 0


@pytest.mark.slow
def test_where_nobody_answers_any_more_it_is_said_what_is_not_known(project: Project, proxy: Proxy) -> None:
    proxy.after, proxy.trigger, proxy.silences_all = JOURNAL, b"COMMIT", True
    typed = upgrade(project)
    assert typed.returncode == 4, typed.stderr
    assert "the server does not answer, so what was committed is not known" in typed.stderr


@pytest.mark.slow
def test_a_long_statement_is_waited_for(project: Project, proxy: Proxy, password_server: Target) -> None:
    """For longer than it takes to count a reply as lost, and over a network that says nothing meanwhile."""
    path = project.versions / "rev1.py"
    path.write_text(path.read_text().replace("CREATE TABLE t (id int)", "SELECT pg_sleep(5)"))
    assert upgrade(project).returncode == 0
    assert directly(project, password_server, VERSION) == [("rev1",)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "code"), others_slow(1, [(["status"], 4), (["wait", "--at-head"], 4), (["migrate"], 4), (["log"], 4)])
)
@pytest.mark.parametrize("when", ["at connect", pytest.param("later", marks=pytest.mark.slow)])
def test_verbs_end_where_the_server_is_silent(
    project: Project, proxy: Proxy, verb: list[str], code: int, when: str
) -> None:
    proxy.accepts_only = when == "at connect"
    proxy.trigger, proxy.silences_all = b"alembic_version" if verb != ["log"] else b"dbkit_journal", True
    typed = ended(project.start_dbkit(*verb, env=WAIT))
    assert typed.returncode == code, typed.stdout + typed.stderr
    assert "does not answer" in typed.stdout + typed.stderr


def test_the_client_notices_a_dead_network_by_itself(password_server: Target) -> None:
    with connect(password_server) as connection, socket.socket(fileno=os.dup(connection.fileno())) as ours:
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == int(NETWORK["keepalives_idle"])
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == int(NETWORK["tcp_user_timeout"])
    own = replace(password_server, query=(("keepalives_idle", "77"),))
    with connect(own) as connection, socket.socket(fileno=os.dup(connection.fileno())) as ours:
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 77
