"""Run Alembic's own commands on a loaded project, through the gate."""

import re
from typing import Any

from alembic import command
from alembic.util import CommandError, to_list

from dbkit import gate
from dbkit.connect import connect, current_revisions
from dbkit.course import Guard
from dbkit.errors import InputError
from dbkit.project import Project, require_known
from dbkit.settings import Settings
from dbkit.wording import counted


def run(
    project: Project,
    settings: Settings,
    name: str,
    *arguments: str,
    announce: bool = False,
    start: tuple[str, ...] = (),
    guard: Guard | None = None,
    **options: Any,
) -> gate.Passage:
    """Run `alembic <name>` and return what passed the gate.

    `announce` prints each migration as it begins; `start` is where a script begins, when that is at several revisions;
    `guard` stands beside each step.
    Raises DbkitError; Alembic's own errors become InputError.
    """
    passage = gate.Passage(settings, name, announce, start, guard=guard)
    project.config.attributes[gate.ATTRIBUTE] = passage
    try:
        result = getattr(command, name)(project.config, *arguments, **options)
    except CommandError as error:
        hint = "`make history` lists the revisions." if "locate revision" in str(error) else ""
        raise InputError(f"{str(error).rstrip('.')}.", hint) from error
    passage.written = [script for script in to_list(result, []) if script]
    return passage


def position(project: Project, settings: Settings) -> tuple[str, ...]:
    """The revisions that the database is at. Raises DatabaseAhead when this code does not have one of them."""
    with connect(gate.target_of(settings), settings.wait) as connection:
        current = current_revisions(connection)
    require_known(project.script, current)
    return current


def check_target(to: str) -> None:
    """Raise InputError for what cannot be a revision: ids, `head`, `base`, `+2`, `-1`, `abc123+1`, `branch@head`."""
    if not re.fullmatch(r"[+-]\d+|([0-9A-Za-z_]+@)?[0-9A-Za-z_]+([+-]\d+)?", to) or re.match(r"heads?[+]", to):
        raise InputError(f"{to!r} is not a revision.", "`make history` lists them; head, base, +1 and -1 work too.")


def count(number: int) -> str:
    """A number of migrations, in words."""
    return counted(number, "migration")
