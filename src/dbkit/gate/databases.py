"""The databases that a verb works on: that of the settings, or those that the env.py of another project connects to."""

import contextlib
import io
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy.pool import ConnectionPoolEntry

from dbkit.errors import InputError
from dbkit.gate.alembic_command import read_position
from dbkit.gate.context import DATABASES, FoundDatabase
from dbkit.gate.discovery import find_databases
from dbkit.settings import Settings, load

if TYPE_CHECKING:
    from dbkit.project import Project


def list_settings(loaded: "Project", settings: Settings, name: str | None = None) -> list[Settings]:
    """Return the settings for each database of a project; for the one called `name`, where that is given.

    Another project's env.py is run to ask it, once in a process. Raises InputError where there is no such database.
    """
    if not settings.is_foreign or settings.target is not None:
        return [settings]
    found = find(loaded, settings)
    # env.py may have loaded a file into the environment
    fresh = load(settings.root, os.environ, ini=settings.ini, dotenv=False)
    named = [
        replace(
            fresh,
            target=each.target,
            stash=settings.stash,
            section=settings.section,
            arguments=settings.arguments,
            is_foreign=True,
            database=each.name,
        )
        for each in found
    ]
    if name is None:
        return named
    chosen = [each for each in named if each.database == name]
    if not chosen:
        raise InputError(f"env.py has no database called {name!r}.", f"It has {_join(named)}.")
    return chosen


def choose_settings(loaded: "Project", settings: Settings, name: str | None = None) -> Settings:
    """Return the settings for the one database of a project, or that called `name`. Raises InputError for several."""
    named = list_settings(loaded, settings, name)
    if len(named) > 1:
        raise InputError(
            f"env.py has {len(named)} databases, {_join(named)}, and this works on one of them.",
            "Name it, where the verb takes that: --database NAME.",
        )
    return named[0]


def read_one_position(loaded: "Project", named: Sequence[Settings], hint: str) -> tuple[str, ...]:
    """Return the revisions of the database. Raises InputError, with a hint, where those of several databases differ."""
    found = {read_position(loaded, each) for each in named}
    if len(found) > 1:
        positions = " and ".join(sorted(", ".join(each) or "base" for each in found))
        raise InputError(f"the databases are at different revisions, {positions}.", hint)
    return found.pop()


def find(loaded: "Project", settings: Settings) -> Sequence[FoundDatabase]:
    """Run the env.py of another project to ask which databases it connects to; once in a process."""
    attributes = loaded.config.attributes
    if DATABASES not in attributes:
        with _silence():
            attributes[DATABASES] = find_databases(loaded, settings)
    found: Sequence[FoundDatabase] = attributes[DATABASES]
    return found


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Suppress what env.py prints and Alembic logs, and close the connections that its engines would keep."""
    opened: WeakSet[ConnectionPoolEntry] = WeakSet()

    def remember(_connection: object, entry: ConnectionPoolEntry) -> None:
        opened.add(entry)

    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    sa.event.listen(sa.Pool, "connect", remember)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        sa.event.remove(sa.Pool, "connect", remember)
        for entry in list(opened):
            entry.invalidate()
        logging.disable(disabled)


def _join(named: Sequence[Settings]) -> str:
    return ", ".join(each.database or "one without a name" for each in named)
