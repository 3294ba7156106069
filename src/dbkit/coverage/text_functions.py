"""Inverses of the functions of text: from a result to arguments that have it."""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise, takewhile

from dbkit.sample_data.patterns import generate_matches
from dbkit.sample_data.texts import Inverse, for_each, insert, read_array, read_integer, read_number

Arguments = Sequence[str | None]
LONGEST = 2000


def _lower(target: str, _arguments: Arguments, _position: int) -> Iterable[str]:
    return target, target.upper(), target.title(), target.lower()


def _initcap(target: str, _arguments: Arguments, _position: int) -> Iterable[str]:
    return target, target.lower(), target.upper()


def _trim(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    letters = arguments[1] if len(arguments) > 1 and arguments[1] else " "
    one = letters[0]
    return target, one + target, target + one, one + target + one, letters + target + letters


def _length(target: str, _arguments: Arguments, _position: int) -> Iterable[str]:
    length = read_integer(target, -1)
    if not 0 <= length <= LONGEST:
        return ()
    return (
        "x" * length,
        ("ab " * length)[:length],
        "1" * length,
        "é" * length,
        ("a.b@c" * length)[:length],
        " " * length,
    )


def _octets(target: str, arguments: Arguments, position: int) -> Iterable[str]:
    length = read_integer(target, -1)
    return (*_length(target, arguments, position), "é" * (length // 2)) if 0 <= length <= LONGEST else ()


def _bits(target: str, arguments: Arguments, position: int) -> Iterable[str]:
    return _length(str(read_integer(target, -8) // 8), arguments, position)


def _left(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    count = read_integer(arguments[1] if len(arguments) > 1 else None)
    if arguments[1:] == [None]:
        return *(target + ".txt"[-length:] for length in (1, 2, 3, 4)), target + "abcdef", target
    if count < 0:
        return target + "x" * -count, target + "1" * -count, target
    return target, target.ljust(count, "x")[:count] + "x", target + "1", target[:count] + " tail"


def _right(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    count = read_integer(arguments[1] if len(arguments) > 1 else None)
    if count < 0:
        return "x" * -count + target, "1" * -count + target, target
    return target, "x" + target, "1" + target, "head " + target


def _substring(target: str, arguments: Arguments, position: int) -> Iterable[str]:
    if position:
        place = (arguments[0] or "").find(target) + 1
        return str(place or 1), str(place + 1), str(len(target)), "0"
    start = arguments[1] if len(arguments) > 1 else None
    if start is not None and read_number(start) is None:
        matches = generate_matches(start, groups={1: target}) if "(" in start else [target]
        return *matches[:3], *(f"x{match}x" for match in matches[:1])
    skipped = max(read_integer(start, 1) - 1, 0)
    return *(
        f"{letter * skipped}{target}{tail}" for letter, tail in (("x", ""), ("1", ""), ("x", "yz"), ("1", "0"))
    ), target


def _split_part(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    delimiter, number = (arguments[1] or ",") if len(arguments) > 1 else ",", read_integer(arguments[-1], 1)
    found = []
    # of letters, and of what numbers, addresses, dates and uuids begin with
    for fill in ("a", "10", "2020", "00000000"):
        parts = [fill] * (abs(number) - 1)
        parts = [*parts, target] if number > 0 else [target, *parts]
        found += [delimiter.join(parts), delimiter.join([*parts, "b"] if number > 0 else ["b", *parts])]
    return *found[:3], target, *found[3:]


def _position(target: str, arguments: Arguments, position: int) -> Iterable[str]:
    part, place = arguments[1 - position] if len(arguments) > 1 else None, read_integer(target, -1)
    if part is None or not 0 <= place <= LONGEST:
        return (part or "a",)
    if part.startswith("\\x"):
        return f"\\x{'78' * (place - 1)}{part[2:]}", "\\x78"
    if position == 1:
        return part[place - 1 :], part[place - 1 : place], "zz"
    return ("x", "", "x" + part[:-1]) if place == 0 else ("x" * (place - 1) + part, "x" * (place - 1) + part + "y")


def _replace(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    old, new = (*arguments[1:3], "", "")[:2]
    if not old:
        return (target,)
    back = target.replace(new, old) if new else target
    return target, old + target, target + old + old, back, *insert(target, old), target + old * 3


def _translate(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    old, new = (arguments[1] or "", arguments[2] or "") if len(arguments) > 2 else ("", "")
    pairs = {ord(after): before for before, after in zip(old, new, strict=False)}
    removed = old[len(new) :]
    return target, target.translate(pairs), *(each for letter in removed[:3] for each in insert(target, letter))


def _concat(target: str, arguments: Arguments, position: int) -> Iterable[str]:
    """The arguments before and after are cut off; those that are unknown get a part of the text, too."""
    left, right = arguments[:position], arguments[position + 1 :]
    before = "".join(reversed([each for each in takewhile(lambda each: each is not None, reversed(left)) if each]))
    after = "".join(each for each in takewhile(lambda each: each is not None, right) if each)
    if None not in left and None not in right:
        return _cut(target, before, after)
    starts = (
        [place + len(before) for place in _find_places(target, before, "(?=\\w)")] if None in left else [len(before)]
    )
    ends = _find_places(target, after, "(?<=\\w)") if None in right else [len(target) - len(after)]
    return [target[start:end] for start in starts for end in ends if start < end][:8]


def _find_places(text: str, part: str, side: str) -> list[int]:
    """Return where a text has a part; for an empty part, where its words begin or end."""
    if part:
        return [match.start() for match in re.finditer(re.escape(part), text)]
    return [match.start() for match in re.finditer(rf"(?<!^)\b{side}(?!$)", text)] or list(range(1, len(text)))


def _cut(target: str, before: str, after: str) -> Iterable[str]:
    if target.startswith(before) and target.endswith(after) and len(target) >= len(before) + len(after):
        return target[len(before) : len(target) - len(after)], target
    return (target,)


def _concat_ws(target: str, arguments: Arguments, position: int) -> Iterable[str]:
    separator = arguments[0] or ","
    before = "".join((each or "") + separator for each in arguments[1:position])
    return _cut(target, before, "".join(separator + (each or "") for each in arguments[position + 1 :]))


def _format(target: str, arguments: Arguments, position: int) -> Iterable[str]:
    parts = re.split(r"%[sIL]", arguments[0] or "")
    before, after = "", ""
    for number, (fixed, _next) in enumerate(pairwise(parts), 1):
        if number < position:
            before += fixed + (arguments[number] or "")
        elif number == position:
            before += fixed
    for number in range(position, len(parts)):
        after += parts[number] + ((arguments[number + 1] or "") if number + 1 < len(arguments) else "")
    return _cut(target, before, after)


def _pad(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    fill = (arguments[2] if len(arguments) > 2 else None) or " "
    return target.lstrip(fill), target.rstrip(fill), target, target + "x"


def _repeat(target: str, arguments: Arguments, position: int) -> Iterable[str]:
    if position == 1:
        return (str(len(target) // max(len(arguments[0] or "x"), 1)), "0", "1", "3")
    count = max(read_integer(arguments[1], 1), 1)
    return target[: len(target) // count], target


def _ascii(target: str, _arguments: Arguments, _position: int) -> Iterable[str]:
    code = read_integer(target)
    return (chr(code), chr(code) + "x") if 0 < code < 0xD800 else ("",) if code == 0 else ()


def _chr(target: str, _arguments: Arguments, _position: int) -> Iterable[str]:
    return (str(ord(target[0])),) if target else ()


def _to_hex(target: str, _arguments: Arguments, _position: int) -> Iterable[str]:
    try:
        return (str(int(target, 16)),)
    except ValueError:
        return ()


def _reverse(target: str, _arguments: Arguments, _position: int) -> Iterable[str]:
    return (target[::-1],)


def _overlay(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    new, start = arguments[1] or "", max(read_integer(arguments[2], 1), 1)
    length = read_integer(arguments[3], len(new)) if len(arguments) > 3 else len(new)
    return target[: start - 1] + "y" * length + target[start - 1 + len(new) :], target


def _quote(target: str, _arguments: Arguments, _position: int) -> Iterable[str]:
    inner = target[1:-1] if target[:1] in ("'", '"') and len(target) > 1 else target
    return inner.replace("''", "'").replace('""', '"'), target, "a b", "select"


def _string_to_array(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    elements, delimiter = read_array(target), (arguments[1] if len(arguments) > 1 else None) or ","
    texts = [each or "" for each in elements] if elements is not None else [target]
    return delimiter.join(texts), *((delimiter + " ").join(texts) for _ in texts[1:2])


def _vector(target: str, _arguments: Arguments, _position: int) -> Iterable[str]:
    return " ".join(re.findall(r"\w+", target)), target


INVERSES: dict[str, Inverse] = {
    **dict.fromkeys(("lower", "upper", "casefold"), for_each(_lower)),
    "initcap": for_each(_initcap),
    **dict.fromkeys(("trim", "btrim", "ltrim", "rtrim"), for_each(_trim)),
    **dict.fromkeys(("length", "char_length", "character_length"), for_each(_length)),
    "octet_length": for_each(_octets),
    "bit_length": for_each(_bits),
    "left": for_each(_left),
    "right": for_each(_right),
    **dict.fromkeys(("substring", "substr", "regexp_substr"), for_each(_substring)),
    "split_part": for_each(_split_part),
    **dict.fromkeys(("position", "strpos"), for_each(_position)),
    "replace": for_each(_replace),
    "translate": for_each(_translate),
    **dict.fromkeys(("concat", "||"), for_each(_concat)),
    "concat_ws": for_each(_concat_ws),
    "format": for_each(_format),
    **dict.fromkeys(("lpad", "rpad"), for_each(_pad)),
    "repeat": for_each(_repeat),
    "ascii": for_each(_ascii),
    "chr": for_each(_chr),
    **dict.fromkeys(("to_hex", "hex"), for_each(_to_hex)),
    "reverse": for_each(_reverse),
    "overlay": for_each(_overlay),
    **dict.fromkeys(("quote_literal", "quote_ident", "quote_nullable"), for_each(_quote)),
    **dict.fromkeys(("string_to_array",), for_each(_string_to_array)),
    **dict.fromkeys(("to_tsvector", "to_tsquery"), for_each(_vector)),
}
"""By function, its inverse."""
