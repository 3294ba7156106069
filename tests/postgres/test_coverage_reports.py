"""Reports contain which data statements of a revision met rows, and the advice for one that met none is right."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dbkit.coverage.facts import StatementCoverage
from dbkit.findings.verdict import Verdict
from dbkit.postgres.cluster import Cluster
from dbkit.reports import github, junit, text
from dbkit.reports import json as json_report
from dbkit.roundtrip.outcome import Outcome, RevisionOutcome
from dbkit.roundtrip.prove import Request, prove
from dbkit.settings import Settings
from support.battery import NOTHING
from support.plain import Revision, write_project

TABLE: Revision = (
    "a1",
    None,
    "CREATE TABLE sent (id serial PRIMARY KEY, note text NOT NULL, password text, paid boolean NOT NULL)",
    "DROP TABLE sent",
)
UNMET = "UPDATE sent SET note = note WHERE md5(note) = '49f68a5c8493ec2c0bf489821c21fc3b'"  # of 'hi'
MET = "UPDATE sent SET paid = paid WHERE paid"
HALF: Revision = ("a2", "a1", f"{MET}; {UNMET}", MET)
PROVEN: Revision = ("a2", "a1", MET, MET)
MADE: Revision = (
    "a2",
    "a1",
    "CREATE TABLE log (id int); INSERT INTO log SELECT id FROM log WHERE id > 7",
    "DROP TABLE log",
)
ADVICE = f"no row met this statement of upgrade(): {UNMET}"


@pytest.fixture
def proven(local_settings: Settings, server: Cluster, tmp_path: Path) -> Callable[..., Outcome]:
    def run(*revisions: Revision, samples: str = "") -> Outcome:
        ini = write_project(tmp_path, revisions)
        if samples:
            (directory := tmp_path / "migrations/samples").mkdir()
            (directory / "a1.sql").write_text(samples)
        return prove(local_settings, ini, Request(server=server.target("postgres"), jobs=1))

    return run


def coverage_in_json(outcome: Outcome) -> list[list[dict[str, object]]]:
    return [each["coverage"] for each in json.loads(json_report.render_roundtrip(outcome))["revisions"]]


def cases_in_junit(outcome: Outcome) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(junit.render_roundtrip(outcome)).iter("testcase"))  # noqa: S314


def last_line(outcome: Outcome) -> str:
    return text.render_roundtrip(outcome).splitlines()[-1]


@pytest.mark.slow
def test_text_counts_the_statements_of_a_revision_that_is_not_proven(proven: Callable[..., Outcome]) -> None:
    outcome = proven(TABLE, HALF)
    assert [each.verdict for each in outcome.revisions] == [Verdict.PROVEN, Verdict.UNPROVEN]
    heading, finding, *others, place, count, summary = text.render_roundtrip(outcome).splitlines()
    assert (heading, finding) == ('unproven: a2 "a2"', f"  {ADVICE}")
    assert others[-1] == "  insert a row that it meets in samples/a1.sql"
    assert place.startswith("  at ")
    assert count == "  2 of 3 statements met rows"
    assert "; rows in its one table; 2 of 3 data statements met rows)." in summary


def test_a_row_in_the_file_that_is_named_proves_it(proven: Callable[..., Outcome]) -> None:
    outcome = proven(TABLE, HALF, samples="INSERT INTO sent (note, paid) VALUES ('hi', true)")
    assert [each.verdict for each in outcome.revisions] == [Verdict.PROVEN, Verdict.PROVEN]
    assert last_line(outcome).endswith("; 3 of 3 data statements met rows).")


def test_text_of_a_proven_revision_is_the_total_alone(proven: Callable[..., Outcome]) -> None:
    outcome = proven(TABLE, PROVEN)
    assert text.render_roundtrip(outcome) == last_line(outcome)
    assert last_line(outcome).endswith("; 2 of 2 data statements met rows).")


def test_statements_without_a_condition_are_counted(proven: Callable[..., Outcome]) -> None:
    """No rows are planted for them, since all rows meet them."""
    outcome = proven(TABLE, ("a2", "a1", "UPDATE sent SET paid = paid", "UPDATE sent SET paid = paid"))
    assert last_line(outcome).endswith("; 2 of 2 data statements met rows).")


def test_no_total_without_data_statements(proven: Callable[..., Outcome]) -> None:
    outcome = proven(TABLE)
    assert coverage_in_json(outcome) == [[]]
    assert "met rows" not in last_line(outcome)


@pytest.mark.slow
def test_a_statement_that_can_meet_no_row_is_not_counted(proven: Callable[..., Outcome]) -> None:
    outcome = proven(TABLE, MADE)
    (statement,) = coverage_in_json(outcome)[1]
    assert (statement["rows"], statement["met"], statement["by_construction"]) == (0, True, True)
    assert outcome.revisions[1].verdict == Verdict.PROVEN
    assert "met rows" not in last_line(outcome)


def test_json_has_each_statement(proven: Callable[..., Outcome]) -> None:
    nothing, (up, unmet, down) = coverage_in_json(proven(TABLE, HALF))
    assert nothing == []
    assert list(up) == ["direction", "sql", "line", "rows", "met", "reason", "by_construction"]
    assert (up["direction"], up["sql"], up["met"], up["reason"]) == ("upgrade", MET, True, "")
    assert isinstance(up["rows"], int)
    assert up["rows"] > 0
    assert (unmet["sql"], unmet["rows"], unmet["met"], unmet["by_construction"]) == (UNMET, 0, False, False)
    assert isinstance(unmet["line"], int)
    assert (down["direction"], down["met"]) == ("downgrade", True)


@pytest.mark.slow
def test_junit_has_the_count_as_output_of_the_test(proven: Callable[..., Outcome]) -> None:
    first, second = cases_in_junit(proven(TABLE, HALF))
    assert first.find("system-out") is None
    assert second.findtext("system-out") == "2 of 3 statements met rows"
    assert ADVICE in (second.findtext("failure") or "")


@pytest.mark.slow
def test_github_annotates_the_finding_alone(proven: Callable[..., Outcome]) -> None:
    annotation, _ = github.render_roundtrip(proven(TABLE, HALF)).splitlines()
    assert annotation.startswith("::error file=")
    assert f"::{ADVICE}" in annotation
    assert "insert a row that it meets in samples/a1.sql" in annotation


def test_an_accepted_revision_has_the_count(proven: Callable[..., Outcome]) -> None:
    accepted = f"python:# dbkit: ok unproven, no such row since 2019\n    op.execute({UNMET!r})"
    outcome = proven(TABLE, ("a2", "a1", accepted, MET))
    assert outcome.passed
    assert "\n  1 of 2 statements met rows\n" in text.render_roundtrip(outcome)
    _, case = cases_in_junit(outcome)
    output = (case.findtext("system-out") or "").splitlines()
    assert output[0] == "accepted unproven: no such row since 2019"
    assert output[-1] == "1 of 2 statements met rows"


@pytest.mark.slow
def test_a_merge_names_the_files_of_both_parents(proven: Callable[..., Outcome]) -> None:
    one, other = ("b1", "a1", "SELECT 1", NOTHING), ("b2", "a1", "SELECT 1", NOTHING)
    outcome = proven(TABLE, one, other, ("c1", ("b1", "b2"), UNMET, NOTHING))
    (finding,) = outcome.revisions[-1].findings
    assert finding.words.endswith("\n  insert a row that it meets in samples/b1.sql or samples/b2.sql")


def test_reports_redact_the_sql(tmp_path: Path) -> None:
    """In an outcome as it is: a secret that a statement compares is in no format."""
    sql = "UPDATE sent SET paid = true WHERE password = 'hunter22'"
    statement = StatementCoverage("upgrade", sql, 3, 0, "no value was found with which password = 'hunter22'")
    revision = RevisionOutcome("a2", ("a1",), "a2", tmp_path / "a2.py", Verdict.UNPROVEN, 0.1, coverage=(statement,))
    outcome = Outcome("p", "PostgreSQL", 0.1, (revision,), "")
    for report in (text, json_report, junit, github):
        words = report.render_roundtrip(outcome)
        assert "hunter22" not in words
        assert "0 of 1" in words or "password = '***'" in words
