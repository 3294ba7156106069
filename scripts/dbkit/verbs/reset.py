"""`dbkit reset`: drop and rebuild the development database."""

import hashlib
from dataclasses import replace
from pathlib import Path

import psycopg
from psycopg import sql

from dbkit import gate
from dbkit.connect import connect
from dbkit.errors import CheckFailed
from dbkit.lock import LOCK_KEY
from dbkit.server.binaries import program_major
from dbkit.server.cluster import Cluster, development_cluster
from dbkit.settings import Settings, Target
from dbkit.verbs.upgrade import upgrade

MAINTENANCE = "postgres"


def reset(settings: Settings, ini: Path) -> None:
    """Replace the database by an empty one and migrate it. Raises Refused on a protected database."""
    if settings.target is None:
        _set_aside_other_major(development_cluster(settings))
    target = gate.target_of(settings)
    gate.refuse_unless_expendable(settings, target, "drop and rebuild")
    print(f'dropping "{target.dbname}" on {target.server()}, with all its data')
    _replace(target, settings.wait)
    upgrade(settings, ini, "head")


def _replace(target: Target, wait: float) -> None:
    """Make the new database first: who may not create one must not drop one."""
    old = sql.Identifier(target.dbname)
    # of a fixed length: PostgreSQL cuts a name at 63 bytes, and it must not become the old one's
    new = sql.Identifier(f"dbkit_reset_{hashlib.sha256(target.dbname.encode()).hexdigest()[:16]}")
    with connect(replace(target, dbname=MAINTENANCE), wait, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY])  # one reset at a time
        try:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(new))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(new))
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(old))
            connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(new, old))
        except psycopg.Error as error:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(new))
            raise CheckFailed(
                f'cannot drop and create "{target.dbname}" as {target.user}: {error.diag.message_primary}.',
                "The user needs CREATEDB and must own the database.",
            ) from error


def _set_aside_other_major(cluster: Cluster) -> None:
    """Keep a cluster that these programs cannot run under its version's name, so that a new one can be made."""
    if not cluster.exists():
        return
    major = (cluster.data / "PG_VERSION").read_text().strip()
    if major == str(program_major(cluster.bindir / "postgres")):
        return
    kept = cluster.directory.with_name(f"{cluster.directory.name}-{major}")
    if kept.exists():
        raise CheckFailed(f"{kept} exists already.", "Remove it if you do not need it, then try again.")
    cluster.directory.rename(kept)
    print(f"kept the cluster of PostgreSQL {major} as {kept}")
