"""The ids of the rules of `dbkit lint`: each rule has a page, lint/pages/<id>.md."""

from functools import cache
from pathlib import Path

# a part of the package, wherever that is installed
PAGES = Path(__file__).resolve().parents[1] / "lint/pages"
SQUAWK = "squawk/"
"""The prefix of the ids of squawk's own rules."""


@cache
def read_rule_ids() -> tuple[str, ...]:
    """Return the ids of dbkit's own rules, sorted."""
    return tuple(sorted(path.stem for path in PAGES.glob("*.md")))


def is_rule_id(word: str) -> bool:
    """Return whether a word is the id of a rule, or may be that of one of squawk's."""
    return word.startswith(SQUAWK) or word in read_rule_ids()
