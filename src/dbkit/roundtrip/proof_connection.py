"""The connection of a run of env.py, which a proof uses between the statements of migrations, in their transactions."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from alembic.runtime.migration import MigrationContext
from psycopg.pq import TransactionStatus

from dbkit import catalog
from dbkit.coverage.recorder import StatementRecorder
from dbkit.postgres.row_hash import FORMAT
from dbkit.roundtrip import row_snapshot
from dbkit.roundtrip.alembic_steps import connection_of, keep_local_settings
from dbkit.roundtrip.catalog_fingerprint import FingerprintReader, enable_write_counters
from dbkit.roundtrip.compare import Facts, Snapshot
from dbkit.roundtrip.event_recorder import EventRecorder
from dbkit.roundtrip.results import Unsupported

NOT_COUNTED = (
    "track_counts is off on this server, and only a superuser may turn it on: each revision is proven in a clone of "
    "its database, which is slower"
)
UP, DOWN = "dbkit_up", "dbkit_down"
"""The savepoints before and after the upgrade of a revision."""
SET_FORMATS = "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in FORMAT.items())


def open_proof_connection(context: MigrationContext) -> "ProofConnection | Unsupported":
    """Prepare the connection of a migration context for proofs; Unsupported where it is not psycopg's, or commits."""
    connection = connection_of(context)
    driver: Any = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection | psycopg.AsyncConnection) or driver.autocommit:
        return Unsupported()
    if not enable_write_counters(driver.pgconn):
        return Unsupported(NOT_COUNTED)
    # psycopg would send DEALLOCATE ALL after each DROP or ALTER, which would drop our prepared statements, too
    driver.prepare_threshold = None
    keep_local_settings(connection)
    opened = ProofConnection(context, driver)
    connection.connection.commit()
    return opened


class ProofConnection:
    """Sends statements through libpq, so that the state of psycopg and SQLAlchemy does not change.

    Raises psycopg.OperationalError when the server does not answer as it should; the transaction is then aborted.
    """

    def __init__(self, context: MigrationContext, driver: "psycopg.Connection | psycopg.AsyncConnection") -> None:
        """Prepare statements, in a transaction that the caller commits."""
        self.context = context
        self.driver = driver if isinstance(driver, psycopg.Connection) else psycopg.Connection(driver.pgconn)
        self.driver.prepare_threshold = None
        self.version_tables = (context.version_table,)
        self.recorder = StatementRecorder(driver) if driver is self.driver else EventRecorder()
        self.fingerprints = FingerprintReader(self.driver.pgconn, self.version_tables)

    @property
    def is_in_transaction(self) -> bool:
        """Whether a transaction is open, and not aborted."""
        return self.driver.pgconn.transaction_status == TransactionStatus.INTRANS

    def set_savepoint(self, name: str) -> None:
        """Set a savepoint."""
        self.fingerprints.execute(f"SAVEPOINT {name}")

    def roll_back_to(self, savepoint: str) -> None:
        """Roll back to a savepoint."""
        self.fingerprints.execute(f"ROLLBACK TO SAVEPOINT {savepoint}")

    def check_constraints(self) -> None:
        """Check the deferred constraints, as a commit would."""
        self.fingerprints.execute("SET CONSTRAINTS ALL IMMEDIATE")

    def hash_tables(self, tables: Mapping[int, str]) -> dict[int, str]:
        """Return, for each of these tables (by OID, its name as SQL), a text that differs when its rows do."""
        if not tables:
            return {}
        with self._formats():
            rows = self.fingerprints.execute(row_snapshot.table_hash_query(list(tables.values())))
        found = {int(number or 0): str(text) for number, text in rows}
        return {oid: found[number] for number, oid in enumerate(tables)}

    def read_snapshot(self, facts: Facts | None, *, with_rows: bool, only: Collection[str] | None) -> Snapshot:
        """Return the catalog (`facts`, where known) and, `with_rows`, the rows of `only` these tables, or of all."""
        if facts is None:
            facts = catalog.read_facts(self.driver, version_tables=self.version_tables)
        if not with_rows:
            return Snapshot(facts)
        with self._formats():
            return Snapshot(facts, row_snapshot.read_rows(self.driver, self.version_tables, only=only))

    @contextmanager
    def _formats(self) -> Iterator[None]:
        """Read values in fixed formats, whatever the migration has set."""
        is_idle = self.driver.pgconn.transaction_status == TransactionStatus.IDLE
        self.fingerprints.execute(f"{'BEGIN' if is_idle else 'SAVEPOINT dbkit_format'}; {SET_FORMATS}")
        yield
        self.fingerprints.execute("ROLLBACK" if is_idle else "ROLLBACK TO SAVEPOINT dbkit_format; RELEASE dbkit_format")
