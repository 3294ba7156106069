"""The parts of a long chain: a revision meets the same rows, however many processes prove the chain."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dbkit.postgres.cluster import Cluster
from dbkit.reports.formats import render_roundtrip
from dbkit.roundtrip import parts
from dbkit.roundtrip.parts import find_starts, split_plan
from dbkit.roundtrip.prove import Request, prove
from dbkit.roundtrip.sample_rows import SampleRowOptions
from dbkit.roundtrip.selection import Plan
from dbkit.settings import Settings
from support.plain import ENV, Revision, write_project

ALONE = "python:with op.get_context().autocommit_block():\n        op.execute({!r})"
STEPS = [
    ("CREATE TABLE a (id serial PRIMARY KEY, x int, code text UNIQUE)", "DROP TABLE a"),
    ("ALTER TABLE a ADD COLUMN c int; UPDATE a SET c = x * 2 WHERE x > 3", "ALTER TABLE a DROP COLUMN c"),
    ("ALTER TABLE a ADD COLUMN d int NOT NULL", "ALTER TABLE a DROP COLUMN d"),
    ("ALTER TABLE a DROP COLUMN code", "ALTER TABLE a ADD COLUMN code text"),
    ("CREATE TABLE b (id serial PRIMARY KEY, a_id int REFERENCES a)", "DROP TABLE b"),
    ("ALTER TABLE a ALTER COLUMN x TYPE text USING x::text", "ALTER TABLE a ALTER COLUMN x TYPE int USING x::int"),
    (ALONE.format("CREATE INDEX CONCURRENTLY ib ON b (a_id)"), ALONE.format("DROP INDEX CONCURRENTLY ib")),
    ("INSERT INTO a (x, d) VALUES ('7', 1); DELETE FROM b WHERE a_id = 3", "DELETE FROM a WHERE x = '7'"),
    ("ALTER TABLE b ADD CONSTRAINT few CHECK (a_id < 100)", "ALTER TABLE b DROP CONSTRAINT few"),
    ("DROP TABLE b", "CREATE TABLE b (id serial PRIMARY KEY, a_id int REFERENCES a)"),
]
REVISIONS: list[Revision] = [
    (f"r{number:03}", f"r{number - 1:03}" if number else None, *step) for number, step in enumerate(STEPS)
]
OWN_ROWS = "INSERT INTO a (x, d) VALUES (1, 0), (2, 0), (3, 0), (4, 0), (5, 0)"


def without_times(value: Any) -> Any:
    """Return a report without what differs between two runs."""
    if isinstance(value, dict):
        return {name: without_times(each) for name, each in value.items() if "seconds" not in name}
    return [without_times(each) for each in value] if isinstance(value, list) else value


@pytest.fixture
def reported(local_settings: Settings, server: Cluster) -> Callable[..., Any]:
    """Prove a project in so many processes. Returns its report as JSON."""

    def run(ini: Path, jobs: int) -> Any:
        outcome = prove(local_settings, ini, Request(server=server.target("postgres"), jobs=jobs))
        return without_times(json.loads(render_roundtrip(outcome, "json")))

    return run


@pytest.mark.parametrize("length", [3, pytest.param(4, marks=pytest.mark.slow)])
def test_any_number_of_processes_finds_the_same(
    reported: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """With verdicts of each kind, each with the counts of the rows that the statements met."""
    monkeypatch.setattr(parts, "LENGTH", length)
    ini = write_project(tmp_path / "project", REVISIONS, ENV)
    one = reported(ini, 1)
    assert len({each["verdict"] for each in one["revisions"]}) >= 3
    assert reported(ini, 2) == one
    assert reported(ini, 4) == one


def test_rows_of_the_project_go_to_the_end_of_the_chain(
    reported: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With generated rows alone, r008 is proven: keys of `b` are small."""
    monkeypatch.setattr(parts, "LENGTH", 3)
    ini = write_project(tmp_path / "project", REVISIONS, ENV)
    samples = tmp_path / "project/migrations/samples"
    samples.mkdir()
    (samples / "r004.sql").write_text(
        f"{OWN_ROWS}; INSERT INTO a (id, x, d) VALUES (500, 1, 0); INSERT INTO b VALUES (1, 500)"
    )
    found = reported(ini, 4)
    by_id = {each["revision"]: each for each in found["revisions"]}
    assert by_id["r008"]["verdict"] == "fails on rows"
    assert reported(ini, 1) == found


class Script:
    def __init__(self, number: int) -> None:
        self.revision, self.path = f"r{number:03}", __file__


def make_plan(count: int, first: int = 0) -> Plan:
    """Return a plan of so many revisions, of which those from `first` on are to be proven."""
    scripts: Any = tuple(map(Script, range(count)))
    return Plan(scripts, frozenset(each.revision for each in scripts[first:]), {})


@pytest.mark.parametrize(("count", "starts"), [(49, []), (50, []), (51, [50]), (100, [50]), (101, [50, 100])])
def test_new_rows_are_made_at_the_same_revisions_of_a_chain_that_grows(count: int, starts: list[int]) -> None:
    assert find_starts(make_plan(count), SampleRowOptions()) == starts
    assert not find_starts(make_plan(count), SampleRowOptions(rows=0))


def test_no_part_begins_after_a_revision_with_rows_of_the_project(tmp_path: Path) -> None:
    for revision in ("r049", "r050"):
        (tmp_path / f"{revision}_more.sql").touch()
        assert find_starts(make_plan(200), SampleRowOptions(samples=tmp_path)) == ([] if revision == "r049" else [50])
        (tmp_path / f"{revision}_more.sql").unlink()
        (tmp_path / f"{revision}_after.sql").touch()  # an assertion inserts nothing
    assert find_starts(make_plan(200), SampleRowOptions(samples=tmp_path)) == [50, 100, 150]


@pytest.mark.parametrize("starts", [None, [50, 100, 150]])
@pytest.mark.parametrize("jobs", [1, 2, 4, 9])
@pytest.mark.parametrize("first", [0, 120, 199])
def test_the_parts_of_the_processes_are_the_plan(starts: list[int] | None, jobs: int, first: int) -> None:
    plan = make_plan(200, first)
    found = split_plan(plan, jobs, starts)
    assert len(found) <= jobs
    assert all(part.proven for part in found)
    assert sorted(revision for part in found for revision in part.proven) == sorted(plan.proven)
    assert found[-1].scripts == plan.scripts
    for before, part in itertools.pairwise(found):
        assert before.scripts == part.scripts[: len(before.scripts)]
        assert starts is None or len(before.scripts) in starts
