"""Values as texts: numbers, truth values, arrays, and lists of texts without duplicates."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal, DecimalException
from itertools import chain, zip_longest

MOST_TEXTS = 150
WEIGHT = 4
# with more of them, a division is not exact
MOST_DIGITS = 26
Inverse = Callable[[Sequence[str], Sequence[str | None], int], list[str]]
"""From results of a function, its arguments (None: unknown), and the position of one of them: values of that one."""


def merge_lists(lists: Iterable[Iterable[str]]) -> list[str]:
    """Return the texts of several lists without duplicates: the first of each, then the second of each."""
    mixed = chain.from_iterable(zip_longest(*lists))
    return list(dict.fromkeys(text for text in mixed if text is not None))[:MOST_TEXTS]


def for_each(invert: Callable[[str, Sequence[str | None], int], Iterable[str]]) -> Inverse:
    """Return the inverse of a function that is defined for one result at a time."""

    def invert_all(targets: Sequence[str], arguments: Sequence[str | None], position: int) -> list[str]:
        found = [
            (n + m * WEIGHT, text)
            for n, target in enumerate(targets)
            for m, text in enumerate(invert(target, arguments, position))
        ]
        # of the likeliest results several arguments come before the first ones of others
        found.sort(key=lambda pair: pair[0])
        return list(dict.fromkeys(text for _distance, text in found))[:MOST_TEXTS]

    return invert_all


def read_number(text: str | None) -> Decimal | None:
    """Return the number in a text, or None."""
    try:
        number = Decimal(text.strip()) if text and "_" not in text else None
    except DecimalException:
        return None
    return number if number is not None and number.is_finite() and abs(number.adjusted()) < MOST_DIGITS else None


def read_integer(text: str | None, otherwise: int = 0) -> int:
    """Return the integer in a text, or another number."""
    number = read_number(text)
    return int(number) if number is not None and abs(number) < 10**6 else otherwise


def write_number(number: Decimal | int | float) -> str:
    """Return a number as PostgreSQL reads it, without an exponent or zeros at its end."""
    exact = Decimal(repr(number)) if isinstance(number, float) else Decimal(number)
    if not exact.is_finite() or abs(exact.adjusted()) > 400:
        return str(exact)
    text = f"{exact:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def read_truth(text: str) -> bool | None:
    """Return the truth value in a text, or None."""
    if text.lower() in ("true", "t", "yes", "on"):
        return True
    return False if text.lower() in ("false", "f", "no", "off") else None


def write_array(elements: Iterable[str | None]) -> str:
    """Return the text of an array."""
    return "{" + ",".join("NULL" if each is None else _quote(each) for each in elements) + "}"


def _quote(text: str) -> str:
    special = not text or text.upper() == "NULL" or any(letter in '{}",\\' or letter.isspace() for letter in text)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if special else text


def read_array(text: str) -> list[str | None] | None:
    """Return the elements of an array from its text, or None where it is not the text of an array."""
    if not (text.startswith("{") and text.endswith("}")):
        return None
    elements: list[str | None] = []
    current, quoted, inside, depth, n = "", False, False, 0, 1
    while n < len(text):
        letter = text[n]
        if letter == "\\" and n + 1 < len(text):
            n, current = n + 1, current + text[n + 1]
        elif letter == '"' and depth == 0:
            inside, quoted = not inside, True
        elif inside:
            current += letter
        elif letter in ",}" and depth == 0:
            if current.strip() or quoted:
                elements.append(None if not quoted and current.strip() == "NULL" else current)
            current, quoted = "", False
        else:
            depth += {"{": 1, "}": -1}.get(letter, 0)
            current += letter
        n += 1
    return elements


def insert(text: str, part: str) -> Iterable[str]:
    """Return a text with a part before, behind and in it."""
    middle = len(text) // 2
    return part + text, text + part, text[:middle] + part + text[middle:], part + text + part
