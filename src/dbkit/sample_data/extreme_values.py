"""Extreme values by type: the limits of PostgreSQL's types, the longest texts, unusual characters, dates far away.

https://www.postgresql.org/docs/18/datatype.html
"""

from collections.abc import Callable

from dbkit.sample_data.constraints import Type
from dbkit.sample_data.values import INTEGERS, SHORT, TEXTS, longest_text, make_sentence, numeric_limits, quote_element

LONG = 3000  # letters, where nothing limits them; an index entry must fit into 2,700 bytes, compressed
UNUSUAL = "\x01\x1b[0m\x7f\u200b\u202e\ufeff😀\r\n"
"""Control characters, invisible ones, and one of four bytes."""


def make_extreme_values(kind: Type) -> list[str]:
    """Return the extreme values of a type; none where it has none, such as for an enum."""
    if kind.labels:
        return []
    if kind.element:
        return ["{" + quote_element(text) + "}" for text in make_extreme_values(kind.element)]
    if kind.kind == "r" and kind.subtype:
        return ["(,)", "empty"]
    if kind.kind == "m":
        return ["{(,)}"]
    if kind.kind == "c":
        return _make_composites(kind)
    if kind.name in TEXTS:
        return _make_texts(kind)
    make = MAKERS.get(kind.name)
    return make(kind) if make else list(FIXED_VALUES.get(kind.name, ()))


def _make_composites(kind: Type) -> list[str]:
    found = [make_extreme_values(each) for each in kind.fields]
    rows = ([quote_element(each[n % len(each)]) if each else "" for each in found] for n in range(2))
    return [f"({','.join(row)})" for row in rows] if any(found) else []


def _make_texts(kind: Type) -> list[str]:
    longest = longest_text(kind) or LONG
    if kind.name == "char":
        return ["\x01"]
    return [make_sentence(longest), UNUSUAL, " " * 3] if longest > SHORT else [UNUSUAL[:longest]]


def _make_integers(kind: Type) -> list[str]:
    limit = INTEGERS[kind.name]
    return [str(limit - 1), str(-limit)]


def _make_numerics(kind: Type) -> list[str]:
    limits = numeric_limits(kind)
    if limits is None:
        return ["12345678901234567890.0123456789", "-1e40", "1e-30", "NaN"]
    precision, scale = limits
    digits = "9" * precision + "0" * -scale
    whole, fraction = (digits[:-scale], digits[-scale:]) if scale > 0 else (digits, "")
    largest = f"{whole or '0'}.{fraction.rjust(scale, '0')}".rstrip(".")
    return [largest, f"-{largest}"]


def _make_floats(kind: Type) -> list[str]:
    exact = "16777217.123456789" if kind.name == "float8" else "1.2345678"
    return [exact, "1e300" if kind.name == "float8" else "1e38", "-1e-30", "Infinity", "NaN"]


MAKERS: dict[str, Callable[[Type], list[str]]] = {
    **dict.fromkeys(INTEGERS, _make_integers),
    "numeric": _make_numerics,
    **dict.fromkeys(("float4", "float8"), _make_floats),
}
JSON = ('{"a" : 12345678901234567890.5, "a": 1e400, "\\u0001": {"b": [[[[]]]]}}', "null", '"text"', "[1, [2]]")
FAR_MOMENTS = (
    "1900-01-01 00:00",
    "2999-12-31 23:59:59.999999",
    "0044-03-15 00:00 BC",
    "9999-12-31 23:59:59",
    "infinity",
)
# behind these, for most zones of Europe and of North America: times that the clocks skip, and moments of times that
# come twice
FIXED_VALUES: dict[str, tuple[str, ...]] = {
    "date": ("1900-01-01", "2999-12-31", "0044-03-15 BC", "9999-12-31", "infinity"),
    "timestamp": (*FAR_MOMENTS, "2024-03-31 02:30", "2024-03-10 02:30"),
    "timestamptz": (*FAR_MOMENTS, "2024-10-27 00:30+00", "2024-11-03 05:30+00"),
    "time": ("24:00:00", "23:59:59.999999"),
    "timetz": ("24:00:00+15:59", "23:59:59.999999-15:59"),
    "interval": ("178000000 years", "-178000000 years", "0"),
    "money": ("92233720368547758.07", "-92233720368547758.08"),
    "oid": ("4294967295",),
    "bytea": ("\\x" + "00ff" * 5000, "\\x" + "".join(f"{n:02x}" for n in range(256))),
    "json": (*JSON, '{"a": "\\u0000"}'),
    "jsonb": JSON,
    "inet": ("0.0.0.0/0", "::/0"),
    "cidr": ("0.0.0.0/0", "::/0"),
    "xml": ("text", ""),
    "tsvector": ("'" + "w" * 2000 + "'",),
    "point": ("(1e300,-1e300)", "(NaN,Infinity)"),
    "hstore": ("", '""=>""'),
    "ltree": ("", ".".join(["a"] * 200)),
}
"""By type, its extreme values."""
