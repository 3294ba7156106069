"""Ranges and multiranges: ones that contain, touch and miss a value or another range."""

import re
from datetime import timedelta

from dbkit.coverage.moments import add, read_moment, write_moment
from dbkit.sample_data.texts import read_number, write_number

USUAL = ("empty", "(,)", "[1,10)", "[5,)", "(,5]", "[0,1]")
RANGE = re.compile(r"\s*([\[(])\s*\"?([^,\"]*)\"?\s*,\s*\"?([^,\"]*?)\"?\s*([\])])\s*")


def is_range(text: str) -> bool:
    """Whether a text is one of a range or multirange."""
    return text == "empty" or bool(RANGE.fullmatch(text)) or bool(RANGE.search(text) and text.startswith("{"))


def read_bounds(text: str) -> tuple[str, str] | None:
    """Return both bounds of a range, of which each can be empty; of a multirange, those of the first."""
    match = RANGE.search(text)
    return (match[2], match[3]) if match else None


def move(bound: str, steps: int) -> str:
    """Return a bound that is some steps later: numbers, or days."""
    number, moment = read_number(bound), read_moment(bound)
    if number is not None:
        return write_number(number + steps)
    later = add(moment, timedelta(days=steps)) if moment else None
    return write_moment(later) if later else ""


def write_range(lower: str, upper: str, ends: str = "[)") -> str:
    """Return the text of a range."""
    quoted = [f'"{bound}"' if " " in bound else bound for bound in (lower, upper)]
    return f"{ends[0] if lower else '('}{quoted[0]},{quoted[1]}{ends[1] if upper else ')'}"


def around_value(value: str) -> list[str]:
    """Return ranges that contain a value, or begin or end beside it."""
    near = (move(value, -1), move(value, 1), move(value, 5), move(value, -5))
    pairs = (
        (near[0], near[1], "[]"),
        (value, value, "[]"),
        (near[1], near[2], "[)"),
        (value, "", "[)"),
        ("", value, "(]"),
    )
    more = (("", value, "()"), (value, near[2], "()"), (near[3], value, "[)"), (value, near[2], "[)"))
    return [*(write_range(*each) for each in (*pairs, *more)), "empty", "(,)"]


def around_range(text: str) -> list[str]:
    """Return the range, and ones that contain it, lie in it, overlap it, touch it, and miss it."""
    bounds = read_bounds(text)
    if bounds is None:
        return [text, *USUAL]
    lower, upper = bounds[0] or move(bounds[1], -100), bounds[1] or move(bounds[0], 100)
    pairs = (
        *((move(lower, -1), move(upper, 1)), (upper, move(upper, 5)), (move(lower, -5), lower), (lower, upper)),
        *((move(lower, 1), move(upper, -1)), (lower, move(lower, 1)), (move(upper, 2), move(upper, 5))),
        *((move(lower, -9), move(lower, -4)), (move(lower, -5), upper), (lower, "")),
    )
    return [text, *(write_range(*each) for each in pairs if _is_ordered(*each)), "empty", "(,)"]


def _is_ordered(lower: str, upper: str) -> bool:
    numbers = read_number(lower), read_number(upper)
    if numbers[0] is not None and numbers[1] is not None:
        return numbers[0] <= numbers[1]
    return not (lower and upper) or lower <= upper


def join_ranges(first: str, second: str) -> list[str]:
    """Return the ranges from the lower bound of one to the upper one of the other."""
    left, right = read_bounds(first), read_bounds(second)
    pairs = [(left[0], right[1]), (right[0], left[1])] if left and right else []
    return [write_range(*pair) for pair in pairs if _is_ordered(*pair)]


def with_bound(target: str, is_lower: bool) -> list[str]:
    """Return ranges with a lower bound, or an upper one."""
    if is_lower:
        return [
            write_range(target, move(target, 10)),
            write_range(target, ""),
            write_range(move(target, -1), target, "(]"),
        ]
    return [
        write_range(move(target, -10), target),
        write_range("", target),
        write_range(move(target, -10), move(target, -1), "[]"),
    ]
