"""An ALTER TABLE that waits for its lock blocks everybody behind it."""

import psycopg
import pytest

from support.failure_modes import BLOCK, TABLE, line_with, one_line, upgrade_behind_a_reader
from support.pair import Pair
from support.running import until


def test_12_a_waiting_alter_blocks_every_reader(pair: Pair) -> None:
    pair.write(TABLE)
    for project in (pair.bare, pair.gated):
        assert project.alembic("upgrade", "head").returncode == 0
    pair.write("op.execute('ALTER TABLE t ADD x int')")
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass"
    for project in (pair.bare, pair.gated):
        with psycopg.connect(**project.target.parameters()) as reader:
            reader.execute("SELECT FROM t")
            process = project.start("upgrade", "head", env={"MIGRATION_LOCK_TIMEOUT": "300ms"})
            until(lambda project=project: project.query(waiting) != [(0,)])  # type: ignore[misc]
            with psycopg.connect(**project.target.parameters(), autocommit=True) as other:
                if project.gated:
                    other.execute("SELECT FROM t")  # comes through while the first reader is still at it
                    said = line_with(process, "did not get its locks within 0.3 s (try 1)")
                    assert "idle in transaction" in said
                else:
                    other.execute("SET lock_timeout = '2s'")
                    with pytest.raises(psycopg.errors.LockNotAvailable):
                        other.execute("SELECT FROM t")
        _, errors = process.communicate(timeout=180)
        assert process.returncode == 0, errors
    assert pair.gated.journal() == [("upgrade", "rev1"), ("upgrade", "rev2")]


@pytest.mark.slow
def test_a_lock_that_does_not_come_ends_within_its_budget(pair: Pair) -> None:
    pair.write(TABLE)
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    pair.write("op.execute('ALTER TABLE t ADD x int')")
    limits = {"MIGRATION_LOCK_TIMEOUT": "100ms", "MIGRATION_LOCK_BUDGET": "1s"}
    with psycopg.connect(**pair.gated.target.parameters()) as reader:
        reader.execute("SELECT FROM t")
        typed = pair.gated.alembic("upgrade", "head", env=limits)
    assert typed.returncode == 1
    assert "lock timeout; nothing of it was kept, the database is at rev1, and it is safe to run again." in typed.stderr
    assert "(try 2)" in typed.stderr
    assert "MIGRATION_LOCK_BUDGET" in typed.stderr
    assert pair.gated.alembic("upgrade", "head").returncode == 0


@pytest.mark.slow
def test_an_enum_is_created_again_after_a_retry(pair: Pair) -> None:
    """Alembic remembers which types it has created, also when that was rolled back."""
    pair.write(TABLE)
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    pair.write(
        "sa.Enum('a', name='mood').create(op.get_bind())\nop.add_column('t', sa.Column('mood', sa.Enum('a', name='mood')))"
    )
    upgrade_behind_a_reader(pair.gated, "100ms")


@pytest.mark.slow
def test_a_deadlock_is_tried_again(pair: Pair) -> None:
    pair.write(TABLE, "op.execute('CREATE TABLE u (id int)')")
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    pair.write(
        "op.execute('LOCK TABLE t')\nop.execute('SELECT pg_advisory_lock(7)')\nop.execute('LOCK TABLE u')\nop.execute('SELECT pg_advisory_unlock(7)')"
    )
    with psycopg.connect(**pair.gated.target.parameters()) as other:
        other.execute("SET deadlock_timeout = '1h'")  # the other one shall be the victim
        other.execute("SELECT pg_advisory_lock(7)")
        other.execute("LOCK TABLE u")
        process = pair.gated.start("upgrade", "head", env={"MIGRATION_LOCK_TIMEOUT": "3s"})
        until(
            lambda: (
                pair.gated.query(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 7"
                )
                == [(1,)]
            )
        )
        other.execute("SELECT pg_advisory_unlock(7)")
        other.execute("LOCK TABLE t")
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors
    assert "did not get its locks" in errors


def test_a_revision_that_left_its_transaction_is_not_tried_again(pair: Pair) -> None:
    pair.write(TABLE)
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    pair.write(f"op.execute(\"INSERT INTO t VALUES (1, 'x')\")\n{BLOCK}op.execute('ALTER TABLE t ADD x int')")
    with psycopg.connect(**pair.gated.target.parameters()) as reader:
        reader.execute("SELECT FROM t")
        typed = pair.gated.alembic("upgrade", "head", env={"MIGRATION_LOCK_TIMEOUT": "100ms"})
    assert typed.returncode == 6
    assert "a part of it was committed: not safe to run again" in one_line(typed.stderr)
    assert pair.gated.query("SELECT count(*) FROM t") == [(1,)]


@pytest.mark.slow
def test_an_index_built_concurrently_waits_longer_than_an_alter(pair: Pair) -> None:
    pair.write(TABLE)
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    pair.write(
        f"{BLOCK}op.execute('CREATE INDEX CONCURRENTLY ix ON t (name)')\n    op.execute(\"SET application_name = 'after'\")"
    )
    with psycopg.connect(**pair.gated.target.parameters()) as reader:
        reader.execute("INSERT INTO t VALUES (1, 'x')")
        process = pair.gated.start("upgrade", "head", env={"MIGRATION_LOCK_TIMEOUT": "1ms"})
        until(lambda: pair.gated.query("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(1,)])
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors
