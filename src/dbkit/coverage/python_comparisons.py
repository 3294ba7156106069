"""Conditions in Python on the values of a row: the literals that columns are compared with."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from dbkit.coverage.python_module import SCALARS


class Comparison(Enum):
    """How a value is compared with a literal."""

    EQUAL = "equal"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    SUBSTRING = "substring"
    PATTERN = "pattern"
    """A regular expression that is found in the value."""
    LESS = "less"
    GREATER = "greater"
    MEMBER = "member"
    """The value contains the literal: as a substring, an item or a key, by the type of the column."""
    TRUTHY = "truthy"
    IS_NONE = "is none"
    LENGTH = "length"
    """A length that satisfies the condition."""


@dataclass(frozen=True)
class Literal:
    """A literal that a value is compared with; `value >= 5` is `not value < 5`."""

    value: object
    kind: Comparison
    is_negated: bool = False


Term = tuple[str, Literal]
"""The name of a column or key, empty if it is unknown, and what it is compared with."""
Arm = tuple[Term, ...]
"""A conjunction. What is unknown is left out."""
Arms = list[Arm]
UNKNOWN: Arms = [()]
MOST_ARMS = 64


def product(parts: Iterable[Arms]) -> Arms:
    """Return the arms of a conjunction of conditions."""
    found: Arms = [()]
    for part in parts:
        pairs = itertools.product(found, part)
        found = [_merge(first, second) for first, second in itertools.islice(pairs, MOST_ARMS)]
    return found


def join(parts: Iterable[Arms]) -> Arms:
    """Return the arms of an alternative of conditions."""
    return [arm for part in parts for arm in part][:MOST_ARMS]


def _merge(first: Arm, second: Arm) -> Arm:
    return (*first, *(term for term in second if term not in first))


def literal_arms(column: str, values: Sequence[Any], kind: Comparison, is_true: bool) -> Arms:
    """Return an arm for each literal, or if the condition is not to be true, one for all of them."""
    literals = [
        _make_literal(value, kind, not is_true) for value in values if value is None or isinstance(value, SCALARS)
    ]
    unique = list(dict.fromkeys((repr(each), each) for each in literals))
    terms: list[Term] = [(column, each) for _, each in unique]
    arms: Arms = [(term,) for term in terms] if is_true else [tuple(terms)]
    return arms[:MOST_ARMS] or UNKNOWN


def _make_literal(value: object, kind: Comparison, is_negated: bool) -> Literal:
    if value is None and kind == Comparison.EQUAL:
        return Literal(None, Comparison.IS_NONE, is_negated)
    return Literal(value, kind, is_negated)


def iterate_items(values: Any) -> Iterator[Any]:
    """Yield the items of a collection; of another value, the value."""
    yield from values if isinstance(values, list | tuple | dict | set | frozenset) else [values]


def fitting_length(value: int, kind: Comparison, is_true: bool) -> int:
    """Return a length that satisfies a comparison with a number."""
    if kind == Comparison.EQUAL:
        return value if is_true else value + 1
    is_above = (kind == Comparison.GREATER) == is_true
    beside = int(is_true)
    return value + beside if is_above else max(0, value - beside)


def read_like(text: str) -> tuple[str, Comparison]:
    """Return the literal of a LIKE pattern, and where it is; a pattern with more than that as a regular expression."""
    inner = text.strip("%")
    if "%" in inner or "_" in inner:
        parts = "".join({"%": ".*", "_": "."}.get(each, _escape(each)) for each in text)
        return f"^{parts}$", Comparison.PATTERN
    begins, ends = text.startswith("%"), text.endswith("%")
    kinds = {
        (True, True): Comparison.SUBSTRING,
        (True, False): Comparison.SUFFIX,
        (False, True): Comparison.PREFIX,
    }
    return inner, kinds.get((begins, ends), Comparison.EQUAL)


def _escape(letter: str) -> str:
    return letter if letter.isalnum() or letter in " @-" else f"\\{letter}"
