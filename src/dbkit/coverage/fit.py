"""Texts as values of a type: those that the type can hold, in its format."""

import ipaddress
import re
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, DecimalException

from dbkit.coverage import documents, ranges
from dbkit.coverage.intervals import DAY, read_interval
from dbkit.coverage.moments import read_moment, to_local, write_moment
from dbkit.sample_data.constraints import Type
from dbkit.sample_data.texts import read_array, read_number, read_truth, write_array, write_number

INTEGERS = {"int2": 2**15, "int4": 2**31, "int8": 2**63}
SPECIAL = {"nan": "NaN", "infinity": "Infinity", "-infinity": "-Infinity", "inf": "Infinity", "-inf": "-Infinity"}
UUID = "00000000000040008000000000000000"
OTHER_DATE = re.compile(r"\d{8}|[A-Za-z]{3,9} \d\d?,? \d{4}.*|\d\d?[/. -][A-Za-z\d]{1,9}[/. -]\d{4}.*")
FLOAT = re.compile(r"[-+]?\d+(\.\d+)?(e[-+]?\d{1,3})?", re.IGNORECASE)
LONGEST_NAME = 63


def fit(kind: Type, text: str) -> list[str]:
    """Return the text as values of a type: none where it is no value, two where it lies between them."""
    if kind.labels:
        return [label for label in kind.labels if label == text]
    if kind.element:
        return _fit_array(kind.element, text)
    if kind.kind in "rm" and kind.subtype:
        return _fit_range(kind, kind.subtype, text)
    if kind.kind == "c":
        return [text] if text.startswith("(") else []
    fit_one = FITS.get(kind.name)
    return fit_one(kind, text) if fit_one else [text]


def _fit_text(kind: Type, text: str) -> list[str]:
    longest = kind.typmod - 4 if kind.typmod >= 5 else {"name": LONGEST_NAME, "char": 1}.get(kind.name, 0)
    plain = text.replace("\0", "")
    return [plain[:longest] if longest else plain]


def _fit_integer(kind: Type, text: str) -> list[str]:
    truth = read_truth(text)
    number = Decimal(int(truth)) if truth is not None else read_number(text)
    if number is None:
        return []
    limit = INTEGERS[kind.name]
    rounded = dict.fromkeys(int(number.to_integral_value(mode)) for mode in (ROUND_FLOOR, ROUND_CEILING))
    return [str(each) for each in rounded if -limit <= each < limit]


def _fit_numeric(kind: Type, text: str) -> list[str]:
    number = read_number(text)
    if number is None and kind.name.startswith("float"):
        return [SPECIAL[text.lower()]] if text.lower() in SPECIAL else [text] if FLOAT.fullmatch(text) else []
    if number is None:
        return [SPECIAL[text.lower()]] if text.lower() in SPECIAL and kind.name != "money" else []
    if kind.name != "numeric" or kind.typmod < 4:
        return [write_number(number)]
    scale, precision = (kind.typmod - 4) & 0x7FF, (kind.typmod - 4) >> 16 & 0xFFFF
    scale -= 0x800 if scale > 0x3FF else 0
    try:
        steps = [number.quantize(Decimal(1).scaleb(-scale), mode) for mode in (ROUND_FLOOR, ROUND_CEILING)]
    except DecimalException:
        return []
    return [write_number(each) for each in dict.fromkeys(steps) if abs(each) < Decimal(10) ** (precision - scale)]


def _fit_truth(_kind: Type, text: str) -> list[str]:
    truth = {"1": True, "0": False}.get(text, read_truth(text))
    return [] if truth is None else ["true" if truth else "false"]


def _fit_moment(kind: Type, text: str) -> list[str]:
    if text in ("infinity", "-infinity", "epoch"):
        return [text]
    moment = read_moment(text)
    if moment is None:
        # in another format, perhaps
        return [text] if re.search(r"\d{4}", text) and OTHER_DATE.fullmatch(text) else []
    if kind.name == "date":
        return [f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}"]
    if kind.name == "timestamptz" or not moment.tzinfo:
        return [write_moment(moment)]
    # the time zone of the server is that of the machine, or UTC
    return list(dict.fromkeys(write_moment(each.replace(tzinfo=None)) for each in (moment, to_local(moment))))


