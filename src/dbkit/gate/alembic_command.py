"""Run Alembic's own commands on a loaded project, through the gate."""

import re
from pathlib import Path
from typing import Any, NoReturn

from alembic import command
from alembic.util import CommandError, to_list

from dbkit import gate
from dbkit.errors import InputError
from dbkit.gate import preconditions
from dbkit.postgres.connect import connect, current_revisions
from dbkit.postgres.connection_guard import ConnectionGuard, ConnectionRefused, Identity, guarding, identify
from dbkit.project import Project, env_file, require_known
from dbkit.project.step_hooks import StepHook
from dbkit.settings import Settings, Target
from dbkit.wording import counted

# Alembic's commands that run env.py only where revision_environment says so, or to compare the models
WRITERS = ("revision", "merge")


class GateConnectionGuard(ConnectionGuard):
    """Lets no connection through before env.py has called the gate, and then only to the gate's database."""

    def __init__(self, passage: gate.RunContext, env_py: Path) -> None:
        self.passage = passage
        self.env_py = env_py

    def before(self, dbname: str | None) -> None:
        """Refuse to open what can be no connection to the gate's database."""
        target = self._target()
        if target is None or (dbname and dbname != target.dbname):
            self._refuse_other(target, f'"{dbname}"' if dbname else "a database")

    def check(self, identity: Identity) -> None:
        """Refuse another database than the gate's: the name may be the same on two servers."""
        target = self._target()
        if target is None:
            self._refuse_other(target, f'"{identity.dbname}"')
        with connect(target, self.passage.settings.wait) as connection:
            if not identity.is_same_database(identify(connection)):
                self._refuse_other(target, f'"{identity.dbname}" on another server')

    def check_own(self, target: Target) -> None:
        """Refuse another target than the gate's. While it starts the embedded server there is none yet."""
        meant = self._target()
        if meant not in (None, target):
            self._refuse_other(meant, f'"{target.dbname}" on {target.server()}')

    def _target(self) -> Target | None:
        if not self.passage.taken:
            self.refuse(
                ConnectionRefused(
                    f"{self.env_py} opens a connection before it calls dbkit.gate.run; it was not let through.",
                    env_file.HOW_TO_ADD,
                )
            )
        return self.passage.target

    def _refuse_other(self, meant: Target | None, other: str) -> NoReturn:
        """There is none meant where only a script is written."""
        what = f'"{meant.dbname}" on {meant.server()}' if meant else "no database"
        self.refuse(
            ConnectionRefused(
                f"env.py, or a migration, opens a connection to {other}, and this run is for {what}; it was not let "
                "through.",
                "Use the connection of the migration: op.get_bind().",
            )
        )


def run_alembic(
    project: Project,
    settings: Settings,
    name: str,
    *arguments: str,
    announce: bool = False,
    start: tuple[str, ...] = (),
    guard: StepHook | None = None,
    **options: Any,
) -> gate.RunContext:
    """Run `alembic <name>` and return what passed the gate.

    `announce` prints each migration as it begins; `start` is where a script begins, when that is at several revisions;
    `guard` stands beside each step.
    Raises DbkitError; Alembic's own errors become InputError.
    """
    passage = gate.RunContext(settings, name, announce, start, guard=guard)
    project.config.attributes[gate.ATTRIBUTE] = passage
    runs_env = (
        name not in WRITERS
        or options.get("autogenerate")
        or project.config.get_alembic_boolean_option("revision_environment")
    )
    if runs_env:
        project.require_gate()
    only = GateConnectionGuard(passage, Path(project.script.dir) / "env.py")
    try:
        with guarding(only):
            result = getattr(command, name)(project.config, *arguments, **options)
            if runs_env and not passage.taken:
                raise ConnectionRefused(
                    f"{only.env_py} ended without calling dbkit.gate.run, so nothing was done.", env_file.HOW_TO_ADD
                )
    except CommandError as error:
        hint = "`make history` lists the revisions." if "locate revision" in str(error) else ""
        raise InputError(f"{str(error).rstrip('.')}.", hint) from error
    passage.written = [script for script in to_list(result, []) if script]
    return passage


def read_position(project: Project, settings: Settings) -> tuple[str, ...]:
    """The revisions that the database is at. Raises DatabaseAhead when this code does not have one of them."""
    with connect(gate.resolve_target(settings), settings.wait) as connection:
        current = current_revisions(connection)
        preconditions.require_one_history(connection, project.script)
    require_known(project.script, current)
    return current


def require_revision_name(to: str) -> None:
    """Raise InputError for what cannot be a revision: ids, `head`, `base`, `+2`, `-1`, `abc123+1`, `branch@head`."""
    if not re.fullmatch(r"[+-]\d+|([0-9A-Za-z_]+@)?[0-9A-Za-z_]+([+-]\d+)?", to) or re.match(r"heads?[+]", to):
        raise InputError(f"{to!r} is not a revision.", "`make history` lists them; head, base, +1 and -1 work too.")


def count_migrations(number: int) -> str:
    """A number of migrations, in words."""
    return counted(number, "migration")
