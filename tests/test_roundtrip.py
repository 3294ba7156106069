"""The round trip: each planted fault is found in its own revision, and no other revision is blamed for it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import REPOSITORY
from dbkit.errors import InputError
from dbkit.roundtrip.outcome import Outcome, Verdict
from dbkit.roundtrip.text import render
from dbkit.roundtrip.walk import walk
from dbkit.settings import Settings

CONCURRENTLY = "with op.get_context().autocommit_block():\n        op.execute('{}')"

# name, upgrade, downgrade, verdict, what is said. Text is SQL; text that begins with "python:" is the body itself.
CASES = [
    ("tables", "CREATE TABLE a (id int PRIMARY KEY, x text); CREATE TABLE b (id int PRIMARY KEY)", "DROP TABLE a, b", "proven", ""),
    ("index left", "CREATE INDEX IF NOT EXISTS ix_left ON a (id)", "SELECT 1", "dirty", "index ix_left on a is still there"),
    ("enum left", "CREATE TYPE mood AS ENUM ('x'); CREATE TABLE m (m mood)", "DROP TABLE m", "broken", 'type "mood" already exists'),
    ("sequence left", "CREATE SEQUENCE s_left", "SELECT 1", "broken", 'relation "s_left" already exists'),
    ("function left", "CREATE OR REPLACE FUNCTION f_left() RETURNS int LANGUAGE sql AS 'SELECT 1'", "SELECT 1", "dirty", "function f_left() is still there"),
    ("column", "ALTER TABLE a ADD c int", "ALTER TABLE a DROP c", "proven", ""),
    ("type not narrowed", "ALTER TABLE a ALTER c TYPE bigint", "SELECT 1", "dirty", "column a.c: integer was, bigint is"),
    ("default left", "ALTER TABLE a ALTER c SET DEFAULT 7", "SELECT 1", "dirty", "a.c"),
    ("not null left", "ALTER TABLE b ALTER id DROP IDENTITY IF EXISTS; ALTER TABLE a ALTER c SET NOT NULL", "SELECT 1", "dirty", "a.c"),
    ("too much dropped", "SELECT 1", "DROP INDEX ix_left", "dirty", "index ix_left on a is gone"),
    ("constraint weaker", "ALTER TABLE a ADD CONSTRAINT ck_a CHECK (c > 0)", "ALTER TABLE a DROP CONSTRAINT ck_a; ALTER TABLE a ADD CONSTRAINT ck_a CHECK (c > 0) NOT VALID", "broken", "ck_a"),
    ("foreign key's action", "ALTER TABLE a ADD CONSTRAINT fk_a FOREIGN KEY (c) REFERENCES b", "ALTER TABLE a DROP CONSTRAINT fk_a", "proven", ""),
    ("action changed", "ALTER TABLE a DROP CONSTRAINT fk_a; ALTER TABLE a ADD CONSTRAINT fk_a FOREIGN KEY (c) REFERENCES b ON DELETE CASCADE", "SELECT 1", "dirty", "fk_a"),
    ("comment left", "COMMENT ON TABLE b IS 'new'", "SELECT 1", "dirty", "comment on table b"),
    ("grant left", "GRANT SELECT ON b TO PUBLIC", "SELECT 1", "dirty", "b"),
    ("view", "CREATE VIEW v AS SELECT id FROM b", "DROP VIEW v", "proven", ""),
    ("trigger disabled", "CREATE TRIGGER t BEFORE INSERT ON b FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()", "ALTER TABLE b DISABLE TRIGGER t", "broken", "t"),
    ("row security left", "ALTER TABLE b ENABLE ROW LEVEL SECURITY", "SELECT 1", "dirty", "b"),
    ("schema left", "CREATE SCHEMA IF NOT EXISTS apart", "SELECT 1", "dirty", "schema apart is still there"),
    ("in another schema", "CREATE TABLE apart.z (x int)", "DROP TABLE apart.z; CREATE TABLE apart.y (x int)", "dirty", "apart.y is still there"),
    ("storage parameter", "ALTER TABLE b SET (fillfactor = 50)", "SELECT 1", "dirty", "fillfactor"),
    ("extension left", "CREATE EXTENSION IF NOT EXISTS hstore", "SELECT 1", "dirty", "extension hstore is still there"),
    ("error in the downgrade", "SELECT 1", "DROP TABLE not_there", "broken", 'table "not_there" does not exist'),
    ("says that it cannot", "ALTER TABLE a ADD gone int", "python:raise NotImplementedError('rows are gone')", "irreversible", "rows are gone"),
    ("bug in the downgrade", "SELECT 1", "python:op.drop_nothing('x')", "broken", "AttributeError"),
    ("concurrent index left", "python:" + CONCURRENTLY.format("CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_c ON b (id)"), "SELECT 1", "dirty", "index ix_c on b is still there"),
    ("concurrent index", "python:" + CONCURRENTLY.format("CREATE INDEX CONCURRENTLY ix_d ON b (id)"), "python:" + CONCURRENTLY.format("DROP INDEX CONCURRENTLY ix_d"), "proven", ""),
    ("commits by itself", "CREATE TABLE half (x int)", "DROP TABLE half; COMMIT; CREATE TABLE other_half (x int)", "dirty", "table other_half is still there"),
    ("enum grows", "CREATE TYPE size AS ENUM ('s'); CREATE TABLE e (size size)", "DROP TABLE e; DROP TYPE size", "proven", ""),
    ("enum value stays", "python:" + CONCURRENTLY.format('ALTER TYPE size ADD VALUE IF NOT EXISTS \\"m\\"').replace('\\"', '"').replace("('ALTER", '("ALTER').replace('"m"\')', "'m'\")"), "SELECT 1", "proven", "size"),
    ("rename and back", "ALTER TABLE b RENAME TO bb", "ALTER TABLE bb RENAME TO b", "proven", ""),
    ("column order", "ALTER TABLE a DROP x", "ALTER TABLE a ADD x text", "proven", "column order"),
    ("fails on the way up", "CREATE TABLE left_by_failure (x int); COMMIT; SELECT 1 / 0", "SELECT 1", "broken", "division by zero"),
    ("after the failure", "CREATE TABLE never (x int)", "DROP TABLE never", "unproven", "which could not be applied"),
]  # fmt: skip


def body(text: str) -> str:
    if text.startswith("python:"):
        return text.removeprefix("python:")
    return "\n    ".join(f"op.execute({statement.strip()!r})" for statement in text.split(";"))


def make_project(directory: Path, cases: list[tuple[str, str, str, str, str]]) -> Path:
    """A project with this checkout's env.py and one revision per case, each following the one before."""
    (directory / "backend").mkdir(parents=True)
    shutil.copy(REPOSITORY / "alembic.ini", directory)
    shutil.copytree(
        REPOSITORY / "backend/alembic", directory / "backend/alembic", ignore=shutil.ignore_patterns("2*.py")
    )
    parent = None
    for number, (name, up, down, *_) in enumerate(cases):
        revision = f"case{number:02}"
        (directory / f"backend/alembic/versions/{revision}.py").write_text(
            f'"""{name}"""\n\nfrom alembic import op\n\nrevision = {revision!r}\ndown_revision = {parent!r}\n'
            f"branch_labels = None\ndepends_on = None\n\n\n"
            f"def upgrade():\n    {body(up)}\n\n\ndef downgrade():\n    {body(down)}\n"
        )
        parent = revision
    return directory / "alembic.ini"


