"""Find the names that one object loses and another one gets, and rename the former out of the way until it is dropped.

Most objects are dropped after others are created. Tables, indexes, sequences and views of a schema share their names,
and so do its types, to which those of the rows of tables and views belong.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from alembic.operations import ops

from dbkit.catalog import Fact, object_name
from dbkit.catalog.facts import display_name
from dbkit.drafts.comparison import Comparison, State
from dbkit.drafts.objects import TYPE_KINDS
from dbkit.drafts.shapes import Shapes, Table, TableName, schema_prefix
from dbkit.drafts.steps import Phase, Rename, Step
from dbkit.postgres.sql_quote import quote_name
from dbkit.postgres.sql_text import Kind, tokenize, unquote_name

RELATION, TYPE = "relation", "type"
VIEWS = ("VIEW", "MATERIALIZED VIEW")
LATE = {
    Phase.CREATE_DEPENDENT: Phase.CREATE_DEPENDENT_LATE,
    Phase.GRANT: Phase.GRANT_LATE,
    Phase.COMMENT: Phase.COMMENT_LATE,
}
LONGEST_NAME = 63  # bytes


@dataclass(frozen=True)
class Holder:
    """An object that has a name, in the words of ALTER … RENAME."""

    fact: Fact
    kind: str
    """As in ALTER: TABLE, INDEX, SEQUENCE …"""
    prefix: str
    """The schema, with a dot, where that is necessary."""
    spaces: tuple[str, ...]
    """The names that it must be different from."""
    owners: tuple[Fact, ...] = ()
    """The table, and the column, that it is dropped with."""

    def rename(self, key: TableName, aside: str) -> Rename:
        """Return the rename to another name, and back."""
        old, new = quote_name(key[1]), quote_name(aside)
        forward = f"ALTER {self.kind} {self.prefix}{old} RENAME TO {new}"
        back = f"ALTER {self.kind} {self.prefix}{new} RENAME TO {old}"
        renamed = self._fact_of(key, aside)
        return Rename(
            self.fact, renamed, ops.ExecuteSQLOp(forward), ops.ExecuteSQLOp(back), statement=forward, is_aside=True
        )

    def _fact_of(self, key: TableName, aside: str) -> Fact:
        if self.kind == "INDEX":
            return Fact(self.fact.kind, f"{display_name(aside)} on {self.owners[0].identity}")
        return Fact(self.fact.kind, object_name(aside, key[0]))


def free_for_tables(wanted: Mapping[TableName, str], shapes: Shapes) -> Iterator[tuple[TableName, Rename | None]]:
    """Yield the names, for tables that are renamed, that another relation has, with the rename that frees each.

    None where no table owns that relation, so that nothing shows that it is dropped.
    """
    holders = {key: holder for key, holder in _list_parts(shapes) if RELATION in holder.spaces}
    for key in wanted:
        if key in shapes.relations:
            holder = holders.get(key)
            yield key, holder.rename(key, _name_aside(key, shapes)) if holder else None


def free_names(comparison: Comparison) -> list[Rename]:
    """Return the renames after which all steps of both directions find the names of what they create free."""
    changes = {each.fact: each for each in comparison.differences}
    gone = {fact for fact, each in changes.items() if each.after is None}
    new = {fact for fact, each in changes.items() if each.before is None}
    before, after = _list_holders(comparison.migrated), _list_holders(comparison.modelled)
    # a type that another kind of type replaces is gone, although columns of its name stay
    gone |= {
        old.fact
        for key, old in before[TYPE].items()
        if old.fact.kind in TYPE_KINDS and key in after[TYPE] and after[TYPE][key].fact.kind in TYPE_KINDS
        if old.fact not in comparison.modelled.facts
    }
    shapes = comparison.migrated.shapes
    renames: dict[Fact, list[Rename]] = {}
    for space in (RELATION, TYPE):
        for key, old in before[space].items():
            taker = after[space].get(key)
            if taker is None or taker.fact == old.fact or gone.isdisjoint((old.fact, *old.owners)):
                continue
            if old.kind in VIEWS:
                continue  # it is dropped first, and comes back last
            is_late = _drop_phase(old, gone) >= _create_phase(taker, new)
            if is_late or _drop_phase(taker, new) >= _create_phase(old, gone):
                aside = _name_aside(key, shapes)
                renames[old.fact] = [old.rename(key, aside), *_follow_table(shapes.tables.get(key), old, aside)]
    return [rename for several in renames.values() for rename in several]


def create_views_late(comparison: Comparison, steps: Iterable[Step]) -> Iterator[Step]:
    """Yield the steps: views after all else is dropped, where one gets the name of a sequence or a type."""
    before, after = _list_holders(comparison.migrated), _list_holders(comparison.modelled)
    gone = {each.fact for each in comparison.differences if each.after is None}
    is_taken = any(
        holder.kind in VIEWS
        and (old := before[space].get(key))
        and old.fact in gone
        and _drop_phase(old, gone) >= Phase.CREATE_DEPENDENT
        for space in (RELATION, TYPE)
        for key, holder in after[space].items()
    )
    for step in steps:
        yield replace(step, phase=LATE.get(step.phase, step.phase)) if is_taken else step


def _follow_table(table: Table | None, holder: Holder, aside: str) -> Iterator[Rename]:
    """Yield the renames of a table's identity sequences, which get the name of the table when they are created."""
    if table is None or holder.kind != "TABLE":
        return
    for key, sequence in _list_sequences(table, holder.prefix):
        for column in table.columns.values():
            if column.sequence == key and column.identity and key[1] == f"{table.name}_{column.name}_seq":
                yield sequence.rename(key, f"{aside}_{column.name}_seq")


