"""Dry run of a rollback: try it in a scratch database, and observe what each of its steps does to the tables."""

import contextlib
import io
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
from alembic.runtime.migration import RevisionStep
from alembic.util import CommandError

from dbkit import project
from dbkit.errors import CheckFailed, InputError
from dbkit.postgres import scratch_cluster
from dbkit.postgres.binaries import server_bindir
from dbkit.postgres.connect import connect
from dbkit.postgres.own_statements import Session
from dbkit.roundtrip.scratch_migrations import open_scratch
from dbkit.sample_data.fill import TableFiller
from dbkit.settings import Settings
from dbkit.stash import sequences, tables
from dbkit.stash.losses import DryRun, DryRunStep
from dbkit.stash.obstacles import WITHOUT
from dbkit.stash.tables import OBSERVER_SCHEMA, StashTable
from dbkit.terminal.progress import Progress

ROWS = 5  # in each table of the scratch database
OBSERVER_TABLES = f"""
CREATE SCHEMA {OBSERVER_SCHEMA};
CREATE TABLE {OBSERVER_SCHEMA}.written (relation oid, operation text);
CREATE FUNCTION {OBSERVER_SCHEMA}.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO {OBSERVER_SCHEMA}.written VALUES (TG_RELID, TG_OP);
    RETURN NULL;
END $$"""  # noqa: S608  # a constant
# For each statement, with or without rows, even where the migration disables triggers
OBSERVER_TRIGGER = f"""
CREATE TRIGGER dbkit_written BEFORE UPDATE OR DELETE OR TRUNCATE ON {{table}}
    FOR EACH STATEMENT EXECUTE FUNCTION {OBSERVER_SCHEMA}.note();
ALTER TABLE {{table}} ENABLE ALWAYS TRIGGER dbkit_written"""
# What a DELETE deletes or changes by foreign keys, and what an UPDATE of a key changes
FOLLOWERS = f"""
WITH RECURSIVE reached (relation, operation) AS (
    SELECT relation, operation FROM {OBSERVER_SCHEMA}.written
    UNION
    SELECT o.conrelid, CASE WHEN r.operation <> 'UPDATE' AND o.confdeltype = 'c' THEN 'DELETE' ELSE 'UPDATE' END
    FROM reached AS r JOIN pg_constraint AS o ON o.confrelid = r.relation AND o.contype = 'f'
    WHERE r.operation <> 'UPDATE' AND o.confdeltype IN ('c', 'n', 'd')
        OR r.operation = 'UPDATE' AND o.confupdtype IN ('c', 'n', 'd')
)
SELECT DISTINCT relation FROM reached"""  # noqa: S608  # constants


class ServerProgramsMissing(InputError):
    """There are no programs of a PostgreSQL server on this machine to try a rollback with."""


def run_dry_run(settings: Settings, ini: Path, heads: tuple[str, ...], to: str) -> DryRun:
    """Try a rollback from `heads` to `to` on a scratch cluster, without reading the database itself.

    Raises ServerProgramsMissing, InputError where `to` is not a revision to go back to, and CheckFailed where the
    revisions cannot be applied and undone in an empty database.
    """
    try:
        server_bindir(settings)
    except InputError as error:
        raise ServerProgramsMissing(
            f"what a rollback to {to} would lose cannot be worked out: {error.message.rstrip('.')}.",
            f"That takes PostgreSQL's server programs: name their directory in PG_BINDIR.\n{WITHOUT}",
        ) from error
    # it may fail on sample rows, which may differ from those of the database
    with contextlib.suppress(CheckFailed):
        return _run_in_scratch(settings, ini, heads, to, sample_rows=True)
    try:
        return _run_in_scratch(settings, ini, heads, to, sample_rows=False)
    except CheckFailed as error:
        # without the revision of the scratch database, and whether to run the command again
        words = error.message.partition("; ")[0].rstrip(".")
        raise CheckFailed(
            f"what a rollback to {to} would lose cannot be worked out: in an empty database, {words}.", WITHOUT
        ) from error


