"""Compare the models of a project with its migrations, on a scratch cluster: for `revision`, `check` and `drift`."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TypeVar

import sqlalchemy as sa

from dbkit import catalog
from dbkit.catalog import Difference, Fact
from dbkit.catalog.facts import display_name
from dbkit.drafts.comparison import Comparison, State
from dbkit.drafts.create_tables import is_view
from dbkit.drafts.given_names import take_over_names
from dbkit.drafts.hooks import find_excluded
from dbkit.drafts.models import CreatedModels, create_models
from dbkit.drafts.orphans import find_orphans
from dbkit.drafts.read_objects import read_catalog
from dbkit.drafts.read_shapes import read_shapes
from dbkit.drafts.rename_candidates import AskRename, RenameCandidate, confirm_renames, declare_renames
from dbkit.drafts.renames import apply_renames, execute_rename
from dbkit.drafts.render_options import RenderOptions, read_render_options
from dbkit.drafts.scope import Facts, Scope
from dbkit.drafts.shapes import Shapes
from dbkit.drafts.sql_files import SqlSource, read_source, read_texts
from dbkit.drafts.sql_objects import find_origins, is_sql_object, name_in_comment
from dbkit.drafts.steps import Rename
from dbkit.drafts.tables_ahead import Creation, TablesAhead, creating_tables
from dbkit.drafts.taken_names import free_names
from dbkit.drafts.unstated import find_unstated
from dbkit.errors import DbkitError, InputError
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.connect import connect
from dbkit.postgres.own_statements import OwnConnection, Session
from dbkit.project import Project
from dbkit.project.initial import Initial
from dbkit.roundtrip.kept_head import KeptHead
from dbkit.roundtrip.scratch_migrations import Models, ScratchMigrations, open_scratch
from dbkit.settings import Settings, Target
from dbkit.signals import defer_signals

Result = TypeVar("Result")
THREAD = "dbkit-catalog"
"""The prefix of the name of the thread that reads a database."""


@dataclass(frozen=True)
class Migrated:
    """The scratch databases of a project at head, and its models, by the name of the database."""

    loaded: Project
    cluster: Cluster
    scratch: ScratchMigrations
    initial: Mapping[str, Facts]
    """What they had before the first migration."""
    models: Mapping[str, Models]
    source: SqlSource
    ahead: TablesAhead | None = None
    """The models' tables, where they were created while the migrations ran."""

    @property
    def render_options(self) -> RenderOptions:
        """How env.py of a project with one database wants its revisions written."""
        return read_render_options(next(iter(self.models.values())).options)

    def compare_one(self, ask: AskRename | None = None) -> Comparison:
        """Compare the one database of a project. Raises InputError where it has no models, and ModelsNotCreated.

        `ask`: asks a person whether what is dropped and added is a rename.
        """
        if not self.models:
            raise InputError("env.py has no target_metadata, so there are no models to compare with the migrations.")
        return self.compare(next(iter(self.models)), ask)

    def compare(self, name: str, ask: AskRename | None = None) -> Comparison:
        """Compare one database with its models. Raises ModelsNotCreated."""
        target, models = self.scratch.targets[name], self.models[name]
        initial = self.initial.get(name, {})
        return compare(self.cluster, target, models, self.loaded.initial, initial, name, self.source, self.ahead, ask)


def migrate_scratch(
    loaded: Project, settings: Settings, cluster: Cluster, dbname: str, kept: KeptHead | None = None
) -> Migrated:
    """Run the migrations up to head on a scratch database. Raises CheckFailed for one that fails.

    Those that are `kept` have run already, and the result is kept for a later run.
    """
    scratch = open_scratch(loaded, settings, cluster, dbname, is_begun=kept is not None and kept.begin(loaded))
    initial = {name: _read_facts(target) for name, target in scratch.targets.items()} if loaded.initial else {}
    ahead = None
    if loaded.heads:
        with (
            _creating_tables(loaded, settings, cluster, scratch) as creation,
            kept.measuring() if kept else nullcontext(),
        ):
            scratch.upgrade(("heads",))
        ahead = creation.result if creation else None
    models = scratch.read_models()
    if kept:
        kept.keep(loaded, scratch.target)
    return Migrated(loaded, cluster, scratch, initial, models, read_source(settings, loaded), ahead)


