"""A revision that is proven in copies of the database, in a schema of 100 tables, against one in its transaction."""

from functools import partial
from pathlib import Path

from benchmarks.lint import run_verb
from benchmarks.roundtrip import Project, make_project
from benchmarks.timing import Comparison, Task, in_turns

TABLES = 100
REVISIONS = 8
FILE = """\
from alembic import op

revision, down_revision = {revision!r}, {before!r}
branch_labels = depends_on = None


def upgrade() -> None:
    {upgrade}


def downgrade() -> None:
    {downgrade}
"""
CREATE = "for number in range({tables}):\n        op.execute(f'CREATE TABLE t{{number}} (id int PRIMARY KEY, a int)')"
DROP = "for number in range({tables}):\n        op.execute(f'DROP TABLE t{{number}}')"
PLAIN = "op.execute('{statement}')"
OUTSIDE = "with op.get_context().autocommit_block():\n        op.execute('{statement}')"


def clones(directory: Path, runs: int) -> list[Comparison]:
    """The proof of indexes that are built concurrently, against that of the same indexes built in a transaction."""
    projects = {
        label: _make_chain(directory / label, *words)
        for label, words in (("concurrent", (OUTSIDE, "CONCURRENTLY ")), ("plain", (PLAIN, "")))
    }
    command = ["roundtrip", "--no-cache", "--from", "r0"]
    tasks = [
        Task(f"dbkit roundtrip, {REVISIONS} {label} indexes", partial(run_verb, project, command))
        for label, project in projects.items()
    ]
    concurrent, plain = in_turns(tasks, runs)
    return [Comparison(f"clones, {TABLES} tables", concurrent, plain)]


def _make_chain(directory: Path, block: str, how: str) -> Project:
    directory.mkdir()
    project = make_project(directory, 0)
    versions = project.root / "migrations/versions"
    bodies: list[tuple[str, ...]] = [(CREATE.format(tables=TABLES), DROP.format(tables=TABLES))]
    for number in range(REVISIONS):
        statements = (f"CREATE INDEX {how}ix{number} ON t{number} (a)", f"DROP INDEX {how}ix{number}")
        upgrade, downgrade = (block.format(statement=each) for each in statements)
        bodies.append((upgrade, downgrade))
    for number, (upgrade, downgrade) in enumerate(bodies):
        before = f"r{number - 1}" if number else None
        text = FILE.format(revision=f"r{number}", before=before, upgrade=upgrade, downgrade=downgrade)
        (versions / f"r{number}.py").write_text(text)
    return project