def _run_in_scratch(settings: Settings, ini: Path, heads: tuple[str, ...], to: str, *, sample_rows: bool) -> DryRun:
    """Upgrade a scratch database to `heads`, and downgrade it to `to`; `sample_rows` fills the tables in between.

    With rows, the effects of a loop over rows or of a trigger are observed, too.
    """
    with scratch_cluster.cluster(settings) as cluster, _silence():
        progress = Progress()
        progress.show("what the rollback loses: applying the migrations to a scratch database")
        loaded = project.load_project(settings)
        scratch = open_scratch(loaded, settings, cluster, cluster.target().dbname)
        scratch.upgrade(heads)
        if sample_rows:
            # triggers and the like run with it, as they do for the application
            with connect(scratch.target, autocommit=True, session=Session.PROJECT) as connection:
                TableFiller(ROWS, version_tables=[scratch.target.history.table]).fill(connection)
        with connect(scratch.target, autocommit=True) as connection:
            observer = DryRunObserver(connection, progress, _count_steps(loaded, heads, to))
            scratch.downgrade(to, observer)
            return observer.result()


class DryRunObserver:
    """A step hook that only observes, over a second connection."""

    def __init__(self, connection: psycopg.Connection, progress: Progress, count: int) -> None:
        self.connection = connection
        self.progress = progress
        self.count = count
        """How many steps there will be; 0 where that is unknown."""
        self.steps: list[DryRunStep] = []
        self.observed: set[int] = set()
        self.positions: dict[int, int | None] = {}
        """The last values of the sequences before a step."""
        connection.execute(OBSERVER_TABLES)

    def before(self, step: RevisionStep, _driver: psycopg.Connection) -> None:
        """Read the tables and sequences before a step."""
        text = f"what the rollback loses: undoing {step.revision.revision} in a scratch database"
        self.progress.show(text, len(self.steps), self.count)
        found = tables.read_tables(self.connection)
        self._observe(found)
        self.connection.execute(f"TRUNCATE {OBSERVER_SCHEMA}.written")
        drawn_from = sequences.read_sequences(self.connection)
        self.positions = sequences.advance_sequences(self.connection, drawn_from)
        self.steps.append(DryRunStep(str(step.revision.revision), found, sequences=drawn_from))

    def after(self, _step: RevisionStep, _driver: psycopg.Connection, *, left_transaction: bool) -> None:
        """Do nothing before the commit."""

    def rolled_back(self, count: int) -> None:
        """Do nothing: no other session holds locks in a scratch database."""

    def done(self, _step: RevisionStep, *, left_transaction: bool) -> None:
        """Read what the step has written, after its commit."""
        step = self.steps[-1]
        written = frozenset(row[0] for row in self.connection.execute(FOLLOWERS)) & step.tables.keys()
        after = sequences.read_last_values(self.connection, step.sequences)
        set_back = frozenset(
            oid
            for oid, last in after.items()
            if sequences.is_set_back(step.sequences[oid], self.positions.get(oid), last)
        )
        self.steps[-1] = replace(step, written=frozenset(written), set_back=set_back)

    def result(self) -> DryRun:
        """Return what was observed, after the last step."""
        return DryRun(tuple(self.steps), tables.read_tables(self.connection), sequences.read_sequences(self.connection))

    def _observe(self, found: dict[int, StashTable]) -> None:
        for oid, table in found.items():
            if oid not in self.observed:
                self.connection.execute(OBSERVER_TRIGGER.format(table=table.sql).encode())
                self.observed.add(oid)


def _count_steps(loaded: project.Project, heads: tuple[str, ...], to: str) -> int:
    """Return how many migrations a rollback undoes; 0 where `to` is no revision to go back to: the run reports it."""
    with contextlib.suppress(CommandError):
        return len(list(loaded.script._downgrade_revs(to, heads)))  # type: ignore[arg-type]
    return 0


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Suppress what migrations print and log: they will do so again in the database itself."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(disabled)
