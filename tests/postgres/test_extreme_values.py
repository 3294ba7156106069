"""Extreme values are tried apart: what only they break is a warning, and hides nothing that ordinary ones show."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dbkit.postgres.cluster import Cluster
from dbkit.reports import github, junit, text
from dbkit.reports import json as json_report
from dbkit.roundtrip.outcome import Outcome
from dbkit.roundtrip.prove import Request, prove
from dbkit.settings import Settings
from support.battery import NOTHING
from support.plain import Revision, write_project

TABLE: Revision = (
    "a1",
    None,
    "CREATE TABLE paid (id serial PRIMARY KEY, amount numeric(10, 2) NOT NULL, note text NOT NULL, day date,"
    " hits int NOT NULL, rate float8, data json, code varchar(30), exact numeric)",
    "DROP TABLE paid",
)
# What fails on extreme values only: up, down, and what the warning names
WARNED = {
    "a sum": ("ALTER TABLE paid ADD more int; UPDATE paid SET more = hits + 1", "ALTER TABLE paid DROP more", "paid.hits 2147483647"),
    "a text shortened": ("ALTER TABLE paid ALTER note TYPE varchar(1000)", "ALTER TABLE paid ALTER note TYPE text", "paid.note Ünï Çødé"),
    "a date as seconds": ("ALTER TABLE paid ADD s bigint; UPDATE paid SET s = extract(epoch FROM day::timestamp)", "ALTER TABLE paid DROP s", "paid.day infinity"),
    "json with a null character": ("ALTER TABLE paid ADD x text; UPDATE paid SET x = data ->> 'a' WHERE json_typeof(data) = 'object'", "ALTER TABLE paid DROP x", "paid.data {\"a\": \"\\u0000\"}"),
    "an index of an expression": ("CREATE INDEX i ON paid (((amount * 100)::int))", "DROP INDEX i", "paid.amount 99999999.99"),
    "a loop in Python": (
        "python:for row in op.get_bind().execute(sa.text('SELECT id, note FROM paid')).all():\n"
        "        assert len(row.note) < 1000\n"
        "        op.execute(f'UPDATE paid SET hits = hits WHERE id = {row.id}')", NOTHING, "paid.note Ünï Çødé"),
    "a DO block": ("DO $$ BEGIN UPDATE paid SET hits = (hits * 2) / 2; END $$", NOTHING, "paid.hits 2147483647"),
    "the downgrade": ("UPDATE paid SET hits = hits", "UPDATE paid SET hits = hits + 1 - 1", "the downgrade fails on extreme values: paid.hits 2147483647"),
}  # fmt: skip
# What extreme values do not break
CLEAN = {
    "a type widened": ("ALTER TABLE paid ALTER hits TYPE bigint", "ALTER TABLE paid ALTER hits TYPE int"),
    "a check that holds": ("ALTER TABLE paid ADD CONSTRAINT c CHECK (hits IS NOT NULL)", "ALTER TABLE paid DROP CONSTRAINT c"),
    "a value swapped and back": ("UPDATE paid SET hits = -1 - hits", "UPDATE paid SET hits = -1 - hits"),
    "a copy of the table": ("CREATE TABLE copy AS SELECT * FROM paid", "DROP TABLE copy"),
    "a column filled": ("ALTER TABLE paid ADD x text; UPDATE paid SET x = lower(note)", "ALTER TABLE paid DROP x"),
    "a downgrade that refuses": ("UPDATE paid SET hits = hits", "python:if op.get_bind().exec_driver_sql('SELECT 1 FROM paid WHERE hits > 1000000').all():\n        raise ValueError"),
}  # fmt: skip
LOSSY = {
    "digits": ("ALTER TABLE paid ALTER exact TYPE float8", "ALTER TABLE paid ALTER exact TYPE numeric", "paid.exact"),
}  # fmt: skip


@pytest.fixture
def proven(local_settings: Settings, server: Cluster, tmp_path: Path) -> Callable[..., Outcome]:
    def run(*revisions: Revision, config: str = "", **request: object) -> Outcome:
        ini = write_project(tmp_path, revisions)
        ini.write_text(f"{ini.read_text()}\n[dbkit]\n{config}\n")
        asked = {"server": server.target("postgres"), "jobs": 1, **request}
        return prove(local_settings, ini, Request(**asked))  # type: ignore[arg-type]

    return run


def verdicts(outcome: Outcome) -> list[str]:
    return [" and ".join((each.verdict, *each.also)) for each in outcome.revisions]


@pytest.mark.spread(4)
@pytest.mark.parametrize("name", list(WARNED))
def test_what_fails_on_extreme_values_only_is_a_warning(proven: Callable[..., Outcome], name: str) -> None:
    up, down, words = WARNED[name]
    after = ("a3", "a2", "ALTER TABLE paid ADD z int", "ALTER TABLE paid DROP z")
    outcome = proven(TABLE, ("a2", "a1", up, down), after)
    assert verdicts(outcome) == ["proven", "proven", "proven"]
    assert [bool(each.warnings) for each in outcome.revisions] == [False, True, False]
    assert outcome.passed
    assert outcome.chain == "the whole chain"
    assert any(
        words in each.words and "fails on extreme values" in each.words for each in outcome.revisions[1].warnings
    )


@pytest.mark.spread(2)
@pytest.mark.slow
@pytest.mark.parametrize("name", list(CLEAN))
def test_what_extreme_values_do_not_break_is_not_warned_of(proven: Callable[..., Outcome], name: str) -> None:
    outcome = proven(TABLE, ("a2", "a1", *CLEAN[name]))
    assert verdicts(outcome) == ["proven", "proven"]
    assert outcome.revisions[1].warnings == ()


@pytest.mark.parametrize("name", LOSSY)
def test_extreme_values_that_are_lost_are_lost(proven: Callable[..., Outcome], name: str) -> None:
    up, down, words = LOSSY[name]
    outcome = proven(TABLE, ("a2", "a1", up, down))
    assert verdicts(outcome) == ["proven", "lossy"]
    (finding,) = outcome.revisions[1].findings
    assert words in finding.words
    assert "only with extreme values" in finding.words


@pytest.mark.slow
@pytest.mark.parametrize(
    ("up", "down"),
    [
        ("UPDATE paid SET hits = hits + 1, note = lower(note)", "UPDATE paid SET hits = hits - 1"),
        ("UPDATE paid SET note = lower(note), hits = (hits * 2) / 2", "SELECT 1"),
    ],
)
def test_a_failure_on_extreme_values_hides_no_loss(proven: Callable[..., Outcome], up: str, down: str) -> None:
    outcome = proven(TABLE, ("a2", "a1", up, down))
    assert verdicts(outcome) == ["proven", "lossy"]
    assert [each.rows.column for each in outcome.revisions[1].findings if each.rows] == ["note"]
    assert "paid.hits 2147483647" in outcome.revisions[1].warnings[0].words


def test_behind_one_column_the_others_are_tried(proven: Callable[..., Outcome]) -> None:
    up = "ALTER TABLE paid ADD a int, ADD b int; UPDATE paid SET a = amount * 100, b = hits + 1; UPDATE paid SET day = NULL WHERE day > '2100-01-01'"
    outcome = proven(TABLE, ("a2", "a1", up, "ALTER TABLE paid DROP a, DROP b"))
    assert verdicts(outcome) == ["proven", "lossy"]
    words = "\n".join(each.words for each in outcome.revisions[1].warnings)
    assert "paid.hits 2147483647" in words
    assert ["paid.a" in each.words for each in outcome.revisions[1].preconditions] == [True], (
        "an amount that does not fit"
    )
    assert [each.rows.column for each in outcome.revisions[1].findings if each.rows] == ["day"]


@pytest.mark.spread(3)
@pytest.mark.parametrize(("config", "strict"), [("", True), ("strict = on", None), ("strict = off", True)])
def test_strict_makes_it_a_finding(proven: Callable[..., Outcome], config: str, strict: bool | None) -> None:
    up, down, words = WARNED["a sum"]
    outcome = proven(TABLE, ("a2", "a1", up, down), config=config, strict=strict)
    assert verdicts(outcome) == ["proven", "fails on rows"]
    assert not outcome.passed
    assert words in outcome.revisions[1].findings[0].words
    assert outcome.revisions[1].warnings == ()


def test_strict_beside_another_verdict_and_accepted(proven: Callable[..., Outcome]) -> None:
    up = "UPDATE paid SET hits = hits + 1, note = lower(note)"
    outcome = proven(TABLE, ("a2", "a1", up, "UPDATE paid SET hits = hits - 1"), strict=True)
    assert verdicts(outcome) == ["proven", "fails on rows and lossy"]


def test_reports_have_the_warnings(proven: Callable[..., Outcome]) -> None:
    up, down, words = WARNED["a sum"]
    outcome = proven(TABLE, ("a2", "a1", up, down))
    assert text.render_roundtrip(outcome).startswith(
        'warning: a2 "a2"\n  fails on extreme values: paid.hits 2147483647: '
    )
    assert "2 proven; 1 with warnings;" in text.summarize_roundtrip(outcome)
    _, revision = json.loads(json_report.render_roundtrip(outcome))["revisions"]
    assert (revision["verdict"], revision["findings"]) == ("proven", [])
    (warning,) = revision["warnings"]
    assert (warning["kind"], warning["phase"]) == ("extreme", "up")
    assert words in warning["detail"]
    assert "UPDATE paid" in warning["sql"]
    assert "warning: fails on extreme values: paid.hits" in junit.render_roundtrip(outcome)
    assert 'failures="0"' in junit.render_roundtrip(outcome)
    assert github.render_roundtrip(outcome).startswith("::warning file=")


def test_extreme_rows_are_not_kept(proven: Callable[..., Outcome]) -> None:
    """The next revision does not meet them."""
    again = (
        "a3",
        "a2",
        "ALTER TABLE paid ADD CONSTRAINT c CHECK (length(note) < 1000) NOT VALID",
        "ALTER TABLE paid DROP CONSTRAINT c",
    )
    fails = ("a4", "a3", "ALTER TABLE paid VALIDATE CONSTRAINT c", NOTHING)
    outcome = proven(TABLE, ("a2", "a1", "UPDATE paid SET hits = hits", NOTHING), again, fails)
    assert verdicts(outcome) == ["proven", "proven", "proven", "proven, if"]
