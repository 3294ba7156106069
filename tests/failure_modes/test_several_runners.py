"""Several processes upgrade the same database at once."""

import pytest

from support.failure_modes import BLOCK, TABLE, together
from support.pair import Pair

# a transactional one, one with rows, and one outside of a transaction, which nothing but the lock keeps to once
EIGHT = (
    "op.execute('CREATE TABLE IF NOT EXISTS counted (what text)')",
    "op.execute(\"INSERT INTO counted SELECT 'data' FROM pg_sleep(0.2)\")",
    f"{BLOCK}op.execute(\"INSERT INTO counted SELECT 'autocommit' FROM pg_sleep(0.3)\")",
    "op.execute('ALTER TABLE counted ADD more int')",
)


@pytest.mark.slow
def test_03_eight_runners(pair: Pair) -> None:
    # the first revision takes long enough for all of them to have begun
    pair.write(f"op.execute('SELECT pg_sleep(2)')\n{EIGHT[0]}", *EIGHT[1:])
    results = together(pair.bare, 8)
    assert any(result.returncode for result in results)

    results = together(pair.gated, 8)
    assert [result.returncode for result in results] == [0] * 8, [result.stderr for result in results]
    assert pair.gated.query("SELECT what, count(*) FROM counted GROUP BY 1 ORDER BY 1") == [
        ("autocommit", 1),
        ("data", 1),
    ]
    assert pair.gated.journal() == [("upgrade", f"rev{number}") for number in range(1, 5)]


@pytest.mark.slow
def test_03_an_autocommit_block_runs_once_for_each_runner(pair: Pair) -> None:
    pair.write(TABLE)
    for project in (pair.bare, pair.gated):
        assert project.alembic("upgrade", "head").returncode == 0
        project.query("CREATE TABLE counted (what text)")
    pair.write(EIGHT[2].replace("0.3", "3"))  # so long that all of them have begun
    together(pair.bare, 4)
    [(count,)] = pair.bare.query("SELECT count(*) FROM counted")
    assert isinstance(count, int)
    assert count > 1
    assert [result.returncode for result in together(pair.gated, 4)] == [0] * 4
    assert pair.gated.query("SELECT count(*) FROM counted") == [(1,)]


@pytest.mark.slow
def test_03_eight_runners_twenty_rounds(pair: Pair) -> None:
    pair.write(*EIGHT)
    for _ in range(20):
        for pending in (False, True):
            pair.gated.query("DROP SCHEMA public CASCADE")
            pair.gated.query("CREATE SCHEMA public")
            if pending:
                assert pair.gated.alembic("upgrade", "rev1").returncode == 0
            results = together(pair.gated, 8)
            assert [result.returncode for result in results] == [0] * 8, [result.stderr for result in results]
            counted = pair.gated.query("SELECT what, count(*) FROM counted GROUP BY 1 ORDER BY 1")
            assert counted == [("autocommit", 1), ("data", 1)]
            assert pair.gated.journal() == [("upgrade", f"rev{number}") for number in range(1, 5)]
