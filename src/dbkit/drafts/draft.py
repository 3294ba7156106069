"""Make a draft of a comparison: the operations of both directions, in the order in which they run."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from dbkit.drafts.columns import write_columns
from dbkit.drafts.comparison import Comparison
from dbkit.drafts.constraints import write_constraints
from dbkit.drafts.dependents import add_dependents
from dbkit.drafts.indexes import write_indexes
from dbkit.drafts.renames import write_renames
from dbkit.drafts.schemas import write_schemas
from dbkit.drafts.sequences import write_sequences
from dbkit.drafts.sql_objects import write_sql_objects
from dbkit.drafts.steps import CommentOp, Draft, Step
from dbkit.drafts.table_comments import write_comments
from dbkit.drafts.tables import write_tables
from dbkit.drafts.taken_names import create_views_late
from dbkit.drafts.types import write_types
from dbkit.drafts.value_revision import split_values

WRITERS: tuple[Callable[[Comparison], Iterable[Step]], ...] = (
    write_renames,
    write_schemas,
    write_types,
    write_sequences,
    write_tables,
    write_columns,
    write_constraints,
    write_indexes,
    write_comments,
    write_sql_objects,
)


def make_draft(comparison: Comparison) -> Draft:
    """Write the differences of a comparison, as one revision unless a new value of an enum is used."""
    comparison = comparison.with_free_names or comparison
    upgrade = write_steps(comparison)
    downgrade = write_steps(comparison.reversed())
    undecided = [
        *(step.undecided for step in (*upgrade, *downgrade) if step.undecided),
        *_find_unwritten(comparison, upgrade, "upgrade"),
        *_find_unwritten(comparison.reversed(), downgrade, "downgrade"),
    ]
    return Draft(split_values(list(_mark_drops(upgrade)), downgrade), list(dict.fromkeys(undecided)))


def write_steps(comparison: Comparison) -> list[Step]:
    """Return the steps of one direction, in order."""
    steps = list(chain.from_iterable(writer(comparison) for writer in WRITERS))
    steps = list(create_views_late(comparison, add_dependents(comparison, steps)))
    return sorted(steps, key=lambda step: step.phase)


def _mark_drops(steps: Iterable[Step]) -> Iterator[Step]:
    """Put a comment before each operation that drops data."""
    for step in steps:
        if step.drops:
            words = f"DROPS {step.drops} with its data. Was it renamed? Then rename it instead."
            yield Step(step.phase, CommentOp(words))
        yield step


def _find_unwritten(comparison: Comparison, steps: Iterable[Step], direction: str) -> Iterator[str]:
    """Yield a sentence for each difference that no step writes."""
    written = {fact for step in steps for fact in step.facts}
    for each in comparison.differences:
        if each.fact not in written:
            yield f"{each.describe('new', 'gone')}: write that by hand, in {direction}()"
