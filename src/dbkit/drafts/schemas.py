"""Write the schemas that come and go."""

from collections.abc import Iterator

from dbkit.drafts.comparison import Comparison
from dbkit.drafts.object_steps import find_parts, run
from dbkit.drafts.steps import Phase, Step


def write_schemas(comparison: Comparison) -> Iterator[Step]:
    """Yield the steps that create and drop schemas."""
    for difference in comparison.differences:
        fact = difference.fact
        if fact.kind != "schema":
            continue
        if difference.before is None:
            objects = comparison.modelled.objects
            yield from run(Phase.CREATE_SCHEMA, objects.by_fact[fact].create, fact)
            for part in find_parts([fact], objects):
                yield from run(Phase.COMMENT, objects.by_fact[part].create, part)
        elif difference.after is None:
            yield from run(Phase.DROP_SCHEMA, [comparison.migrated.objects.by_fact[fact].drop], fact)
