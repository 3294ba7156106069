"""Write the changes of enums, domains, composite types and ranges."""

from collections.abc import Iterator

from alembic.operations import ops

from dbkit.catalog import Difference, Fact
from dbkit.drafts.comparison import Comparison
from dbkit.drafts.enum_labels import find_labels, is_used
from dbkit.drafts.object_steps import find_parts, run
from dbkit.drafts.objects import TYPE_KINDS
from dbkit.drafts.steps import AutocommitOp, CommentOp, Phase, Step
from dbkit.drafts.swapped_types import create_statements, find_swapped, write_swap
from dbkit.postgres.sql_quote import quote_literal


def write_types(comparison: Comparison) -> Iterator[Step]:
    """Yield the steps of all types: new ones, changed ones, and those to drop."""
    swapped = find_swapped(comparison)
    yield from write_swap(comparison, swapped)
    for difference in comparison.differences:
        fact = difference.fact
        if fact.kind in TYPE_KINDS:
            if difference.before is None:
                yield from _create(comparison, fact)
            elif difference.after is None:
                drop = comparison.migrated.objects.by_fact[fact].drop
                yield from run(Phase.DROP_TYPE, [drop], fact)
            elif fact in swapped:
                continue
            elif fact.kind == "enum":
                yield from _add_values(comparison, fact)
            elif fact.kind == "domain":
                yield from _alter_domain(comparison, fact)
            else:
                yield from _alter_composite(comparison, fact)
        elif fact.of and fact.of[0].kind in TYPE_KINDS and fact.of[0] not in swapped:
            yield from _change_part(comparison, difference)


def _create(comparison: Comparison, fact: Fact) -> Iterator[Step]:
    """Create a type, with the constraints of a domain, its comment and its grants."""
    objects = comparison.modelled.objects
    made = objects.by_fact[fact]
    yield from run(Phase.CREATE_TYPE, create_statements(made, objects.by_fact, find_parts([fact], objects)), fact)


def _add_values(comparison: Comparison, fact: Fact) -> Iterator[Step]:
    """Add the values that are new. A downgrade names those that stay."""
    after = comparison.modelled.objects.by_fact[fact]
    present, wanted = find_labels(comparison, fact)
    kept = [label for label in wanted if label not in after.labels]
    if kept:
        stay = "stays" if len(kept) == 1 else "stay"
        text = f"{', '.join(kept)} of {after.name} {stay}: PostgreSQL cannot remove a value, and rows may have it"
        yield Step(Phase.DROP_TYPE, CommentOp(text), (fact,))
    added = [label for label in wanted if label not in present]
    statements = []
    for label in added:
        place = wanted.index(label)
        where = ""
        if place == 0 and present:
            where = f" BEFORE {quote_literal(present[0])}"
        elif present and wanted[place - 1] != present[-1]:
            where = f" AFTER {quote_literal(wanted[place - 1])}"
        statements.append(f"ALTER TYPE {after.name} ADD VALUE IF NOT EXISTS {quote_literal(label)}{where}")
        present.insert(place, label)
    if is_used(comparison, fact, added):
        yield Step(Phase.ADD_VALUE, AutocommitOp([ops.ExecuteSQLOp(each) for each in statements]), (fact,))
    else:
        yield from run(Phase.CREATE_TYPE, statements, fact)


def _alter_domain(comparison: Comparison, fact: Fact) -> Iterator[Step]:
    """Change the default of a domain, and whether it takes NULL."""
    before, after = comparison.migrated.objects.by_fact[fact], comparison.modelled.objects.by_fact[fact]
    change = f"ALTER DOMAIN {after.name}"
    if before.default != after.default:
        how = "DROP DEFAULT" if after.default is None else f"SET DEFAULT {after.default}"
        yield from run(Phase.CREATE_TYPE, [f"{change} {how}"], fact)
    if before.is_required != after.is_required:
        yield from run(Phase.CREATE_TYPE, [f"{change} {'SET' if after.is_required else 'DROP'} NOT NULL"], fact)


def _alter_composite(comparison: Comparison, fact: Fact) -> Iterator[Step]:
    """Add, drop and change the attributes of a composite type."""
    before, after = (dict(each.objects.by_fact[fact].attributes) for each in (comparison.migrated, comparison.modelled))
    changes = [f"DROP ATTRIBUTE {name}" for name in before if name not in after]
    changes += [f"ADD ATTRIBUTE {name} {kind}" for name, kind in after.items() if name not in before]
    changes += [f"ALTER ATTRIBUTE {name} TYPE {kind}" for name, kind in after.items() if before.get(name, kind) != kind]
    if changes:
        name = comparison.modelled.objects.by_fact[fact].name
        lost = ", ".join(f"attribute {each} of {name}" for each in before if each not in after)
        yield from run(Phase.CREATE_TYPE, [f"ALTER TYPE {name} {', '.join(changes)}"], fact, drops=lost)


def _change_part(comparison: Comparison, difference: Difference) -> Iterator[Step]:
    """Change a constraint of a domain, or the comment or the grants of a type."""
    fact = difference.fact
    phase = Phase.CREATE_TYPE if fact.kind == "constraint" else Phase.COMMENT
    before = comparison.migrated.objects.by_fact.get(fact)
    after = comparison.modelled.objects.by_fact.get(fact)
    if after and after.replace:
        yield from run(phase, after.replace, fact)
        return
    if before:
        yield from run(phase, [before.drop], fact)
    if after:
        yield from run(phase, after.create, fact)
