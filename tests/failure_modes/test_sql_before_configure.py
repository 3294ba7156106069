"""SQL before context.configure() makes an upgrade a no-op."""

from support.failure_modes import CONNECT, LOCK_IN_ENV, TABLE
from support.pair import Pair


def test_01_sql_before_configure_makes_the_upgrade_a_no_op(pair: Pair) -> None:
    pair.write(TABLE)
    pair.bare.env_py.write_text(pair.bare.env_py.read_text().replace(CONNECT, LOCK_IN_ENV))
    typed = pair.bare.alembic("upgrade", "head")
    assert (typed.returncode, "Running upgrade" in typed.stderr) == (0, True)
    assert pair.bare.query("SELECT to_regclass('t'), to_regclass('alembic_version')") == [(None, None)]

    assert pair.gated.alembic("upgrade", "head").returncode == 0
    assert pair.gated.query("SELECT to_regclass('t')::text") == [("t",)]
    assert pair.gated.heads() == ["rev1"]
