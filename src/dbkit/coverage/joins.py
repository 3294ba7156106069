"""Values that are made from two, each of which satisfies a condition, and that may satisfy both."""

from collections.abc import Callable
from datetime import timedelta

from dbkit.coverage import arrays, documents, moments, ranges
from dbkit.coverage.byte_functions import read_bytes
from dbkit.sample_data.texts import read_number, write_number

LONGEST_TEXT = 2000
TEXTS = ("text", "varchar", "bpchar", "citext")
TIMES = ("hour", "minute", "second", "microsecond")


def find_join(kind: str) -> Callable[[str, str], list[str]]:
    """Return the function that makes values of a kind from two."""
    return JOINS.get(kind, _join_scalars)


def _join_texts(first: str, second: str) -> list[str]:
    """One behind the other, and one over the beginning or the end of the other."""
    if len(first) + len(second) > LONGEST_TEXT:
        return []
    short, long = sorted((first, second), key=len)
    over = [short + long[len(short) :], long[: len(long) - len(short)] + short]
    return list(dict.fromkeys([first + second, *over, second + first]))


def _join_bytes(first: str, second: str) -> list[str]:
    short, long = sorted((read_bytes(first), read_bytes(second)), key=len)
    found = (short + long[len(short) :], long[: len(long) - len(short)] + short, short + long)
    return [f"\\x{each.hex()}" for each in dict.fromkeys(found)]


def _join_scalars(first: str, second: str) -> list[str]:
    """The mean and the sum of two numbers; the middle of two moments, and ones with fields of both."""
    numbers = read_number(first), read_number(second)
    if numbers[0] is not None and numbers[1] is not None:
        return [write_number((numbers[0] + numbers[1]) / 2), write_number(numbers[0] + numbers[1])]
    begin, end = moments.read_moment(first), moments.read_moment(second)
    if begin is None or end is None:
        return []
    fields: tuple[tuple[str, ...], ...] = (("day",), ("month",), ("year",), TIMES)
    mixed = [*(_mix(begin, end, names) for names in fields), _mix(end, begin, TIMES)]
    mixed += [_find_weekday(begin, end), _find_weekday(end, begin)]
    return [*moments.find_between(first, second), *(moments.write_moment(each) for each in mixed if each)]


def _mix(first: moments.Moment, second: moments.Moment, names: tuple[str, ...]) -> moments.Moment | None:
    """Return the first moment with some fields of the second."""
    try:
        return first.replace(**{name: getattr(second, name) for name in names})
    except ValueError:
        return None


def _find_weekday(first: moments.Moment, second: moments.Moment) -> moments.Moment | None:
    """Return a moment with the day of the first in its month, and the day of the second in its week."""
    days = (moments.add(first, timedelta(days=days)) for days in range(1000))
    return next((each for each in days if each and each.day == first.day and each.weekday() == second.weekday()), None)


JOINS: dict[str, Callable[[str, str], list[str]]] = {
    **dict.fromkeys(TEXTS, _join_texts),
    **dict.fromkeys(("json", "jsonb"), documents.merge_documents),
    "bytea": _join_bytes,
    "array": arrays.join_arrays,
    "composite": arrays.join_composites,
    "range": ranges.join_ranges,
}
"""By kind, how two values become others."""
