"""Exercise a revision in copies of the databases: for what leaves its transaction."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic.script import Script

from dbkit.coverage.recorder import StatementRun
from dbkit.postgres.connect import connect
from dbkit.postgres.own_statements import Session
from dbkit.preconditions.shapes import Shapes, read_shapes
from dbkit.project.revision_source import mentions_table
from dbkit.roundtrip.access import Databases
from dbkit.roundtrip.apply import run_revision
from dbkit.roundtrip.branches import RevisionBranches
from dbkit.roundtrip.compare import Snapshot
from dbkit.roundtrip.event_recorder import record_statements
from dbkit.roundtrip.inserted_rows import compare_inserted
from dbkit.roundtrip.outcome import Failure
from dbkit.roundtrip.preconditions import Preconditions, find_unsatisfying
from dbkit.roundtrip.row_snapshot import find_oids
from dbkit.roundtrip.row_versions import RowVersions
from dbkit.roundtrip.workspace import Workspace


class CloneExercise:
    """Runs a revision again from the databases as they were before it, with rows planted in the first of them."""

    most_alone = 3

    def __init__(self, work: Workspace, script: Script) -> None:
        self.work, self.script = work, script
        self.branches = RevisionBranches(str(script.path))
        self.runs: dict[str, list[StatementRun]] = {"upgrade": [], "downgrade": []}
        """By direction, the statements that it has executed."""
        self.backup: Databases | None = None
        """A copy from before the upgrade; None where the revision can be run only once on a server."""
        self.databases = work.databases
        self.preconditions = Preconditions()
        self.touched_names: set[str] = set()
        self.version_tables: Collection[str] = (work.databases.version_table_name,)
        self._applied: Databases | None = None
        """The databases after the upgrade, while copies of the backup have their names."""
        self._connection: psycopg.Connection[Any] | None = None
        """To a copy of the backup that nothing has been committed in."""
        self._versions: RowVersions | None = None
        """Of the rows that are planted, where only some of them are read."""

    def restore(self) -> "psycopg.Connection[Any] | None":
        """Return a connection to the first database as it was before the upgrade, in a transaction."""
        if self.backup is None:
            return None
        self._versions = None
        if self._connection is None:
            self._drop_copy()
            self._applied = self._applied or self.databases.rename_away()
            self.databases.create_from(self.backup)
            self._connection = connect(next(iter(self.databases.databases.values())), session=Session.PROJECT)
        self._connection.rollback()
        self._connection.execute("SELECT")  # begins the transaction
        return self._connection

    def keep_rows(self) -> None:
        """Commit the planted rows."""
        if self._connection:
            self._connection.commit()
            self._close()

    def read_rows(self, names: Collection[str] | None) -> Snapshot:
        """Return the rows of these tables (as SQL); None for all, as always of several databases."""
        (name, target), *others = self.databases.databases.items()
        if others or names is None:
            return Snapshot({}, self.databases.read_all_rows())
        if self._versions is None:
            self._versions = self.databases.read_row_versions(target, with_rows=True)
        with self.connect() as connection:
            return Snapshot({}, self.databases.read_rows(name, target, find_oids(connection, names)))

    def upgrade(self) -> Failure | None:
        """Apply the revision."""
        return self.run_and_check(True)

    def run_and_check(self, up: bool) -> Failure | None:
        """Apply or undo the revision."""
        return run_revision(self.work, self.script, up=up, observe=partial(self._observe, up))

    def read_shapes(self) -> Shapes:
        """Return what the catalog of the first database demands of rows."""
        with self.connect() as connection:
            return read_shapes(connection)

    def remove_violating_rows(self, failure: Failure) -> bool:
        """Remove the sample rows that violate preconditions, which made the upgrade fail.

        The databases are as before the upgrade. Returns whether there were some.
        """
        rows = self.work.sample_rows
        tables = list(rows.table_names().values())
        if not (tables and failure.is_about_rows):
            return False
        backup = self.databases.copy()
        with self.connect() as connection:
            self.preconditions.before = read_shapes(connection)
            connection.execute(f"TRUNCATE {', '.join(tables)} CASCADE".encode())
        with self.work.traces.paused():
            failed = self.upgrade()
        after = self.read_shapes()
        self.databases.replace_by(backup)
        if failed:
            return False
        with self.connect() as connection, connection.transaction() as transaction:
            if find_unsatisfying(self, connection, after, rows.own_table_names(), failure):
                return True
            raise psycopg.Rollback(transaction)
        return False

    def connect(self) -> psycopg.Connection[Any]:
        """Connect to the first database."""
        return connect(next(iter(self.databases.databases.values())), autocommit=True, session=Session.PROJECT)

    @contextmanager
    def _observe(self, up: bool, connection: sa.Connection) -> Iterator[None]:
        runs = self.runs["upgrade" if up else "downgrade"]
        with self.branches.tracing(), record_statements(connection, str(self.script.path), runs):
            yield

    def find_written_tables(self) -> set[str]:
        """Return the tables of before, as SQL, that may have other rows now; none where all are read."""
        if self._versions is None:
            return set()
        target = next(iter(self.databases.databases.values()))
        now = self.databases.read_row_versions(target, with_rows=True)
        names = self._versions.names
        return {names[oid] for oid in self._versions.changed_rows(now) & names.keys()}

    def find_inserted(self) -> set[tuple[int, str, str]]:
        """Return the values of the rows that are there after the upgrade, and whose keys were not before."""
        if self.backup is None or self._applied:
            return set()
        tables = [table for table in self.work.sample_rows.known_tables().tables.values() if self.mentions(table.sql)]
        backup = next(iter(self.backup.values()))
        with self.connect() as now, connect(backup, autocommit=True, session=Session.PROJECT) as before:
            return compare_inserted(before, now, tables)

    def mentions(self, table: str) -> bool:
        """Whether the revision contains the name of a table."""
        return mentions_table(self.script, table)

    def apply_again(self) -> None:
        """Put the databases after the ordinary upgrade back."""
        self._drop_copy()
        if self._applied:
            self.databases.rename_back(self._applied)
            self._applied = None

    def _drop_copy(self) -> None:
        self._close()
        if self._applied:
            self.databases.drop()

    def _close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None
