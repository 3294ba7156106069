"""Record which rows an upgrade writes while a stash waits, so that a restore does not take them for newer values."""

from pathlib import Path

import psycopg
from alembic.runtime.migration import RevisionStep

from dbkit.postgres.row_hash import hashes_sql
from dbkit.postgres.sql_quote import quote_ident
from dbkit.project.step_hooks import HookFailed
from dbkit.settings import Settings, Target
from dbkit.stash import store, tables
from dbkit.stash.copy_file import write_copy_file
from dbkit.stash.identity import read_identity
from dbkit.stash.live_losses import exact_session
from dbkit.stash.manifest import SavedTable, describe_hash_file
from dbkit.stash.store import Stash
from dbkit.stash.tables import StashTable

# Tables that this transaction has written to, or locked exclusively
HELD = """
SELECT DISTINCT relation FROM pg_locks
WHERE pid = pg_backend_pid() AND locktype = 'relation' AND mode IN ('RowExclusiveLock', 'AccessExclusiveLock')"""
OWN = "xmin = pg_current_xact_id()::xid"


class UpgradeWriteRecorder:
    """A step hook of upgrades, which records the hashes of the rows that each step itself has written."""

    def __init__(self, settings: Settings, target: Target) -> None:
        self.settings = settings
        self.target = target
        self.stashes: list[Stash] = []

    def before(self, step: RevisionStep, driver: psycopg.Connection) -> None:
        """Read which stashes wait for the database."""
        self.stashes = store.find_waiting(self.settings, self.target, read_identity(driver))

    def after(self, step: RevisionStep, driver: psycopg.Connection, *, left_transaction: bool) -> None:
        """Record the rows in the transaction that has written them. Raises HookFailed when there is no room."""
        if not self.stashes:
            return
        held = {row[0] for row in driver.execute(HELD)}
        with exact_session(driver):
            present = tables.index_by_name(table for oid, table in tables.read_tables(driver).items() if oid in held)
            for stash in self.stashes:
                for entry in stash.manifest.tables:
                    table = present.get((entry.schema, entry.table))
                    if table is not None and entry.key and table.kind == "r":
                        self._record(driver, stash, entry, table, str(step.revision.revision))

    def done(self, step: RevisionStep, *, left_transaction: bool) -> None:
        """Do nothing after the commit."""

    def rolled_back(self, count: int) -> None:
        """Do nothing: a step that runs again records its rows again."""

    def _record(
        self, driver: psycopg.Connection, stash: Stash, entry: SavedTable, table: StashTable, revision: str
    ) -> None:
        keys = [name for name, _ in entry.key]
        there = [name for name in entry.lost if table.column(name)]
        if not there or not all(table.column(name) for name in keys):
            return
        chosen = ", ".join([*map(quote_ident, keys), hashes_sql(there)])
        path = stash.path / f"{Path(entry.saved.file).stem}-{revision}.up"
        try:
            path.unlink(missing_ok=True)
            saved = write_copy_file(driver, f"SELECT {chosen} FROM {table.source} WHERE {OWN}", path)  # noqa: S608
            store.write_json(path.with_suffix(".json"), describe_hash_file(there, saved))
        except OSError as error:
            raise HookFailed(
                f"what {revision} writes cannot be recorded in {stash.path}: {error.strerror}; it was not applied.",
                "Make room there, or put the stash elsewhere, then run the same command again.",
            ) from error
