"""The state that all steps of a proof share: the databases, the applied revisions, and the results so far."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import Script

from dbkit.findings.verdict import Verdict
from dbkit.postgres import scratch_database
from dbkit.postgres.sql_quote import quote_ident
from dbkit.project import name_of
from dbkit.project.initial import require_before_first
from dbkit.roundtrip.alembic_steps import connection_of
from dbkit.roundtrip.assertions import Assertion, read_assertions
from dbkit.roundtrip.compare import Facts
from dbkit.roundtrip.databases import ProofDatabases
from dbkit.roundtrip.env_runner import EnvRunner
from dbkit.roundtrip.notes import mark_reasoned_backfills
from dbkit.roundtrip.outcome import RevisionOutcome
from dbkit.roundtrip.results import ProofResult, make_outcome
from dbkit.roundtrip.row_versions import RowVersions
from dbkit.roundtrip.run_state import RunState
from dbkit.roundtrip.sample_rows import SampleRowOptions, SampleRows
from dbkit.roundtrip.selection import Plan
from dbkit.roundtrip.tracing import Traces

Progress = Callable[[str], None]


@dataclass
class Workspace:
    """The databases of a proof, where every revision is applied that can be, and the results of the proofs.

    What a downgrade breaks or leaves behind never reaches the next proof: it is rolled back, or a copy replaces the
    databases.
    """

    environment: EnvRunner
    place: scratch_database.ProofServer
    plan: Plan
    databases: ProofDatabases
    sample_rows: SampleRows
    traces: Traces
    report_progress: Progress
    needs_clones: bool
    """Whether every revision needs a clone: env.py migrates more than once, or its connection cannot be used."""
    assertions: Mapping[str, Collection[Assertion]]
    """By revision id, the project's own assertions."""
    base: frozenset[str] = frozenset()
    """The revisions of the database that the databases are copies of."""
    continues: bool = False
    """Whether it goes on from the checkpoint of an earlier walk."""
    applied: list[Script] = field(default_factory=list, init=False)
    """Those that were applied since."""
    results: dict[str, ProofResult] = field(default_factory=dict, init=False)
    """By revision id."""
    id_problems: dict[str, str] = field(default_factory=dict, init=False)
    """By revision id, why the version table cannot record it."""
    run_state: RunState | None = field(default=None, init=False)
    """What is known of the databases from the last run of env.py, as long as nothing else has changed them."""
    prepared: str = field(default="", init=False)
    """The revision that the tables are filled for, until something changes them."""
    touched: Collection[int] | None = field(default=None, init=False)
    """The OIDs of what was touched since the tables were last filled; None when that is not known."""
    versions: Mapping[str, RowVersions] | None = field(default=None, init=False)
    """By database, the versions of the rows as the last clone left them; None when anything may have changed since."""
    initial_facts: Facts | None = field(default=None, init=False)
    """The catalog before the first revision that is to be proven."""

    @property
    def proves_chain(self) -> bool:
        """Whether the whole chain goes down and up at the end: not one revision alone on a database of others."""
        return not self.base or self.continues or len(self.plan.proven) > 1

    def is_wanted(self, script: Script) -> bool:
        """Whether a revision is to be proven, and not only applied."""
        return script.revision in self.plan.proven

    def missing_parents(self, script: Script) -> list[str]:
        """Return the revisions that a revision follows or depends on, and that are not applied."""
        applied = self.base | {each.revision for each in self.applied}
        return [parent for parent in self.plan.parents[script.revision] if parent not in applied]

    def missing_before(self, position: int) -> list[Script]:
        """Return the revisions among the first ones of the whole plan that are not applied."""
        applied = {each.revision for each in self.applied}
        return [script for script in self.plan.scripts[: position - len(self.base)] if script.revision not in applied]

    def prepare(self, script: Script, touched: Collection[int] | None = None) -> Collection[int]:
        """Prepare the databases for a revision: fill their tables. Returns the OIDs of those that have other rows now.

        `touched`: the OIDs of the tables that the revision before it has touched; None when unknown.
        """
        self.report_progress(f"{len(self.applied) + 1}/{len(self.plan.scripts)} {name_of(script)}")
        known = self.touched if touched is None else touched
        self.touched = None
        if not self.is_wanted(script) and not self.continues:
            return ()
        if self.is_wanted(script) and self.initial_facts is None and self.proves_chain:
            self.initial_facts = self.databases.read_catalog()
        self.prepared = script.revision
        return self.sample_rows.fill(known, has_new=known is None)

    def forget_changes(self) -> None:
        """Forget what is known of changes since the tables were filled: anything may change now."""
        self.touched = self.versions = None

    def assertions_of(self, script: Script) -> Collection[Assertion]:
        """Return the assertions of a revision, none while tables have no sample rows."""
        return self.assertions.get(script.revision, ()) if self.sample_rows.is_active else ()

    def record_result(self, script: Script, result: ProofResult, concerns: Callable[[int, str], bool]) -> ProofResult:
        """Record the result of a proof, with a finding for each empty table that `concerns` the revision."""
        result = result.changed(lambda each: mark_reasoned_backfills(each, script))
        unfilled = tuple(self.sample_rows.unfilled_findings(concerns))
        result = result.changed(lambda each: replace(each, findings=(*each.findings, *unfilled)))
        self.results[script.revision] = result
        return result

    def should_retry(self, result: ProofResult) -> bool:
        """Whether a revision is to be proven again without rows."""
        return self.sample_rows.has_rows and result.verdict == Verdict.BROKEN and not result.is_same_without_rows

    def make_outcome(self, script: Script) -> RevisionOutcome:
        """Return the outcome of a revision, with its traces."""
        outcome = make_outcome(script, self.results[script.revision], self.id_problems.get(script.revision, ""))
        traces, untraced = self.traces.traces_of(script.revision), self.traces.left_out.get(script.revision, "")
        ordinary = outcome.ordinary and replace(outcome.ordinary, traces=traces, untraced=untraced)
        return replace(outcome, traces=traces, untraced=untraced, ordinary=ordinary)