@contextmanager
def _creating_tables(
    loaded: Project, settings: Settings, cluster: Cluster, scratch: ScratchMigrations
) -> Iterator[Creation | None]:
    """Create the models' tables meanwhile, where env.py gives the models without a database."""
    models: Mapping[str, Models] = {}
    if not (settings.is_foreign or loaded.initial):
        with suppress(DbkitError):  # after the migrations, they are read again
            models = scratch.read_models()
    if not models:
        yield None
        return
    metadata = [each for found in models.values() for each in found.metadata]
    with creating_tables(cluster, "ahead", metadata, read_texts(loaded)) as creation:
        yield creation


def _read_facts(target: Target) -> Facts:
    with connect(target) as connection:
        return catalog.read_facts(connection, version_tables=[target.history.table])


def compare(
    cluster: Cluster,
    migrated: Target,
    models: Models,
    initial: Initial | None,
    initial_facts: Facts,
    name: str = "",
    source: SqlSource | None = None,
    ahead: TablesAhead | None = None,
    ask: AskRename | None = None,
) -> Comparison:
    """Compare a database of the migrations, at head, with one that the models create. Raises ModelsNotCreated.

    `initial_facts` are those of the state in which the chain begins. `name` is that of the database, where the project
    has several. `ask`: asks a person whether what is dropped and added is a rename.
    """
    created = create_models(cluster, migrated, models.metadata, initial, name, source, ahead)
    shapes, before, after, renames = _read_both(migrated, created, models.metadata)
    origins = source.written if source else {}
    before = replace(before, origins=origins)
    after = replace(after, origins=find_origins(after.facts, created.before, created.origins), texts=created.texts)
    comparison = _compare_states(before, after, created, models, initial_facts, renames)
    asked: set[RenameCandidate] = set()
    while ask and (confirmed := confirm_renames(comparison, ask, asked)):
        # a table that is renamed may have a column that is, too
        declare_renames(confirmed, comparison)
        before, renames = _rename_again(migrated, models, shapes, after, origins)
        comparison = _compare_states(before, after, created, models, initial_facts, renames)
    freed = free_names(comparison)
    if not freed:
        return comparison
    before, renames = _rename_again(migrated, models, shapes, after, origins, freed)
    renamed = _compare_states(before, after, created, models, initial_facts, [*renames, *freed])
    return replace(comparison, with_free_names=renamed)


def _rename_again(
    migrated: Target,
    models: Models,
    shapes: Shapes,
    after: State,
    origins: Mapping[str, str],
    freed: Sequence[Rename] = (),
) -> tuple[State, Sequence[Rename]]:
    """Carry out the declared renames, and those that free names. Returns the database as it is then, and the former."""
    with _connect(migrated) as connection, connection.transaction(force_rollback=True):
        renames, _ = apply_renames(connection, models.metadata, shapes, after.shapes)
        for rename in freed:
            execute_rename(connection, rename)
        return replace(_read_state(connection, migrated, read_shapes(connection)), origins=origins), renames


def _compare_states(
    before: State,
    after: State,
    created: CreatedModels,
    models: Models,
    initial_facts: Facts,
    renames: Sequence[Rename],
) -> Comparison:
    scope = _make_scope(before, after, created, models, initial_facts)
    found = scope.find_differences(before.facts, after.facts)
    excluded = find_excluded(found, before, after, models) | _find_clashes(found, created)
    excluded |= find_unstated(found, before.shapes, after.shapes, models.metadata)
    kept = {Fact("table", catalog.object_name(name, schema)): why for (schema, name), why in created.kept.items()}
    blocked = {each.fact: kept[each.fact] for each in found if each.fact in kept and each.fact not in excluded}
    excluded |= {each.fact for each in found if not blocked.keys().isdisjoint((each.fact, *each.fact.of))}
    found = [each for each in found if each.fact not in excluded]
    orphans = find_orphans(before, after, found)
    scope = replace(scope, excluded=excluded, orphans=frozenset(each.fact for each in orphans))
    return Comparison(
        migrated=before,
        modelled=after,
        differences=[*found, *orphans],
        metadata=models.metadata,
        renames=renames,
        notes=[
            *(f"table {'.'.join(filter(None, key))} cannot be created: {why}" for key, why in created.failed.items()),
            *(f"table {fact.identity} has no model, and cannot be dropped: {why}" for fact, why in blocked.items()),
            *(
                f"{'index' if isinstance(item, sa.Index) else 'constraint'} {name} of the model of {table}:"
                " the models have that name twice"
                for table, item, name, _ in created.clashes
            ),
        ],
        scope=scope,
    )


