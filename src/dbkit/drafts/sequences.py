"""Write the changes of sequences that no column owns."""

from collections.abc import Iterator

from dbkit.drafts.comparison import Comparison
from dbkit.drafts.object_steps import find_parts, run
from dbkit.drafts.objects import DatabaseObject
from dbkit.drafts.steps import Phase, Step
from dbkit.postgres.sql_quote import quote_literal


def write_sequences(comparison: Comparison) -> Iterator[Step]:
    """Yield the steps that create, change and drop sequences."""
    for difference in comparison.differences:
        fact = difference.fact
        before = comparison.migrated.objects.by_fact.get(fact)
        after = comparison.modelled.objects.by_fact.get(fact)
        if fact.kind != "sequence" or any(each and each.is_owned for each in (before, after)):
            continue  # an owned one belongs to its column
        if after and not before:
            objects = comparison.modelled.objects
            yield from run(Phase.CREATE_SEQUENCE, after.create, fact)
            for part in find_parts([fact], objects):
                yield from run(Phase.CREATE_SEQUENCE, objects.by_fact[part].create, part)
        elif before and not after:
            yield from run(Phase.DROP_SEQUENCE, [before.drop], fact)
        elif before and after:
            yield from run(Phase.ALTER_SEQUENCE, _alter(before, after), fact)


def _alter(before: DatabaseObject, after: DatabaseObject) -> Iterator[str]:
    """Change the options that differ, and the position where the new limits leave it out."""
    changed = [text for option, text in after.options.items() if option.isupper() and before.options[option] != text]
    least, most = int(after.options["least"]), int(after.options["most"])
    was_least, was_most = int(before.options["least"]), int(before.options["most"])
    for bound, is_tighter, comparison in ((least, least > was_least, "<"), (most, most < was_most, ">")):
        if is_tighter and was_least <= bound <= was_most:
            name = after.name
            outside = f"FROM {name} WHERE last_value {comparison} {bound}"
            yield f"SELECT setval({quote_literal(name)}, {bound}, false) {outside}"
    if "AS" in after.options and before.options["AS"] != after.options["AS"]:
        # the limits of the old type are not kept as limits of the new one
        changed += [after.options[each] for each in ("MINVALUE", "MAXVALUE") if after.options[each] not in changed]
    if changed:
        yield f"ALTER SEQUENCE {after.name} {' '.join(changed)}"
    if before.create[0].startswith("CREATE UNLOGGED") != after.create[0].startswith("CREATE UNLOGGED"):
        logged = "UNLOGGED" if after.create[0].startswith("CREATE UNLOGGED") else "LOGGED"
        yield f"ALTER SEQUENCE {after.name} SET {logged}"
