"""Ordinary values by type, as applications have them, as the text that PostgreSQL reads.

`make_values(type, numbers)` begins with those that migrations often fail on: a longer text with other alphabets and
quotes, the empty string, surrounding spaces, zero, negative numbers, fractions, a leap day, times in several zones.
Then comes one for each number, which only has to differ from the others. Boundary values are in `extreme_values`.
"""

import itertools
import json
import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from decimal import ROUND_DOWN, Decimal
from functools import lru_cache

from dbkit.postgres.sql_text import Kind, read_string, tokenize
from dbkit.sample_data.constraints import Check, Type
from dbkit.sample_data.patterns import match_regex

SHORT = 12  # letters of a code, which are usually all used
USUAL = 60  # letters of the longest text, where nothing limits them
PADDED = " MiXed\tx\n "
SENTENCE = "Ünï Çødé O'Brien, “x” \\ 100% 日本語 ß "
# Values that CHECK constraints often require, beside the literals in the constraint itself
SHAPES = (
    *("a", "ab", "abc", "abcd", "A", "AB", "ABC", "ABCD", "a1", "A1", "1", "12", "123", "1234", "12345", "0", "en"),
    *("en-GB", "en_US", "EUR", "a-b", "a_b", "a.b", "a/b", "/", "/a", "1.0", "1.2.3", "v1", "#aabbcc", "#AABBCC"),
    *("a@b.example", "b.example", "https://b.example/", "https://b.example/a", "http://b.example", "+4930123456"),
    *(
        "2024-02-29",
        "2024-02",
        "12:30",
        "{}",
        "[]",
        "0" * 8,
        "0" * 16,
        "0" * 32,
        "0" * 40,
        "0" * 64,
        "sha256:" + "0" * 64,
    ),
    *("00000000-0000-4000-8000-000000000000", "192.0.2.1", "Europe/Berlin", "UTC", "true", "none", "DE123456789"),
)
FIRST_DATES = ("2024-02-29", "1999-12-31", "2030-06-15", "2011-07-04")
NUMBERED_SHAPES = (
    *("{n:064x}", "{n:040x}", "{n:032x}", "{n:016x}", "{n:08x}", "{n:064X}", "{n:032X}", "sha256:{n:064x}", "{n:08}"),
    *(
        "{n}",
        "a{n}",
        "A{n}",
        "a-{n}",
        "a_{n}",
        "{letters}",
        "{letters}-{n:04}",
        "n{n}@b.example",
        "/a/{n}",
        "+49301{n}",
    ),
    *("+49301{n}", "https://b.example/{n}", "00000000-0000-4000-8000-{n:012x}", "v{n}", "1.{n}.0", "#{n:06x}"),
)
FIRST_TIMES = ("02:30:00.5", "00:00:00", "23:59:59.25", "12:00:00", "18:45:30.123456")
DAYS = 11_311  # of the years 2000 to 2030: a prime number
USUAL_INTEGERS = {"int2": 301, "int4": 70_001, "int8": 5_000_000_001}
INTEGERS = {"int2": 2**15, "int4": 2**31, "int8": 2**63}
FRACTION = "123456789"
"""The digits after the point of a key that has some."""
FIRST_KEY = {"int2": 20_001, "int4": 1_000_001, "int8": 1_000_001, "numeric": 10_001, "oid": 1_000_001}
TEXTS = ("text", "varchar", "bpchar", "citext", "name", "char")
NUMBERS = (*INTEGERS, "numeric", "float4", "float8", "money", "oid")
DOCUMENTS = ("json", "jsonb")
OTHER_DOCUMENTS = ('["a"]', "[1, 2]", '[{"a": 1}]', "[]", '{"a": 1}', "{}", '"a"', "1", "true")
"""Documents of each kind, where a condition allows only some."""
VALUES_OF_KEYS: tuple[object, ...] = ("a", 1, [1], {}, True)
DATES = ("date", "timestamp", "timestamptz")
NUMBER = re.compile(r"-?\b\d+(?:\.\d+)?\b")


def make_values(kind: Type, numbers: range) -> list[str]:
    """Return values of a type, all different; none for an unknown type."""
    if kind.labels:
        return list(kind.labels)
    if kind.element:
        return _make_arrays(kind.element, numbers)
    if kind.kind in "rm" and kind.subtype:
        return _make_ranges(kind, numbers)
    if kind.kind == "c":
        return _make_composites(kind.fields, numbers)
    if kind.name in TEXTS:
        return _make_texts(kind, numbers)
    make = MAKERS.get(kind.name)
    return make(kind, numbers) if make else list(FIXED_VALUES.get(kind.name, ()))


