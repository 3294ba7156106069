"""A downgrade that leaves something behind."""

import re

import pytest

from support.pair import Pair
from support.running import others_slow


@pytest.mark.parametrize(
    ("upgrade", "downgrade"),
    others_slow(
        1,
        [
            (
                "op.execute(\"CREATE TYPE mood AS ENUM ('a')\")\nop.execute('CREATE TABLE m (m mood)')",
                "op.execute('DROP TABLE m')",
            ),
            ("op.execute('CREATE TABLE m (id int)')", "pass"),
        ],
    ),
)
def test_a_downgrade_that_leaves_something(pair: Pair, upgrade: str, downgrade: str) -> None:
    pair.write((upgrade, downgrade))
    assert pair.bare.alembic("upgrade", "head").returncode == 0
    assert pair.bare.alembic("downgrade", "base").returncode == 0  # not a word
    assert pair.bare.alembic("upgrade", "head").returncode == 1  # but never again
    proof = pair.gated.dbkit("roundtrip")
    assert proof.returncode == 1, proof.stderr
    assert re.search(r"^(dirty|broken): rev1", proof.stdout, re.MULTILINE), proof.stdout
