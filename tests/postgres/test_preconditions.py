"""What a proof reports of a revision that asks something of old rows, and which differences are notes."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from dbkit.postgres.cluster import Cluster
from dbkit.roundtrip.outcome import RevisionOutcome
from dbkit.roundtrip.prove import Request, prove
from dbkit.settings import Settings
from support.plain import Revision, write_project

Prove = Callable[..., dict[str, RevisionOutcome]]
TABLE: Revision = (
    "a1",
    None,
    "CREATE TABLE crews (id serial PRIMARY KEY, name text, size int NOT NULL)",
    "DROP TABLE crews",
)
LOSES = "UPDATE crews SET size = 0"
TOUCH = (
    "CREATE TABLE hulls (id serial PRIMARY KEY, name text NOT NULL, updated_at timestamptz NOT NULL DEFAULT '2020-01-01'); "
    "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$; "
    "CREATE TRIGGER touch BEFORE UPDATE ON hulls FOR EACH ROW EXECUTE FUNCTION touch()"
)
FILL = "python:op.execute(\"UPDATE crews SET name = 'none' WHERE name IS NULL\")"


@pytest.fixture
def verdicts(local_settings: Settings, server: Cluster, tmp_path: Path) -> Prove:
    """Prove a chain of revisions, and return the outcomes by revision."""
    numbers = count()

    def run(*revisions: Revision, samples: str = "", revision: str = "a1") -> dict[str, RevisionOutcome]:
        project = tmp_path / str(next(numbers))
        project.mkdir()
        ini = write_project(project, [*revisions])
        if samples:
            directory = project / "migrations/samples"
            directory.mkdir()
            (directory / f"{revision}.sql").write_text(samples)
        outcome = prove(local_settings, ini, Request(server=server.target("postgres"), jobs=1))
        return {each.revision: each for each in outcome.revisions}

    return run


def _verdicts(outcome: RevisionOutcome) -> list[str]:
    return [str(each) for each in (outcome.verdict, *outcome.also)]


@pytest.mark.spread(2)
@pytest.mark.parametrize("outside", [False, True], ids=["in its transaction", "in a clone"])
def test_what_a_precondition_explains_hides_no_loss(verdicts: Prove, outside: bool) -> None:
    block = f'with op.get_context().autocommit_block():\n        op.execute("{LOSES}")'
    added = "ALTER TABLE crews ADD CONSTRAINT uq_crews UNIQUE (name, size)"
    up = (
        f'python:{block}\n        op.execute("ALTER TABLE crews ADD UNIQUE (name)")' if outside else f"{LOSES}; {added}"
    )
    down = (
        "ALTER TABLE crews DROP CONSTRAINT crews_name_key" if outside else "ALTER TABLE crews DROP CONSTRAINT uq_crews"
    )
    found = verdicts(TABLE, ("b2", "a1", up, down))["b2"]
    assert _verdicts(found) == ["lossy"]
    assert [each.kind for each in found.preconditions] == ["unique"]


@pytest.mark.spread(2)
@pytest.mark.parametrize("outside", [False, True], ids=["in its transaction", "in a clone"])
def test_rows_that_are_removed_hide_no_loss(verdicts: Prove, outside: bool) -> None:
    """All rows violate the foreign key, and those of the next table go with them: the columns have values all the same."""
    tables = "CREATE TABLE teams (id int PRIMARY KEY); CREATE TABLE notes (id serial PRIMARY KEY, crew int NOT NULL REFERENCES crews, text text)"
    key = "ALTER TABLE crews ADD CONSTRAINT fk_crews FOREIGN KEY (size) REFERENCES teams (id)"
    dropped = "ALTER TABLE crews DROP name; ALTER TABLE notes DROP text"
    back = (
        "ALTER TABLE crews DROP CONSTRAINT fk_crews; ALTER TABLE crews ADD name text; ALTER TABLE notes ADD text text"
    )
    block = f"python:with op.get_context().autocommit_block():\n        op.execute('{key}; {dropped}')"
    found = verdicts(
        TABLE,
        ("b2", "a1", tables, "DROP TABLE notes; DROP TABLE teams"),
        ("c3", "b2", block if outside else f"{key}; {dropped}", back),
    )["c3"]
    assert "lossy" in _verdicts(found)
    assert {each.rows.column for each in found.findings if each.rows} == {"name", "text"}
    assert [each.kind for each in found.preconditions] == ["foreign key"]


@pytest.mark.slow
def test_a_later_revision_has_the_rows_that_satisfy_it(verdicts: Prove) -> None:
    found = verdicts(
        TABLE,
        ("b2", "a1", "ALTER TABLE crews ALTER name SET NOT NULL", "ALTER TABLE crews ALTER name DROP NOT NULL"),
        ("c3", "b2", LOSES, "SELECT 1"),
    )
    assert (_verdicts(found["b2"]), _verdicts(found["c3"])) == (["proven, if"], ["lossy"])
    assert [(each.words, each.is_proven) for each in found["b2"].preconditions] == [("crews.name is not NULL", True)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("down", "verdict"),
    [
        ("DROP INDEX none", "broken"),
        (
            "ALTER TABLE crews ALTER name DROP NOT NULL; SELECT 1 / (SELECT CASE WHEN max(id) > 0 THEN 0 ELSE 1 END FROM crews)",
            "fails on rows",
        ),
    ],
)
def test_a_downgrade_that_fails_hides_no_precondition(verdicts: Prove, down: str, verdict: str) -> None:
    found = verdicts(TABLE, ("b2", "a1", "ALTER TABLE crews ALTER name SET NOT NULL", down))["b2"]
    assert _verdicts(found) == [verdict]
    assert [(each.kind, each.is_proven) for each in found.preconditions] == [("not null", True)]


@pytest.mark.slow
def test_rows_of_the_project_are_never_removed(verdicts: Prove) -> None:
    found = verdicts(
        TABLE,
        ("b2", "a1", "ALTER TABLE crews ALTER name SET NOT NULL", "ALTER TABLE crews ALTER name DROP NOT NULL"),
        samples="INSERT INTO crews (name, size) VALUES (NULL, 3), ('deck', 5)",
    )
    assert _verdicts(found["b2"]) == ["fails on rows"]


@pytest.mark.slow
def test_rows_of_the_project_that_follow_others_are_not_changed(verdicts: Prove) -> None:
    """Rows that violate it are generated, and rows of the project refer to them."""
    samples = "INSERT INTO logs (crew) SELECT id FROM crews"
    found = verdicts(
        TABLE,
        (
            "b2",
            "a1",
            "CREATE TABLE logs (id serial PRIMARY KEY, crew int NOT NULL REFERENCES crews)",
            "DROP TABLE logs",
        ),
        ("c3", "b2", "ALTER TABLE crews ADD kind text NOT NULL", "ALTER TABLE crews DROP kind"),
        samples=samples,
        revision="b2",
    )
    assert _verdicts(found["c3"]) == ["fails on rows"]


@pytest.mark.slow
def test_a_failure_that_is_not_about_rows_proves_no_precondition(verdicts: Prove) -> None:
    """With the value that the constraint forbids, the upgrade fails before it comes to the constraint."""
    guard = "DO $$ BEGIN IF EXISTS (SELECT FROM crews WHERE size = 424242) THEN EXECUTE 'no statement'; END IF; END $$"
    added = "ALTER TABLE crews ADD CONSTRAINT ck CHECK (size <> 424242)"
    dropped = "ALTER TABLE crews DROP CONSTRAINT ck"
    alone = verdicts(TABLE, ("b2", "a1", added, dropped))["b2"]
    guarded = verdicts(TABLE, ("b2", "a1", f"{guard}; {added}", dropped))["b2"]
    assert [each.is_proven for each in (*alone.preconditions, *guarded.preconditions)] == [True, False]


@pytest.mark.slow
def test_an_upgrade_that_fails_on_all_rows_stays_one_that_fails(verdicts: Prove) -> None:
    raises = "DO $$ BEGIN IF EXISTS (SELECT FROM crews) THEN PERFORM 1 / 0; END IF; END $$"
    found = verdicts(
        TABLE,
        (
            "b2",
            "a1",
            f"{raises}; ALTER TABLE crews ALTER name SET NOT NULL",
            "ALTER TABLE crews ALTER name DROP NOT NULL",
        ),
    )
    assert "fails on rows" in _verdicts(found["b2"])


NOTES = {
    "a validated constraint": (
        "ALTER TABLE crews ADD CONSTRAINT ck CHECK (size > -5) NOT VALID", "ALTER TABLE crews DROP CONSTRAINT ck",
        "ALTER TABLE crews VALIDATE CONSTRAINT ck", "SELECT 1", ["proven, if"], "NOT VALID"),
    "a column that a trigger sets": (
        TOUCH, "DROP TABLE hulls; DROP FUNCTION touch",
        "UPDATE hulls SET name = name || '.'", "UPDATE hulls SET name = left(name, -1)", ["proven"], "a trigger sets it"),
    "a backfill with a reason": (
        "SELECT 1", "SELECT 1", FILL, "python:# what was NULL means none\n    pass", ["proven"], "gives the reason"),
    "a backfill with a reason in a docstring": (
        "SELECT 1", "SELECT 1", FILL, 'python:"""What was NULL means none."""', ["proven"], "gives the reason"),
    "an empty downgrade that is accepted": (
        "SELECT 1", "SELECT 1", FILL, "python:# dbkit: ok empty-downgrade, the values stay\n    pass", ["proven"], "gives the reason"),
}  # fmt: skip


@pytest.mark.spread(2)
@pytest.mark.parametrize("name", NOTES)
def test_it_is_a_note(verdicts: Prove, name: str) -> None:
    first, first_down, up, down, verdict, words = NOTES[name]
    found = verdicts(TABLE, ("b2", "a1", first, first_down), ("c3", "b2", up, down))["c3"]
    assert _verdicts(found) == verdict, [each.words for each in found.findings]
    assert len(found.notes) == 1
    assert words in found.notes[0].words


FAULTS = {
    "a backfill without a reason": (FILL, "python:pass", "crews.name"),
    "the docstring of Alembic's template": (FILL, 'python:"""Downgrade schema."""', "crews.name"),
    "an ellipsis": (FILL, "python:...", "crews.name"),
    "an empty downgrade that is accepted without a reason": (FILL, "python:# dbkit: ok empty-downgrade,\n    pass", "crews.name"),
    "a note to oneself": (FILL, "python:pass  # TODO undo it", "crews.name"),
    "the comments of Alembic's template": (
        FILL, "python:# ### commands auto generated by Alembic - please adjust! ###\n    pass\n    # ### end Alembic commands ###", "crews.name"),
    "a comment behind the function": (FILL, "python:pass\n\n# nothing belongs here", "crews.name"),
    "a backfill with a pragma": (FILL, "python:pass  # noqa: PIE790", "crews.name"),
    "a value overwritten, with a reason": (
        'python:op.execute("UPDATE crews SET size = 7")', "python:# nobody needs it\n    pass", "crews.size"),
    "filled and overwritten, with a reason": (
        "python:op.execute(\"UPDATE crews SET name = 'none' WHERE name IS NULL OR size > 0\")",
        "python:# nobody needs it\n    pass", "crews.name"),
}  # fmt: skip


@pytest.mark.spread(3)
@pytest.mark.parametrize("name", FAULTS)
def test_it_is_no_note(verdicts: Prove, name: str) -> None:
    up, down, words = FAULTS[name]
    found = verdicts(TABLE, ("b2", "a1", up, down))["b2"]
    assert _verdicts(found) == ["lossy"]
    assert words in "\n".join(each.words for each in found.findings)


@pytest.mark.slow
def test_a_column_that_the_revision_names_is_compared_whatever_a_trigger_does(verdicts: Prove) -> None:
    found = verdicts(
        TABLE,
        ("b2", "a1", TOUCH, "DROP TABLE hulls; DROP FUNCTION touch"),
        ("c3", "b2", "UPDATE hulls SET updated_at = '2021-01-01'", "SELECT 1"),
    )["c3"]
    assert _verdicts(found) == ["lossy"]
