"""The connection of a run of env.py, which a proof uses between the statements of migrations, in their transactions."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from alembic.runtime.migration import MigrationContext
from psycopg.pq import ExecStatus, TransactionStatus

from dbkit import catalog
from dbkit.catalog.tables import list_table_oids
from dbkit.postgres.row_hash import FORMAT
from dbkit.roundtrip import row_snapshot
from dbkit.roundtrip.alembic_steps import connection_of, keep_local_settings
from dbkit.roundtrip.catalog_fingerprint import FingerprintReader, enable_write_counters
from dbkit.roundtrip.compare import Facts, Snapshot
from dbkit.roundtrip.event_recorder import EventRecorder, find_cursor_recorder
from dbkit.roundtrip.results import Unsupported
from dbkit.roundtrip.shared_session import (
    SharedSession,
    begin_transaction,
    execute_as_driver,
    forget_statements,
    share_session,
)

NOT_COUNTED = (
    "track_counts is off on this server, and only a superuser may turn it on: each revision is proven in a clone of "
    "its database, which is slower"
)
UP, DOWN = "dbkit_up", "dbkit_down"
"""The savepoints before and after the upgrade of a revision."""
# the names of constraints are unique only in a table: this defers those that share one together
DEFERRED = """
    SELECT DISTINCT pg_catalog.format('%I.%I', n.nspname, o.conname)
    FROM pg_catalog.pg_constraint AS o
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) o.connamespace
    WHERE o.condeferred ORDER BY 1
