"""Servers as others run them: on TCP with passwords, and a standby."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import psycopg
from psycopg import sql

from dbkit.postgres import scratch_cluster
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.connect import connect, end_sessions
from dbkit.postgres.process import program_environment
from dbkit.settings import Settings, Target


class QuickCluster(Cluster):
    """A throw-away cluster that copies the files of a database, which takes a third of the time where nothing is synced."""

    @classmethod
    def of(cls, cluster: Cluster) -> "QuickCluster":
        """The same cluster."""
        return cls(**{each.name: getattr(cluster, each.name) for each in fields(cluster)})

    def create_database(self, dbname: str, template: str = "template1") -> Target:
        """As in the class above, with its other strategy; a database of that name is replaced.

        Where pytest-xdist moves tests between its processes, the fixture of a module is made twice in one of them.
        """
        self.drop_database(dbname)
        with connect(self.maintenance, autocommit=True) as connection:
            if template != "template1":
                end_sessions(connection, template)
            if connection.info.server_version < 150000:  # there is no other one
                return super().create_database(dbname, template)
            names = [sql.Identifier(name) for name in (dbname, template)]
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(*names))
        return self.target(dbname)


def free_port() -> int:
    """A TCP port on loopback that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


HOSTILE_PASSWORD = "@ : / % # $ ' \" \\ ü"


DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))


@contextmanager
def listening(local_settings: Settings, port: int, password: str = HOSTILE_PASSWORD) -> Iterator[Target]:
    """A new server as others run it: on TCP, with passwords. The target is a role that owns its database."""
    with scratch_cluster.cluster(local_settings) as cluster:
        with psycopg.connect(**cluster.target("postgres").parameters(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET listen_addresses = '127.0.0.1'")
            connection.execute(f"ALTER SYSTEM SET port = {port}")
            connection.execute("CREATE DATABASE shop")
            connection.execute("SET password_encryption = 'scram-sha-256'")
            role = sql.SQL("CREATE ROLE shop LOGIN CREATEDB PASSWORD {}").format(password)
            connection.execute(role)
            connection.execute("ALTER DATABASE shop OWNER TO shop")
        (cluster.data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
        cluster.stop()
        cluster.process.spawn()
        target = Target("shop", user="shop", password=password, host="127.0.0.1", port=port)
        connect(target, wait=20).close()
        yield target


@contextmanager
def running_standby(cluster: Cluster, data: Path) -> Iterator[Target]:
    """Run a second server on a copy of a cluster's data, beside the cluster, until the context ends."""
    port = free_port()
    command = [str(cluster.bindir / "postgres"), "-D", str(data), "-p", str(port)]
    process: subprocess.Popen[bytes] = subprocess.Popen(
        command,
        cwd="/",
        env=program_environment(),
        stderr=subprocess.DEVNULL,
        **cluster.account.popen_options,  # type: ignore[call-overload]
    )
    try:
        target = Target("postgres", user="postgres", host=str(cluster.socket_directory), port=port)
        connect(target, wait=30).close()
        yield target
    finally:
        process.terminate()
        process.wait()
