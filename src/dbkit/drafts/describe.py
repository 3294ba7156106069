"""Describe what a comparison has found, and what a draft drops, in sentences."""

from collections.abc import Iterator

from dbkit.catalog import Difference
from dbkit.catalog.facts import PLAIN
from dbkit.drafts.comparison import Comparison
from dbkit.drafts.steps import Draft, Rename


def describe_difference(difference: Difference, first: str, second: str) -> str:
    """Describe a difference between two states, which are called `first` and `second`."""
    fact = difference.fact
    if difference.before is None or difference.after is None:
        place, text = (second, difference.after) if difference.before is None else (first, difference.before)
        return f"{fact} is only in {place}" + ("" if text == PLAIN else f": {text}")
    return f"{fact} is {difference.before!r} in {first} and {difference.after!r} in {second}"


def describe_differences(comparison: Comparison) -> Iterator[str]:
    """Yield a sentence for each difference between the migrations and the models."""
    yield from (describe_rename(each) for each in comparison.renames if not each.is_aside)
    for each in comparison.differences:
        yield describe_difference(each, "the migrations", "the models")


def describe_rename(rename: Rename) -> str:
    """Describe a declared rename that no migration has made yet."""
    if rename.is_label:
        return f"a label of {rename.new} is renamed in the models"
    return f"{rename.old} is renamed in the models: {rename.new.identity}"


def list_drops(draft: Draft) -> Iterator[str]:
    """Yield what the upgrades of a draft drop with its data."""
    yield from (step.drops for each in draft.revisions for step in each.upgrade if step.drops)