def _fit_time(_kind: Type, text: str) -> list[str]:
    moment, interval = read_moment(text), read_interval(text)
    if moment is not None:
        return [f"{moment:%H:%M:%S.%f}"]
    if interval is None or not 0 <= interval.seconds <= DAY or interval.months:
        return []
    seconds = interval.seconds
    return [f"{int(seconds // 3600):02d}:{int(seconds % 3600 // 60):02d}:{write_number(seconds % 60).zfill(2)}"]


def _fit_interval(_kind: Type, text: str) -> list[str]:
    if read_number(text) is not None:
        return [f"{text} seconds", f"{text} days"] if len(text) < 9 else []
    moment = read_moment(text)
    if moment is not None:
        return [f"{moment:%H:%M:%S}"]
    return [text] if read_interval(text) is not None else []


def _fit_uuid(_kind: Type, text: str) -> list[str]:
    digits = re.sub(r"[^0-9a-fA-F]", "", text)
    if len(digits) < len(re.sub(r"[-{}]", "", text)) or len(digits) > len(UUID):
        return []
    both = dict.fromkeys((digits + UUID[len(digits) :], UUID[: len(UUID) - len(digits)] + digits))
    return [f"{each[:8]}-{each[8:12]}-{each[12:16]}-{each[16:20]}-{each[20:]}".lower() for each in both]


def _fit_hardware_address(_kind: Type, text: str) -> list[str]:
    digits = re.sub(r"[^0-9a-fA-F]", "", text)
    whole = digits.ljust(12, "0")
    return [":".join(whole[n : n + 2] for n in range(0, 12, 2))] if digits and len(digits) <= 12 else []


def _fit_network(kind: Type, text: str) -> list[str]:
    text = f"10.0.0.0{text}" if text.startswith("/") else text
    parts = text.split(".")
    if 1 < len(parts) < 4 and all(part.isdigit() or not part for part in parts):
        text = ".".join([part or "1" for part in parts] + ["1"] * (4 - len(parts)))
    try:
        address = ipaddress.ip_interface(text)
    except ValueError:
        return []
    return [str(address.network) if kind.name == "cidr" else str(address) if "/" in text else str(address.ip)]


def _fit_bytes(_kind: Type, text: str) -> list[str]:
    if text.startswith("\\x"):
        return [text] if re.fullmatch(r"\\x([0-9a-fA-F]{2})*", text) else []
    return [f"\\x{text.encode('utf-8', 'replace').hex()}"]


def _fit_json(_kind: Type, text: str) -> list[str]:
    plain = text.replace("\0", "")
    if documents.is_json(plain) and plain not in ("NaN", "Infinity", "-Infinity"):
        return [plain]
    return [f"{{{plain}}}"] if ":" in plain and documents.is_json(f"{{{plain}}}") else [documents.write_json(plain)]


def _fit_bits(kind: Type, text: str) -> list[str]:
    number = read_number(text)
    if set(text) - {"0", "1"}:
        text = f"{int(number):b}" if number is not None and 0 <= number < 2**63 else ""
        if not text:
            return []
    length = max(kind.typmod, 1)
    if kind.name == "bit":
        return list(dict.fromkeys([text.rjust(length, "0")[-length:], text.ljust(length, "0")[:length]]))
    return [text[:length] if kind.typmod > 0 else text]


def _fit_array(element: Type, text: str) -> list[str]:
    elements = read_array(text)
    whole = [text] if elements is None else elements
    fitted = [[None] if each is None else fit(element, each) for each in whole]
    if not all(fitted):
        return []
    return [write_array(each[0] for each in fitted)]


