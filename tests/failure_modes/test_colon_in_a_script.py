"""A colon in SQL becomes a parameter in a script."""

from support.failure_modes import TABLE, one_line
from support.pair import Pair


def test_05_a_colon_becomes_null_in_a_script(pair: Pair) -> None:
    pair.write(TABLE, "op.execute('''INSERT INTO t VALUES (1, '{\"a\":true}')''')")
    script = pair.bare.alembic("upgrade", "head", "--sql")
    assert (script.returncode, '"a"NULL' in script.stdout) == (0, True)
    script = pair.gated.alembic("upgrade", "head", "--sql")
    assert (script.returncode, "a bare :true" in one_line(script.stderr)) == (2, True)
