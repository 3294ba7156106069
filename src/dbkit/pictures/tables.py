"""Tables with their columns and foreign keys, read from catalog facts, and how they differ between two states."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from dbkit.catalog import Fact
from dbkit.catalog.facts import COLUMN_ORDER, display_name
from dbkit.pictures.definitions import (
    KeyDefinition,
    read_column,
    read_key,
    read_names,
    read_partitioned_table,
    split_identity,
)
from dbkit.pictures.labels import make_label, make_name

TABLE_KINDS = ("table", "foreign table")
Facts = Mapping[Fact, str]


class Change(Enum):
    """How an object differs from the state before."""

    NONE = ""
    NEW = "new"
    CHANGED = "changed"
    DROPPED = "dropped"


@dataclass(frozen=True)
class Column:
    """A column."""

    key: str
    """Its name in the catalog; the other texts are labels."""
    name: str
    type: str
    is_nullable: bool
    is_primary: bool = False
    is_foreign: bool = False
    is_unique: bool = False
    """Whether it alone is a unique key."""
    change: Change = Change.NONE


@dataclass(frozen=True)
class Table:
    """A table with its columns, in their order."""

    key: str
    """Its Fact.identity; the other texts are labels."""
    schema: str
    name: str
    columns: tuple[Column, ...]
    partitions: int = 0
    is_foreign: bool = False
    is_touched: bool = True
    """False for a neighbour, which is there for its relations."""
    change: Change = Change.NONE

    @property
    def label(self) -> str:
        """The name for display, with the schema where that is not public."""
        return self.name if self.schema == "public" else f"{self.schema}.{self.name}"

    def number(self, column: str) -> int:
        """Return the place of a column in the list of columns, by its key."""
        return [each.key for each in self.columns].index(column)


@dataclass(frozen=True)
class Relation:
    """A foreign key. Tables and columns are named by their keys."""

    name: str
    """A label."""
    source: str
    """The table that refers to the other one."""
    source_columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]
    is_optional: bool
    """Whether a row may refer to none."""
    is_unique: bool
    """Whether only one row can refer to the same one."""
    change: Change = Change.NONE


def find_partitioned(facts: Facts) -> dict[str, str]:
    """Return, by partition, the topmost table that it is a partition of."""
    above = {
        fact.identity: table
        for fact, definition in facts.items()
        if fact.kind in TABLE_KINDS and (table := read_partitioned_table(definition))
    }

    def find_top(identity: str) -> str:
        while identity in above:
            identity = above[identity]
        return identity

    return {identity: find_top(identity) for identity in above}


def read_tables(facts: Facts) -> tuple[dict[str, Table], dict[tuple[str, str], Relation]]:
    """Return the tables by their keys, and the relations by their source and identity; partitions are counted only."""
    partitioned = find_partitioned(facts)
    parts = _read_parts(
        {fact: text for fact, text in facts.items() if not (fact.of and fact.of[0].identity in partitioned)}
    )
    tables = {}
    for fact in facts:
        if fact.kind in TABLE_KINDS and fact.identity not in partitioned:
            found = parts[fact.identity]
            listed = dict.fromkeys([*(each for each in found.order if each in found.columns), *found.columns])
            of_table = [key for _, key in found.keys]
            schema, name = split_identity(fact.identity)
            tables[fact.identity] = Table(
                key=fact.identity,
                schema=make_name(schema),
                name=make_name(name),
                columns=tuple(_with_keys(found.columns[each], of_table) for each in listed),
                partitions=sum(root == fact.identity for root in partitioned.values()),
                is_foreign=fact.kind == "foreign table",
            )
    relations = {}
    for source, found in parts.items():
        for identity, key in found.keys:
            target = partitioned.get(key.referred_table, key.referred_table)
            relation = _make_relation(tables, source, identity, target, key, [each for _, each in found.keys])
            if relation:
                relations[source, identity] = relation
    return tables, relations


@dataclass
class _Parts:
    """The parts of one table."""

    order: list[str] = field(default_factory=list)
    columns: dict[str, Column] = field(default_factory=dict)
    keys: list[tuple[str, KeyDefinition]] = field(default_factory=list)
    """With the identity of the constraint or index."""


def _read_parts(facts: Facts) -> dict[str, _Parts]:
    """Return the columns and keys by table."""
    parts: dict[str, _Parts] = defaultdict(_Parts)
    for fact, definition in facts.items():
        if not fact.of or fact.of[0].kind not in TABLE_KINDS:
            continue
        owner = fact.of[0].identity
        if fact.kind == "column":
            (name,) = read_names(fact.identity.removeprefix(f"{owner}."))
            read = read_column(definition)
            type_name = make_label(read.type.removeprefix("public."))
            parts[owner].columns[name] = Column(name, make_name(name), type_name, read.is_nullable)
        elif fact.kind == COLUMN_ORDER:
            parts[owner].order = read_names(definition)
        elif fact.kind in ("constraint", "index") and (key := read_key(definition)):
            parts[owner].keys.append((fact.identity, key))
    return parts


def _with_keys(column: Column, keys: Iterable[KeyDefinition]) -> Column:
    of_column = [key for key in keys if column.key in key.columns]
    return replace(
        column,
        is_primary=any(key.kind == "PRIMARY" for key in of_column),
        is_foreign=any(key.kind == "FOREIGN" for key in of_column),
        is_unique=any(key.kind == "UNIQUE" and len(key.columns) == 1 for key in of_column),
    )


def _make_relation(  # the parts of a foreign key
    tables: Mapping[str, Table],
    source: str,
    identity: str,
    target: str,
    key: KeyDefinition,
    of_table: Iterable[KeyDefinition],
) -> Relation | None:
    """Return the relation of a foreign key; None for another key, and for one to a table that is not shown."""
    if key.kind != "FOREIGN" or source not in tables or target not in tables:
        return None
    columns = {each.key: each for each in tables[source].columns}
    if not set(key.columns) <= set(columns) or not set(key.referred_columns) <= {
        each.key for each in tables[target].columns
    }:
        return None
    return Relation(
        name=make_name(next(iter(read_names(identity)))),
        source=source,
        source_columns=key.columns,
        target=target,
        target_columns=key.referred_columns,
        is_optional=any(columns[each].is_nullable for each in key.columns),
        is_unique=any(each.kind != "FOREIGN" and set(each.columns) <= set(key.columns) for each in of_table),
    )


def find_changed(before: Facts, after: Facts) -> set[str]:
    """Return the tables that have a fact which differs, by their keys; a changed partition is its table."""
    roots = find_partitioned({**before, **after})
    found = set()
    for fact in {*before, *after}:
        if before.get(fact) != after.get(fact):
            found |= {roots.get(each.identity, each.identity) for each in _owners_of(fact) if each.kind in TABLE_KINDS}
    return found


def _owners_of(fact: Fact) -> Iterator[Fact]:
    """Yield a fact, the object that it belongs to, and so on: the comment on a column, the column, its table."""
    yield fact
    if fact.of:
        yield from _owners_of(fact.of[0])


def mark_tables(
    before: Facts, former: Mapping[str, Table], after: Facts, tables: Mapping[str, Table]
) -> dict[str, Table]:
    """Return the tables of both states, with their changes and those of their columns."""
    definitions = tuple(
        {(fact.of[0].identity, fact.identity): text for fact, text in facts.items() if fact.kind == "column"}
        for facts in (before, after)
    )
    changed = find_changed(before, after)
    marked = {key: replace(each, change=Change.DROPPED) for key, each in former.items() if key not in tables}
    for key, table in tables.items():
        if key not in former:
            marked[key] = replace(table, change=Change.NEW)
        elif key in changed:
            columns = _mark_columns(former[key], table, *definitions)
            marked[key] = replace(table, columns=columns, change=Change.CHANGED)
        else:
            marked[key] = table
    return marked


def _mark_columns(
    former: Table, table: Table, before: Mapping[tuple[str, str], str], after: Mapping[tuple[str, str], str]
) -> tuple[Column, ...]:
    """Return the columns of a table in both states; those that are gone are the last ones."""
    known = {each.key: each for each in former.columns}
    marked = []
    for column in table.columns:
        identity = table.key, f"{table.key}.{display_name(column.key)}"
        change = Change.NONE
        if column.key not in known:
            change = Change.NEW
        elif known[column.key] != column or before.get(identity) != after.get(identity):
            change = Change.CHANGED
        marked.append(replace(column, change=change))
    left = {each.key for each in table.columns}
    return (*marked, *(replace(each, change=Change.DROPPED) for each in former.columns if each.key not in left))


def mark_relations(
    former: Mapping[tuple[str, str], Relation], relations: Mapping[tuple[str, str], Relation]
) -> dict[tuple[str, str], Relation]:
    """Return the relations of both states, with their changes."""
    marked = {key: replace(each, change=Change.DROPPED) for key, each in former.items() if key not in relations}
    for key, relation in relations.items():
        change = Change.NONE
        if key not in former:
            change = Change.NEW
        elif former[key] != relation:
            change = Change.CHANGED
        marked[key] = replace(relation, change=change)
    return marked
