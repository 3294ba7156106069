"""Arrays: with a value as an element, without it, with it twice, and with NULL."""

import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from dbkit.sample_data.texts import Inverse, for_each, merge_lists, read_array, read_integer, write_array

Arguments = Sequence[str | None]
LONGEST = 200
FIELD = re.compile(r'((?:"(?:[^"]|"")*")|[^,"]*)(,|$)')


def make_arrays(values: Sequence[str]) -> list[str]:
    """Return arrays with each of the values."""
    made = [write_array([value]) for value in values]
    more = [
        write_array(each)
        for value in values[:6]
        for each in ([value, values[-1]], [value, value], [value, None], [values[0], value])
    ]
    return list(
        dict.fromkeys([*made[:4], "{}", *more[:3], *made[4:], *more, write_array(values[:3]), write_array(values[:40])])
    )


def at_index(values: Sequence[str], index: int) -> list[str]:
    """Return arrays with each of the values at an index, counted from one."""
    place = index if 0 < index < LONGEST else 1
    # what lies before is the value itself, or NULL, which all types accept
    made = [write_array([fill] * (place - 1) + [value]) for value in values for fill in (value, None)]
    others = [write_array([value] * count) for value in values[:3] for count in (1, place + 1)]
    return list(dict.fromkeys([*made, "{}", *others]))


def at_slice(values: Sequence[str]) -> list[str]:
    """Return arrays that begin with each of the arrays."""
    found = []
    for text in values:
        elements = read_array(text)
        if elements is not None:
            found += [text, write_array([*elements, *elements[:1]])]
    return [*found, "{}"]


def _length(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    dimension = re.fullmatch(r"\[1:(\d+)\]", target)
    length = read_integer(dimension[1] if dimension else target, -1)
    if not 0 <= length <= LONGEST:
        return ("{}",)
    numbers = [str(n) for n in range(1, length + 1)]
    return write_array(numbers), write_array(["a"] * length), write_array([None] * length)


def _place(target: str, arguments: Arguments, position: int) -> Iterable[str]:
    place, element = read_integer(target, -1), arguments[1] if len(arguments) > 1 else None
    if position != 0 or not 0 < place <= LONGEST:
        return ("{}",)
    fill = [None if element is not None else "1"] * (place - 1)
    other = [(element or "") + "1"] * (place - 1)
    return write_array([*fill, element]), write_array([*other, element]), "{}", "{1}", "{a}"


def _places(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    element, found = arguments[1] if len(arguments) > 1 else None, read_array(target) or []
    places = [read_integer(each) for each in found]
    if not places or max(places) > LONGEST:
        return ("{}",)
    return (write_array(element if n + 1 in places else None for n in range(max(places))),)


def _to_text(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    delimiter = (arguments[1] if len(arguments) > 1 else None) or ","
    return write_array(target.split(delimiter)), write_array([target]), "{}"


def _remove(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    elements = read_array(target)
    if elements is None:
        elements = [target]
    removed = arguments[1] if len(arguments) > 1 else None
    return write_array([*elements, removed]), write_array([removed]), write_array(elements), "{}"


def _append(target: str, arguments: Arguments, position: int) -> Iterable[str]:
    elements, constant = read_array(target), arguments[1 - position] if len(arguments) > 1 else None
    if elements is None or constant is None:
        return ()
    more = read_array(constant)
    part = more if more is not None else [constant]
    count = len(part)
    if position == 0 and elements[len(elements) - count :] == part:
        return (write_array(elements[: len(elements) - count]),)
    return (write_array(elements[count:]),) if position == 1 and elements[:count] == part else (target,)


def _replace(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    elements = read_array(target)
    if elements is None or len(arguments) < 3:
        return ()
    back = [arguments[1] if each == arguments[2] else each for each in elements]
    return write_array(back), target, write_array([*elements, arguments[1]])


def _unnest(targets: Sequence[str], _arguments: Arguments, _position: int) -> list[str]:
    return make_arrays(targets) if targets else []


def _keep(target: str, _arguments: Arguments, _position: int) -> Iterable[str]:
    return (target,)


def join_arrays(first: str, second: str) -> list[str]:
    """Return the array with the elements of two, and the one that has each where the other has none."""
    left, right = read_array(first), read_array(second)
    if left is None or right is None:
        return []
    laid = [one if one is not None else other for one, other in zip_longest(left, right)]
    return [write_array(laid), write_array([*left, *right])]


def write_composite(fields: Iterable[str | None]) -> str:
    """Return the text of a composite value."""
    quoted = ("" if each is None else '"' + each.replace("\\", "\\\\").replace('"', '""') + '"' for each in fields)
    return f"({','.join(quoted)})"


def join_composites(first: str, second: str) -> list[str]:
    """Return the composite value that has each field where the other has none."""
    left, right = (FIELD.findall(text[1:-1]) for text in (first, second))
    joined = [one or other for (one, _), (other, _) in zip(left, right, strict=False)]
    return [f"({','.join(joined)})"]


INVERSES: dict[str, Inverse] = {
    **dict.fromkeys(
        ("cardinality", "array_length", "array_upper", "array_ndims", "array_dims", "icount"), for_each(_length)
    ),
    "array_position": for_each(_place),
    "array_positions": for_each(_places),
    "array_to_string": for_each(_to_text),
    "array_remove": for_each(_remove),
    **dict.fromkeys(("array_append", "array_cat", "||"), for_each(_append)),
    "array_prepend": lambda targets, arguments, position: merge_lists(
        _append(target, arguments, position) for target in targets
    ),
    "array_replace": for_each(_replace),
    "unnest": _unnest,
    **dict.fromkeys(("array_agg", "array_sort", "trim_array"), for_each(_keep)),
}
"""By function, its inverse."""
