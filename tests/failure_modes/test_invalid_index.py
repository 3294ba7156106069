"""IF NOT EXISTS hides an index that is invalid."""

from support.failure_modes import BLOCK, TABLE, one_line
from support.pair import Pair


def test_02_if_not_exists_hides_an_invalid_index(pair: Pair) -> None:
    create = "op.execute('CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS ux ON t (name)')"
    pair.write(f"{TABLE}\nop.execute(\"INSERT INTO t VALUES (1, 'twice'), (2, 'twice')\")", f"{BLOCK}{create}")
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ux'::regclass"
    assert pair.bare.alembic("upgrade", "head").returncode == 1
    assert pair.bare.alembic("upgrade", "head").returncode == 0
    assert pair.bare.query(valid) == [(False,)]

    for again in (False, True):
        typed = pair.gated.alembic("upgrade", "head")
        assert typed.returncode == 6
        assert "public.ux" in one_line(typed.stderr)
        assert ("rev2 is applied, but" in typed.stderr) == again
        assert "DROP INDEX CONCURRENTLY IF EXISTS public.ux" in typed.stderr
    pair.gated.query("DELETE FROM t WHERE id = 2")
    pair.gated.query("DROP INDEX CONCURRENTLY IF EXISTS ux")
    assert pair.gated.alembic("downgrade", "-1").returncode == 0
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    assert pair.gated.query(valid) == [(True,)]
