"""A project of another team: `alembic init`, a URL in a variable of theirs, models, and the gate in its env.py."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

from dbkit.settings import Target
from support.alembic_templates import initialized
from support.battery import revision_file
from support.pair import url_of

CONFIG = """\
import os

# read when the module is imported, as many projects do
URL = os.environ["TEAM_DB"]
"""
MODELS = """\
import sqlalchemy as sa

metadata = sa.MetaData()
customers = sa.Table(
    "customers", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text), sa.Column("city", sa.Text)
)
"""
ENV = """\
from alembic import context
from dbkit import gate

gate.install(context)

from logging.config import fileConfig

from sqlalchemy import create_engine, pool

import team_config
import team_models

if context.config.config_file_name is not None:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)
OPTIONS = dict(target_metadata=team_models.metadata, {options})

if context.is_offline_mode():
    context.configure(url=team_config.URL, literal_binds=True, dialect_opts={{"paramstyle": "named"}}, **OPTIONS)
    with context.begin_transaction():
        context.run_migrations()
else:
    with create_engine(team_config.URL, poolclass=pool.NullPool).connect() as connection:
        context.configure(connection=connection, **OPTIONS)
        with context.begin_transaction():
            context.run_migrations()
"""
CHAIN = (
    ("c1", None, "CREATE TABLE customers (id serial PRIMARY KEY, name text)", "DROP TABLE customers"),
    ("c2", "c1", "ALTER TABLE customers ADD COLUMN city text", "ALTER TABLE customers DROP COLUMN city"),
)


@dataclass
class OtherProject:
    """One such project, and what people type in it."""

    root: Path
    target: Target

    @property
    def ini(self) -> Path:
        """Its settings file."""
        return self.root / "alembic.ini"

    @property
    def versions(self) -> Path:
        """The directory of its revisions."""
        return self.root / "migrations/versions"

    def variables(self, env: Mapping[str, str] = {}) -> dict[str, str]:
        """The environment: without any variable that dbkit reads by itself for a database."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE", "MIGRATION"))}
        url = url_of(self.target).replace("postgresql://", "postgresql+psycopg://")
        return {**kept, "TEAM_DB": url, "APP_ENV": "test", "PYTHONPATH": os.pathsep.join(sys.path), **env}

    def run(self, *command: str, env: Mapping[str, str] = {}) -> "subprocess.CompletedProcess[str]":
        """Run a Python module to its end."""
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.root,
            env=self.variables(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def dbkit(self, verb: str, *arguments: str, env: Mapping[str, str] = {}) -> "subprocess.CompletedProcess[str]":
        """Run a verb on it."""
        config = "--config" if verb == "psql" else "-c"
        return self.run("dbkit", verb, config, "alembic.ini", *arguments, env=env)

    def query(self, statement: str) -> list[tuple[object, ...]]:
        """Run a statement in its database; committed."""
        with psycopg.connect(**self.target.parameters(), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def add(self, revision: str, parent: str | None, up: str, down: str) -> None:
        """Write a revision file."""
        (self.versions / f"{revision}.py").write_text(revision_file(revision, parent, revision, up, down))


def make_project(root: Path, target: Target, options: str = "") -> OtherProject:
    """Make a project whose env.py gives these options to Alembic."""
    shutil.copytree(initialized("generic"), root, dirs_exist_ok=True)
    project = OtherProject(root, target)
    (root / "team_config.py").write_text(CONFIG)
    (root / "team_models.py").write_text(MODELS)
    (root / "migrations/env.py").write_text(ENV.format(options=options))
    for each in CHAIN:
        project.add(*each)
    return project
