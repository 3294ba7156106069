"""A rollback keeps what it loses, and `restore` puts it back: values, rows, and nothing that is newer is touched."""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from conftest import Kit
from dbkit.rows import fingerprint
from pair import Pair, Project, gone

KEYED = "op.execute('CREATE TABLE item (id int PRIMARY KEY, name text)')"


@pytest.fixture
def project(pair: Pair) -> Project:
    return pair.gated


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
            found[table] = fingerprint(connection, table, [name for (name,) in columns])
    return found


def there_and_back(project: Project, to: str = "-1") -> tuple[str, str]:
    """Roll back, migrate, restore: all rows must be what they were. Returns what rollback and restore printed."""
    before = prints(project)
    rolled = typed(project, "rollback", "--to", to)
    migrated = typed(project, "migrate")
    restored = typed(project, "restore")
    assert prints(project) == before, rolled + migrated + restored
    return rolled, restored


def test_a_column_comes_back_value_for_value(pair: Pair, project: Project) -> None:
    pair.write(KEYED, (execute("ALTER TABLE item ADD note text"), execute("ALTER TABLE item DROP note")))
    typed(project, "migrate")
    project.query("INSERT INTO item SELECT i, 'n' || i, CASE WHEN i % 2 = 0 THEN 'x' || i END FROM generate_series(1, 500) i")
    rolled, restored = there_and_back(project)
    assert "A rollback to -1 loses, as of now:\n  column item.note: 250 values\n" in rolled
    assert "kept 500 rows of item in " in rolled
    assert "`make restore` puts it back" in rolled
    assert "item (note): 500 rows matched, 250 put back, 250 already there; the same as before, by fingerprint" in restored
    assert "There is no stash" in typed(project, "restore")


def test_a_table_comes_back_with_its_sequence(pair: Pair, project: Project) -> None:
    create = "CREATE TABLE item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n serial, d int GENERATED ALWAYS AS (n * 2) STORED)"
    pair.write(("pass"), (execute(create), execute("DROP TABLE item")))
    typed(project, "migrate")
    project.query("INSERT INTO item SELECT FROM generate_series(1, 300)")
    project.query("DELETE FROM item WHERE id > 290")
    rolled, restored = there_and_back(project)
    assert "table item: 290 rows" in rolled
    assert "item: 0 rows matched, 290 put back; the same as before, by fingerprint" in restored
    assert project.query("INSERT INTO item DEFAULT VALUES RETURNING id, n, d") == [(301, 301, 602)]


def kit_prints(kit: Kit) -> dict[str, object]:
    return prints(Project(kit.path, kit.cluster.target(), gated=True))


SHOP_ORDER = [
    pytest.param("-1", id="nothing-lost"),
    pytest.param("-2", id="prices"),
    pytest.param("13a5eed6ba55", id="merge"),
    pytest.param("cd1d761afae9", id="first"),
    pytest.param("base", id="base"),
]


@pytest.mark.parametrize("to", SHOP_ORDER)
def test_the_seeded_shop_comes_back(kit: Kit, to: str) -> None:
    shutil.rmtree(kit.path / ".dbkit/stash", ignore_errors=True)
    assert kit.make("seed").returncode == 0
    before = kit_prints(kit)
    rolled = kit.make("rollback", f"to={to}")
    print(rolled.stdout, rolled.stderr)
    assert rolled.returncode == 0, rolled.stderr
    migrated = kit.make("migrate")
    assert migrated.returncode == 0, migrated.stderr
    print(migrated.stdout, kit.make("status").stdout)
    restored = kit.make("restore")
    print(restored.stdout, restored.stderr)
    assert restored.returncode == 0, restored.stderr
    assert kit_prints(kit) == before
