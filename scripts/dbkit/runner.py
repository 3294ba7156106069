"""Run Alembic's own commands on a loaded project, through the gate."""

import re
from typing import Any

from alembic import command
from alembic.script import Script
from alembic.util import CommandError, to_list

from dbkit import gate
from dbkit.connect import connect, current_revisions
from dbkit.errors import DatabaseAhead, InputError
from dbkit.project import Project
from dbkit.settings import Settings


def run(
    project: Project, settings: Settings, name: str, *arguments: str, announce: bool = False, **options: Any
) -> gate.Passage:
    """Run `alembic <name>` and return what passed the gate; `announce` prints each migration as it begins.

    Raises DbkitError; Alembic's own errors become InputError.
    """
    passage = gate.Passage(settings, name, announce)
    project.config.attributes[gate.ATTRIBUTE] = passage
    try:
        result = getattr(command, name)(project.config, *arguments, **options)
    except CommandError as error:
        raise InputError(f"{str(error).rstrip('.')}.") from error
    passage.written = [script for script in to_list(result, []) if script]
    return passage


def position(project: Project, settings: Settings) -> tuple[str, ...]:
    """The revisions that the database is at. Raises DatabaseAhead when this code does not have one of them."""
    with connect(gate.target_of(settings), settings.wait) as connection:
        current = current_revisions(connection)
    for revision in current:
        if not find(project, revision):
            raise DatabaseAhead(
                f"the database is at {revision}, which this code does not have.",
                "Check out the code that has it; or, when that migration was undone for good, restore the database.",
            )
    return current


def find(project: Project, revision: str) -> Script | None:
    """The revision with exactly this id."""
    try:
        return project.script.get_revision(revision)
    except CommandError:
        return None


def check_target(to: str) -> None:
    """Raise InputError for what cannot be a revision: ids, `head`, `base`, `+2`, `-1`, `abc123+1`, `branch@head`."""
    if not re.fullmatch(r"[0-9A-Za-z_@+-]+", to):
        raise InputError(f"{to!r} is not a revision.", "`make history` lists them; head, base, +1 and -1 work too.")


def count(number: int) -> str:
    """A number of migrations, in words."""
    return f"{number} migration" + ("" if number == 1 else "s")
