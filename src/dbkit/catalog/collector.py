"""The catalog facts of a database while they are read, and the system catalog rows that they come from."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import psycopg
from psycopg.rows import TupleRow

from dbkit.catalog.facts import PLAIN, Fact, display_name, object_name


@dataclass
class FactCollector:
    """The facts read so far, with the system catalog and the OID of each object."""

    cursor: psycopg.Cursor[TupleRow]
    version_tables: list[str]
    facts: dict[Fact, str] = field(default_factory=dict)
    objects: dict[tuple[str, int], Fact] = field(default_factory=dict)
    """By system catalog and OID."""
    schemas: dict[int, str] = field(default_factory=dict)
    """Names by OID."""
    members: dict[str, list[int]] = field(default_factory=dict)
    """By system catalog, the objects that belong to extensions."""
    dependents: list[tuple[str, int, str]] = field(default_factory=list)
    """System catalog, object, and the extension that the object depends on without belonging to it."""
    types: list[int] = field(default_factory=list)
    relations: list[int] = field(default_factory=list)
    parents: dict[int, list[int]] = field(default_factory=dict)
    """By table, the tables that it inherits from or is a partition of."""
    identities: dict[tuple[int, int], tuple[str, str, str]] = field(default_factory=dict)
    """By table and column number: schema, name and options of the sequence of an identity column."""
    index_settings: dict[int, str] = field(default_factory=dict)
    """By constraint, the settings of its index that the constraint's definition does not show."""

    @property
    def version(self) -> int:
        """The server's version, as server_version_num."""
        return self.cursor.connection.info.server_version

    def fetch(self, query: str, **parameters: object) -> Iterable[TupleRow]:
        """Execute a query and return its rows."""
        return self.cursor.execute(query, parameters or None).fetchall()

    def for_version(self, major: int, query: str, **parts: tuple[str, str]) -> str:
        """Replace each /*part*/ of a query by its first text on a server of at least `major`, else by its second."""
        for name, (new, old) in parts.items():
            query = query.replace(f"/*{name}*/", new if self.version >= major * 10000 else old)
        return query

    def add_fact(self, catalog: str, oid: int, fact: Fact, definition: str | None) -> None:
        """Add a fact, and the object that it is of."""
        self.facts[fact] = definition or PLAIN
        self.objects[catalog, oid] = fact

    def relation(self, oid: int) -> Fact:
        """The fact of a table, view, index or sequence."""
        return self.objects["pg_class", oid]

    def has_relation(self, oid: int) -> bool:
        """Whether a relation is among the facts: the version tables are not."""
        return ("pg_class", oid) in self.objects

    def name_in_schema(self, schema: int, name: str) -> str:
        """The identity of an object in a schema."""
        return object_name(name, self.schemas[schema])

    def column_fact(self, relation: int, name: str, of: Iterable[Fact] = (), uses: Fact | None = None) -> Fact:
        """The fact of a column."""
        table = self.relation(relation)
        return Fact("column", f"{table.identity}.{display_name(name)}", (table, *of), uses)

    def fact_within(self, kind: str, name: str, owner: Fact, of: Iterable[Fact] = ()) -> Fact:
        """The fact of an object that is named within a table or a domain, such as a constraint."""
        return Fact(kind, f"{display_name(name)} on {owner.identity}", (owner, *of))

    def parent_facts(self, relation: int) -> list[Fact]:
        """The facts of the tables that a table inherits from or is a partition of."""
        return [self.relation(oid) for oid in self.parents.get(relation, ()) if self.has_relation(oid)]
