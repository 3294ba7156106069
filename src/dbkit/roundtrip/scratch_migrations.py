"""Run a project's migrations on a scratch database, for the verbs that compare or rehearse: check, drift, rollback.

The kit's env.py connects to the database of the settings that it gets. Any other env.py connects by itself: there its
connections are led to the scratch database, as in a proof.
"""

from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from alembic.operations.ops import MigrationScript
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.util import CommandError

from dbkit import gate
from dbkit.database_url import DEFAULT_HISTORY, History
from dbkit.errors import CheckFailed, DbkitError, InputError
from dbkit.gate import alembic_command, diagnosis, discovery
from dbkit.gate.plan import make_entry
from dbkit.postgres import scratch_database
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.connect import connect, current_revisions
from dbkit.project import Project, env_file
from dbkit.project.initial import hint_for, require_before_first
from dbkit.project.step_hooks import StepHook
from dbkit.roundtrip.access import Access, database_names
from dbkit.roundtrip.alembic_steps import commit_if_external, connection_of, keep_local_settings
from dbkit.roundtrip.env_runner import EnvRunner
from dbkit.settings import Settings, Target

PlanSteps = Callable[[tuple[str, ...]], Iterable[RevisionStep]]
"""Given the revisions of the database, it returns the steps to run."""


# NULL where env.py has not set it
SEARCH_PATH = """
SELECT (SELECT s.setting FROM pg_catalog.pg_settings AS s WHERE s.name = 'search_path' AND s.source = 'session')"""


@dataclass(frozen=True)
class Models:
    """The models that env.py gives to Alembic for one database, and its options for comparing them."""

    metadata: Sequence[sa.MetaData]
    options: Mapping[str, Any] = field(default_factory=dict)
    """The keywords of `context.configure`, such as include_object; none in the kit's own layout."""


class ScratchMigrations(Protocol):
    """A project's migrations on one scratch database, or on one for each of its databases."""

    @property
    def target(self) -> Target:
        """The scratch database; of several, that for the database of the settings."""

    @property
    def targets(self) -> Mapping[str, Target]:
        """All scratch databases, by name; that of the one that most projects have is ""."""

    def upgrade(self, revisions: Sequence[str]) -> None:
        """Apply the migrations up to these revisions. Raises CheckFailed for one that fails."""

    def downgrade(self, to: str, hook: StepHook) -> None:
        """Undo migrations, and call the hook around each step. Raises CheckFailed for one that fails."""

    def read_models(self) -> Mapping[str, Models]:
        """Return the models by the name of their database; a database without models is left out."""

    def run_hook(self, directives: list[MigrationScript]) -> None:
        """Call the project's process_revision_directives, which may change them."""


def open_scratch(
    loaded: Project, settings: Settings, cluster: Cluster, dbname: str, *, is_begun: bool = False
) -> ScratchMigrations:
    """Create a scratch database called `dbname` on a scratch cluster; no migration has run in it yet.

    `is_begun` takes the cluster's own database in its place, in which the first migrations have run.
    """
    if not settings.is_foreign:
        target = cluster.target(dbname)
        if dbname != cluster.target().dbname:
            _make_database(cluster, dbname, is_begun=is_begun)
        _initialise(loaded, target)
        if loaded.initial:
            with connect(target) as connection:
                require_before_first(current_revisions(connection))
        return _GatedMigrations(loaded, scratch_database.settings_for(settings, target))
    token = scratch_database.new_token()
    names = scratch_database.DatabaseNames(token)
    databases = {name: _make_database(cluster, next(names), is_begun=is_begun) for name in database_names(loaded)}
    for target in databases.values():
        _initialise(loaded, target)
    environment = EnvRunner(loaded, _for_scratch(settings), Access(redirects=True), databases)
    return _OtherMigrations(settings, environment, is_begun)


def _make_database(cluster: Cluster, dbname: str, *, is_begun: bool) -> Target:
    """Create a database, or give this name to the cluster's own, which is begun."""
    if not is_begun:
        return cluster.create_database(dbname)
    cluster.rename_database(cluster.target().dbname, dbname)
    return cluster.target(dbname)


def _initialise(loaded: Project, target: Target) -> None:
    if loaded.initial:
        loaded.initial.apply(target)


def _for_scratch(settings: Settings) -> Settings:
    return replace(settings, target=None, app_env="test")


@dataclass
class _GatedMigrations:
    """The migrations of the kit's own project, run through the gate."""

    loaded: Project
    settings: Settings

    @property
    def target(self) -> Target:
        return gate.resolve_target(self.settings)

    @property
    def targets(self) -> Mapping[str, Target]:
        return {"": self.target}

    def upgrade(self, revisions: Sequence[str]) -> None:
        for revision in revisions:
            alembic_command.run_alembic(self.loaded, self.settings, "upgrade", revision)

    def downgrade(self, to: str, hook: StepHook) -> None:
        settings = replace(self.settings, confirm=self.target.dbname)
        alembic_command.run_alembic(self.loaded, settings, "downgrade", to, hook=hook)

    def read_models(self) -> Mapping[str, Models]:
        return _ask_gate(self.loaded, self.settings)

    def run_hook(self, directives: list[MigrationScript]) -> None:
        """Do nothing: gate.run takes no hook."""


def _ask_gate(loaded: Project, settings: Settings) -> Mapping[str, Models]:
    """Return the models of an env.py that calls gate.run; `settings` are those of a scratch database."""
    found = discovery.find_databases(loaded, settings)
    return {each.name: Models(each.metadata) for each in found if each.metadata}


