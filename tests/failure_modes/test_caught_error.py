"""A migration catches an error of the server and goes on, in a transaction that is aborted."""

import pytest

from support.failure_modes import TABLE, one_line
from support.pair import Pair

CAUGHT = "try:\n    op.execute('ALTER TABLE missing ADD x int')\nexcept Exception:\n    pass"
AFTER = {"a statement follows": "\nop.execute('ALTER TABLE t ADD x int')", "it ends there": ""}


@pytest.mark.parametrize("after", AFTER.values(), ids=AFTER)
def test_the_error_that_was_caught_is_named(pair: Pair, after: str) -> None:
    pair.write(TABLE, CAUGHT + after)
    assert "current transaction is aborted" in pair.bare.alembic("upgrade", "head").stderr
    typed = pair.gated.alembic("upgrade", "head")
    told = one_line(typed.stderr)
    assert (typed.returncode, pair.gated.heads()) == (1, ["rev1"])
    assert 'relation "missing" does not exist (the migration caught it and went on' in told
    assert "rev2 failed, at rev2.py:" in told
    assert "nothing of it was kept" in told
