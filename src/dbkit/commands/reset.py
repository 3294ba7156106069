"""`dbkit reset`: drop and rebuild the development database."""

import hashlib
from dataclasses import replace
from pathlib import Path

import psycopg
from psycopg import sql

from dbkit import gate, project
from dbkit.commands.alembic_upgrade import upgrade
from dbkit.errors import CheckFailed, Refused, database_error
from dbkit.gate import protection
from dbkit.postgres import error_causes
from dbkit.postgres.binaries import program_major
from dbkit.postgres.cluster import Cluster, development_cluster
from dbkit.postgres.connect import connect, current_revisions
from dbkit.postgres.locks import migration_lock
from dbkit.settings import Settings, Target

MAINTENANCE_DATABASE = "postgres"
SERVER_DATABASES = ("postgres", "template0", "template1")
FOREIGN_TABLES = """
SELECT format('%I.%I of %I', n.nspname, c.relname, pg_get_userbyid(c.relowner))
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT pg_has_role(c.relowner, 'MEMBER')
ORDER BY 1 LIMIT 1"""
BY_HAND = "Drop it by hand, if you mean it."


def reset(settings: Settings, ini: Path) -> None:
    """Replace the database by an empty one and migrate it.

    Raises Refused on a protected database, and, with CONFIRM too, on one whose tables no migration has created.
    """
    project.load_project(settings).require_gate()  # before anything is dropped
    if settings.target is None:
        _set_aside_other_major(development_cluster(settings))
    target = gate.resolve_target(settings)
    # the migration lock: not while a migration runs
    with (
        connect(target, settings.wait) as connection,
        migration_lock(connection, target, settings.wait),
    ):
        _require_own(connection, target)
        mark, heads = protection.read_mark(connection), current_revisions(connection)
        if not heads and mark is None and protection.has_tables(connection):
            raise _refuse_drop(target, "it has tables, and no migration has created them.", BY_HAND)
    protection.require_expendable(settings, target, "drop and rebuild", mark, has_history=bool(heads))
    print(f'dropping "{target.dbname}" on {target.server()}, with all its data')
    _replace_database(target, settings.wait)
    upgrade(settings, ini, "head")


def _require_own(connection: psycopg.Connection, target: Target) -> None:
    """Raise Refused for a database of the server itself, or with tables of another role."""
    if target.dbname in SERVER_DATABASES:
        raise _refuse_drop(target, "it is the server's own.", "Name a database of the project in .env.")
    others = connection.execute(FOREIGN_TABLES).fetchone()
    if others:
        raise _refuse_drop(target, f"it has a table of another role, {others[0]}.", BY_HAND)


def _refuse_drop(target: Target, why: str, hint: str) -> Refused:
    return Refused(f'refusing to drop "{target.dbname}" on {target.server()}: {why}', hint)


def _replace_database(target: Target, wait: float) -> None:
    """Drop the database and create it again: the new one first, so that nothing is dropped without CREATEDB."""
    old = sql.Identifier(target.dbname)
    # of a fixed length: PostgreSQL truncates a name at 63 bytes, which could make it equal to the old one
    new = sql.Identifier(f"dbkit_reset_{hashlib.sha256(target.dbname.encode()).hexdigest()[:16]}")
    with (
        connect(replace(target, dbname=MAINTENANCE_DATABASE), wait, autocommit=True) as connection,
        migration_lock(connection, target, wait),
    ):
        try:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(new))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(new))
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(old))
            connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(new, old))
        except psycopg.Error as error:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(new))
            raise database_error(
                error,
                f'cannot drop and create "{target.dbname}" as {target.user}: {error.diag.message_primary}.',
                error_causes.hint_for(connection, error, target.dbname)
                or "The user needs CREATEDB and must own the database.",
            ) from error


def _set_aside_other_major(cluster: Cluster) -> None:
    """Rename a cluster of another major version, which the installed server cannot run."""
    if not cluster.exists():
        return
    major = cluster.major()
    if major == str(program_major(cluster.bindir / "postgres")):
        return
    backup = cluster.directory.with_name(f"{cluster.directory.name}-{major}")
    if backup.exists():
        raise CheckFailed(f"{backup} exists already.", "Remove it if you do not need it, then try again.")
    cluster.directory.rename(backup)
    print(f"kept the cluster of PostgreSQL {major} as {backup}")