@pytest.fixture(scope="module")
def battery(local_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One walk over a chain in which nearly every revision has a fault."""
    ini = make_project(tmp_path_factory.mktemp("battery") / "project", CASES)
    return walk(replace(local_settings, root=REPOSITORY), ini)


@pytest.mark.parametrize(("number", "case"), list(enumerate(CASES)), ids=[case[0] for case in CASES])
def test_each_fault_is_found_where_it_is(battery: Outcome, number: int, case: tuple[str, str, str, str, str]) -> None:
    _, _, _, verdict, words = case
    found = battery.revisions[number]
    said = "\n".join(finding.words for finding in (*found.findings, *found.notes))
    assert (found.verdict, words in said) == (verdict, True), said
    if verdict == "proven":
        assert not found.findings


def test_what_is_said_names_the_revision_and_the_place_to_mend(battery: Outcome) -> None:
    said = render(battery)
    assert 'dirty: case01 "index left"\n  after downgrade, index ix_left on a is still there\n' in said
    assert f"downgrade() is at {battery.revisions[1].path}:15" in said
    assert "34 migrations on PostgreSQL 18" in said
    assert not battery.passed


def test_a_chain_that_cannot_go_to_base_says_how_far_it_went(battery: Outcome) -> None:
    assert battery.chain_stopped_at
    assert f"above {battery.chain_stopped_at}" in render(battery)


def test_no_revisions_is_nothing_proven(local_settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing was proven"):
        walk(local_settings, make_project(tmp_path / "project", []))


def test_branches_and_their_merge(local_settings: Settings, tmp_path: Path) -> None:
    """Two branches from one base, one with a fault, and the merge: each by itself."""
    ini = make_project(tmp_path / "project", CASES[:1])
    versions = tmp_path / "project/backend/alembic/versions"
    for revision, parents, up, down in (
        ("left1", "case00", "CREATE TABLE l (x int)", "DROP TABLE l"),
        ("right", "case00", "CREATE TABLE IF NOT EXISTS r (x int)", "SELECT 1"),
        ("merge", ("left1", "right"), "SELECT 1", "SELECT 1"),
    ):
        (versions / f"{revision}.py").write_text(
            f"from alembic import op\n\nrevision = {revision!r}\ndown_revision = {parents!r}\n"
            f"branch_labels = None\ndepends_on = None\n\n\n"
            f"def upgrade():\n    {body(up)}\n\n\ndef downgrade():\n    {body(down)}\n"
        )
    outcome = walk(local_settings, ini)
    verdicts = {each.revision: each.verdict for each in outcome.revisions}
    assert verdicts == {
        "case00": Verdict.PROVEN,
        "left1": Verdict.PROVEN,
        "right": Verdict.DIRTY,
        "merge": Verdict.PROVEN,
    }
    assert [finding.words for finding in outcome.chain] == ["at base, table r is still there"]
