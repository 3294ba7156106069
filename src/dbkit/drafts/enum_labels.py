"""The labels of a changed enum: those that are there, and those that are wanted."""

import re
from collections.abc import Collection, Iterator

from dbkit.catalog import Fact
from dbkit.drafts.comparison import Comparison
from dbkit.drafts.object_steps import find_parts
from dbkit.postgres.sql_quote import quote_literal

SEVERAL_VALUES = re.compile(r"'[{(](?:[^']|'')*'")
WITHOUT_ESCAPES = str.maketrans("", "", "\\\"'")


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
    return any(_names_label(text, label) for text in _find_texts(comparison, fact) for label in labels)


def _find_texts(comparison: Comparison, fact: Fact) -> Iterator[str]:
    """Yield the SQL that may run in a draft: the definitions of other objects, and what the models' columns declare."""
    objects = comparison.modelled.objects
    for difference in comparison.differences:
        if difference.fact != fact and difference.after is not None:
            for part in (difference.fact, *find_parts([difference.fact], objects)):
                yield comparison.modelled.facts.get(part) or ""
    keys = ("postgresql_using_downgrade",) if comparison.is_reversed else ("postgresql_using", "backfill")
    for column in (each for metadata in comparison.metadata for table in metadata.tables.values() for each in table.c):
        yield from (str(column.info[key]) for key in keys if key in column.info)


def _names_label(text: str, label: str) -> bool:
    """Whether SQL has the label as a literal, or within one of an array or of a composite type."""
    if quote_literal(label) in text:
        return True
    escaped = label.translate(WITHOUT_ESCAPES)
    return any(escaped in each.translate(WITHOUT_ESCAPES) for each in SEVERAL_VALUES.findall(text))
