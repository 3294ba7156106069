"""A signal to the bare alembic."""

import signal

import pytest

from support.failure_modes import SLEEP, SLEEPING, TABLE, one_line, terminate
from support.pair import Pair
from support.running import foreground, others_slow, until


@pytest.mark.spread(2)
@pytest.mark.parametrize(("number", "code"), others_slow(1, [(signal.SIGINT, 130), (signal.SIGTERM, 143)]))
def test_a_signal_to_bare_alembic(pair: Pair, number: int, code: int) -> None:
    pair.write(TABLE, SLEEP)
    process = pair.gated.start("upgrade", "head", preexec_fn=foreground)
    until(lambda: pair.gated.query(SLEEPING) == [(1,)])
    process.send_signal(number)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == code
    assert "interrupted in the upgrade of rev2, at rev2.py:11; nothing of it was kept" in one_line(errors)
    until(lambda: pair.gated.query(SLEEPING) == [(0,)])
    # and as it is without the gate: the statement goes on when its client is gone
    process = pair.bare.start("upgrade", "head")
    until(lambda: pair.bare.query(SLEEPING) == [(1,)])
    process.terminate()
    process.communicate(timeout=180)
    assert pair.bare.query(SLEEPING) == [(1,)]
    terminate(pair.bare, process)
