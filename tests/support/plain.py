"""A plain Alembic project with an env.py of a few lines, for proofs."""

from collections.abc import Iterable
from pathlib import Path

from support.battery import revision_file

ENV = """
import os

from alembic import context
from sqlalchemy import create_engine, pool

with create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""

Revision = tuple[str, str | tuple[str, ...] | None, str, str]
"""Its id, its parents, and what goes up and down, as for `battery.revision_file`."""


def write_project(directory: Path, revisions: Iterable[Revision], env: str = ENV) -> Path:
    """Write a project. Returns its alembic.ini."""
    versions = directory / "migrations/versions"
    versions.mkdir(parents=True)
    for revision, parent, up, down in revisions:
        (versions / f"{revision}.py").write_text(revision_file(revision, parent, revision, up, down))
    (directory / "migrations/env.py").write_text(env)
    ini = directory / "alembic.ini"
    ini.write_text("[alembic]\nscript_location = %(here)s/migrations\nsqlalchemy.url = postgresql://\n")
    return ini
