"""What `--sql` says of a migration that fails: that it reads rows into Python only where it does."""

from pathlib import Path

import pytest

from support.pair import Pair
from support.running import others_slow

READS = [
    "op.get_bind().execute(sa.text('SELECT 1')).scalar()",
    "for row in op.get_bind().execute(sa.text('SELECT 1')):\n    pass",
    "op.execute('SELECT 1').fetchall()",
    "rows = op.get_bind().exec_driver_sql('SELECT 1')\nfirst, = rows",
    "count = int(op.get_bind().execute(sa.text('SELECT 1')))",
    "op.get_bind().scalar(sa.text('SELECT 1'))",
    "sa.inspect(op.get_bind()).get_table_names()",
    "from sqlalchemy.orm import Session\nwith Session(op.get_bind()) as session:\n    session.scalars(sa.text('SELECT 1'))",
    "with op.get_bind().begin_nested():\n    pass",
]
OTHERS = [
    "raise ValueError('on purpose')",
    "import re\nre.match('a', 'b').group()",
    "for each in None:\n    op.execute('SELECT 1')",
    "op.no_such_operation()",
    "op.execute(sa.text('SELECT :a').bindparams(a=object()))",
    "op.drop_column('t')",
    "raise NotImplementedError",
]


@pytest.mark.parametrize("body", others_slow(1, READS))
def test_a_migration_that_reads_rows_is_told_how_to_be_a_script(pair: Pair, body: str) -> None:
    pair.write(body)
    typed = pair.gated.alembic("upgrade", "base:head", "--sql")
    assert typed.returncode == 1
    assert "Nothing was run. A migration that reads rows into Python cannot be written as a script" in typed.stderr


@pytest.mark.parametrize("body", others_slow(1, OTHERS))
def test_another_failure_is_not_taken_for_that(pair: Pair, body: str) -> None:
    pair.write(body)
    typed = pair.gated.alembic("upgrade", "base:head", "--sql")
    assert typed.returncode == 1
    assert Path(typed.stderr.partition(", at ")[2].partition(":")[0]).suffix == ".py"
    assert "reads rows into Python" not in typed.stderr
    assert "Nothing was run." in typed.stderr