def make_keys(kind: Type, numbers: range) -> list[str]:
    """Return values for a key, apart from those that migrations insert, such as 1 for the first role."""
    first = FIRST_KEY.get(kind.name)
    if first and not kind.labels:
        _, scale = numeric_limits(kind) or (0, 0)
        digits = f".{FRACTION[:scale]}" if 0 < scale <= len(FRACTION) else ""
        room = INTEGERS[kind.name] - first if kind.name in INTEGERS else numbers.stop
        return [f"{first + n % room}{digits}" for n in numbers]
    limit = longest_text(kind)
    if kind.name in ("text", "varchar", "citext") and not kind.labels and (limit is None or limit > 2 * SHORT):
        # other texts than in columns that are no keys, which a foreign key would accept by accident
        usual = USUAL if limit is None else min(limit * 4 // 5, USUAL)
        return [make_sentence(usual - 1), " Key\tÜ ", "Ké", *(f"Key {n}" for n in numbers)]
    return make_values(kind, numbers)


def make_shaped(kind: Type, numbers: range) -> list[str]:
    """Return texts of common shapes for each number, for a unique column with a CHECK constraint: digests, codes."""
    if kind.name not in TEXTS:
        return []
    found = [form.format(n=n, letters=_letters(n)) for form in NUMBERED_SHAPES for n in numbers]
    return [text for text in dict.fromkeys(found) if _fits(kind, text)]


def _letters(number: int) -> str:
    """Return three letters for a number."""
    return "".join(chr(97 + number // 26**place % 26) for place in (2, 1, 0))


def values_from_checks(kind: Type, checks: Iterable[Check | str]) -> list[str]:
    """Return the literals in conditions on a column, and the values next to them."""
    return list(
        _values_from_conditions(kind, tuple(check if isinstance(check, str) else check.sql for check in checks))
    )


@lru_cache(maxsize=512)  # rows are generated several times for each revision that touches the table
def _values_from_conditions(kind: Type, conditions: tuple[str, ...]) -> Sequence[str]:
    texts = [
        read_string(token.text)
        for condition in conditions
        for token in tokenize(condition)
        if token.kind == Kind.STRING
    ]
    numbers = list(dict.fromkeys(Decimal(number) for condition in conditions for number in NUMBER.findall(condition)))
    if kind.name in TEXTS:
        lengths = [int(n) + more for n in numbers if 0 < n <= 300 and n == int(n) for more in (0, 1, -1)]
        matches = [each for text in texts if text[:1] == "^" or text[-1:] == "$" for each in match_regex(text)]
        found = (*matches, *texts, *SHAPES, *("x" * length for length in lengths))
        fit = [text for text in found if _fits(kind, text)]
        return list(dict.fromkeys(fit))
    if kind.name in NUMBERS:
        near = [n + more for n in numbers for more in (0, 1, -1)] + [n / 2 for n in numbers if kind.name == "numeric"]
        return [f"{n:f}" for n in dict.fromkeys((*near, Decimal(1), Decimal(2))) if _is_within(kind, n)]
    if kind.name in DATES:
        return [text for text in texts if re.match(r"\d{4}-\d\d-\d\d", text)]
    if kind.name in DOCUMENTS:
        with_keys = [json.dumps(dict.fromkeys(texts, value)) for value in VALUES_OF_KEYS]
        return list(dict.fromkeys([*OTHER_DOCUMENTS, *with_keys]))
    return []


def _fits(kind: Type, text: str) -> bool:
    return kind.typmod < 5 or len(text) <= kind.typmod - 4


def _is_within(kind: Type, number: Decimal) -> bool:
    limit = INTEGERS.get(kind.name)
    if limit:
        return number == int(number) and -limit <= number < limit
    if kind.name == "oid":
        return number == int(number) and 0 <= number < 2**32
    precision = numeric_limits(kind)
    return precision is None or abs(number) < Decimal(10) ** (precision[0] - precision[1])


def longest_text(kind: Type) -> int | None:
    """Return the number of letters that a type of TEXTS allows; None where nothing limits them."""
    if kind.name in ("name", "char"):
        return 63 if kind.name == "name" else 1
    return kind.typmod - 4 if kind.typmod >= 5 else None


def make_sentence(length: int) -> str:
    """Return a text of this many letters, in several alphabets and without a space at its end."""
    text = (SENTENCE * (length // len(SENTENCE) + 1))[:length]
    return text if text == text.rstrip() else text[:-1] + "Z"


def _make_texts(kind: Type, numbers: range) -> list[str]:
    limit = longest_text(kind)
    longest = USUAL if limit is None else limit
    if kind.name in ("name", "char"):
        return [text[:longest] for text in ("Mixed", "a", "b1", *(f"n{n}" for n in numbers))]
    usual = longest if limit is None or limit <= SHORT else min(limit * 4 // 5, USUAL)
    more = [f"Value {n}" if longest >= SHORT else f"{n:x}"[-longest:] for n in numbers]
    padded = PADDED if longest >= len(PADDED) else " a "[:longest]
    found = [make_sentence(usual), "", padded, "é"[:longest], *more]
    return list(dict.fromkeys(found))


def _make_integers(kind: Type, numbers: range) -> list[str]:
    return [str(n) for n in (USUAL_INTEGERS[kind.name], 0, -1, 1, *(n + 2 for n in numbers)) if n < INTEGERS[kind.name]]


def numeric_limits(kind: Type) -> tuple[int, int] | None:
    """Return the precision and the scale of numeric(p, s)."""
    if kind.name != "numeric" or kind.typmod < 4:
        return None
    scale = (kind.typmod - 4) & 0x7FF
    return (kind.typmod - 4) >> 16 & 0xFFFF, scale - 0x800 if scale > 0x3FF else scale


def _make_numerics(kind: Type, numbers: range) -> list[str]:
    limits = numeric_limits(kind)
    if limits is None:
        return ["4321.5678", "0", "-12.5", "1.50", *(f"{n}.25" for n in numbers)]
    precision, scale = limits
    step, end = Decimal(10) ** -scale, Decimal(10) ** (precision - scale)
    first = [_fit("4321.56789123", step, end), "0", f"-{_fit('12.3456789', step, end)}"]
    more = [(n + 1) * step * (11 if precision > 3 else 1) for n in numbers]
    return list(dict.fromkeys([*first, *(f"{n:f}" for n in more if n < end)]))


def _fit(number: str, step: Decimal, end: Decimal) -> str:
    """Return the number, divided by ten until it is less than `end`, and rounded to steps."""
    fitting = Decimal(number)
    while fitting >= end:
        fitting /= 10
    return f"{max((fitting / step).to_integral_value(ROUND_DOWN), Decimal(1)) * step:f}"


def _make_floats(_kind: Type, numbers: range) -> list[str]:
    return ["0.1", "0", "-2.75", "4321.5678", *(f"{n}.125" for n in numbers)]


def _make_dates(_kind: Type, numbers: range) -> list[str]:
    made = (date(2000, 1, 1) + timedelta(days=n * 37 % DAYS) for n in numbers)
    return list(dict.fromkeys([*FIRST_DATES, *map(str, made)]))


def _make_timestamps(kind: Type, numbers: range) -> list[str]:
    zones = ("+00", "-03:30", "+05:45") if kind.name == "timestamptz" else ("",)
    days = zip(_make_dates(kind, numbers), itertools.cycle(FIRST_TIMES), itertools.cycle(zones), strict=False)
    return [f"{day} {time}{zone}" for day, time, zone in days]


def _make_uuids(_kind: Type, numbers: range) -> list[str]:
    made = (uuid.uuid5(uuid.NAMESPACE_OID, str(n)) for n in numbers)
    return [*map(str, made)]


def _make_bytes(_kind: Type, numbers: range) -> list[str]:
    return ["\\x00ff27225c0d0a", "\\x", "\\xc3", *(f"\\x{n:08x}" for n in numbers)]


def _make_jsons(_kind: Type, numbers: range) -> list[str]:
    return [
        '{"b" : 1.50,  "a": {"Ü \\" key": [null, true, "日本"]}, "c": -0.5}',
        "{}",
        *(f'{{"n": {n}}}' for n in numbers),
    ]


def _make_bits(kind: Type, numbers: range) -> list[str]:
    length = max(kind.typmod, 1)
    if kind.name == "varbit":
        return list(dict.fromkeys(["1" * min(length, 8), "", *(f"{n:b}"[:length] for n in numbers)]))
    return list(dict.fromkeys(f"{n % 2**length:0{length}b}" for n in (-1, 0, *numbers)))


def _make_vectors(kind: Type, numbers: range) -> list[str]:
    size = kind.typmod if kind.typmod > 0 else 3
    return [f"[{','.join(['0.5'] * (size - 1) + [str(n)])}]" for n in numbers]


def _make_networks(_kind: Type, numbers: range) -> list[str]:
    return ["192.0.2.1/32", "2001:db8::1/128", *(f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}/32" for n in numbers)]


def _make_ltrees(_kind: Type, numbers: range) -> list[str]:
    return ["Top.Under", "a", *(f"top.n{n}" for n in numbers)]


def _make_arrays(element: Type, numbers: range) -> list[str]:
    each = [quote_element(text) for text in make_values(element, numbers)]
    if not each:
        return []
    nothing = [] if element.kind == "d" else ["{" + each[-1] + ",NULL}"]
    return list(dict.fromkeys(["{" + ",".join(each[:3]) + "}", "{}", *nothing, *("{" + one + "}" for one in each)]))


def _make_composites(fields: Sequence[Type], numbers: range) -> list[str]:
    found = [[quote_element(text) for text in make_values(each, numbers)] or [""] for each in fields]
    return [f"({','.join(each[n % len(each)] for each in found)})" for n in numbers]


def _make_ranges(kind: Type, numbers: range) -> list[str]:
    """Return ranges that do not overlap, so that an exclusion constraint allows all; then an empty one."""
    name = kind.subtype.name if kind.subtype else ""
    bounds: list[tuple[str, str]] = []
    for n in numbers:
        day, end = f"{1900 + n % 800}-03-01", f"{1900 + n % 800}-09-30"
        if name in ("timestamp", "timestamptz"):
            day, end = f"{day} 02:30:00.5", f"{end} 00:00:00"
        bounds.append((day, end) if name in DATES else (str(n * 10), str(n * 10 + 5)))
    known = name in DATES or name in NUMBERS
    made = [f'["{first}","{last}")' for first, last in bounds] if known else ["(,)"]
    return [f"{{{each}}}" for each in made] + ["{}"] if kind.kind == "m" else [*made, "empty"]


def quote_element(text: str) -> str:
    """Return a value as an element of an array or a field of a composite value."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _from_format(form: str) -> Callable[[Type, range], list[str]]:
    return lambda _kind, numbers: [form.format(n=n, x=n >> 8 & 255, y=n & 255) for n in numbers]


MAKERS: dict[str, Callable[[Type, range], list[str]]] = {
    **dict.fromkeys(INTEGERS, _make_integers),
    "numeric": _make_numerics,
    **dict.fromkeys(("float4", "float8"), _make_floats),
    "date": _make_dates,
    **dict.fromkeys(("timestamp", "timestamptz"), _make_timestamps),
    "uuid": _make_uuids,
    "bytea": _make_bytes,
    **dict.fromkeys(DOCUMENTS, _make_jsons),
    **dict.fromkeys(("bit", "varbit"), _make_bits),
    **dict.fromkeys(("vector", "halfvec"), _make_vectors),
    **dict.fromkeys(("inet", "cidr"), _make_networks),
    "ltree": _make_ltrees,
    "oid": _from_format("{n}"),
    "macaddr": _from_format("08:00:2b:01:{x:02x}:{y:02x}"),
    "money": _from_format("-{n}.05"),
    "hstore": _from_format('"a"=>"{n}", "b"=>NULL'),
    "cube": _from_format("({n}, 1)"),
    "interval": _from_format("1 mon -{n} days 02:30:00.5"),
    "lquery": _from_format("top.n{n}"),
    "geometry": _from_format("POINT({n} 2)"),
    "geography": _from_format("POINT(1 2)"),
}
"""By type, the function that makes its values."""

FIXED_VALUES: dict[str, tuple[str, ...]] = {
    "bool": ("true", "false"),
    "time": (*FIRST_TIMES,),
    "timetz": ("23:59:59.25-03:30", "00:00:00+00", "02:30:00.5+05:45"),
    "macaddr8": ("08:00:2b:01:02:03:04:05", "00:00:00:00:00:00:00:00"),
    "tsvector": ("'ünder':2A 'word':1", "", "'other':1"),
    "tsquery": ("'word' & !'other'", "'a' | 'b'"),
    "xml": ('<a b="ü">x &amp; y</a>', "<a/>"),
    "point": ("(0.5,-1)", "(0,0)", "(10.25,2)"),
    "line": ("{1,-1,0}", "{0,1,2}"),
    "lseg": ("[(0,0),(1,1)]", "[(0,0),(2,0.5)]"),
    "box": ("(2,2),(0,0)", "(1,1),(0.5,0)"),
    "path": ("[(0,0),(1,1)]", "((0,0),(1,1),(2,0))"),
    "polygon": ("((0,0),(1,1),(2,0))", "((0,0),(0,1),(1,0))"),
    "circle": ("<(0,0),1.5>", "<(1,1),0>"),
    "pg_lsn": ("0/0", "16/B374D848"),
    "regclass": ("pg_class", "pg_type"),
    "regtype": ("integer", "text"),
    "jsonpath": ("$.a", "$[*]"),
    "isbn": ("978-0-393-04002-9", "978-1-56619-909-4"),
}
"""By type, a few values that are enough."""
