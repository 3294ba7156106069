"""The rows of a proof: the project's own, by revision, and planted ones for what has none."""

import runpy
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from alembic.script import Script

from dbkit.errors import CheckFailed
from dbkit.postgres.connect import connect
from dbkit.postgres.own_statements import Session
from dbkit.roundtrip import row_snapshot
from dbkit.roundtrip.outcome import Failure, Finding, SampleRowCount
from dbkit.sample_data.constraints import list_table_oids, read_tables
from dbkit.sample_data.fill import TableFiller
from dbkit.settings import Target

ROWS = 5
NOTHING = "0 0"  # how an empty table is told


@dataclass(frozen=True)
class SampleRowOptions:
    """What is asked: how many rows a table has at least (0: none are planted), and where the project's own are."""

    rows: int = ROWS
    seed: int = 0
    samples: Path | None = None
    """A directory with files such as `<revision>.sql` or `<revision>_customers.py`, or one that is not there."""

    def files_of(self, revision: str) -> list[Path]:
        """The project's own rows for the schema that a revision makes."""
        if self.samples is None:
            return []
        named = [path for kind in ("sql", "py") for path in self.samples.glob(f"{revision}*.{kind}")]
        return sorted(path for path in named if path.stem == revision or path.stem.startswith(f"{revision}_"))


class SampleRows:
    """Fills the databases of a walk. While it is not `active`, it does nothing."""

    def __init__(self, planting: SampleRowOptions, databases: Mapping[str, Target], version_table: str) -> None:
        self.planting = planting
        self.databases = databases
        self.version_tables = [version_table]
        self.active = False
        self.planters = {name: TableFiller(planting.rows, planting.seed, self.version_tables) for name in databases}
        self._connections: dict[str, psycopg.Connection] = {}
        self._samples: list[Path] = []
        self._filled: set[str] = set()
        self._reasons: dict[str, str] = {}

    def close(self) -> None:
        """Leave the databases, so that they can be copied."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def forget(self) -> None:
        """The databases are others now, without planted rows."""
        for planter in self.planters.values():
            planter.forget()

    def applied(self, script: Script) -> None:
        """A revision is applied: its sample rows come next."""
        if self.active:
            self._samples += self.planting.files_of(script.revision)

    def fill(self, touched: Collection[int] | None = None) -> set[int]:
        """Fill what was touched (OIDs; None for all). Returns the OIDs of the tables that have other rows now.

        Raises CheckFailed when the project's own rows do not fit.
        """
        changed: set[int] = set()
        if not self.active:
            return changed
        for number, (name, planter) in enumerate(self.planters.items()):
            connection = self._connection(name)
            if number == 0 and self._samples:
                given = self._run_samples(connection)
                planter.given |= given
                changed |= given
            changed |= planter.fill(connection, None if touched is None else {*touched, *changed})
            self._count(planter)
        return changed

    def tables(self) -> Mapping[int, str]:
        """By OID, the tables (as SQL) whose rows are looked at. For projects with one database."""
        if not self.active:
            return {}
        planter = next(iter(self.planters.values()))
        return {oid: table.sql for oid, table in planter.seen.items()}

    def unfilled(self, concerns: Callable[[int, str], bool]) -> Iterator[Finding]:
        """A finding for each table without rows that `concerns`, given its OID and name, says a revision is about."""
        for planter in self.planters.values() if self.active else ():
            for oid, (name, reason) in planter.unfilled.items():
                if concerns(oid, name):
                    yield Finding("rows", failure=Failure(f"{name} has no rows to prove it with: {reason}"))

    def planted(self) -> SampleRowCount:
        """What there was in all."""
        reasons = tuple((name, why) for name, why in sorted(self._reasons.items()) if name not in self._filled)
        return SampleRowCount(self.planting.rows, frozenset(self._filled), reasons)

    def _connection(self, name: str) -> psycopg.Connection:
        if name not in self._connections:
            self._connections[name] = connect(self.databases[name], autocommit=True, session=Session.PROJECT)
        return self._connections[name]

    def _count(self, planter: TableFiller) -> None:
        empty = {name for name, _ in planter.unfilled.values()}
        self._filled |= {table.shown for table in planter.seen.values()} - empty
        self._reasons |= dict(planter.unfilled.values())

    def _run_samples(self, connection: psycopg.Connection) -> set[int]:
        """Run the project's files. Returns the OIDs of the tables that they have filled or changed."""
        before = _sums(connection, self.version_tables)
        while self._samples:
            path = self._samples.pop(0)
            try:
                with connection.transaction():
                    if path.suffix == ".sql":
                        connection.execute(path.read_text(encoding="utf-8").encode())
                    else:
                        runpy.run_path(str(path))["fill"](connection)
            except Exception as error:  # a file can raise anything
                words = " ".join(str(error).split()) or type(error).__name__
                raise CheckFailed(
                    f"{path} failed: {words}.", "Its rows must fit the schema of its revision."
                ) from error
        after = _sums(connection, self.version_tables)
        return {oid for oid, rows in after.items() if rows != before.get(oid, NOTHING)}


def _sums(connection: psycopg.Connection, version_tables: Collection[str]) -> dict[int, str]:
    """By OID, the rows of each table as one text."""
    tables = read_tables(connection, list_table_oids(connection, version_tables))
    if not tables:
        return {}
    query = row_snapshot.table_hash_query([table.sql for table in tables])
    return {tables[number].oid: text for number, text in connection.execute(query.encode())}
