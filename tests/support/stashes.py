"""Rollbacks that are typed, and the stashes that they leave."""

from pathlib import Path

import psycopg

from dbkit.postgres.row_hash import hash_columns
from support.pair import Project

KEYED = "op.execute('CREATE TABLE item (id int PRIMARY KEY, name text)')"


def execute(*statements: str) -> str:
    return "\n".join(f"op.execute({statement!r})" for statement in statements)


def typed(project: Project, *arguments: str, code: int = 0, **env: str) -> str:
    """Run a verb, which must end with this code; returns what it printed on both streams."""
    ran = project.dbkit(*arguments, env=env)
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def stashes(project: Project) -> list[Path]:
    return sorted(path for path in (project.root / ".dbkit/stash").glob("*") if path.is_dir())


def prints(project: Project) -> dict[str, object]:
    """The fingerprint of each table of the database, its columns in the order of their names."""
    found: dict[str, object] = {}
    with psycopg.connect(**project.target.parameters()) as connection:
        for (table,) in connection.execute(
            "SELECT format('%I.%I', n.nspname, relname) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace"
            " WHERE relkind IN ('r', 'p') AND NOT relispartition AND nspname !~ '^(pg_|information_schema)'"
            " AND relname NOT IN ('alembic_version', 'dbkit_journal')"
        ).fetchall():
            columns = connection.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
                " ORDER BY attname",
                [table],
            ).fetchall()
            found[table] = hash_columns(connection, table, [name for (name,) in columns])
    return found
