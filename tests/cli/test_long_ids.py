"""A revision whose id does not fit into the version table: said before anything is done, and no other blamed for it."""

from pathlib import Path

import pytest

from dbkit.postgres.cluster import Cluster
from dbkit.reports import text
from dbkit.roundtrip.prove import Request, prove
from dbkit.settings import Settings
from support import pair as pair_module
from support.battery import revision_file
from support.plain import ENV, Revision, write_project

LONG = "a_revision_with_an_id_of_41_characters__x"
WORDS = "its id has 41 characters, and alembic_version.version_num takes 32"
WIDER = "ALTER TABLE alembic_version ALTER COLUMN version_num TYPE varchar(64)"
NARROW = "ALTER TABLE alembic_version ALTER COLUMN version_num TYPE varchar(32)"
CHAIN: list[Revision] = [
    ("aaaa", None, "CREATE TABLE a (id int)", "DROP TABLE a"),
    (LONG, "aaaa", "CREATE TABLE b (id int)", "DROP TABLE b"),
    ("cccc", LONG, "CREATE TABLE IF NOT EXISTS c (id int)", "SELECT 1"),
    ("dddd", "cccc", "python:with op.get_context().autocommit_block():\n        op.execute('CREATE INDEX CONCURRENTLY ic ON a (id)')", "DROP INDEX ic"),
]  # fmt: skip
CLONES = ENV.replace("connection=connection", "connection=connection.execution_options(isolation_level='AUTOCOMMIT')")


@pytest.mark.spread(2)
@pytest.mark.parametrize(("env", "jobs"), [(ENV, 1), (CLONES, 2)], ids=["inside", "by clones, two processes"])
def test_a_proof_names_it_and_proves_the_others(
    local_settings: Settings, server: Cluster, tmp_path: Path, env: str, jobs: int
) -> None:
    ini = write_project(tmp_path, CHAIN, env)
    outcome = prove(local_settings, ini, Request(server=server.target("postgres"), jobs=jobs))
    assert [each.verdict.value for each in outcome.revisions] == ["proven", "broken", "dirty", "proven"]
    assert [(finding.words, finding.line) for finding in outcome.revisions[1].findings] == [(WORDS, 6)]
    assert "the whole chain went down and up again" in text.summarize_roundtrip(outcome)


def test_a_chain_that_makes_the_column_wider_is_proven(
    local_settings: Settings, server: Cluster, tmp_path: Path
) -> None:
    chain = [("0000", None, WIDER, NARROW), ("aaaa", "0000", *CHAIN[0][2:]), CHAIN[1]]
    outcome = prove(local_settings, write_project(tmp_path, chain), Request(server=server.target("postgres")))
    assert [each.verdict.value for each in outcome.revisions] == ["proven"] * 3


@pytest.fixture
def gated(pair: pair_module.Pair) -> pair_module.Project:
    """A project behind the gate that has the first two."""
    for path in pair.gated.versions.glob("*.py"):
        path.unlink()
    write(pair.gated, CHAIN[:2])
    return pair.gated


def write(project: pair_module.Project, chain: list[Revision]) -> None:
    for revision, parent, up, down in chain:
        text = revision_file(revision, parent, revision, up, down)
        (project.versions / f"{revision}.py").write_text(text)


@pytest.mark.parametrize("arguments", [("upgrade", "head"), ("upgrade", "head", "--sql")], ids=["migrate", "sql"])
def test_it_is_refused_before_anything_is_done(gated: pair_module.Project, arguments: tuple[str, ...]) -> None:
    typed = gated.alembic(*arguments)
    assert (typed.returncode, typed.stdout) == (2, "")
    assert f"{LONG} cannot be recorded: {WORDS}.\n  Give it a shorter id, in {LONG}.py" in typed.stderr
    assert gated.query("SELECT to_regclass('a')") == [(None,)]


def test_where_the_column_is_wider_it_is_applied(gated: pair_module.Project) -> None:
    """Made so by hand, or by a revision before it."""
    write(gated, [("0000", None, WIDER, NARROW), ("aaaa", "0000", *CHAIN[0][2:])])
    assert gated.alembic("upgrade", "head", "--sql").returncode == 0
    typed = gated.alembic("upgrade", "head")
    assert typed.returncode == 0, typed.stderr
    assert gated.query("SELECT version_num FROM alembic_version") == [(LONG,)]
