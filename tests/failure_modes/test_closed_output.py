"""Nobody reads what is printed."""

import subprocess
from pathlib import Path

from support.failure_modes import TABLE
from support.pair import Pair


def test_nobody_listens(pair: Pair) -> None:
    pair.write(
        TABLE, "op.execute('ALTER TABLE t ADD x int')\nop.get_bind().commit()", "op.execute('CREATE TABLE u ()')"
    )
    with Path("/dev/full").open("w") as full:
        subprocess.run(
            pair.gated.command("upgrade", "head"),
            cwd=pair.gated.root,
            env=pair.gated.variables(),
            stderr=full,
            check=False,
        )
    assert pair.gated.heads() == ["rev3"]
