"""Statements and branches that run where a table has no rows, or not one of them: a seed, what has no row beside it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dbkit.findings.verdict import Verdict
from dbkit.postgres.cluster import Cluster
from dbkit.roundtrip.outcome import Outcome
from dbkit.roundtrip.prove import Request, prove
from dbkit.settings import Settings
from support.plain import ENV
from support.running import others_slow

TABLES = (
    "CREATE TABLE plans (id serial PRIMARY KEY, name text); "
    "CREATE TABLE seats (id serial PRIMARY KEY, plan int REFERENCES plans); INSERT INTO plans (name) VALUES ('free')"
)
COUNT = "bind.scalar(sa.text('SELECT count(*) FROM plans'))"
INSERT = "bind.execute(sa.text(\"INSERT INTO plans (name) VALUES ('basic')\"))"
SEED = "INSERT INTO plans (name) SELECT 'basic' WHERE"


def sql(statement: str) -> list[str]:
    return [f"op.execute({statement!r})"]


FORMS: dict[str, list[str]] = {
    "no row at all": sql(f"{SEED} NOT EXISTS (SELECT 1 FROM plans)"),
    "none of a name that was there": sql("INSERT INTO plans (name) SELECT 'free' WHERE NOT EXISTS (SELECT 1 FROM plans WHERE name = 'free')"),
    "a count of none": sql(f"{SEED} (SELECT count(*) FROM plans) = 0"),
    "several values": sql("INSERT INTO plans (name) SELECT v.name FROM (VALUES ('free')) AS v (name) WHERE NOT EXISTS (SELECT 1 FROM plans WHERE plans.name = v.name)"),
    "no row in another table": sql("DELETE FROM plans WHERE NOT EXISTS (SELECT 1 FROM seats)"),
    "a copy into an empty table": sql("INSERT INTO seats (plan) SELECT id FROM plans WHERE NOT EXISTS (SELECT 1 FROM seats)"),
    "a block": sql("DO $$ BEGIN IF NOT EXISTS (SELECT FROM plans) THEN INSERT INTO plans (name) VALUES ('basic'); END IF; END $$"),
    "a block with a count": sql("DO $$ DECLARE n int; BEGIN SELECT count(*) INTO n FROM plans; IF n = 0 THEN INSERT INTO plans (name) VALUES ('basic'); END IF; END $$"),
    "a count in Python": [f"if {COUNT} == 0:", f"    {INSERT}"],
    "a first row in Python": ["if not bind.execute(sa.text('SELECT 1 FROM plans LIMIT 1')).first():", f"    {INSERT}"],
    "a name in Python": ["found = bind.execute(sa.text(\"SELECT id FROM plans WHERE name = 'free'\")).fetchone()", "if found is None:", f"    {INSERT}"],
    "else in Python": [f"total = {COUNT}", "if total > 0:", "    print(total)", "else:", f"    {INSERT}"],
    "a list in Python": ["names = [row.name for row in bind.execute(sa.text('SELECT name FROM plans'))]", "if not names:", f"    {INSERT}"],
    "a helper in Python": ["seed(bind)"],
    "an empty table and a certain row in another": [
        "if bind.scalar(sa.text('SELECT count(*) FROM seats')) > 0:", "    return",
        "plan = bind.execute(sa.text(\"SELECT id FROM plans WHERE name = 'gold'\")).first()", "if plan is None:", "    return",
        "bind.execute(sa.text('INSERT INTO seats (plan) VALUES (:plan)'), {'plan': plan.id})",
    ],
}  # fmt: skip
HARMLESS: dict[str, list[str]] = {
    "both arms change nothing": [f"if {COUNT} == 0:", "    return", "op.execute('SELECT 1')"],
    "a table that is not there": [
        "if bind.scalar(sa.text(\"SELECT to_regclass('other')\")) is not None:",
        f"    {INSERT}",
    ],
    "another server": ["if bind.dialect.name == 'sqlite':", f"    {INSERT}"],
}
UNREACHABLE: dict[str, list[str]] = {
    "more rows than there are": [f"if {COUNT} > 1000000:", f"    {INSERT}"],
}
FILE = '''\
import sqlalchemy as sa
from alembic import op
revision = {revision!r}
down_revision = {down!r}
def seed(bind):
    if not bind.execute(sa.text("SELECT id FROM plans")).all():
        {insert}
def upgrade():
    bind = op.get_bind()
    {up}
def downgrade():
    bind = op.get_bind()
    {down_body}
'''  # fmt: skip


@pytest.fixture
def proven(local_settings: Settings, server: Cluster, tmp_path: Path) -> Callable[[list[str], list[str]], Outcome]:
    def run(up: list[str], down: list[str]) -> Outcome:
        versions = tmp_path / "migrations/versions"
        versions.mkdir(parents=True)
        (tmp_path / "migrations/env.py").write_text(ENV)
        (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
        first = sql(TABLES), sql("DROP TABLE seats; DROP TABLE plans")
        for revision, parent, (above, below) in (("r1", None, first), ("r2", "r1", (up, down))):
            text = FILE.format(
                revision=revision, down=parent, insert=INSERT, up="\n    ".join(above), down_body="\n    ".join(below)
            )
            (versions / f"{revision}.py").write_text(text)
        request = Request(server=server.target("postgres"), jobs=1)
        return prove(local_settings, tmp_path / "alembic.ini", request)

    return run


@pytest.mark.parametrize("direction", ["upgrade", "downgrade"])
@pytest.mark.parametrize("form", others_slow(4, list(FORMS)))
def test_it_runs_without_these_rows(proven: Callable[..., Outcome], form: str, direction: str) -> None:
    code = FORMS[form]
    outcome = proven(*((code, ["pass"]) if direction == "upgrade" else (["pass"], code))).revisions[-1]
    words = "\n".join(finding.words for finding in outcome.findings)
    assert outcome.verdict == Verdict.LOSSY, (outcome.verdict, words)
    assert all(each.is_met for each in outcome.coverage)
    assert direction in words
    assert re.search(r"; where (?:plans|seats|plans and seats) (?:has|have) no rows", words), words


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.slow
def test_one_that_is_undone_is_proven(proven: Callable[..., Outcome], form: str) -> None:
    if form in ("no row in another table", "a copy into an empty table"):
        pytest.skip("it works on rows that were there")
    undo = sql("DELETE FROM plans WHERE name IN ('free', 'basic')")
    outcome = proven(FORMS[form], undo).revisions[-1]
    words = "\n".join(finding.words for finding in outcome.findings)
    assert "more than" not in words, words


@pytest.mark.parametrize("form", HARMLESS)
def test_what_changes_nothing_needs_no_rows(proven: Callable[..., Outcome], form: str) -> None:
    outcome = proven(HARMLESS[form], ["pass"]).revisions[-1]
    assert (outcome.verdict, outcome.findings) == (Verdict.PROVEN, ())


@pytest.mark.parametrize("form", UNREACHABLE)
def test_what_no_rows_reach_is_not_proven(proven: Callable[..., Outcome], form: str) -> None:
    outcome = proven(UNREACHABLE[form], ["pass"]).revisions[-1]
    assert outcome.verdict == Verdict.UNPROVEN
    assert "it has not run" in outcome.findings[0].words


def test_what_needs_a_row_does_not_fail_for_an_empty_table(proven: Callable[..., Outcome]) -> None:
    needs = ["bind.execute(sa.text('INSERT INTO seats (plan) VALUES ((SELECT min(id) FROM plans))'))",
             "assert bind.scalar(sa.text('SELECT min(id) FROM plans')) is not None", *FORMS["no row at all"]]  # fmt: skip
    outcome = proven(needs, sql("DELETE FROM seats WHERE false")).revisions[-1]
    assert outcome.verdict in (Verdict.UNPROVEN, Verdict.LOSSY)
    assert Verdict.FAILS_ON_ROWS not in (outcome.verdict, *outcome.also)


def test_what_a_variable_decides_is_not_asked_of_rows(proven: Callable[..., Outcome]) -> None:
    code = ["import os", "if not os.environ.get('TEAM_CLOUD'):", "    return", *FORMS["a count in Python"]]
    outcome = proven(code, ["pass"]).revisions[-1]
    assert outcome.verdict == Verdict.UNPROVEN
    assert "the code before it does not lead there" in outcome.findings[0].words
    assert "--set-env" in outcome.findings[0].words


GET_OR_CREATE: dict[str, list[str]] = {
    "if there is none": ["if not bind.execute(sa.text(\"SELECT 1 FROM plans WHERE name = 'basic'\")).first():", f"    {INSERT}"],
    "else": ["if bind.execute(sa.text(\"SELECT 1 FROM plans WHERE name = 'basic'\")).first():", "    pass", "else:", f"    {INSERT}"],
    "an error": ["try:", "    bind.execute(sa.text(\"SELECT id FROM plans WHERE name = 'basic'\")).scalar_one()", "except Exception:", f"    {INSERT}"],
    "SQL": sql("INSERT INTO plans (name) SELECT 'basic' WHERE NOT EXISTS (SELECT 1 FROM plans WHERE name = 'basic')"),
}  # fmt: skip


@pytest.mark.parametrize("form", GET_OR_CREATE)
def test_a_row_that_may_be_there_is_not_to_be_deleted(proven: Callable[..., Outcome], form: str) -> None:
    outcome = proven(GET_OR_CREATE[form], sql("DELETE FROM plans WHERE name = 'basic'")).revisions[-1]
    words = "\n".join(finding.words for finding in outcome.findings)
    assert outcome.verdict == Verdict.LOSSY, (outcome.verdict, words)


def test_a_row_that_is_always_inserted_may_be_deleted(proven: Callable[..., Outcome]) -> None:
    outcome = proven([INSERT], sql("DELETE FROM plans WHERE name = 'basic'")).revisions[-1]
    assert outcome.verdict == Verdict.PROVEN, [finding.words for finding in outcome.findings]
