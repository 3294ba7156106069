"""The scratch databases that a proof applies revisions to, under the names that env.py knows; and copies of them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from dbkit import catalog
from dbkit.catalog.tables import list_table_oids
from dbkit.postgres import pg_dump, scratch_database
from dbkit.postgres.connect import connect
from dbkit.postgres.own_statements import Session
from dbkit.project import revision_ids
from dbkit.project.initial import EMPTY
from dbkit.roundtrip import row_snapshot
from dbkit.roundtrip.access import Databases
from dbkit.roundtrip.compare import Facts
from dbkit.roundtrip.row_versions import RowVersions, read_row_versions
from dbkit.settings import Settings, Target


@dataclass
class ProofDatabases:
    """One database, or several where a project has them: all are created, copied and dropped together."""

    databases: Databases
    """Their names stay when a copy replaces them."""
    place: scratch_database.ProofServer
    names: Iterator[str]
    """For copies."""
    settings: Settings
    template: str = EMPTY
    """The database that they are created as copies of."""
    version_table: str = field(default="", init=False)
    """Schema-qualified, as SQL; empty until env.py has configured Alembic."""
    version_table_name: str = field(default="", init=False)

    def create(self) -> None:
        """Create the databases, in the state in which the chain begins."""
        for target in self.databases.values():
            self.place.create_database(target.dbname, self.template)

    def copy(self) -> dict[str, Target]:
        """Return copies of the databases. No session may be connected to them."""
        return {
            name: self.place.create_database(next(self.names), target.dbname) for name, target in self.databases.items()
        }

    def copy_template(self) -> dict[str, Target]:
        """Return copies of what the databases were created from."""
        return {name: self.place.create_database(next(self.names), self.template) for name in self.databases}

    def create_from(self, copy: Databases) -> None:
        """Create the databases as copies of a copy; their names must be free."""
        for name, target in self.databases.items():
            self.place.create_database(target.dbname, copy[name].dbname)

    def rename_away(self) -> dict[str, Target]:
        """Give the databases other names, and return these: their own names are free then."""
        moved = {name: self.place.target(next(self.names)) for name in self.databases}
        for name, target in self.databases.items():
            self.place.rename_database(target.dbname, moved[name].dbname)
        return moved

    def replace_by(self, copy: Databases) -> None:
        """Drop the databases, and give their names to a copy."""
        self.drop()
        self.rename_back(copy)

    def rename_back(self, copy: Databases) -> None:
        """Give the names of the databases to a copy."""
        for name, target in copy.items():
            self.place.rename_database(target.dbname, self.databases[name].dbname)

    def drop(self, copy: Databases | None = None) -> None:
        """Drop a copy, or the databases themselves."""
        for target in (self.databases if copy is None else copy).values():
            self.place.drop_database(target.dbname)

    def read_catalog(self) -> Facts:
        """Return the catalog facts of all databases."""
        facts: Facts = {}
        for name, target in self.databases.items():
            facts |= self.read_facts(name, target)
        return facts

    def read_facts(self, name: str, target: Target) -> Facts:
        """Return the catalog facts of one database, or of a copy of it.

        Of several databases, the name of an object begins with that of its database.
        """
        with connect(target, autocommit=True) as connection:
            found = catalog.read_facts(connection, version_tables=[self.version_table_name])
        if name:
            found = {replace(fact, identity=f"{name}: {fact.identity}"): text for fact, text in found.items()}
        return found

    def read_row_versions(self, target: Target, *, with_rows: bool) -> RowVersions:
        """Return the versions of the rows of one database."""
        with connect(target, autocommit=True) as connection:
            return read_row_versions(connection, [self.version_table_name], with_rows=with_rows)

    def read_rows(self, name: str, target: Target, oids: Collection[int]) -> row_snapshot.RowSnapshot:
        """Return the rows of tables of one database, or of a copy of it."""
        with connect(target, autocommit=True) as connection:
            return row_snapshot.read_rows(connection, oids, prefix=f"{name}: " if name else "")

    def read_all_rows(self) -> row_snapshot.RowSnapshot:
        """Return the rows of all tables of all databases."""
        found: row_snapshot.RowSnapshot = {}
        for name, target in self.databases.items():
            with connect(target, autocommit=True) as connection:
                oids = list_table_oids(connection, [self.version_table_name])
            found |= self.read_rows(name, target, oids)
        return found

    def dump_schema(self) -> str:
        """Return pg_dump's text of the schema."""
        return "\n".join(pg_dump.dump_schema(self.settings, target) for target in self.databases.values())

    def widen_version_table(self, revision: str) -> int | None:
        """Make the version table take a revision id. Returns the length that it took, if that was too small."""
        found = None
        for target in self.databases.values():
            with connect(target, autocommit=True) as connection:
                limit = revision_ids.read_limit(connection, self.version_table)
                if limit and len(revision) > limit:
                    found = limit
                    wider = f"ALTER TABLE {self.version_table} ALTER COLUMN {revision_ids.COLUMN} TYPE text"
                    connection.execute(wider.encode())
        return found

    def read_versions(self) -> Iterator[set[str]]:
        """Yield the content of the version table in each of the databases."""
        for target in self.databases.values():
            with connect(target, autocommit=True, session=Session.PROJECT) as connection:
                # its name may have no schema
                exists = connection.execute("SELECT to_regclass(%s)", [self.version_table]).fetchone() != (None,)
                query = f"SELECT version_num FROM {self.version_table}"  # noqa: S608
                yield {row[0] for row in connection.execute(query.encode())} if exists else set()
