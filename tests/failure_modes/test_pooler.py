"""A pooler between the gate and the server."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from dbkit.postgres.cluster import Cluster
from support.failure_modes import (
    CONNECT,
    LOCK_IN_ENV,
    TABLE,
    one_line,
)
from support.pair import Pair, url_of
from support.running import until
from support.servers import free_port

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")


@contextmanager
def pgbouncer(cluster: Cluster, directory: Path, *settings: str) -> Iterator[int]:
    """PgBouncer in transaction mode before a cluster, on a port of its own."""
    assert PGBOUNCER
    port = free_port()
    directory.mkdir()
    target = cluster.target()
    (directory / "users.txt").write_text('"postgres" ""\n')
    (directory / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={target.host}\n[pgbouncer]\npool_mode = transaction\nauth_type = trust\n"
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
    process = subprocess.Popen([PGBOUNCER, *user, directory / "pgbouncer.ini"], stderr=subprocess.PIPE, text=True)
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


@pytest.mark.skipif(not PGBOUNCER, reason="PgBouncer is not installed")
def test_11_a_pooler_keeps_the_lock(pair: Pair, server: Cluster, tmp_path: Path) -> None:
    pair.write(TABLE)
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    env_py = pair.bare.env_py.read_text().replace(CONNECT, f"{LOCK_IN_ENV}        connection.commit()\n")
    pair.bare.env_py.write_text(env_py)
    for number, settings in enumerate(([], ["ignore_startup_parameters = options"])):
        with pgbouncer(server, tmp_path / f"pool{number}", *settings) as port:
            ini = pair.bare.root / "alembic.ini"
            url = f"sqlalchemy.url = postgresql+psycopg://postgres@127.0.0.1:{port}/{pair.bare.target.dbname}"
            lines = (url if "sqlalchemy.url" in line else line for line in ini.read_text().splitlines())
            ini.write_text("\n".join(lines))
            assert pair.bare.alembic("upgrade", "head").returncode == 0
            assert pair.bare.query(locks) == [(1,)]  # the process has ended, and its lock is still held
            pooled = {"DATABASE_URL": f"postgresql://postgres@127.0.0.1:{port}/{pair.gated.target.dbname}"}
            typed = pair.gated.alembic("upgrade", "head", env=pooled)
            assert typed.returncode == 2
            assert "is a pooler" in one_line(typed.stderr)
            assert pair.gated.driver or "MIGRATION_DATABASE_URL" in typed.stderr
            assert pair.gated.query(locks) == [(0,)]
            variable = "DATABASE_URL" if pair.gated.driver else "MIGRATION_DATABASE_URL"
            direct = pooled | {variable: url_of(pair.gated.target)}
            assert pair.gated.alembic("upgrade", "head", env=direct).returncode == 0
