"""Under the lock of an earlier statement, whatever works on rows or reads them is told, found rows or not."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from dbkit.findings.finding import Level, LintFinding
from dbkit.postgres.cluster import Cluster
from support.dangers import Case, numbered, tables
from support.lint_findings import advice_on, engine_of

COLUMN = "op.add_column('t1', sa.Column('slug', sa.Text))"
KEPT = "lock-kept-during-data-change"


@pytest.fixture(scope="module")
def engine(server: Cluster) -> sa.Engine:
    """A database for one migration after the other."""
    return engine_of(server.create_database("under_lock"))


@pytest.fixture
def found(engine: sa.Engine, tmp_path: Path) -> Callable[..., list[LintFinding]]:
    """What is found of an upgrade() with these lines, on the tables of one danger, with rows."""

    def run(*lines: str) -> list[LintFinding]:
        with engine.begin() as connection:
            connection.exec_driver_sql(tables(Case(), 1))
        text = "def upgrade():\n" + "".join(f"    {line}\n" for line in lines)
        return [each for each in advice_on(engine, tmp_path / "revision.py", numbered(text, 1)) if each.id == KEPT]

    return run


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("op.get_bind().execute(sa.text('SELECT * FROM t1 WHERE slug IS NULL')).fetchall()", "the rows of t1 are read"),
        ("op.execute('SELECT count(*) FROM p1')", "the rows of p1 are read"),
        ("op.execute('(SELECT id FROM p1 UNION SELECT id FROM t1)')", "the rows of t1, p1 are read"),
        ("op.execute(\"COPY (SELECT note FROM t1) TO '/dev/null'\")", "the rows of t1 are read"),
        ("op.execute(\"DO $$ BEGIN PERFORM 1 FROM t1 WHERE note = 'none'; END $$\")", "the rows of t1 are read"),
        ("op.execute(\"CREATE TABLE n1 AS SELECT * FROM t1 WHERE note = 'none'\")", "the rows of t1 are read"),
        ("op.execute('CREATE MATERIALIZED VIEW m1 AS SELECT * FROM p1 WHERE false OR name IS NULL')", "the rows of p1 are"),
        ("op.execute(\"UPDATE p1 SET name = 'x' FROM t1 WHERE p1.id = t1.p_id AND slug = 'one'\")", "the rows of t1 are worked on"),
        ("op.execute(\"WITH gone AS (DELETE FROM p1 WHERE name = 'one' RETURNING id) SELECT * FROM gone\")", "the rows of p1 are worked on"),
        ("op.execute(\"DO $$ BEGIN UPDATE t1 SET note = 'x' WHERE slug = 'one'; END $$\")", "the rows of t1 are worked on"),
    ],
)  # fmt: skip
def test_a_statement_under_the_lock_of_an_earlier_one(
    found: Callable[..., list[LintFinding]], line: str, words: str
) -> None:
    (advice,) = found(COLUMN, line)
    assert words in advice.message
    assert (advice.level, advice.blocks) == (Level.DANGER, "reads and writes")
    assert found(line) == [], "it has locked nothing itself that anybody waits for"
    assert found(line, COLUMN) == [], "the lock is taken afterwards"


def test_the_same_twice_is_told_for_each_line(found: Callable[..., list[LintFinding]]) -> None:
    """The second UPDATE takes no lock any more."""
    update = "op.execute(\"UPDATE t1 SET note = 'x' WHERE slug = 'one'\")"
    assert [each.line for each in found(COLUMN, update, update)] == [6, 7]


def test_reading_while_only_writes_wait_is_a_warning(found: Callable[..., list[LintFinding]]) -> None:
    key = "op.execute('CREATE TABLE n1 (id bigint REFERENCES p1)')"
    (advice,) = found(key, "op.execute('SELECT count(*) FROM t1')")
    assert (advice.level, advice.blocks) == (Level.WARNING, "writes")


@pytest.mark.parametrize(
    "line",
    [
        "op.execute('SELECT note FROM t1 WHERE id = -1')",
        "op.execute('UPDATE t1 SET slug = note WHERE id = -1')",
        "op.execute('SELECT 1 FOR UPDATE')",
        "op.execute('ANALYZE p1')",
        "op.execute('CREATE TABLE n1 (id bigint REFERENCES t1, at timestamp DEFAULT now())')",
        "op.execute('CREATE TABLE n1 (LIKE t1 INCLUDING ALL)')",
        "op.execute('CREATE VIEW v1 AS SELECT * FROM t1')",
    ],
)
def test_what_reads_no_table(found: Callable[..., list[LintFinding]], line: str) -> None:
    assert found(COLUMN, line) == []
