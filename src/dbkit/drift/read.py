"""Read the states that should agree with the models: the result of the migrations, and a live database."""

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from dbkit import catalog
from dbkit.catalog import Fact
from dbkit.errors import InputError
from dbkit.postgres.connect import connect, current_revisions
from dbkit.project import Project, require_known
from dbkit.roundtrip.scratch_migrations import ScratchMigrations
from dbkit.settings import Target

Facts = Mapping[Fact, str]


@dataclass(frozen=True)
class Live:
    """The catalog facts of a database, and the revisions in its version table."""

    facts: Facts
    revisions: tuple[str, ...]


def read_migrated(scratch: ScratchMigrations, revisions: tuple[str, ...]) -> Facts:
    """Run the migrations up to `revisions` in a scratch database and read it."""
    scratch.upgrade(revisions)
    return read_facts(scratch.target)


def read_facts(target: Target) -> Facts:
    """Read a database, without its version table."""
    with connect(target) as connection:
        return catalog.read_facts(connection, version_tables=[target.history.table])


def read_live(target: Target, wait: float, patience: float | None = None) -> Live:
    """Read a database in a read-only transaction. Raises Unreachable."""
    own = {"default_transaction_read_only": "on"}
    with connect(target, wait, patience=patience, settings=own) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        revisions = current_revisions(connection)
        return Live(catalog.read_facts(connection, version_tables=[target.history.table]), revisions)


def require_comparable(loaded: Project, live: Live) -> None:
    """Raise InputError for a database without a revision, DatabaseAhead for one at a revision unknown here."""
    require_known(loaded.script, live.revisions)
    if not live.revisions:
        raise InputError("no migration was applied to the database, so there is nothing to compare.", "`make migrate`")
