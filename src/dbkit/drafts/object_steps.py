"""Steps that run a statement to the letter, in the order in which objects depend on each other."""

from collections.abc import Collection, Iterable, Iterator

from alembic.operations import ops

from dbkit.catalog import Fact
from dbkit.drafts.comparison import Comparison
from dbkit.drafts.objects import Objects, sort_by_use
from dbkit.drafts.steps import Phase, Step

CREATING = (Phase.CREATE_TYPE, Phase.CREATE_FUNCTION, Phase.CREATE_TABLE_FUNCTION, Phase.CREATE_DEPENDENT)
DROPPING = (Phase.DROP_DEPENDENT, Phase.DROP_FUNCTION, Phase.DROP_TYPE)


def run(phase: Phase, statements: Iterable[str], *facts: Fact, drops: str = "") -> Iterator[Step]:
    """Yield a step for each statement."""
    for statement in statements:
        yield Step(phase, ops.ExecuteSQLOp(statement), facts, drops)


def sort_steps(steps: Iterable[Step], comparison: Comparison) -> list[Step]:
    """Sort by phase; in those of objects, what is used is created before its users and dropped after them."""
    written = list(steps)
    named = [step.facts[0] for step in written if step.facts]
    graphs = (comparison.modelled.objects, comparison.migrated.objects)
    created = {fact: place for place, fact in enumerate(sort_by_use(named, *graphs))}
    dropped = {fact: -place for place, fact in enumerate(sort_by_use(named, *reversed(graphs)))}

    def place(step: Step) -> tuple[int, int]:
        if step.facts and step.phase in CREATING:
            return step.phase, created[step.facts[0]]
        if step.facts and step.phase in DROPPING:
            return step.phase, dropped[step.facts[0]]
        # what is granted on a table is revoked from all of its columns first
        return step.phase, int(bool(step.facts) and step.facts[0].kind == "grants on column")

    return sorted(written, key=place)


def find_parts(facts: Iterable[Fact], objects: Objects, kinds: Collection[str] = ()) -> list[Fact]:
    """Return what is created and dropped with these objects: comments, grants, indexes, triggers and the like."""
    owners = set(facts)
    found = [
        each
        for each in objects.by_fact
        if owners.intersection(each.of) and each not in owners and (not kinds or each.kind in kinds)
    ]
    return sort_by_use(found, objects)
