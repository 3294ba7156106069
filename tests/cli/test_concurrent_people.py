"""Two terminals at once: what each is told is true."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from dbkit.postgres.locks import lock_key
from dbkit.settings import Target
from support.kit import SHOP_HEAD, Kit
from support.running import until


def start(kit: Kit, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [kit.path / "venv/bin/python", "-m", "dbkit", *arguments],
        cwd=kit.path,
        env=dict(kit.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def migration_lock_held(kit: Kit) -> Iterator[None]:
    with psycopg.connect(**kit.cluster.target().parameters(), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [lock_key(Target("app"))])
        yield


def until_it_waits(process: "subprocess.Popen[str]") -> None:
    assert process.stderr
    until(lambda: "waiting for another migration" in process.stderr.readline())  # type: ignore[union-attr]


def change_revision(kit: Kit, revision: str) -> None:
    kit.query(f"UPDATE alembic_version SET version_num = '{revision}'")


def parent_of_head(kit: Kit) -> str:
    kit.dbkit("rollback", env={"STASH": "0"})
    return str(kit.query("SELECT version_num FROM alembic_version")[0][0])


@pytest.mark.slow
def test_the_second_migrate_says_where_the_database_is_and_what_the_other_did(kit: Kit) -> None:
    behind = parent_of_head(kit)
    with migration_lock_held(kit):
        process = start(kit, "migrate")
        until_it_waits(process)
        change_revision(kit, SHOP_HEAD)  # as the other one does
    stdout, stderr = process.communicate(timeout=180)
    assert process.returncode == 0, stderr
    assert "Meanwhile another process applied 1 migration." in stdout
    assert f"The database is at {SHOP_HEAD}: nothing to apply." in stdout
    change_revision(kit, behind)
    with migration_lock_held(kit):
        process = start(kit, "migrate", "--to", SHOP_HEAD)
        until_it_waits(process)
    stdout, stderr = process.communicate(timeout=180)
    assert "1 migration applied in" in stdout, stdout + stderr
    assert "Meanwhile" not in stdout


@pytest.mark.slow
def test_a_rollback_that_another_has_done_says_so(kit: Kit) -> None:
    behind = parent_of_head(kit)
    kit.dbkit("migrate")
    with migration_lock_held(kit):
        process = start(kit, "rollback", "--to", behind, "--stash", "0")
        until_it_waits(process)
        change_revision(kit, behind)
    stdout, stderr = process.communicate(timeout=180)
    assert process.returncode == 0, stderr
    assert f"The database is at {behind}: nothing to roll back. Another process has rolled it back" in stdout
