"""`dbkit prove`: the reports of `roundtrip` and of `lint` to the letter, from one run."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.alembic_templates import plain
from support.battery import BATTERY, make_project
from support.dangers import chain_of_dangers
from support.kit import REPOSITORY
from support.lint_runs import TABLES
from support.plain import write_project

Run = Callable[..., tuple[int, str]]
TIMES = {"seconds"}
# what only rows that meet a condition, or extreme values, or assertions show, is for the round trip
MIXED = [
    ("aaaa", None, TABLES, "DROP TABLE t; DROP TABLE u"),
    ("bbbb", "aaaa", "CREATE INDEX ix ON t (note)", "DROP INDEX ix"),
    ("cccc", "bbbb", "CREATE TABLE IF NOT EXISTS left_over (x int, phone text NOT NULL)", "SELECT 1"),
    (
        "dddd",
        "cccc",
        "ALTER TABLE left_over ALTER phone DROP NOT NULL; UPDATE left_over SET phone = NULL WHERE phone = 'unknown'",
        "ALTER TABLE left_over ALTER phone SET NOT NULL",
    ),
    ("eeee", "dddd", "DELETE FROM t WHERE note = 'another'", "SELECT 1"),
    (
        "ffff",
        "eeee",
        "ALTER TABLE t ALTER COLUMN note TYPE int USING length(note)",
        "ALTER TABLE t ALTER note TYPE text",
    ),
    ("gggg", "ffff", "ALTER TABLE t ADD CONSTRAINT ck CHECK (note > 100)", "ALTER TABLE t DROP CONSTRAINT ck"),
    (
        "hhhh",
        "gggg",
        "python:with op.get_context().autocommit_block():\n        op.execute('CREATE INDEX CONCURRENTLY iy ON t (note)')",
        "DROP INDEX iy",
    ),
    ("iiii", "hhhh", "ALTER TABLE t ADD refused int NOT NULL", "ALTER TABLE t DROP refused"),
    ("jjjj", "iiii", "CREATE TYPE mood AS ENUM ('a')", "DROP TYPE mood_of_others"),
    ("kkkk", "jjjj", "SELECT 1 / 0", "SELECT 1"),
    ("llll", "kkkk", "ALTER TABLE u ADD more int", "ALTER TABLE u DROP more"),
]
ASSERTION = "SELECT id FROM t WHERE note IS NOT DISTINCT FROM note"


@pytest.fixture
def mixed(init: Callable[..., Path]) -> Path:
    """A project with findings of both kinds, one of which only an assertion shows."""
    ini = init(online=plain(), revisions=MIXED)
    samples = ini.parent / "migrations/samples"
    samples.mkdir()
    (samples / "bbbb_assert.sql").write_text(ASSERTION)
    return ini


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(each) for key, each in value.items() if key not in TIMES}
    return [without_times(each) for each in value] if isinstance(value, list) else value


def read(document: str) -> Any:
    """A report without what differs from run to run: times, and the names of scratch databases."""
    return without_times(json.loads(re.sub(r"dbkit_[0-9a-f]{8,}\w*", "…", document)))


def check_same(run: Run, ini: Path, *options: str) -> tuple[Any, Any]:
    """Check that one run finds what two find, and return that."""
    single = {verb: run(ini, "--format", "json", *options, verb=verb) for verb in ("roundtrip", "lint")}
    code, both = run(ini, "--format", "json", *options, verb="prove")
    found = read(both)
    assert found["roundtrip"] == read(single["roundtrip"][1])
    assert found["lint"] == read(single["lint"][1])
    assert code == max(each for each, _ in single.values())
    return found["roundtrip"], found["lint"]


def test_it_finds_what_the_two_verbs_find(mixed: Path, lint: Run) -> None:
    proven, linted = check_same(lint, mixed)
    assert {each["verdict"] for each in proven["revisions"]} >= {"proven", "dirty", "lossy", "broken", "fails on rows"}
    assert {each["id"] for each in linted["findings"]} >= {
        "index-without-concurrently",
        "type-change-rewrites",
        "not-traced",
    }


@pytest.mark.slow
def test_with_a_selection_a_baseline_and_empty_tables(mixed: Path, lint: Run) -> None:
    check_same(lint, mixed, "--from", "aaaa", "--to", "gggg", "--baseline", "cccc", "--rows", "0")


@pytest.mark.slow
def test_text_and_annotations_are_both_reports(mixed: Path, lint: Run) -> None:
    for name in ("text", "github"):
        options = ("--only", "bbbb", "cccc", "--format", name)
        reports = [lint(mixed, *options, verb=verb)[1] for verb in ("roundtrip", "lint", "prove")]
        first, second, both = (re.sub(r"\d+\.\d s\b", "… s", each) for each in reports)
        assert both == first + second
        assert "left_over" in first
        assert "ix is built" in second


@pytest.mark.slow
def test_the_trace_comes_first(mixed: Path, lint: Run) -> None:
    _, told = lint(mixed, "--only", "bbbb", "--trace", verb="prove")
    assert told.startswith('bbbb "bbbb"\n  upgrade\n')
    _, document = lint(mixed, "--only", "bbbb", "--trace", "--format", "json", verb="prove")
    assert [each["direction"] for each in json.loads(document)["roundtrip"]["revisions"][0]["traces"]] == [
        "upgrade",
        "downgrade",
    ]


@pytest.mark.slow
def test_its_code_is_0_only_where_both_find_nothing(mixed: Path, lint: Run) -> None:
    codes = [
        lint(mixed, "--only", each, verb=verb)[0]
        for each in ("aaaa", "cccc", "gggg")
        for verb in ("lint", "roundtrip", "prove")
    ]
    assert codes == [0, 0, 0, 0, 1, 1, 1, 0, 1]


@pytest.mark.parametrize(("name", "verb"), [("junit", "roundtrip"), ("sarif", "lint")])
def test_a_format_of_one_report_is_refused(mixed: Path, lint: Run, capsys: Any, name: str, verb: str) -> None:
    code, _ = lint(mixed, "--format", name, verb="prove")
    assert code == 2


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "3"])
@pytest.mark.parametrize("name", ["shop", "battery", "dangers"])
def test_it_finds_the_same_in_long_chains(tmp_path: Path, lint: Run, name: str, jobs: str) -> None:
    if name == "shop":
        shutil.copytree(REPOSITORY / "backend", tmp_path / "backend", ignore=shutil.ignore_patterns("__pycache__"))
        ini = shutil.copy(REPOSITORY / "alembic.ini", tmp_path)
    else:
        ini = (
            make_project(tmp_path / "battery", BATTERY)
            if name == "battery"
            else write_project(tmp_path / "dangers", chain_of_dangers())
        )
    check_same(lint, Path(ini), "--jobs", jobs)
