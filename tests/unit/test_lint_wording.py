"""What is found is told once, with code that can be pasted and numbers that agree with their nouns."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from dbkit.backfill.report import ProgressReport
from dbkit.findings.finding import Level, LintFinding
from dbkit.lint import estimate
from dbkit.lint.source_rules import unbound_parameters
from dbkit.lint.table_sizes import TableSize
from dbkit.lint.timing import MeasuredTable, Rates
from dbkit.wording import counted
from support.alembic_templates import plain
from support.lint_runs import findings

TABLES = "CREATE TABLE t (id int PRIMARY KEY, note text)"
BLOCK = "with op.get_context().autocommit_block():\n        "
ONCE = {
    "unbound-parameter": "op.execute(\n        '''INSERT INTO t (id, note)\n        VALUES (:one, '{\"a\":1, \"b\":2}')'''\n    )",
    "commit-by-hand": "(\n        op.get_bind()\n        .exec_driver_sql(\n            'COMMIT'\n        )\n    )",
    "autocommit-block-shared": f"op.execute('ALTER TABLE t ADD x int')\n    {BLOCK}op.execute('SET statement_timeout = 0')\n"
    "        op.execute('CREATE INDEX CONCURRENTLY ix ON t (note)')\n        op.execute('CREATE INDEX CONCURRENTLY iy ON t (x)')",
}


@pytest.mark.spread(3)
@pytest.mark.parametrize("name", ONCE)
def test_one_statement_is_told_once(
    init: Callable[..., Path],
    lint: Callable[..., tuple[int, str]],
    name: str,
) -> None:
    revisions = [("aaaa", None, TABLES, "DROP TABLE t"), ("bbbb", "aaaa", f"python:{ONCE[name]}", "SELECT 1")]
    (found,) = findings(lint(init(online=plain(), revisions=revisions), "--format", "json")[1], name)
    assert found["revision"] == "bbbb"
    if name == "unbound-parameter":
        assert found["message"].startswith(":one, :1, :2 are taken for parameters, and have no value")


@pytest.mark.parametrize("names", [["1"], ["1", "note"], ["class"], ["note"], ["a", "b"]])
def test_the_code_for_a_parameter_can_be_pasted(names: list[str]) -> None:
    violation = unbound_parameters(names)
    ast.parse(violation.fix.replace("=…", "=0"))
    assert ("bindparams" in violation.fix) == any(name in ("note", "a") for name in names)
    assert ("are" in violation.message.split()) == (len(names) > 1)


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 batches"), (1, "1 batch"), (2, "2 batches"), (1000, "1,000 batches")]
)
def test_a_noun_agrees_with_its_number(number: int, words: str) -> None:
    assert counted(number, "batch", "batches") == words


def test_a_backfill_of_one_row_has_one_batch(capsys: pytest.CaptureFixture[str]) -> None:
    report = ProgressReport("t", 1)
    report.add_batch(1, 0.01)
    report.finish()
    told = capsys.readouterr().err
    assert "t: 1 row in " in told
    assert told.endswith(" s, 1 batch\n")
    report.add_batch(1, 0.01)
    report.finish()
    assert "2 batches, the longest 10 ms" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "words"), [(20_000, "20,000 rows, less than 1 s at"), (40_000_000, "40 million rows, about 40 s at")]
)
def test_a_time_is_about_so_long_or_less(rows: int, words: str) -> None:
    measured = [MeasuredTable(TableSize(1_000_000, size, 1, 0, 0.0), {"scan": 1.0}) for size in (1, 2)]
    advice = LintFinding("scan-under-lock", Level.DANGER, "a", Path("a"), 1, "t is read", tables=("t",))
    told = estimate.apply_sizes(advice, {"t": TableSize(rows, rows, 1, 0, 1.2)}, Rates(*measured)).message
    assert words in told
    assert told.endswith("with 1 write per second")


WRITTEN_FOR_EACH_ROW = ["GENERATED ALWAYS AS (length(note)) STORED", "GENERATED ALWAYS AS IDENTITY", "DEFAULT random()"]


@pytest.mark.parametrize("column", WRITTEN_FOR_EACH_ROW)
def test_only_a_default_can_be_filled_in_batches(
    init: Callable[..., Path], lint: Callable[..., tuple[int, str]], column: str
) -> None:
    change = f"ALTER TABLE t ADD COLUMN x {'float' if 'random' in column else 'int'} {column}"
    revisions = [("aaaa", None, TABLES, "DROP TABLE t"), ("bbbb", "aaaa", change, "ALTER TABLE t DROP COLUMN x")]
    (found,) = findings(lint(init(online=plain(), revisions=revisions), "--format", "json")[1], "volatile-default")
    assert ("backfill(" in found["instead"]) == ("STORED" not in column)
    assert "GENERATED" not in found["instead"]
