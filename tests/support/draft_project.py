"""A project for the cases of the draft battery: its files, its database, and what people type in it."""

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from dbkit.postgres.cluster import Cluster
from dbkit.settings import Target
from support.battery import revision_file
from support.kit import REPOSITORY
from support.pair import fork_server, url_of

COMMAND = Path(__file__).with_name("draft_command.py")
OWN_ENV = """\
import os

from alembic import context
from dbkit import gate

gate.install(context)

from sqlalchemy import create_engine, pool

from app.models import Base

OPTIONS = dict(target_metadata=Base.metadata, {configure})

if context.is_offline_mode():
    context.configure(url=os.environ["TEAM_DB"], literal_binds=True, **OPTIONS)
    with context.begin_transaction():
        context.run_migrations()
else:
    with create_engine(os.environ["TEAM_DB"], poolclass=pool.NullPool).connect() as connection:
        context.configure(connection=connection, **OPTIONS)
        with context.begin_transaction():
            context.run_migrations()
"""
HEAD_HOOK = """
[post_write_hooks]
hooks = head
head.type = module
head.module = dbkit.project.head_file
head.options = REVISION_SCRIPT_FILENAME
"""
INI = """\
[alembic]
script_location = %(here)s/backend/alembic
prepend_sys_path = %(here)s/backend
path_separator = newline
"""


@dataclass
class DraftProject:
    """A project in the layout of the kit, with its env.py or with one that connects by itself."""

    root: Path
    target: Target
    """Its database."""
    scratch: Path
    """A file with the scratch cluster that is lent to its commands."""
    has_own_env: bool = False
    outputs: list[str] = field(default_factory=list)
    """What the commands have printed."""
    preceding: set[Path] = field(default_factory=set)
    """The files of the revisions that precede the change."""
    start: str = "base"
    """The last one of these."""
    head: str = ""
    """The head file before the change."""

    @property
    def versions(self) -> Path:
        """The directory of its revisions."""
        return self.root / "backend/alembic/versions"

    @property
    def drafts(self) -> list[Path]:
        """The files of the change's own revisions."""
        return sorted(set(self.versions.glob("*.py")) - self.preceding)

    @property
    def head_file(self) -> Path:
        """The head file, which an env.py of the project's own goes without."""
        return self.versions.parent / "HEAD"

    def variables(self) -> dict[str, str]:
        """The environment of its commands."""
        names = ("DATABASE", "DB_", "MIGRATION", "PYTHONPATH")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(names)}
        url = url_of(self.target)
        named = (
            {"TEAM_DB": url.replace("postgresql:", "postgresql+psycopg:")}
            if self.has_own_env
            else {"DATABASE_URL": url}
        )
        return {**kept, **named, "APP_ENV": "test", "CONFIRM": self.target.dbname, "DBKIT_LENT": str(self.scratch)}

    def dbkit(self, verb: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a verb."""
        server = fork_server()
        variables = self.variables()
        command = [str(COMMAND), verb, *arguments]
        if server.can_run(variables):
            typed = server.run(command, cwd=str(self.root), environment=variables)
        else:
            path = os.pathsep.join(sys.path)
            typed = subprocess.run(
                [sys.executable, *command],
                cwd=self.root,
                env={**variables, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        self.outputs.append(f"$ dbkit {verb} {' '.join(arguments)}  # {typed.returncode}\n{typed.stdout}{typed.stderr}")
        return typed

    def write_models(self, text: str) -> None:
        """Write the models, as if it were later than the last time."""
        shutil.rmtree(self.root / "backend/app/models/__pycache__", ignore_errors=True)
        (self.root / "backend/app/models/__init__.py").write_text(text)

    def write_files(self, files: Mapping[str, str]) -> None:
        """Write the SQL files, and no others."""
        directory = self.root / "backend/app/sql"
        shutil.rmtree(directory, ignore_errors=True)
        if files:
            directory.mkdir()
        for name, text in files.items():
            (directory / name).write_text(text)

    def add_revision(self, message: str, up: str, down: str) -> None:
        """Write a revision by hand, as for `battery.revision_file`; it precedes the change."""
        parent = None if self.start == "base" else self.start
        revision = f"by_hand_{len(self.preceding)}"
        (self.versions / f"{revision}.py").write_text(revision_file(revision, parent, message, up, down))
        self.head = f"{revision} {message}\n"
        if not self.has_own_env:
            self.head_file.write_text(self.head)
        self.adopt_drafts(revision)

    def adopt_drafts(self, head: str) -> None:
        """Let the revisions up to now, the last of which is this one, precede the change."""
        self.preceding |= set(self.drafts)
        self.start = head
        if not self.has_own_env:
            self.head = self.head_file.read_text()

    def remove_drafts(self) -> None:
        """Remove the revisions of the change."""
        for path in self.drafts:
            path.unlink()
        if not self.has_own_env:
            self.head_file.write_text(self.head)

    def query(self, statement: str) -> list[tuple[object, ...]]:
        """Run SQL in its database; committed."""
        with psycopg.connect(**self.target.parameters(), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


def lend_cluster(cluster: Cluster, directory: Path) -> Path:
    """Write down a cluster that is lent to the commands of projects. Returns the file."""
    path = directory / "lent"
    path.write_bytes(pickle.dumps(Cluster(**{name: getattr(cluster, name) for name in Cluster.__dataclass_fields__})))
    return path


def make_project(root: Path, target: Target, scratch: Path, configure: str = "") -> DraftProject:
    """Make a project without models. With options for `context.configure`, env.py is the project's own."""
    directory = root / "backend/alembic"
    (directory / "versions").mkdir(parents=True)
    (root / "backend/app/models").mkdir(parents=True)
    (root / "backend/app/__init__.py").write_text("")
    for name in ("env.py", "script.py.mako"):
        shutil.copy(REPOSITORY / "backend/alembic" / name, directory)
    if configure:
        (directory / "env.py").write_text(OWN_ENV.format(configure=configure))
    (root / "alembic.ini").write_text(INI + ("" if configure else HEAD_HOOK))
    return DraftProject(root, target, scratch, has_own_env=bool(configure))
