"""A step that cannot be undone was interrupted."""

import re

import psycopg
import pytest

from support.failure_modes import (
    BLOCK,
    INSERT,
    NO_KEY,
    SLEEP,
    SLEEPING,
    TABLE,
    one_line,
)
from support.pair import Pair
from support.running import until

HALF = f"op.execute('ALTER TABLE t ADD x int')\n{BLOCK}op.execute('CREATE INDEX CONCURRENTLY ix ON t (name)')"


@pytest.mark.slow
def test_killed_in_an_index_after_another_statement(pair: Pair) -> None:
    """Half of the revision is committed. Bare Alembic then says for ever that the column exists."""
    pair.write(TABLE)
    for project in (pair.bare, pair.gated):
        assert project.alembic("upgrade", "head").returncode == 0
    pair.write(HALF)
    for project in (pair.bare, pair.gated):
        with psycopg.connect(**project.target.parameters()) as reader:
            reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            reader.execute("SELECT 1")  # an old snapshot, which only the index waits for
            process = project.start("upgrade", "head")
            until(lambda project=project: project.query("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(1,)])  # type: ignore[misc]
            process.kill()
            process.communicate()
            until(
                lambda project=project: (
                    project.query("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(0,)] or not project.gated
                )
            )  # type: ignore[misc]
    for _ in range(2):
        assert "DuplicateColumn" in pair.bare.alembic("upgrade", "head").stderr
        typed = pair.gated.alembic("upgrade", "head")
        assert typed.returncode == 6
        assert "the upgrade of rev2 of " in one_line(typed.stderr)
        assert "was interrupted, and a part of it was committed: not safe to run again." in typed.stderr
        assert pair.gated.suggestion("resolve", "rev2") in typed.stderr
    assert "not finished, a part was committed" in pair.gated.dbkit("log").stdout
    status = pair.gated.dbkit("status")
    assert (status.returncode, "half done rev2" in status.stdout) == (6, True)
    pair.gated.query("DROP INDEX CONCURRENTLY ix")
    pair.gated.query("ALTER TABLE t DROP x")
    assert pair.gated.dbkit("resolve", "rev2").returncode == 0
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    assert pair.gated.heads() == ["rev2"]
    assert pair.gated.dbkit("resolve", "rev2").returncode == 2
    found = pair.gated.dbkit("check").stderr
    assert re.search(r"rev2\.py:\d+: autocommit-block-shared: ", found)


def test_a_stamp_settles_what_was_finished_by_hand(pair: Pair) -> None:
    pair.write(TABLE)
    pair.gated.alembic("upgrade", "head")
    pair.write(f"{HALF}\nraise ValueError('on purpose')")
    typed = pair.gated.alembic("upgrade", "head")
    assert typed.returncode == 6
    assert "ValueError: on purpose; the database is at rev1, but a part of it was committed" in typed.stderr
    assert pair.gated.alembic("upgrade", "head").returncode == 6
    assert pair.gated.alembic("stamp", "rev2").returncode == 0
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    assert pair.gated.journal()[-1] == ("stamp", "rev2")


def test_a_block_that_can_be_run_again_needs_nobody(pair: Pair) -> None:
    pair.write(TABLE)
    pair.gated.alembic("upgrade", "head")
    again = (
        "op.execute('DROP INDEX CONCURRENTLY IF EXISTS ix')\n    op.execute('CREATE INDEX CONCURRENTLY ix ON t (name)')"
    )
    pair.write(f"{BLOCK}{again}")
    with psycopg.connect(**pair.gated.target.parameters()) as writer:
        writer.execute("INSERT INTO t VALUES (1, 'x')")
        process = pair.gated.start("upgrade", "head")
        until(lambda: pair.gated.query("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(1,)])
        process.kill()
        process.communicate()
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    pair.write(
        f"# dbkit: rerunnable, it sets what is not set\n{BLOCK}op.execute(\"UPDATE t SET name = 'y'\")\nraise ValueError"
    )
    text = (pair.gated.versions / "rev3.py").read_text()
    marked = text.replace("    # dbkit: rerunnable", "# dbkit: rerunnable")
    (pair.gated.versions / "rev3.py").write_text(marked)
    typed = pair.gated.alembic("upgrade", "head")
    assert typed.returncode == 1
    assert (
        "what it has committed can be done again, the database is at rev2, and it is safe to run again" in typed.stderr
    )
    (pair.gated.versions / "rev3.py").write_text(marked.replace("raise ValueError", "pass"))
    assert pair.gated.alembic("upgrade", "head").returncode == 0


@pytest.mark.slow
def test_a_half_done_downgrade_is_found_where_nothing_is_pending(pair: Pair) -> None:
    gated = pair.gated
    pair.write(NO_KEY, ("pass", f"{BLOCK}{INSERT}\n    {SLEEP}"))
    assert gated.alembic("upgrade", "head").returncode == 0
    process = gated.start("downgrade", "-1")
    until(lambda: gated.query(SLEEPING) == [(1,)])
    status = gated.dbkit("status")
    assert (status.returncode, "half done" in status.stdout) == (0, False)  # it is running
    assert gated.dbkit("resolve", "rev2", env={"MIGRATION_WAIT": "0"}).returncode == 5
    process.kill()
    process.communicate()
    if int(str(gated.query("SHOW server_version_num")[0][0])) < 140000:  # it does not notice that its client is gone
        others = "query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"
        gated.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
    now = {"MIGRATION_WAIT": "5s"}
    assert gated.alembic("upgrade", "head", env=now).returncode == 6
    assert gated.dbkit("migrate", env=now).returncode == 6
    assert gated.dbkit("wait", "--at-head", env={"MIGRATION_WAIT": "1s"}).returncode == 6
    (gated.versions / "rev2.py").rename(gated.versions / "rev2.txt")
    pair.add("rev2b", "rev1")
    assert gated.dbkit("resolve", "rev2", env=now).returncode == 0  # also where its file is gone