"""
STATE = (
    "SELECT pg_catalog.current_setting('client_encoding'), pg_catalog.current_setting('standard_conforming_strings')"
)
"""The settings that libpq writes and reads texts by."""
SET_FORMATS = "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in FORMAT.items())


def open_proof_connection(context: MigrationContext) -> "ProofConnection | Unsupported":
    """Prepare the connection of a migration context for proofs; Unsupported where it commits, or cannot be shared."""
    connection = connection_of(context)
    pooled: Any = connection.connection.dbapi_connection
    driver: Any = connection.connection.driver_connection
    if pooled.autocommit:
        return Unsupported()
    opened: ProofConnection
    if isinstance(driver, psycopg.Connection | psycopg.AsyncConnection):
        if not enable_write_counters(driver.pgconn):
            return Unsupported(NOT_COUNTED)
        # psycopg would send DEALLOCATE ALL after each DROP or ALTER, which would drop our prepared statements, too
        driver.prepare_threshold = None
        own = driver if isinstance(driver, psycopg.Connection) else psycopg.Connection(driver.pgconn)
        opened = ProofConnection(context, own)
    else:
        session = share_session(connection)
        if isinstance(session, Unsupported):
            return session
        if not enable_write_counters(session.connection.pgconn):
            session.close()
            return Unsupported(NOT_COUNTED)
        opened = SharedProofConnection(context, session)
    keep_local_settings(connection)
    connection.connection.commit()
    opened.refresh()
    return opened


class ProofConnection:
    """Sends statements through libpq, so that the state of psycopg and SQLAlchemy does not change.

    Raises psycopg.OperationalError when the server does not answer as it should; the transaction is then aborted.
    """

    def __init__(self, context: MigrationContext, driver: "psycopg.Connection[Any]") -> None:
        """Prepare statements, in a transaction that the caller commits."""
        self.context = context
        self.driver = driver
        self.driver.prepare_threshold = None
        self.version_tables = (context.version_table,)
        self.recorder = find_cursor_recorder(connection_of(context).connection.driver_connection) or EventRecorder()
        self.fingerprints = FingerprintReader(self.driver.pgconn, self.version_tables)

    def close(self) -> None:
        """Leave the session to the driver."""

    def begin(self, savepoint: str) -> None:
        """Begin a transaction, if there is none, with a savepoint, and count writes from here."""
        self.fingerprints.begin(savepoint)

    def prepare_driver(self) -> None:
        """Prepare the driver for a function of a migration."""

    def refresh(self) -> None:
        """Learn the state of the session, after statements of the driver. Raises OperationalError."""

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
        """Check the deferred constraints, as a commit would, and defer them again, as the next transaction would."""
        deferred = [name for (name,) in self.fingerprints.execute(f"SET CONSTRAINTS ALL IMMEDIATE; {DEFERRED}")]
        if deferred:
            self.fingerprints.execute(f"SET CONSTRAINTS {', '.join(map(str, deferred))} DEFERRED")

    def hash_tables(self, tables: Mapping[int, str]) -> dict[int, str]:
        """Return, for each of these tables (by OID, its name as SQL), a text that differs when its rows do."""
        if not tables:
            return {}
        begin, end = self._formats_around()
        rows = self.fingerprints.query((begin, row_snapshot.table_hash_query(list(tables.values())), end))
        found = {int(number or 0): str(text) for number, text in rows}
        return {oid: found[number] for number, oid in enumerate(tables)}

    def read_snapshot(self, facts: Facts | None, *, with_rows: bool, only: Collection[str] | None) -> Snapshot:
        """Return the catalog (`facts`, where known) and, `with_rows`, the rows of `only` these tables, or of all."""
        if facts is None:
            facts = catalog.read_facts(self.driver, version_tables=self.version_tables)
        if not with_rows:
            return Snapshot(facts)
        with self._formats():
            if only is None:
                oids = list_table_oids(self.driver, self.version_tables)
            else:
                oids = row_snapshot.find_oids(self.driver, only)
            return Snapshot(facts, row_snapshot.read_rows(self.driver, oids))

    @contextmanager
    def _formats(self) -> Iterator[None]:
        """Read values in fixed formats, whatever the migration has set."""
        begin, end = self._formats_around()
        self.fingerprints.execute(begin)
        yield
        self.fingerprints.execute(end)

    def _formats_around(self) -> tuple[str, str]:
        """Return the statements before and after those that read values in fixed formats."""
        if self.driver.pgconn.transaction_status == TransactionStatus.IDLE:
            return f"BEGIN; {SET_FORMATS}", "ROLLBACK"
        return (
            f"SAVEPOINT dbkit_format; {SET_FORMATS}",
            "ROLLBACK TO SAVEPOINT dbkit_format; RELEASE dbkit_format",
        )


class SharedProofConnection(ProofConnection):
    """A proof connection on the session of another driver.

    libpq knows the state of the transaction from the last reply that it has read itself, and so does the driver.
    """

    def __init__(self, context: MigrationContext, session: SharedSession) -> None:
        """Prepare statements, in a transaction that the caller commits."""
        super().__init__(context, session.connection)
        self.session = session
        self.settings = self.fingerprints.execute(STATE)
        self._has_driver_failed = False
        """Whether the driver takes its transaction for an aborted one."""

    def close(self) -> None:
        """Leave the session to the driver."""
        self.session.close()

    def begin(self, savepoint: str) -> None:
        """Begin a transaction as the driver does, if there is none, with a savepoint, and count writes from here."""
        if self.driver.pgconn.transaction_status == TransactionStatus.IDLE:
            begin_transaction(connection_of(self.context))
        self.fingerprints.begin(savepoint, is_begun=True)

    def prepare_driver(self) -> None:
        """Prepare the driver for a function of a migration."""
        forget_statements(connection_of(self.context))

    def refresh(self) -> None:
        """Learn the state of the session, after statements of the driver.

        Raises OperationalError where libpq would misread the texts of the session.
        """
        result = self.driver.pgconn.exec_(STATE.encode())
        self._has_driver_failed = self.driver.pgconn.transaction_status == TransactionStatus.INERROR
        if result.status == ExecStatus.TUPLES_OK:
            settings = [[(result.get_value(0, column) or b"").decode() for column in range(result.nfields)]]
            if settings != self.settings:
                raise psycopg.OperationalError("the migration has changed the encoding of the session")

    def roll_back_to(self, savepoint: str) -> None:
        """Roll back to a savepoint, also as the driver sees it."""
        super().roll_back_to(savepoint)
        if self._has_driver_failed:
            execute_as_driver(connection_of(self.context), f"ROLLBACK TO SAVEPOINT {savepoint}")
            self._has_driver_failed = False
