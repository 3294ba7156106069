"""Note what an upgrade writes into tables of which a stash waits, so that it is not taken for the application's."""

from pathlib import Path

import psycopg
from alembic.runtime.migration import RevisionStep

from dbkit.postgres.row_hash import hashes_sql
from dbkit.postgres.sql_quote import quote_ident
from dbkit.project.step_hooks import HookFailed
from dbkit.settings import Settings, Target
from dbkit.stash import store, tables
from dbkit.stash.backup import reading
from dbkit.stash.copy_file import copy_out
from dbkit.stash.identity import read_identity
from dbkit.stash.manifest import SavedTable, note_of
from dbkit.stash.store import Stash
from dbkit.stash.tables import Table

# Tables that this transaction has written to, or keeps from everybody else
HELD = """
SELECT DISTINCT relation FROM pg_locks
WHERE pid = pg_backend_pid() AND locktype = 'relation' AND mode IN ('RowExclusiveLock', 'AccessExclusiveLock')"""
OWN = "xmin = pg_current_xact_id()::xid"


class UpgradeWriteRecorder:
    """A guard of upgrades. Of each step, it keeps the hashes of the rows that the step itself has written."""

    def __init__(self, settings: Settings, target: Target) -> None:
        self.settings = settings
        self.target = target
        self.stashes: list[Stash] = []

    def before(self, step: RevisionStep, driver: psycopg.Connection) -> None:
        """Find the stashes of the database."""
        self.stashes = store.waiting(self.settings, self.target, read_identity(driver))

    def after(self, step: RevisionStep, driver: psycopg.Connection, *, left: bool) -> None:
        """Note what was written, in the transaction that has written it. Raises HookFailed when there is no room."""
        if not self.stashes:
            return
        held = {row[0] for row in driver.execute(HELD)}
        with reading(driver):
            present = tables.by_name(table for oid, table in tables.read(driver).items() if oid in held)
            for stash in self.stashes:
                for kept in stash.manifest.tables:
                    table = present.get((kept.schema, kept.table))
                    if table is not None and kept.key and table.kind == "r":
                        self._note(driver, stash, kept, table, str(step.revision.revision))

    def done(self, step: RevisionStep, *, left: bool) -> None:
        """Nothing is to be done after it."""

    def _note(self, driver: psycopg.Connection, stash: Stash, kept: SavedTable, table: Table, revision: str) -> None:
        keys = [name for name, _ in kept.key]
        there = [name for name in kept.lost if table.column(name)]
        if not there or not all(table.column(name) for name in keys):
            return
        chosen = ", ".join([*map(quote_ident, keys), hashes_sql(there)])
        path = stash.path / f"{Path(kept.saved.file).stem}-{revision}.up"
        try:
            path.unlink(missing_ok=True)
            saved = copy_out(driver, f"SELECT {chosen} FROM {table.source} WHERE {OWN}", path)  # noqa: S608
            store.write_json(path.with_suffix(".json"), note_of(there, saved))
        except OSError as error:
            raise HookFailed(
                f"what {revision} writes cannot be noted in {stash.path}: {error.strerror}; it was not applied.",
                "Make room there, or put the stash elsewhere, then run the same command again.",
            ) from error
