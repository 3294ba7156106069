"""A lock that is waited for, and an index built concurrently."""

from support.failure_modes import BLOCK, CONNECT, LOCK_IN_ENV, TABLE, together
from support.pair import Pair


def test_10_a_blocking_lock_and_an_index_built_concurrently(pair: Pair) -> None:
    """A waiter in pg_advisory_lock() has a snapshot, which the build in the holder waits for."""
    pair.write(TABLE)
    for project in (pair.bare, pair.gated):
        assert project.alembic("upgrade", "head").returncode == 0
    block = f"op.execute('SELECT pg_sleep(1)')\n{BLOCK}op.execute('CREATE INDEX CONCURRENTLY ix ON t (name)')"
    pair.write(block)
    env_py = pair.bare.env_py.read_text().replace(CONNECT, f"{LOCK_IN_ENV}        connection.commit()\n")
    pair.bare.env_py.write_text(env_py)
    assert any(result.returncode for result in together(pair.bare, 2))
    assert [result.returncode for result in together(pair.gated, 2)] == [0, 0]
    assert pair.gated.query("SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix'::regclass") == [(True,)]
