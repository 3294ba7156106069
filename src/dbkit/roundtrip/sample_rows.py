"""The sample rows of a proof: the project's own, by revision, and generated ones where a table has none."""

import runpy
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from alembic.script import Script

from dbkit.catalog.tables import list_table_oids, read_columns
from dbkit.errors import CheckFailed, describe_error
from dbkit.postgres.connect import connect
from dbkit.postgres.own_statements import Session, project_settings
from dbkit.roundtrip import row_snapshot
from dbkit.roundtrip.assertions import is_assertion_file
from dbkit.roundtrip.outcome import Failure, Finding, SampleRowCount
from dbkit.sample_data.constraints import KnownTables, Table
from dbkit.sample_data.extreme_rows import insert_extreme_rows
from dbkit.sample_data.fill import KIT_TABLES, TableFiller
from dbkit.sample_data.row_generator import ExtremeValues, extreme_values
from dbkit.settings import Target

ROWS = 5
EMPTY_TABLE = "0 0"
"""The hash of a table without rows."""


@dataclass(frozen=True)
class SampleRowOptions:
    """The least number of rows in each table (0: tables are left empty), and the place of the project's own rows."""

    rows: int = ROWS
    seed: int = 0
    samples: Path | None = None
    """A directory with files such as `<revision>.sql` or `<revision>_customers.py`; it may not exist."""
    extra: bool = True
    """Whether a proof plants further rows: those that statements meet, and extreme ones."""
    is_wanted: Callable[[Table], bool] | None = None
    """Whether a table is filled, and so those that it refers to; None: all are."""

    def files_of(self, revision: str) -> list[Path]:
        """Return the project's own files of sample rows for the schema that a revision makes, without assertions."""
        if self.samples is None or not self.samples.is_dir():
            return []
        named = [path for path in self.samples.iterdir() if path.suffix in (".sql", ".py")]
        rows = [path for path in named if path.stem == revision or path.stem.startswith(f"{revision}_")]
        return sorted(path for path in rows if not is_assertion_file(path, revision))


@dataclass(frozen=True)
class SampleRowState:
    """The sample rows of a project's one database, as another process can go on from there."""

    tables: tuple[int, ...] = ()
    """OIDs, which a copy of the database has, too."""
    filled_by_project: frozenset[int] = frozenset()
    unfilled: tuple[tuple[int, str, str], ...] = ()
    """The OID of a table, its name, and why it has no rows."""
    orphans: frozenset[int] = frozenset()
    used_numbers: int = 0


