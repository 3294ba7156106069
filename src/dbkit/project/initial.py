"""The state in which a chain begins: `[dbkit] initial`, a script or a function, for every scratch database."""

import importlib
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg
from alembic.script import Script

from dbkit.errors import DbkitError, InputError, describe_error, sqlstate_of
from dbkit.postgres import connection_guard
from dbkit.postgres.connect import connect, connection_keywords
from dbkit.postgres.own_statements import Session
from dbkit.postgres.sql_script import run_script
from dbkit.settings import Target

HINT = (
    "Where another program makes that before the first revision: [dbkit] initial = FILE.sql in the settings file is "
    "applied to every scratch database first."
)
MISSING = ("42P01", "3F000", "42704", "42883")
"""The SQLSTATEs of a table, schema, type or role, and function that does not exist."""
MISSING_NAME = re.compile(r"""(?:\w+\.)?(\w+)(?:"|\([^()]*\)) does not exist""")
CREATED = r"create[\s\S]{{0,200}}?\b{name}\b"
LONGEST = 86400.0  # seconds for one of its statements
EMPTY = "template1"
"""The template of an empty database."""


class Databases(Protocol):
    """A server on which scratch databases are created."""

    def create_database(self, dbname: str, template: str = EMPTY) -> Target:
        """Create an empty database, or a copy of `template`."""


@dataclass(frozen=True)
class Initial:
    """The state that a chain begins in."""

    source: str
    """As it is written in the settings file."""
    directory: Path
    """The directory of the settings file."""

    @property
    def is_script(self) -> bool:
        """Whether it is a file of SQL, and not a function."""
        return ":" not in self.source or self.source.endswith(".sql")

    def apply(self, target: Target) -> None:
        """Apply it to a database. Raises InputError where that fails."""
        if self.is_script:
            with connect(target, autocommit=True, session=Session.PROJECT, patience=LONGEST) as connection:
                run_script(connection, self.directory / self.source)
            return
        function = self._load()
        with connection_guard.own(target):
            given: psycopg.Connection = psycopg.connect(**connection_keywords(target))  # type: ignore[arg-type]
        try:
            function(given)
            if not given.closed:
                given.commit()
        except DbkitError:
            raise
        except (Exception, SystemExit) as error:  # it is the project's code
            raise self._failure(error) from error
        finally:
            given.close()

    def make_template(self, place: Databases, dbname: str) -> str:
        """Create a database in this state, to be copied. Returns its name."""
        self.apply(place.create_database(dbname))
        return dbname

    def _load(self) -> "Function":
        module, _, name = self.source.partition(":")
        try:
            with _on_path(self.directory):
                found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise InputError(
                f"[dbkit] initial = {self.source}: {error}.",
                "Write FILE.sql, or package.module:function; the function is called with a psycopg connection.",
            ) from error
        except (Exception, SystemExit) as error:  # the module is the project's code, too
            raise self._failure(error) from error
        return found  # type: ignore[no-any-return]  # the project's

    def _failure(self, error: BaseException) -> InputError:
        words = describe_error(error)
        return InputError(f"[dbkit] initial = {self.source} failed: {type(error).__name__}: {words.rstrip('.')}.")


class Function(Protocol):
    """A function of the project that brings an empty database into the state."""

    def __call__(self, connection: psycopg.Connection) -> object:
        """Change the database; the transaction is committed afterwards."""


def require_before_first(heads: Sequence[str]) -> None:
    """Raise InputError where the initial state has a version table with revisions in it."""
    if heads:
        raise InputError(
            f"the state of [dbkit] initial is at {', '.join(heads)}, and the first revision is to be applied to it.",
            "Leave the rows of the version table out of it: pg_dump --exclude-table-data, or a TRUNCATE at its end.",
        )


def hint_for(error: BaseException, script: Script) -> str:
    """Return HINT where the upgrade of a revision misses something that no revision before it creates; else ""."""
    state = sqlstate_of(error)
    frames = traceback.extract_tb(error.__traceback__)
    goes_up = any(frame.name == "upgrade" and frame.filename == str(script.path) for frame in frames)
    if state not in MISSING or not goes_up:
        return ""
    found = MISSING_NAME.search(describe_error(error, primary=True))
    if script.down_revision and (found is None or _is_created_elsewhere(found[1], Path(script.path))):
        return ""
    return HINT


def _is_created_elsewhere(name: str, path: Path) -> bool:
    """Whether another file in the directory of a revision seems to create an object of this name."""
    pattern = re.compile(CREATED.format(name=re.escape(name)), re.IGNORECASE)
    others = (each for each in path.parent.glob("*.py") if each != path)
    return any(pattern.search(each.read_text(encoding="utf-8", errors="replace")) for each in others)


@contextmanager
def _on_path(directory: Path) -> Iterator[None]:
    """Import from a directory, too, after the others."""
    sys.path.append(str(directory))
    try:
        yield
    finally:
        sys.path.remove(str(directory))
