"""Values next to a literal, on both sides of it."""

import re
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal

from dbkit.coverage import intervals, moments
from dbkit.sample_data.texts import merge_lists, read_array, read_number, read_truth, write_array, write_number

NUMBERS = ("0", "1", "-1", "2", "3", "5", "7", "10", "100", "0.5", "12", "-100", "1000")
"""Usual numbers, where a condition has none."""
TEXTS = (
    "a",
    "A",
    "",
    " a ",
    "Ab",
    "1",
    "a b",
    "é",
    "a1",
    "12345",
    "ÄÖ",
    "A-b",
    "x,y",
    "a-b_c.d",
    "long text of some words",
)
"""Usual texts, where a condition has none."""
UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
USUAL = (*(text for pair in zip(NUMBERS, TEXTS, strict=False) for text in pair), "true", "false")
FEW = ("a", "2", "A b", " é ", "1.2345", "", "b  c", "2020-06-15 12:30:15.5", "0", "-7", "true", "NaN")
"""A few, where both sides of a comparison have the column."""
FEW_NUMBERS = ("2", "1", "0", "-7", "1.2345", "49", "NaN", "1000")
NUMBER_KINDS = (
    "int",
    "int4",
    "int8",
    "int2",
    "bigint",
    "smallint",
    "numeric",
    "decimal",
    "float8",
    "double precision",
    "real",
)
MOMENT_KINDS = ("date", "timestamp", "timestamptz")
MICROSECOND, SECOND, DAY = timedelta(microseconds=1), timedelta(seconds=1), timedelta(days=1)


def few_for(kind: str) -> tuple[str, ...]:
    """Return a few values of a kind, where both sides of a comparison have the column."""
    if kind in MOMENT_KINDS:
        return moments.USUAL
    return FEW_NUMBERS if kind in NUMBER_KINDS else FEW


def vary_all(texts: Iterable[str]) -> list[str]:
    """Return values next to each of the literals, beginning with the literals."""
    return merge_lists(vary(text) for text in texts)


def vary(text: str) -> list[str]:
    """Return the literal, and values next to it."""
    number = read_number(text)
    if number is not None:
        return list(dict.fromkeys([text, *vary_number(number), *_vary_text(text)]))
    if read_truth(text) is not None:
        return [text, "false" if read_truth(text) else "true", *_vary_text(text)[1:]]
    if text.lower() == "nan":
        return [text, *NUMBERS]
    if text in ("infinity", "-infinity"):
        return [text, *moments.USUAL, "1e300"]
    moment = moments.read_moment(text)
    if moment is not None:
        near = vary_moment(moment)
        return [text, *near[:3], *(each.replace(" ", "T") for each in near[1:3]), *near[3:], *_vary_text(text)[1:]]
    if UUID.fullmatch(text):
        return [
            text,
            *(text[:-1] + digit for digit in "0f" if digit != text[-1]),
            "0" + text[1:],
            *_vary_text(text)[1:],
        ]
    if moments.TIME.fullmatch(text):
        return [text, *vary_time(text)]
    interval = intervals.read_interval(text)
    if interval is not None:
        return [text, *intervals.vary_interval(interval), *_vary_text(text)[1:]]
    elements = read_array(text)
    if elements is not None and ":" not in text:
        return [text, *vary_array(elements), *_vary_text(text)[1:]]
    return _vary_text(text)


def vary_number(number: Decimal) -> list[str]:
    """Return the number, those next to it in steps of one and of its last digit, and ones far from it."""
    exponent = number.as_tuple().exponent
    step = Decimal(1).scaleb(min(exponent if isinstance(exponent, int) else 0, 0))
    small = min(step / 10, Decimal("0.01"))
    near = [number, number + 1, number - 1, number + small, number - small, number + step, number - step]
    far = [number * 2, -number, number * 10 + 7, number / 2, number + 100, Decimal(0), Decimal(1)]
    return [write_number(each) for each in (*near, *far)]


def vary_moment(moment: moments.Moment) -> list[str]:
    """Return moments at, beside and far from one."""
    steps = [timedelta(0), DAY, -DAY, MICROSECOND, -MICROSECOND, SECOND * 20, -SECOND * 20, DAY / 24, -DAY / 24]
    steps += [DAY * 8, -DAY * 8, DAY * 40, -DAY * 40, DAY * 400, -DAY * 400, DAY * 4000, -DAY * 4000]
    return [moments.write_moment(each) for step in steps if (each := moments.add(moment, step))]


def vary_time(text: str) -> list[str]:
    """Return times of day at, beside and far from one."""
    moment = moments.read_moment(f"2020-06-15 {text}")
    steps = (SECOND, -SECOND, MICROSECOND, -MICROSECOND, DAY / 24, -DAY / 24) if moment else ()
    near = [f"{moment + each:%H:%M:%S.%f}" for each in steps if moment]
    return [*near, "23:59:59", "00:00:00", "12:00:00", "06:30:00", "17:45:00"]


def vary_array(elements: list[str | None]) -> list[str]:
    """Return arrays with one element less, one more, one twice, and one NULL."""
    more = [*elements, *elements[:1]], [*elements, None], [*elements, "1"], elements[:-1], elements[::-1], elements[:1]
    return [write_array(each) for each in (elements, *more, ())]


def _vary_text(text: str) -> list[str]:
    found = [
        text,
        text + "x",
        text[:-1],
        text.swapcase(),
        "x" + text,
        "",
        "zz",
        "a",
        text.upper(),
        text.title(),
        f" {text} ",
    ]
    return list(dict.fromkeys(found))


def find_between(first: str, second: str) -> list[str]:
    """Return a value between two numbers or moments."""
    numbers = read_number(first), read_number(second)
    if numbers[0] is not None and numbers[1] is not None:
        return [write_number((numbers[0] + numbers[1]) / 2)]
    return moments.find_between(first, second)
