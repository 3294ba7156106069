"""Projects as `alembic init` makes them, with revisions and an env.py of one's choice."""

import atexit
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from support.battery import NOTHING, revision_file

# a table, an enum, a fault, and a step that leaves the transaction
REVISIONS = [
    ("aaaa", None, "CREATE TABLE t (id int PRIMARY KEY)", "DROP TABLE t"),
    ("bbbb", "aaaa", "CREATE TYPE mood AS ENUM ('x'); CREATE TABLE m (m mood)", "DROP TABLE m; DROP TYPE mood"),
    ("cccc", "bbbb", "CREATE INDEX IF NOT EXISTS ix ON t (id)", NOTHING),
    ("dddd", "cccc", "python:with op.get_context().autocommit_block():\n        op.execute('CREATE INDEX CONCURRENTLY ic ON t (id)')", "DROP INDEX ic"),
]  # fmt: skip


# what the templates have between "run_migrations_online" and the end, as people change it
ONLINE = """
import os
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

def run_migrations_online():
    {body}

run_migrations_online()
"""


@cache
def initialized(template: str) -> Path:
    """A directory in which `alembic init` was typed, to be copied."""
    directory = Path(tempfile.mkdtemp(prefix="dbkit-tests-"))
    atexit.register(shutil.rmtree, directory)
    command = [sys.executable, "-m", "alembic", "init", "--template", template, "migrations"]
    subprocess.run(command, cwd=directory, capture_output=True, check=True)
    return directory


@pytest.fixture
def init(tmp_path: Path) -> Callable[..., Path]:
    """`alembic init`, and revisions. Returns alembic.ini."""

    def run(
        template: str = "generic", *, online: str = "", revisions: list[tuple[str, str | None, str, str]] = REVISIONS
    ) -> Path:
        shutil.copytree(initialized(template), tmp_path, dirs_exist_ok=True)
        for revision, parent, up, down in revisions:
            path = tmp_path / f"migrations/versions/{revision}.py"
            path.write_text(revision_file(revision, parent, revision, up, down))
        if online:
            env = tmp_path / "migrations/env.py"
            head, _, _ = env.read_text().partition("def run_migrations_online")
            env.write_text(head + ONLINE.format(body=online.strip().replace("\n", "\n    ")))
        return tmp_path / "alembic.ini"

    return run


ENGINE = 'create_engine(os.environ["DATABASE_URL"], poolclass=NullPool)'


PLAIN = """
with {engine}.connect() as connection:
    context.configure(connection=connection{options})
    with context.begin_transaction():
        context.run_migrations()
"""


def plain(engine: str = ENGINE, options: str = "") -> str:
    return PLAIN.format(engine=engine, options=options)
