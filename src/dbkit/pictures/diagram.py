"""The diagram of a schema, or of the tables that a revision touches."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dbkit.pictures.labels import make_label
from dbkit.pictures.tables import (
    Facts,
    Relation,
    Table,
    find_changed,
    find_partitioned,
    mark_relations,
    mark_tables,
    read_tables,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Diagram:
    """Tables, sorted by schema and name, and the relations between them."""

    tables: tuple[Table, ...]
    relations: tuple[Relation, ...]
    title: str = "Schema"
    """What is shown; a label."""
    is_part: bool = False
    """Whether only touched tables and their neighbours are in it."""
    by_key: "Mapping[str, Table]" = field(init=False, repr=False, compare=False)
    """The tables by their keys."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_key", {each.key: each for each in self.tables})


def from_catalog(
    facts: Facts, touched: Collection[str] | None = None, before: Facts | None = None, title: str = "Schema"
) -> Diagram:
    """Make the diagram of a database's catalog facts (`dbkit.catalog.read_facts`).

    `touched` restricts it to these tables, by Fact.identity ("orders", "audit.events"), and those that a foreign key
    connects with them. `before` are the facts of an earlier state: what has changed since is marked, and tables that
    differ count as touched. A partition is shown as its table.
    """
    tables, relations = read_tables(facts)
    is_part = touched is not None or before is not None
    if before is not None:
        former_tables, former_relations = read_tables(before)
        tables = mark_tables(before, former_tables, facts, tables)
        relations = mark_relations(former_relations, relations)
    if is_part:
        roots = find_partitioned({**(before or {}), **facts})
        chosen = {roots.get(each, each) for each in touched or ()} | find_changed(before or facts, facts)
        relations = {key: each for key, each in relations.items() if chosen & {each.source, each.target}}
        near = {key for each in relations.values() for key in (each.source, each.target)}
        tables = {key: replace(each, is_touched=key in chosen) for key, each in tables.items() if key in chosen | near}
    return Diagram(
        tuple(sorted(tables.values(), key=lambda each: (each.schema != "public", each.schema, each.name, each.key))),
        tuple(sorted(relations.values(), key=lambda each: (each.source, each.source_columns, each.name))),
        make_label(title),
        is_part,
    )