def _list_holders(state: State) -> dict[str, dict[TableName, Holder]]:
    """Return all objects by the kind of their name."""
    found: dict[str, dict[TableName, Holder]] = {RELATION: {}, TYPE: {}}
    for key, holder in (*_list_parts(state.shapes), *_list_objects(state)):
        for space in holder.spaces:
            found[space].setdefault(key, holder)
    return found


def _list_parts(shapes: Shapes) -> Iterator[tuple[TableName, Holder]]:
    """Yield the tables, and what belongs to one: indexes and sequences."""
    for key, table in shapes.tables.items():
        prefix = schema_prefix(table.sql, table.name)
        yield key, Holder(table.fact, "TABLE", prefix, (RELATION, TYPE))
        names = {name: table.fact_within("index", name) for name in table.indexes}
        names |= {
            name: table.fact_within("constraint", name)
            for name, each in table.constraints.items()
            if each.kind in "pux"
        }
        for name, fact in names.items():
            yield (table.schema, name), Holder(fact, "INDEX", prefix, (RELATION,), (table.fact,))
        yield from _list_sequences(table, prefix)


def _list_sequences(table: Table, prefix: str) -> Iterator[tuple[TableName, Holder]]:
    for column in table.columns.values():
        if column.sequence is None or not (column.serial or column.identity):
            continue
        schema, name = column.sequence
        if schema != table.schema:
            prefix = f"{quote_name(schema)}."
        fact = Fact("sequence", object_name(name, schema))
        owners = (table.fact, table.column_fact(column.name))
        yield column.sequence, Holder(fact, "SEQUENCE", prefix, (RELATION, TYPE), owners)


def _list_objects(state: State) -> Iterator[tuple[TableName, Holder]]:
    """Yield types, and the sequences and views that are no part of a table."""
    spaces: dict[str, tuple[str, ...]] = {}
    spaces |= dict.fromkeys(("sequence", "composite type", "view", "materialized view"), (RELATION, TYPE))
    for fact, made in state.objects.by_fact.items():
        if (fact.kind not in spaces and fact.kind not in TYPE_KINDS) or made.is_owned:
            continue
        names = [unquote_name(each.text) for each in tokenize(made.name) if each.kind in (Kind.NAME, Kind.WORD)]
        kind = made.target.removesuffix(f" {made.name}")
        prefix = schema_prefix(made.name, names[-1])
        yield (made.schema, names[-1]), Holder(fact, kind, prefix, spaces.get(fact.kind, (TYPE,)))


def _create_phase(holder: Holder, new: set[Fact]) -> Phase:
    """When an object is created that is among these, or with its owner."""
    if holder.kind == "INDEX":
        is_inline = holder.fact.kind == "constraint" and not new.isdisjoint(holder.owners)
        return Phase.CREATE_TABLE if is_inline else Phase.CREATE_INDEX
    return {
        "TABLE": Phase.CREATE_TABLE,
        "SEQUENCE": Phase.CREATE_SEQUENCE,
        "VIEW": Phase.CREATE_DEPENDENT,
        "MATERIALIZED VIEW": Phase.CREATE_DEPENDENT,
    }.get(holder.kind, Phase.CREATE_TYPE)


def _drop_phase(holder: Holder, gone: set[Fact]) -> Phase:
    """When an object is dropped that is among these, or with its owner."""
    if holder.kind == "INDEX":
        return Phase.DROP_CONSTRAINT if gone.isdisjoint(holder.owners) else Phase.DROP_TABLE
    if holder.kind == "SEQUENCE":
        return Phase.DROP_SEQUENCE if gone.isdisjoint(holder.owners) else Phase.DROP_TABLE
    return {
        "TABLE": Phase.DROP_TABLE,
        "VIEW": Phase.DROP_DEPENDENT,
        "MATERIALIZED VIEW": Phase.DROP_DEPENDENT,
    }.get(holder.kind, Phase.DROP_TYPE)


def _name_aside(key: TableName, shapes: Shapes) -> str:
    """Return a free name for an object until it is dropped."""
    schema, name = key
    for number in range(len(shapes.relations) + 1):
        suffix = f"__old{number or ''}"
        aside = name.encode()[: LONGEST_NAME - len(suffix)].decode(errors="ignore") + suffix
        if (schema, aside) not in shapes.relations:
            return aside
    raise AssertionError(name)
