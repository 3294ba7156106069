"""Run Alembic's commands on a loaded project, through the gate."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError, to_list

from dbkit.errors import InputError
from dbkit.gate import requirements
from dbkit.gate.context import ATTRIBUTE, DATABASES, FoundDatabase, RunContext, resolve_target
from dbkit.postgres.connect import connect, current_revisions
from dbkit.postgres.connection_guard import ConnectionGuard, ConnectionRefused, Identity, guarding, identify
from dbkit.project import Project, alembic_features, env_file, require_known
from dbkit.project.step_hooks import StepHook
from dbkit.settings import Settings, Target

# Alembic's commands that run env.py only with revision_environment, or to compare the models
WRITERS = ("revision", "merge")


class GateConnectionGuard(ConnectionGuard):
    """Refuses every connection before env.py has called the gate, and then all but those to the gate's database."""

    def __init__(self, run_context: RunContext, env_py: Path) -> None:
        self.run_context = run_context
        self.env_py = env_py

    def before(self, dbname: str | None) -> None:
        """Refuse a connection that names no database before the gate is called, or another one afterwards."""
        target = self._target()
        if target is None or (dbname and dbname != target.dbname):
            self._refuse_other(target, f'"{dbname}"' if dbname else "a database")

    def check(self, identity: Identity) -> None:
        """Refuse another database than the gate's: the name may be the same on two servers."""
        target = self._target()
        if target is None:
            self._refuse_other(target, f'"{identity.dbname}"')
        with connect(target, self.run_context.settings.wait) as connection:
            if not identity.is_same_database(identify(connection)):
                self._refuse_other(target, f'"{identity.dbname}" on another server')

    def check_own(self, target: Target) -> None:
        """Refuse another target than the gate's, which has none yet while it starts the embedded server."""
        meant = self._target()
        if meant not in (None, target):
            self._refuse_other(meant, f'"{target.dbname}" on {target.server()}')

    def _target(self) -> Target | None:
        if not self.run_context.is_gate_called:
            self.refuse(
                ConnectionRefused(
                    f"{self.env_py} opens a connection before it calls the gate; it was refused.",
                    env_file.HOW_TO_ADD,
                )
            )
        return self.run_context.target

    def _refuse_other(self, meant: Target | None, other: str) -> NoReturn:
        """Raise ConnectionRefused; `meant` is None where only a script is written."""
        what = f'"{meant.dbname}" on {meant.server()}' if meant else "no database"
        self.refuse(
            ConnectionRefused(
                f"env.py, or a migration, opens a connection to {other}, and this run is for {what}; it was refused.",
                "Use the connection of the migration: op.get_bind().",
            )
        )


class FoundDatabasesGuard(GateConnectionGuard):
    """Refuses every connection of an env.py that connects by itself, but those to the databases that were found."""

    def __init__(self, run_context: RunContext, env_py: Path, found: Sequence[FoundDatabase]) -> None:
        super().__init__(run_context, env_py)
        self.targets = [each.target for each in found]
        self.targets_of_poolers = {each.target for each in found if each.is_pooled}
        self._identities: dict[Target, Identity] = {}

    def before(self, dbname: str | None) -> None:
        """Refuse a connection before the gate is called, and one to a database of another name."""
        self._target()
        if dbname is not None and all(dbname != each.dbname for each in self.targets):
            self._refuse_other(self.targets[0], f'"{dbname}"')
        for target in self.targets_of_poolers:  # later, a pooler may have no connection left
            self._identify(target)

    def check(self, identity: Identity) -> None:
        """Refuse a database of the same name on another server."""
        self._target()
        for target in self.targets:
            if target.dbname == identity.dbname and identity.is_same_database(self._identify(target)):
                return
        self._refuse_other(self.targets[0], f'"{identity.dbname}" on another server')

    def _identify(self, target: Target) -> Identity:
        if target not in self._identities:
            with connect(target, self.run_context.settings.wait) as connection:
                self._identities[target] = identify(connection)
        return self._identities[target]

    def check_own(self, target: Target) -> None:
        """Refuse another target than those that were found."""
        if target not in self.targets:
            self._refuse_other(self.targets[0], f'"{target.dbname}" on {target.server()}')


def run_alembic(
    project: Project,
    settings: Settings,
    name: str,
    *arguments: str,
    announce: bool = False,
    start: tuple[str, ...] = (),
    hook: StepHook | None = None,
    hooks: Mapping[Target, StepHook] | None = None,
    **options: Any,
) -> RunContext:
    """Run `alembic <name>` and return its run context.

    `announce` prints each migration as it begins; `start` is where a script begins, when that is at several revisions;
    `hook` is called before and after each step; in its place `hooks`, for each database that env.py connects to.
    Raises DbkitError; Alembic's own errors become InputError.
    """
    run_context = RunContext(settings, name, announce, start, hook=hook, hooks=hooks or {})
    project.config.attributes[ATTRIBUTE] = run_context
    runs_env = (
        name not in WRITERS or options.get("autogenerate") or alembic_features.runs_env_for_new_files(project.config)
    )
    if runs_env:
        project.require_gate()
    connects = runs_env and not options.get("sql")
    connection_guard = _make_guard(project, settings, run_context, connects=connects)
    try:
        with guarding(connection_guard), _loaded_once(project):
            result = getattr(command, name)(project.config, *arguments, **options)
            if runs_env and not run_context.is_gate_called:
                raise ConnectionRefused(
                    f"{connection_guard.env_py} ended without calling the gate, so nothing was done.",
                    env_file.HOW_TO_ADD,
                )
    except CommandError as error:
        hint = "`make history` lists the revisions." if "locate revision" in str(error) else ""
        raise InputError(f"{str(error).rstrip('.')}.", hint) from error
    run_context.revision_files = [script for script in to_list(result, []) if script]
    return run_context


@contextmanager
def _loaded_once(project: Project) -> Iterator[None]:
    """Give Alembic's commands the revision files that are loaded, for they load them again.

    Some cannot be imported a second time: their models are mapped, or they have changed another module.
    """
    original = ScriptDirectory.from_config

    def find(config: Config) -> ScriptDirectory:
        return project.script if config is project.config else original(config)

    changed: Any = ScriptDirectory
    changed.from_config = find
    try:
        yield
    finally:
        changed.from_config = original


def _make_guard(
    project: Project, settings: Settings, run_context: RunContext, *, connects: bool
) -> GateConnectionGuard:
    """Return the guard of the connections of a run. An env.py that connects by itself was asked for its databases."""
    env_py = Path(project.script.dir) / "env.py"
    if not settings.is_foreign or not connects:
        return GateConnectionGuard(run_context, env_py)
    found: Sequence[FoundDatabase] = project.config.attributes[DATABASES]
    return FoundDatabasesGuard(run_context, env_py, found)


def read_position(project: Project, settings: Settings) -> tuple[str, ...]:
    """Return the revisions of the database. Raises DatabaseAhead when this code does not have one of them."""
    with connect(resolve_target(settings), settings.wait) as connection:
        current = current_revisions(connection)
        requirements.require_one_history(connection, project.script)
    require_known(project.script, current)
    return current


def require_revision_name(to: str) -> None:
    """Raise InputError unless `to` is a revision: an id, `head`, `base`, `+2`, `-1`, `abc123+1`, `branch@head`."""
    if not re.fullmatch(r"[+-]\d+|([0-9A-Za-z_]+@)?[0-9A-Za-z_]+([+-]\d+)?", to) or re.match(r"heads?[+]", to):
        raise InputError(f"{to!r} is not a revision.", "`make history` lists them; head, base, +1 and -1 work too.")