def open_workspace(
    environment: EnvRunner,
    place: scratch_database.ProofServer,
    plan: Plan,
    names: Iterator[str],
    report_progress: Progress,
    options: SampleRowOptions,
    trace: bool = False,
    base: frozenset[str] = frozenset(),
) -> Workspace:
    """Create the databases, and run env.py once without a step. `names` are for copies of the databases.

    `base` are the revisions that the environment's template has.

    Raises InputError when env.py does not find its database, and for a file of assertions that has none.
    """
    revisions = plan.proven if options.extra else ()
    assertions = {revision: read_assertions(options.samples, revision) for revision in sorted(revisions)}
    databases = ProofDatabases(environment.databases, place, names, environment.settings, environment.template)
    databases.create()
    calls = _prepare_databases(environment, databases, is_at_base=bool(base))
    return Workspace(
        environment=environment,
        place=place,
        plan=plan,
        databases=databases,
        sample_rows=SampleRows(options, databases.databases, databases.version_table_name),
        traces=Traces(environment.databases, plan.proven if trace else frozenset()),
        report_progress=report_progress,
        needs_clones=calls > 1,
        assertions=assertions,
        base=base,
    )


def _prepare_databases(environment: EnvRunner, databases: ProofDatabases, *, is_at_base: bool) -> int:
    """Run env.py without a step, and commit what it creates. Returns how often it migrates."""
    calls = 0

    def migrations(heads: tuple[str, ...], context: MigrationContext) -> Iterator[RevisionStep]:
        nonlocal calls
        calls += 1
        if not is_at_base:
            require_before_first(heads)
        schema = context.version_table_schema or "public"
        databases.version_table = quote_ident(schema, context.version_table)
        databases.version_table_name = context.version_table
        connection_of(context).connection.commit()
        yield from ()

    environment.find_access(migrations)
    return calls
