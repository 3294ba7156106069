"""The databases that a walk applies revisions to, under the names that env.py knows; and copies of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from dbkit import catalog
from dbkit.postgres import pg_dump, scratch_cluster
from dbkit.postgres.connect import connect
from dbkit.postgres.own_statements import Session
from dbkit.project import revision_ids
from dbkit.roundtrip import row_snapshot
from dbkit.roundtrip.compare import Facts, Snapshot
from dbkit.roundtrip.env_runner import Databases
from dbkit.settings import Settings, Target


@dataclass
class ProofDatabases:
    """One database, or several where a project has them: all are made, copied and dropped together."""

    databases: Databases
    """Their names stay, whatever takes their place."""
    place: scratch_cluster.Place
    names: Iterator[str]
    """For copies."""
    settings: Settings
    version_table: str = field(default="", init=False)
    """Schema-qualified, as SQL; once env.py has said it."""
    version_table_name: str = field(default="", init=False)

    def create(self) -> None:
        """Make it, empty."""
        for target in self.databases.values():
            self.place.create_database(target.dbname)

    def copy(self) -> dict[str, Target]:
        """A copy of it. Nobody may be connected."""
        return {
            name: self.place.create_database(next(self.names), target.dbname) for name, target in self.databases.items()
        }

    def move_away(self) -> dict[str, Target]:
        """Give it other names, and let there be none for now."""
        moved = {name: self.place.target(next(self.names)) for name in self.databases}
        for name, target in self.databases.items():
            self.place.rename_database(target.dbname, moved[name].dbname)
        return moved

    def put_back(self, copy: Databases) -> None:
        """Let a copy take its place, under its name."""
        self.drop()
        for name, target in copy.items():
            self.place.rename_database(target.dbname, self.databases[name].dbname)

    def drop(self, copy: Databases | None = None) -> None:
        """Drop a copy, or itself."""
        for target in (self.databases if copy is None else copy).values():
            self.place.drop_database(target.dbname)

    def read(self) -> Facts:
        """Its catalog; where there are several databases, an object's name begins with that of its own."""
        facts: Facts = {}
        for name, target in self.databases.items():
            with connect(target, autocommit=True) as connection:
                found = catalog.read(connection, version_tables=[self.version_table_name])
            if name:
                found = {replace(fact, identity=f"{name}: {fact.identity}"): text for fact, text in found.items()}
            facts |= found
        return facts

    def state(self, facts: Facts | None = None, *, rows: bool) -> Snapshot:
        """Its catalog (`facts`, where it is known) and, where `rows` are looked at, what is in its tables."""
        found: row_snapshot.RowSnapshot = {}
        for name, target in self.databases.items() if rows else ():
            with connect(target, autocommit=True) as connection:
                prefix = f"{name}: " if name else ""
                found |= row_snapshot.read_rows(connection, [self.version_table_name], prefix=prefix)
        return Snapshot(facts or self.read(), found)

    def dump(self) -> str:
        """What pg_dump says of its schema."""
        return "\n".join(pg_dump.schema(self.settings, target) for target in self.databases.values())

    def make_room(self, revision: str) -> int | None:
        """Let the version table take a revision's id. Returns how many characters it took, if those were too few."""
        found = None
        for target in self.databases.values():
            with connect(target, autocommit=True) as connection:
                limit = revision_ids.limit_of(connection, self.version_table)
                if limit and len(revision) > limit:
                    found = limit
                    wider = f"ALTER TABLE {self.version_table} ALTER COLUMN {revision_ids.COLUMN} TYPE text"
                    connection.execute(wider.encode())
        return found

    def recorded(self) -> Iterator[set[str]]:
        """What the version table says, in each of the databases."""
        for target in self.databases.values():
            with connect(target, autocommit=True, session=Session.PROJECT) as connection:
                # its name may have no schema
                there = connection.execute("SELECT to_regclass(%s)", [self.version_table]).fetchone() != (None,)
                query = f"SELECT version_num FROM {self.version_table}"  # noqa: S608
                yield {row[0] for row in connection.execute(query.encode())} if there else set()