def _fit_range(kind: Type, subtype: Type, text: str) -> list[str]:
    is_multiple = kind.kind == "m"
    if text in ("empty", "{}"):
        return ["{}" if is_multiple else "empty"]
    if not ranges.is_range(text):
        found = [f"[{each},{each}]" for each in fit(subtype, text)]
    else:
        bounds = ranges.read_bounds(text) or ("", "")
        match = ranges.RANGE.search(text)
        fitted = [fit(subtype, bound) if bound else [""] for bound in bounds]
        ends = f"{match[1]}{match[4]}" if match else "[)"
        found = [ranges.write_range(fitted[0][0], fitted[1][0], ends)] if all(fitted) else []
    return [f"{{{each}}}" for each in found] if is_multiple else found


FITS: dict[str, Callable[[Type, str], list[str]]] = {
    **dict.fromkeys(("text", "varchar", "bpchar", "citext", "name", "char"), _fit_text),
    **dict.fromkeys(INTEGERS, _fit_integer),
    **dict.fromkeys(("numeric", "float4", "float8", "money"), _fit_numeric),
    "bool": _fit_truth,
    **dict.fromkeys(("date", "timestamp", "timestamptz"), _fit_moment),
    **dict.fromkeys(("time", "timetz"), _fit_time),
    "interval": _fit_interval,
    "uuid": _fit_uuid,
    **dict.fromkeys(("inet", "cidr"), _fit_network),
    "macaddr": _fit_hardware_address,
    "bytea": _fit_bytes,
    **dict.fromkeys(("json", "jsonb"), _fit_json),
    **dict.fromkeys(("bit", "varbit"), _fit_bits),
}
"""By type, the function that makes values of it."""

USUAL: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("text", "varchar", "bpchar", "citext"), ("", "x", "A", " ", "1", "é")),
    **dict.fromkeys(INTEGERS, ("0", "1", "-1", "2")),
    **dict.fromkeys(("numeric", "float4", "float8", "money"), ("0", "1", "-1", "0.5")),
    "bool": ("true", "false"),
    **dict.fromkeys(("date", "timestamp", "timestamptz"), ("2020-06-15", "1960-01-31", "2035-12-31", "infinity")),
    **dict.fromkeys(("time", "timetz"), ("12:00:00", "00:00:00", "23:59:59.999999", "03:07:30")),
    "interval": ("0", "1 day", "-1 day", "2 mons", "1 hour", "20 years"),
    "uuid": (
        "00000000-0000-4000-8000-000000000000",
        "ffffffff-ffff-4fff-bfff-ffffffffffff",
        "11111111-1111-1111-1111-111111111111",
    ),
    **dict.fromkeys(("inet", "cidr"), ("192.0.2.1", "10.0.0.0/8", "2001:db8::1", "192.0.2.0/24", "250.0.0.1")),
    "bytea": ("\\x", "\\x00", "\\xff", "\\x" + "ab" * 40),
    **dict.fromkeys(("json", "jsonb"), documents.USUAL),
    **dict.fromkeys(("bit", "varbit"), ("0", "1", "1111")),
    "macaddr": ("00:00:00:00:00:00", "08:00:2b:01:02:03", "ff:ff:ff:ff:ff:ff"),
    "oid": ("0", "1", "42"),
    "tsvector": ("", "'x':1"),
    "xml": ("<a/>", "<b>x</b>"),
    "point": ("(0,0)", "(10,10)", "(-5,3)"),
    "ltree": ("top", "top.a"),
    "hstore": ('"a"=>"1"', ""),
}
"""By type, values that are tried with every condition."""


def usual_values(kind: Type) -> list[str]:
    """Return values of a type that are tried with every condition."""
    if kind.labels:
        return list(kind.labels)
    if kind.element:
        inner = usual_values(kind.element)[:2]
        return ["{}", *(write_array([each]) for each in inner), write_array([None])]
    if kind.kind in "rm":
        return [each for text in ranges.USUAL for each in fit(kind, text)]
    return list(dict.fromkeys(each for text in USUAL.get(kind.name, ()) for each in fit(kind, text)))