class SampleRows:
    """Keeps the tables of a proof's databases filled. While it is not active, it does nothing."""

    def __init__(self, options: SampleRowOptions, databases: Mapping[str, Target], version_table: str) -> None:
        self.options = options
        self.databases = databases
        self.version_tables = [version_table]
        self.is_active = False
        self.fillers = {
            name: TableFiller(options.rows, options.seed, self.version_tables, options.is_wanted) for name in databases
        }
        self._connections: dict[str, psycopg.Connection] = {}
        self._files: list[Path] = []
        """The project's files that are to run before the next revision."""
        self._filled: set[str] = set()
        self._reasons: dict[str, str] = {}

    @property
    def has_rows(self) -> bool:
        """Whether a table has rows."""
        return self.is_active and any(filler.tables.keys() - filler.unfilled.keys() for filler in self.fillers.values())

    def insert_extreme_rows(self, connection: psycopg.Connection, values: Mapping[int, ExtremeValues]) -> set[int]:
        """Insert rows with extreme values within a transaction. Returns the OIDs of the tables that have got some.

        `values`: by OID, those of columns. For projects with one database.
        """
        filler = next(iter(self.fillers.values()))
        tables = [table for oid, table in filler.tables.items() if oid in values]
        with project_settings(connection):
            return insert_extreme_rows(connection, tables, filler.used_numbers, self.options.seed, values)

    def extreme_values(self, oids: Collection[int]) -> dict[int, ExtremeValues]:
        """Return the extreme values of these tables, without tables that have no rows."""
        filler = next(iter(self.fillers.values()))
        filled = filler.tables.keys() & oids - filler.unfilled.keys()
        return {oid: values for oid in sorted(filled) if (values := extreme_values(filler.tables[oid]))}

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the tables empty meanwhile."""
        was_active, self.is_active = self.is_active, False
        try:
            yield
        finally:
            self.is_active = was_active

    def close(self) -> None:
        """Close the connections, so that the databases can be copied."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def forget_tables(self) -> None:
        """Forget what is known of the tables: the databases were replaced by ones without sample rows."""
        for filler in self.fillers.values():
            filler.forget()

    def begin_again(self) -> None:
        """Begin with values as for the first rows."""
        for filler in self.fillers.values():
            filler.used_numbers = 0

    def remove(self) -> bool:
        """Delete all rows, also those that migrations have inserted. Returns False where the server refuses it."""
        try:
            for name in self.fillers:
                connection = self._connection(name)
                tables = read_columns(connection, list_table_oids(connection, [*self.version_tables, *KIT_TABLES]))
                if tables:
                    connection.execute(f"TRUNCATE {', '.join(table.sql for table in tables)} CASCADE".encode())
        except psycopg.Error:
            return False
        finally:
            self.close()
        self.forget_tables()
        return True

    def queue_files(self, script: Script) -> None:
        """Run the sample files of a revision, which was applied, before the next one."""
        if self.is_active:
            self._files += self.options.files_of(script.revision)

    def fill(self, touched: Collection[int] | None = None, *, has_new: bool = True) -> set[int]:
        """Fill the touched tables (OIDs; None for all). Returns the OIDs of the tables that have other rows now.

        `has_new`: whether there may be new or dropped tables that are not among the touched ones.

        Raises CheckFailed when the project's own rows do not fit.
        """
        changed: set[int] = set()
        if not self.is_active:
            return changed
        for number, (name, filler) in enumerate(self.fillers.items()):
            connection = self._connection(name)
            has_files = number == 0 and bool(self._files)
            if has_files:
                by_files = self._run_files(connection)
                filler.filled_by_project |= by_files
                changed |= by_files
            given = None if touched is None else {*touched, *changed}
            changed |= filler.fill(connection, given, has_new=has_new or has_files)
            self._record_tables(filler)
        return changed

    def state(self) -> SampleRowState:
        """Return the state, after `fill`. For projects with one database."""
        filler = next(iter(self.fillers.values()))
        return SampleRowState(
            tuple(filler.tables),
            frozenset(filler.filled_by_project),
            tuple((oid, *reasons) for oid, reasons in filler.unfilled.items()),
            frozenset(filler.orphans),
            filler.used_numbers,
        )

    def restore(self, state: SampleRowState) -> None:
        """Go on from the state of another process, in a copy of its database."""
        ((name, filler),) = self.fillers.items()
        filler.restore_tables(self._connection(name), state.tables)
        filler.filled_by_project = set(state.filled_by_project)
        filler.unfilled = {oid: (table, reason) for oid, table, reason in state.unfilled}
        filler.orphans = set(state.orphans)
        filler.used_numbers = state.used_numbers

    def known_tables(self) -> KnownTables:
        """Return the tables as they were when they were last filled: before the revision. For the first database."""
        filler = next(iter(self.fillers.values()))
        return KnownTables(filler.tables if self.is_active else {}, filler.search_path)

    def own_tables(self) -> Collection[int]:
        """Return the OIDs of the tables that the project's own rows fill. For projects with one database."""
        return next(iter(self.fillers.values())).filled_by_project

    def own_table_names(self) -> list[str]:
        """Return these tables, as SQL."""
        own = self.own_tables()
        return [name for oid, name in self.table_names().items() if oid in own]

    def table_names(self) -> Mapping[int, str]:
        """Return, by OID, the tables (as SQL) whose rows are compared. For projects with one database."""
        if not self.is_active:
            return {}
        filler = next(iter(self.fillers.values()))
        return {oid: table.sql for oid, table in filler.tables.items()}

    def with_referring(self, names: Collection[str]) -> set[str]:
        """Return tables (as SQL) with those that refer to them, directly or not. For projects with one database."""
        tables = next(iter(self.fillers.values())).tables
        found = {oid for oid, table in tables.items() if table.sql in names}
        while True:
            more = {oid for oid, table in tables.items() if any(each.parent in found for each in table.references)}
            if more <= found:
                return {tables[oid].sql for oid in found}
            found |= more

    def shown_names(self) -> Mapping[int, str]:
        """Return the names of the tables for people, by OID. For projects with one database."""
        filler = next(iter(self.fillers.values()))
        return {oid: table.shown for oid, table in filler.tables.items()}

    def unfilled_findings(self, concerns: Callable[[int, str], bool]) -> Iterator[Finding]:
        """Yield a finding for each empty table whose OID and name `concerns` accepts."""
        for filler in self.fillers.values() if self.is_active else ():
            for oid, (name, reason) in filler.unfilled.items():
                if concerns(oid, name):
                    yield Finding("rows", failure=Failure(f"{name} has no rows to prove it with: {reason}"))

    def count_rows(self) -> SampleRowCount:
        """Return which tables had rows at any revision, and which never had."""
        reasons = tuple((name, why) for name, why in sorted(self._reasons.items()) if name not in self._filled)
        return SampleRowCount(self.options.rows, frozenset(self._filled), reasons)

    def _connection(self, name: str) -> psycopg.Connection:
        if name not in self._connections:
            self._connections[name] = connect(self.databases[name], autocommit=True, session=Session.PROJECT)
        return self._connections[name]

    def _record_tables(self, filler: TableFiller) -> None:
        empty = {name for name, _ in filler.unfilled.values()}
        self._filled |= {table.shown for table in filler.tables.values()} - empty
        self._reasons |= dict(filler.unfilled.values())

    def _run_files(self, connection: psycopg.Connection) -> set[int]:
        """Run the project's files. Returns the OIDs of the tables that they have filled or changed."""
        before = _hash_tables(connection, self.version_tables)
        while self._files:
            path = self._files.pop(0)
            try:
                with connection.transaction():
                    if path.suffix == ".sql":
                        connection.execute(path.read_text(encoding="utf-8").encode())
                    else:
                        runpy.run_path(str(path))["fill"](connection)
            except Exception as error:  # a file can raise anything
                words = describe_error(error)
                raise CheckFailed(
                    f"{path} failed: {words}.", "Its rows must fit the schema of its revision."
                ) from error
        after = _hash_tables(connection, self.version_tables)
        return {oid for oid, rows in after.items() if rows != before.get(oid, EMPTY_TABLE)}


def _hash_tables(connection: psycopg.Connection, version_tables: Collection[str]) -> dict[int, str]:
    """Return, by OID, the rows of each table as one text."""
    tables = read_columns(connection, list_table_oids(connection, version_tables))
    if not tables:
        return {}
    query = row_snapshot.table_hash_query([table.sql for table in tables])
    return {tables[number].oid: text for number, text in connection.execute(query.encode())}