@dataclass
class _OtherMigrations:
    """The migrations of a project whose env.py connects by itself."""

    settings: Settings
    environment: EnvRunner
    is_begun: bool = False
    """Whether the first migrations have run in the database."""
    history: History | None = field(default=None, init=False)
    """The version table, when env.py has configured Alembic."""

    @property
    def target(self) -> Target:
        targets = self.targets
        return targets.get(self.settings.database) or next(iter(targets.values()))

    @property
    def targets(self) -> Mapping[str, Target]:
        history = self.settings.history if self.settings.target else self.history or DEFAULT_HISTORY
        own = replace(history, role=None)
        return {name: replace(target, history=own) for name, target in self.environment.databases.items()}

    def upgrade(self, revisions: Sequence[str]) -> None:
        for revision in revisions:
            self._upgrade(revision)

    def _upgrade(self, revision: str) -> None:
        """Run one `alembic upgrade`; where it fails on its way, another one from there, as in several deployments.

        Within one command, Alembic does not create an enum type twice: some chains need that, and others fail by it.
        """
        script = self.environment.project.script
        failures: list[CheckFailed] = []
        before = None
        while (position := self._read_revisions()) != before:
            before = position
            try:
                self._run(lambda heads: script._upgrade_revs(revision, heads))  # type: ignore[arg-type]
                return
            except CheckFailed as error:
                failures.append(error)
        raise failures[-2:][0]  # the last one has only repeated it, from where it was

    def _read_revisions(self) -> list[tuple[str, ...]]:
        """Return the revisions of each scratch database."""
        self._find_access()
        found = []
        for target in self.targets.values():
            with connect(target) as connection:
                found.append(current_revisions(connection))
        return found

    def downgrade(self, to: str, hook: StepHook) -> None:
        script = self.environment.project.script
        self._run(lambda heads: script._downgrade_revs(to, heads), hook)  # type: ignore[arg-type]

    def read_models(self) -> Mapping[str, Models]:
        self._find_access()
        loaded, models = self.environment.project, self.environment.models
        directory = Path(loaded.script.dir)
        if not models and env_file.has_gate(directory) and not env_file.keeps_connection(directory):
            return _ask_gate(loaded, scratch_database.settings_for(self.settings, self.target))
        return {name: Models(*found) for name, found in models.items() if found[0]}

    def run_hook(self, directives: list[MigrationScript]) -> None:
        options = [options for _, options in self.environment.models.values()]
        hook = options[0].get("process_revision_directives") if options else None
        if hook is None:
            return

        def call(heads: tuple[str, ...], context: MigrationContext) -> Iterable[RevisionStep]:
            hook(context, heads, directives)
            return ()

        config = self.environment.project.config
        given = config.cmd_opts
        # such hooks ask whether it is `alembic revision --autogenerate`
        config.cmd_opts = Namespace(**{**vars(given or Namespace()), "autogenerate": True})
        try:
            self.environment.run(call)
        except (Exception, SystemExit) as error:
            raise self.environment.env_error(error) from error
        finally:
            config.cmd_opts = given

    def _find_access(self) -> None:
        if self.history is None:
            self.environment.find_access(self._record_history)

    def _record_history(self, heads: tuple[str, ...], context: MigrationContext) -> Iterable[RevisionStep]:
        if not self.is_begun:
            require_before_first(heads)
        path = connection_of(context).exec_driver_sql(SEARCH_PATH).scalar()
        self.history = History(context.version_table, context.version_table_schema, search_path=path)
        return ()

    def _is_own(self, context: MigrationContext) -> bool:
        """Whether a migration context is that of the database of the settings, where env.py has several."""
        name = connection_of(context).exec_driver_sql("SELECT pg_catalog.current_database()").scalar()
        return bool(name == self.target.dbname)

    def _run(self, plan: PlanSteps, hook: StepHook | None = None) -> None:
        """Run env.py with the steps of a plan. Raises CheckFailed, naming the step, for what a migration raises."""
        self._find_access()
        begun: list[RevisionStep] = []
        try:
            self.environment.run(
                lambda heads, context: _iterate(plan(heads), context, begun, hook if self._is_own(context) else None)
            )
        except CommandError as error:
            raise InputError(f"{str(error).rstrip('.')}.") from error
        except (Exception, SystemExit) as error:  # a migration can raise anything
            if not begun or (isinstance(error, DbkitError) and not isinstance(error, CheckFailed)):
                raise self.environment.env_error(error) from error
            entry = make_entry(begun[-1], self.settings)
            path = Path(begun[-1].revision.path)
            place, text = diagnosis.find_error_place(error, path), diagnosis.error_text(error)
            hint = hint_for(error, begun[-1].revision)
            raise CheckFailed(f"{entry.action} of {entry.revision} failed, at {place}: {text}", hint) from error


def _iterate(
    steps: Iterable[RevisionStep], context: MigrationContext, begun: list[RevisionStep], hook: StepHook | None
) -> Iterator[RevisionStep]:
    """Yield the steps, each in a transaction, with the hook around it."""
    connection = connection_of(context)
    keep_local_settings(connection)
    connection.connection.commit()
    for step in steps:
        begun.append(step)
        if hook:
            hook.before(step, connection.connection.driver_connection)  # type: ignore[arg-type]  # it observes only
        yield step
        commit_if_external(context)
        if hook:
            hook.done(step, left_transaction=False)
    begun.clear()
