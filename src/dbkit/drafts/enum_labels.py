"""The labels of a changed enum: those that are there, and those that are wanted."""

from collections.abc import Collection

from dbkit.catalog import Fact
from dbkit.drafts.comparison import Comparison
from dbkit.drafts.object_steps import find_parts
from dbkit.postgres.sql_quote import quote_literal


def find_labels(comparison: Comparison, fact: Fact) -> tuple[list[str], list[str]]:
    """Return the labels that the enum has, and those that it gets.

    A downgrade keeps those that the upgrade has added: rows may have them, and PostgreSQL cannot remove one.
    """
    present = list(comparison.migrated.objects.by_fact[fact].labels)
    wanted = list(comparison.modelled.objects.by_fact[fact].labels)
    if not comparison.is_reversed:
        return present, wanted
    if is_subsequence(wanted, present):
        return present, present
    for place, label in enumerate(present):
        if label not in wanted:
            wanted.insert(wanted.index(present[place - 1]) + 1 if place else 0, label)
    return present, wanted


def is_subsequence(part: list[str], whole: list[str]) -> bool:
    """Whether all labels of the one are in the other, in the same order."""
    return [label for label in whole if label in part] == part


def is_used(comparison: Comparison, fact: Fact, labels: Collection[str]) -> bool:
    """Whether something else of this draft names one of the labels, which PostgreSQL refuses in the same transaction.

    The body of a function counts, since a statement of the same revision may call it.
    """
    literals = [quote_literal(label) for label in labels]
    return any(
        literal in (comparison.modelled.facts.get(part) or "")
        for difference in comparison.differences
        if difference.fact != fact and difference.after is not None
        for part in (difference.fact, *find_parts([difference.fact], comparison.modelled.objects))
        for literal in literals
    )
