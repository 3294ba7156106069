"""Try a rollback in a scratch database, and see what each of its steps does to the tables."""

import contextlib
import io
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
from alembic.runtime.migration import RevisionStep

from dbkit import project
from dbkit.errors import CheckFailed, InputError
from dbkit.gate import alembic_command
from dbkit.postgres import scratch_cluster, scratch_database
from dbkit.postgres.binaries import server_bindir
from dbkit.postgres.connect import connect
from dbkit.postgres.locks import VERSION_TABLE
from dbkit.postgres.own_statements import Session
from dbkit.sample_data.fill import TableFiller
from dbkit.settings import Settings
from dbkit.stash import sequences, tables
from dbkit.stash.losses import Moment, Replay
from dbkit.stash.obstacles import WITHOUT
from dbkit.stash.tables import WATCHING, Table

ROWS = 5  # in each table of the scratch database
NOTED = f"""
CREATE SCHEMA {WATCHING};
CREATE TABLE {WATCHING}.written (relation oid, operation text);
CREATE FUNCTION {WATCHING}.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO {WATCHING}.written VALUES (TG_RELID, TG_OP);
    RETURN NULL;
END $$"""  # noqa: S608  # a constant
# Statement by statement, whether there are rows or not, and whatever the migration says of triggers
WATCH = f"""
CREATE TRIGGER dbkit_written BEFORE UPDATE OR DELETE OR TRUNCATE ON {{table}}
    FOR EACH STATEMENT EXECUTE FUNCTION {WATCHING}.note();
ALTER TABLE {{table}} ENABLE ALWAYS TRIGGER dbkit_written"""
# What a DELETE takes along, or changes, by foreign keys; an UPDATE of a key, too
FOLLOWERS = f"""
WITH RECURSIVE reached (relation, operation) AS (
    SELECT relation, operation FROM {WATCHING}.written
    UNION
    SELECT o.conrelid, CASE WHEN r.operation <> 'UPDATE' AND o.confdeltype = 'c' THEN 'DELETE' ELSE 'UPDATE' END
    FROM reached AS r JOIN pg_constraint AS o ON o.confrelid = r.relation AND o.contype = 'f'
    WHERE r.operation <> 'UPDATE' AND o.confdeltype IN ('c', 'n', 'd')
        OR r.operation = 'UPDATE' AND o.confupdtype IN ('c', 'n', 'd')
)
SELECT DISTINCT relation FROM reached"""  # noqa: S608  # constants


class NoPrograms(InputError):
    """There is no PostgreSQL server here to try a rollback with."""


def work_out(settings: Settings, ini: Path, heads: tuple[str, ...], to: str) -> Replay:
    """What a rollback of a database at `heads` to `to` does, found on a throw-away cluster; the database is not asked.

    Raises NoPrograms where there are none for one, InputError for what is no way back, and CheckFailed where the
    revisions cannot be applied and undone in an empty database.
    """
    try:
        server_bindir(settings)
    except InputError as error:
        raise NoPrograms(
            f"what a rollback to {to} would lose cannot be worked out: {error.message.rstrip('.')}.",
            f"That takes PostgreSQL's server programs: name their directory in PG_BINDIR.\n{WITHOUT}",
        ) from error
    # it may fail on planted rows, which those of the database need not be like
    with contextlib.suppress(CheckFailed):
        return _try(settings, ini, heads, to, plants=True)
    try:
        return _try(settings, ini, heads, to, plants=False)
    except CheckFailed as error:
        # where that database is, and whether to try again, is nobody's concern
        words = error.message.partition("; ")[0].rstrip(".")
        raise CheckFailed(
            f"what a rollback to {to} would lose cannot be worked out: in an empty database, {words}.", WITHOUT
        ) from error


def _try(settings: Settings, ini: Path, heads: tuple[str, ...], to: str, *, plants: bool) -> Replay:
    """Upgrade a scratch database to `heads`, and undo what comes after `to`; `plants` fills the tables in between.

    With rows, what a loop over rows or a trigger does is seen, too.
    """
    with scratch_cluster.cluster(settings) as place, _silence():
        own = replace(scratch_database.settings_for(settings, place.target()), confirm=place.target().dbname)
        loaded = project.load(ini)
        for head in heads:
            alembic_command.run(loaded, own, "upgrade", head)
        if plants:
            # triggers and the like run with it, as they do for the application
            with connect(place.target(), autocommit=True, session=Session.PROJECT) as connection:
                TableFiller(ROWS, version_tables=[VERSION_TABLE]).fill(connection)
        with connect(place.target(), autocommit=True) as connection:
            observer = Observer(connection)
            alembic_command.run(loaded, own, "downgrade", to, guard=observer)
            return observer.replay()


class Observer:
    """A guard of steps that only looks, from a connection of its own."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self.moments: list[Moment] = []
        self.watched: set[int] = set()
        self.positions: dict[int, int | None] = {}
        """How far the sequences are before a step."""
        connection.execute(NOTED)

    def before(self, step: RevisionStep, _driver: psycopg.Connection) -> None:
        """A step is about to run."""
        found = tables.read(self.connection)
        self._watch(found)
        self.connection.execute(f"TRUNCATE {WATCHING}.written")
        drawn_from = sequences.read(self.connection)
        self.positions = sequences.advance(self.connection, drawn_from)
        self.moments.append(Moment(str(step.revision.revision), found, sequences=drawn_from))

    def after(self, _step: RevisionStep, _driver: psycopg.Connection, *, left: bool) -> None:
        """It has run, and is about to be committed."""

    def done(self, _step: RevisionStep, *, left: bool) -> None:
        """It is committed."""
        moment = self.moments[-1]
        written = frozenset(row[0] for row in self.connection.execute(FOLLOWERS)) & moment.tables.keys()
        after = sequences.last_values(self.connection, moment.sequences)
        set_back = frozenset(
            oid
            for oid, last in after.items()
            if sequences.is_set_back(moment.sequences[oid], self.positions.get(oid), last)
        )
        self.moments[-1] = replace(moment, written=frozenset(written), set_back=set_back)

    def replay(self) -> Replay:
        """What was seen, once all steps are done."""
        return Replay(tuple(self.moments), tables.read(self.connection), sequences.read(self.connection))

    def _watch(self, found: dict[int, Table]) -> None:
        for oid, table in found.items():
            if oid not in self.watched:
                self.connection.execute(WATCH.format(table=table.sql).encode())
                self.watched.add(oid)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Nothing of what migrations print and log: they will do so again in the database itself."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(disabled)
