"""Replace a type by a new one of the same name, where PostgreSQL cannot change it in place.

The old one is renamed, the new one created, each column gets it by way of its text, and the old one is dropped.
"""

from collections.abc import Iterator, Mapping, Sequence

from dbkit.catalog import Fact
from dbkit.drafts.comparison import Comparison
from dbkit.drafts.enum_labels import find_labels, is_subsequence, is_used
from dbkit.drafts.object_steps import find_parts, run
from dbkit.drafts.objects import DEFAULT, TYPE_KINDS, DatabaseObject, sort_by_use
from dbkit.drafts.steps import Phase, Step
from dbkit.postgres.sql_quote import quote_ident, quote_literal

LONGEST_NAME = 63  # bytes


def find_swapped(comparison: Comparison) -> list[Fact]:
    """Return the types to replace, each after those that it is made of."""
    objects = comparison.migrated.objects
    changed = {
        each.fact
        for each in comparison.differences
        if each.fact.kind in TYPE_KINDS and each.before and each.after and _needs_swap(comparison, each.fact)
    }
    changed |= {
        each.fact.of[0]
        for each in comparison.differences
        if each.fact.kind == "constraint" and each.after and each.fact.of[0].kind == "domain"
        if each.fact.of[0] in objects.by_fact and _is_in_container(comparison, each.fact.of[0])
    }
    dropped = {each.fact for each in comparison.differences if each.after is None}
    made_of = {fact for fact in _type_users(comparison, changed) if fact not in dropped}
    return sort_by_use(changed | made_of, objects)


def _needs_swap(comparison: Comparison, fact: Fact) -> bool:
    before, after = comparison.migrated.objects.by_fact[fact], comparison.modelled.objects.by_fact[fact]
    if fact.kind == "enum":
        present, wanted = find_labels(comparison, fact)
        added = [label for label in wanted if label not in present]
        # a downgrade is one revision
        return not is_subsequence(present, wanted) or (comparison.is_reversed and is_used(comparison, fact, added))
    if fact.kind == "domain":
        becomes_required = after.is_required and not before.is_required
        return before.base != after.base or (becomes_required and _is_in_container(comparison, fact))
    if fact.kind == "range type":
        return True
    was = dict(before.attributes)
    has_other = any(was.get(name, kind) != kind for name, kind in after.attributes)
    return has_other and bool(comparison.migrated.objects.users.get(fact))


def _is_in_container(comparison: Comparison, fact: Fact) -> bool:
    """Whether a column has arrays of a domain, or a type made of it: then PostgreSQL adds no constraint to it."""
    objects = comparison.migrated.objects
    types = {fact, *_type_users(comparison, {fact})}
    name = objects.by_fact[fact].name
    return len(types) > 1 or any(
        objects.by_fact[each].base != name for each in objects.users.get(fact, ()) if each.kind == "column"
    )


def _type_users(comparison: Comparison, facts: set[Fact]) -> set[Fact]:
    """Return the types that are made of these, also through others."""
    users = comparison.migrated.objects.users
    found: set[Fact] = set()
    waiting = list(facts)
    while waiting:
        for each in users.get(waiting.pop(), ()):
            if each.kind in TYPE_KINDS and each not in found | facts:
                found.add(each)
                waiting.append(each)
    return found


def write_swap(comparison: Comparison, swapped: Sequence[Fact]) -> Iterator[Step]:
    """Yield the steps that replace these types."""
    before, after = comparison.migrated.objects, comparison.modelled.objects
    for fact in swapped:
        old = before.by_fact[fact]
        objects = after if fact in after.by_fact else before
        new = objects.by_fact[fact]
        kind = old.target.partition(" ")[0]
        aside = _name_aside(old)
        statements = [f"ALTER {kind} {old.name} RENAME TO {quote_ident(aside)}"]
        if old.multirange:
            another = quote_ident(_name_aside(old, "__olds"))
            statements.append(f"ALTER TYPE {old.multirange} RENAME TO {another}")
            statements.append(f"ALTER FUNCTION {old.multirange}() RENAME TO {another}")
        yield from run(Phase.RENAME_TYPE, statements, fact)
        parts = find_parts([fact], objects)
        statements = list(create_statements(new, objects.by_fact, parts))
        if fact.kind == "enum" and objects is after:
            labels = ", ".join(map(quote_literal, find_labels(comparison, fact)[1]))
            statements[0] = f"CREATE TYPE {new.name} AS ENUM ({labels})"
        yield from run(Phase.CREATE_TYPE, statements, fact, *parts)
        qualified = old.name.removesuffix(quote_ident(old.bare_name)).removesuffix(old.bare_name)
        yield from run(Phase.DROP_TYPE, [f"DROP {kind} {qualified}{quote_ident(aside)}"], fact)
    yield from _alter_columns(comparison, swapped)


def _name_aside(old: DatabaseObject, suffix: str = "__old") -> str:
    """The name of a type while it is replaced."""
    name = old.bare_name
    while len((name + suffix).encode()) > LONGEST_NAME:
        name = name[:-1]
    return name + suffix


def create_statements(
    made: DatabaseObject, by_fact: Mapping[Fact, DatabaseObject], parts: Sequence[Fact]
) -> Iterator[str]:
    """Yield what creates a type. The constraints of a domain are parts of the statement, where they can be."""
    inside = f"ALTER DOMAIN {made.name} ADD "
    first, *rest = made.create
    later = []
    for part in parts:
        for statement in by_fact[part].create:
            if statement.startswith(inside) and not statement.endswith(" NOT VALID"):
                first += f" {statement.removeprefix(inside)}"
            else:
                later.append(statement)
    yield from [first, *rest, *later]


def _alter_columns(comparison: Comparison, swapped: Sequence[Fact]) -> Iterator[Step]:
    """Give the columns of each table the new type, all in one statement."""
    before, after = comparison.migrated.objects, comparison.modelled.objects
    dropped = {each.fact for each in comparison.differences if each.after is None}
    users = before.users
    changes: dict[Fact, list[Fact]] = {}
    for kind in swapped:
        for column in users.get(kind, ()):
            is_inherited = any(each.kind == "column" for each in column.of)
            if column.kind != "column" or is_inherited or before.by_fact[column].create:
                continue
            if column in dropped or column.of[0] in dropped:
                continue
            changes.setdefault(column.of[0], []).append(column)
    for table, columns in sorted(changes.items()):
        parts: list[str] = []
        for column in sorted(columns):
            old = before.by_fact[column]
            new = after.by_fact.get(column, old)
            if new.base != old.base:
                continue
            had = before.by_fact.get(Fact(DEFAULT, column.identity))
            has = (after if column in after.by_fact else before).by_fact.get(Fact(DEFAULT, column.identity))
            parts += [f"ALTER COLUMN {new.name} DROP DEFAULT"] if had else []
            parts.append(f"ALTER COLUMN {new.name} TYPE {new.base} USING {new.name}::text::{new.base}")
            parts += [f"ALTER COLUMN {new.name} SET DEFAULT {has.default}"] if has else []
        if parts:
            statement = f"ALTER TABLE {before.by_fact[table].name} {', '.join(parts)}"
            yield from run(Phase.CHANGE_TYPE, [statement], *columns, *swapped)
