"""SQL before context.configure() makes an upgrade a no-op."""

from support.failure_modes import CONNECT, LOCK_IN_ENV, TABLE, one_line
from support.foreign_shapes import swap
from support.pair import Pair

STATEMENT = '    connection.exec_driver_sql("SELECT pg_advisory_lock(42)")\n'


def test_01_sql_before_configure_makes_the_upgrade_a_no_op(pair: Pair) -> None:
    pair.write(TABLE)
    pair.bare.env_py.write_text(pair.bare.env_py.read_text().replace(CONNECT, LOCK_IN_ENV))
    typed = pair.bare.alembic("upgrade", "head")
    assert (typed.returncode, "Running upgrade" in typed.stderr) == (0, True)
    assert pair.bare.query("SELECT to_regclass('t'), to_regclass('alembic_version')") == [(None, None)]

    if pair.gated.driver:
        env_py = pair.gated.env_py.read_text().replace(CONNECT, LOCK_IN_ENV)
        configure = "    context.configure(connection=connection"
        pair.gated.env_py.write_text(
            swap(env_py, (configure, f"{STATEMENT}{configure}")) if "asyncio" in env_py else env_py
        )
        # the transaction is env.py's, which rolls it back: that is no success
        typed = pair.gated.alembic("upgrade", "head")
        assert typed.returncode == 1, typed.stderr
        assert "something has rolled back what was applied" in one_line(typed.stderr)
        assert pair.gated.query("SELECT to_regclass('t'), to_regclass('alembic_version')") == [(None, None)]
        return
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    assert pair.gated.query("SELECT to_regclass('t')::text") == [("t",)]
    assert pair.gated.heads() == ["rev1"]