def _read_both(
    migrated: Target, created: CreatedModels, metadata: Sequence[sa.MetaData]
) -> tuple[Shapes, State, State, Sequence[Rename]]:
    """Read both databases, the models' one in a thread; with the tables before the renames, and the renames."""
    with (
        _connect(migrated) as connection,
        connection.transaction(force_rollback=True),
        _connect(created.target) as modelled,
        ThreadPoolExecutor(1, thread_name_prefix=THREAD) as executor,
    ):
        reading = _submit(executor, read_shapes, modelled)
        shapes = read_shapes(connection)
        after = take_over_names(modelled, metadata, shapes, reading.result())
        state = _submit(executor, _read_state, modelled, created.target, after)
        renames, before = apply_renames(connection, metadata, shapes, after)
        return shapes, _read_state(connection, migrated, before), state.result(), renames


def _submit(executor: ThreadPoolExecutor, function: Callable[..., Result], *arguments: object) -> "Future[Result]":
    with defer_signals():  # a signal within submit() would leave a thread that nothing waits for
        return executor.submit(function, *arguments)


def _find_clashes(found: Collection[Difference], created: CreatedModels) -> frozenset[Fact]:
    """Return the indexes and constraints that cannot be compared, since the models have their name twice."""
    names = {display_name(name) for *_, name, is_same in created.clashes if not is_same}
    return frozenset(
        each.fact
        for each in found
        if each.fact.kind in ("index", "constraint") and each.fact.identity.rsplit(" on ", 1)[0] in names
    )


def _connect(target: Target) -> OwnConnection:
    """Connect with the search path of env.py's session."""
    return connect(target, session=Session.PROJECT)


def _read_state(connection: OwnConnection, target: Target, shapes: Shapes) -> State:
    facts, objects = read_catalog(connection, version_tables=[target.history.table])
    return State(target, facts, shapes, objects)


def _make_scope(
    migrated: State, modelled: State, created: CreatedModels, models: Models, initial_facts: Facts
) -> Scope:
    names = {catalog.object_name(name, schema) for schema, name in created.tables}
    default = modelled.shapes.default_schema
    marked = [
        (table.schema, table.name) for each in models.metadata for table in each.tables.values() if is_view(table)
    ]
    others = {catalog.object_name(name, schema or default) for schema, name in (*marked, *created.failed)}
    initial = {fact.identity for fact in initial_facts if fact.kind == "table"}
    left_alone = (others | initial | _find_children(migrated, names)) - names
    return Scope(
        tables=frozenset(names),
        left_alone=frozenset(left_alone),
        initial=initial_facts.keys(),
        before_models=created.before,
        sql_files=frozenset(
            fact
            for state in (migrated, modelled)
            for fact in state.facts
            if is_sql_object(fact) and any(name_in_comment(each) in state.origins for each in (fact, *fact.of))
        ),
    )


def _find_children(state: State, names: Collection[str]) -> set[str]:
    """Return the partitions and the inheriting tables of these tables, and of the ones found."""
    parents = {
        catalog.object_name(table.name, table.schema): {
            catalog.object_name(name, schema) for schema, name in table.parents
        }
        for table in state.shapes.tables.values()
        if table.parents
    }
    found: set[str] = set()
    while more := {child for child, above in parents.items() if child not in found and above & (found | set(names))}:
        found |= more
    return found
