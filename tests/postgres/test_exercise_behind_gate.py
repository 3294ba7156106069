"""Behind the gate, whose connections send dbkit's statements with settings of their own, rows are planted as well."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dbkit.findings.verdict import Verdict
from dbkit.postgres.cluster import Cluster
from dbkit.roundtrip.outcome import RevisionOutcome
from dbkit.roundtrip.prove import Request, prove
from dbkit.settings import Settings
from support.battery import NOTHING, Planted, make_project

TABLE = Planted(
    "a table, with a trigger that names no schema",
    "CREATE TABLE paid (id serial PRIMARY KEY, status text NOT NULL, hits int NOT NULL); CREATE TABLE log (paid int);"
    " CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$"
    " BEGIN INSERT INTO log VALUES (NEW.id); RETURN NEW; END $$;"
    " CREATE TRIGGER note AFTER INSERT ON paid FOR EACH ROW EXECUTE FUNCTION note()",
    "DROP TABLE paid, log; DROP FUNCTION note",
    "",
)


@pytest.fixture
def outcome_of(local_settings: Settings, server: Cluster, tmp_path: Path) -> Callable[[str, str], RevisionOutcome]:
    def run(up: str, down: str) -> RevisionOutcome:
        ini = make_project(tmp_path, [TABLE, Planted("case", up, down, "")])
        outcome = prove(local_settings, ini, Request(server=server.target("postgres"), jobs=1))
        return outcome.revisions[-1]

    return run


@pytest.mark.parametrize("schema", ["", "public."])
def test_rows_that_meet_a_condition_are_planted(outcome_of: Callable[[str, str], RevisionOutcome], schema: str) -> None:
    outcome = outcome_of(f"UPDATE {schema}paid SET status = 'done' WHERE status = 'sent'", NOTHING)
    assert (outcome.verdict, [each.rows > 0 for each in outcome.coverage]) == (Verdict.LOSSY, [True])


def test_extreme_rows_are_planted(outcome_of: Callable[[str, str], RevisionOutcome]) -> None:
    outcome = outcome_of("UPDATE paid SET hits = hits + 1", "UPDATE paid SET hits = hits - 1")
    assert outcome.verdict == Verdict.PROVEN
    assert "paid.hits 2147483647" in outcome.warnings[0].words
