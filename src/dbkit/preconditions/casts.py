"""The values that cannot be converted to another type, as a condition in SQL.

What fails is taken from https://www.postgresql.org/docs/18/datatype.html and judged by the server in each proof.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dbkit.postgres.sql_quote import quote_literal
from dbkit.preconditions.conditions import literals

TEXTS = ("text", "character varying", "character", "name", "citext")
LIMITS = {
    "smallint": (-32768, 32767),
    "integer": (-2147483648, 2147483647),
    "bigint": (-9223372036854775808, 9223372036854775807),
}
FLOATS = ("double precision", "real")
BOOLEANS = (
    "t",
    "true",
    "y",
    "yes",
    "on",
    "1",
    "f",
    "false",
    "n",
    "no",
    "off",
    "0",
    "tr",
    "tru",
    "ye",
    "fa",
    "fal",
    "fals",
    "of",
)
GOOD = {
    "smallint": "7", "integer": "7", "bigint": "7", "numeric": "7", "double precision": "7", "real": "7",
    "boolean": "true", "uuid": "6f1cba6e-9c1b-4d6a-8a37-0b1f7c3f5a11", "date": "2024-02-29",
    "timestamp without time zone": "2024-02-29 10:00", "timestamp with time zone": "2024-02-29 10:00+00",
    "time without time zone": "10:00", "interval": "1 day", "json": "{}", "jsonb": "{}", "inet": "192.0.2.1",
    "cidr": "192.0.2.0/24", "macaddr": "08:00:2b:01:02:03", "bytea": "\\x00", "int4range": "[1,2)", "money": "7",
}  # fmt: skip
"""By type, a text that can be converted to it."""
BAD = "not so"
MOST_DIGITS = 6
"""The digits of a second in times without a modifier."""
SINCE_VALID = 16_00_00
"""The version of PostgreSQL in which pg_input_is_valid() came."""
TYPE = re.compile(
    r"^(?P<name>.*?)(?:\((?P<size>\d+)(?:,(?P<scale>-?\d+))?\))?"
    r"(?P<rest>(?: with(?:out)? time zone)?)(?P<array>(?:\[\])*)$"
)


@dataclass(frozen=True)
class SqlType:
    """A type as format_type() prints it."""

    name: str
    """Without its modifier: "numeric" for "numeric(8,2)"."""
    size: int | None = None
    scale: int = 0
    is_array: bool = False
    labels: Sequence[str] = ()
    """Of an enum."""


def parse_type(text: str, labels: Sequence[str] = ()) -> SqlType:
    """Return the type of a text such as "numeric(8,2)", "character varying(20)[]"."""
    found = TYPE.match(text)
    if found is None:
        return SqlType(text, labels=labels)
    size = int(found["size"]) if found["size"] else None
    name = found["name"] + found["rest"]
    if name.endswith(".citext"):
        name = "citext"
    if name == "character" and size is None:
        size = 1
    return SqlType(name, size, int(found["scale"] or 0), bool(found["array"]), labels)


def keeps_distinct(source: SqlType, target: SqlType) -> bool:
    """Whether values of a type that differ always do after they were converted to another one."""
    if source.is_array or target.is_array:
        return False
    is_plain_text = source.name in TEXTS and source.name != "citext" and not source.labels
    if source.name == target.name and source.name not in TEXTS and not target.labels:
        return _is_as_precise(source, target)
    if target.labels:
        return is_plain_text or bool(source.labels)
    if target.name in ("text", "character varying"):
        return bool(source.labels) or source.name in (*TEXTS, *LIMITS, "uuid", "date")
    is_number = target.name in LIMITS or (target.name == "numeric" and target.scale >= 0)
    return is_number and source.name in LIMITS


def _is_as_precise(source: SqlType, target: SqlType) -> bool:
    """Whether a type with another modifier has all digits of the former one, after the point or of a second."""
    if source.name == "numeric":
        return target.size is None or (source.size is not None and target.scale >= source.scale)
    most = MOST_DIGITS if source.name.startswith(("time", "interval")) else 0
    return target.size is None or target.size >= (most if source.size is None else source.size)


@dataclass(frozen=True)
class CastFailure:
    """Which values of an expression a cast refuses, with conditions for rows of a proof."""

    failing: str
    good: str
    """`column = value`."""
    bad: tuple[str, ...]


def cast_failure(
    operand: str, source: SqlType, target: SqlType, *, is_explicit: bool, version: int
) -> CastFailure | None:
    """Return the values of `operand`, of a type, that cannot be converted to another; None where all can, or unknown.

    `is_explicit`: by CAST or `::`, which cut texts that are too long. `version`: of the server, 180001.
    """
    if source.is_array and target.is_array:
        return _array_failure(operand, source, target, is_explicit=is_explicit, version=version)
    if source.is_array or target.is_array:
        return _by_input(operand, target, version) if source.name in TEXTS else None
    if target.labels:
        return _label_failure(operand, source, target)
    if target.name in TEXTS:
        return None if is_explicit else _length_failure(operand, source, target)
    if source.name in TEXTS:
        return _text_failure(operand, target, version)
    if source.name == "jsonb":
        return _jsonb_failure(operand, target, version)
    if target.name in LIMITS:
        return _range_failure(operand, source, target)
    if target.name == "real" and source.name in ("double precision", "numeric"):
        return _real_failure(operand)
    if target.name == "numeric" and target.size is not None:
        return _digits_failure(operand, source, target)
    return None


def _array_failure(
    operand: str, source: SqlType, target: SqlType, *, is_explicit: bool, version: int
) -> CastFailure | None:
    one, other = (SqlType(each.name, each.size, each.scale, labels=each.labels) for each in (source, target))
    found = cast_failure("item", one, other, is_explicit=is_explicit, version=version)
    if found is None:
        return None

    def any_item(condition: str) -> str:
        return f"EXISTS (SELECT FROM pg_catalog.unnest({operand}) AS item WHERE {condition})"

    example, bad = GOOD.get(target.name, "7"), BAD
    return CastFailure(any_item(found.failing), f"{operand} = '{{{example}}}'", (f"{operand} = '{{\"{bad}\"}}'",))


def _label_failure(operand: str, source: SqlType, target: SqlType) -> CastFailure:
    listed = literals(target.labels)
    text = f"({operand})::text"
    if source.labels:
        kept = [each for each in source.labels if each in target.labels]
        gone = [each for each in source.labels if each not in target.labels]
        bad = (f"{operand} = {quote_literal(gone[0])}",) if gone else ()
        good = f"{operand} = {quote_literal(kept[0])}" if kept else ""
        return CastFailure(f"{text} NOT IN ({listed})", good, bad)
    good = f"{operand} = {quote_literal(target.labels[0])}"
    return CastFailure(f"{text} NOT IN ({listed})", good, (f"{operand} = '{BAD}'",))


def _length_failure(operand: str, source: SqlType, target: SqlType) -> CastFailure | None:
    """Return the texts that are too long; spaces at the end are cut."""
    is_short = source.name in TEXTS and source.size is not None and source.size <= (target.size or 0)
    if target.size is None or is_short:
        return None
    length = f"pg_catalog.length(pg_catalog.rtrim(({operand})::text))"
    return CastFailure(
        f"{length} > {target.size}", f"{operand} = 'a'", (f"{operand} = '{'x' * min(target.size + 1, 400)}'",)
    )


def _text_failure(operand: str, target: SqlType, version: int) -> CastFailure | None:
    text = f"({operand})::text"
    trimmed = f"pg_catalog.btrim({text}, E' \\t\\n\\r\\f\\013')"
    failing = ""
    if target.name in LIMITS:
        low, high = LIMITS[target.name]
        failing = (
            f"CASE WHEN {trimmed} ~ '^[-+]?[0-9]{{1,200}}$' THEN {trimmed}::numeric NOT BETWEEN {low} AND {high}"
            " ELSE true END"
        )
    elif target.name == "numeric":
        number = f"{trimmed} ~* '^[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)(e[-+]?[0-9]{{1,3}})?$'"
        special = f"{trimmed} ~* '^([-+]?inf(inity)?|nan)$'"
        too_big = "false"
        if target.size is not None:
            limit = f"1e{target.size - target.scale}"
            too_big = f"pg_catalog.abs(pg_catalog.round({trimmed}::numeric, {target.scale})) >= {limit}"
        allowed = "lower(" + trimmed + ") <> 'nan'" if target.size is not None else "false"
        failing = f"CASE WHEN {number} THEN {too_big} WHEN {special} THEN {allowed} ELSE true END"
    elif target.name == "boolean":
        failing = f"pg_catalog.lower({trimmed}) NOT IN ({literals(BOOLEANS)})"
    elif version >= SINCE_VALID:
        return _by_input(operand, target, version)
    if not failing:
        return None
    return CastFailure(
        f"{text} IS NOT NULL AND {failing}", f"{operand} = '{GOOD[target.name]}'", (f"{operand} = '{BAD}'",)
    )


def _by_input(operand: str, target: SqlType, version: int) -> CastFailure | None:
    """Return the texts that a type's input function refuses."""
    if version < SINCE_VALID:
        return None
    name = target.name
    if target.size is not None:
        scale = f",{target.scale}" if target.name == "numeric" else ""
        name = f"{target.name}({target.size}{scale})"
    if target.is_array:
        name += "[]"
    quoted = name.replace("'", "''")
    good = GOOD.get(target.name, "")
    shown = f"{{{good}}}" if target.is_array else good
    return CastFailure(
        f"NOT pg_catalog.pg_input_is_valid(({operand})::text, '{quoted}')",
        f"{operand} = '{shown}'" if good else "",
        (f"{operand} = '{BAD}'",),
    )


def _range_failure(operand: str, source: SqlType, target: SqlType) -> CastFailure | None:
    low, high = LIMITS[target.name]
    if source.name in LIMITS:
        own_low, _ = LIMITS[source.name]
        if own_low >= low:
            return None
        failing = f"{operand} NOT BETWEEN {low} AND {high}"
    elif source.name == "numeric":
        failing = f"(pg_catalog.round({operand}) NOT BETWEEN {low} AND {high} OR {operand} = 'NaN')"
    elif source.name in FLOATS:
        failing = (
            f"({operand} = 'NaN' OR {operand} IS NOT NULL AND CASE WHEN pg_catalog.abs({operand}) < 1e30 THEN"
            f" pg_catalog.round(({operand})::double precision) NOT BETWEEN {low} AND {high} ELSE true END)"
        )
    else:
        return None
    return CastFailure(failing, f"{operand} = 7", (f"{operand} = {high + 1}",))


def _real_failure(operand: str) -> CastFailure:
    """Return the numbers that are too big or too small for four bytes."""
    failing = (
        f"({operand})::text !~* 'nan|inf' AND ((pg_catalog.abs({operand}) >= 3.4028235678e38)"
        f" OR ({operand} <> 0 AND pg_catalog.abs({operand}) <= 7.006e-46))"
    )
    return CastFailure(failing, f"{operand} = 7", (f"{operand} = 1e300",))


def _jsonb_failure(operand: str, target: SqlType, version: int) -> CastFailure | None:
    """Return the documents that are no number, or no boolean. JSON null becomes NULL since PostgreSQL 18."""
    wanted = "boolean" if target.name == "boolean" else "number"
    if wanted == "number" and target.name not in (*LIMITS, *FLOATS, "numeric"):
        return None
    kind = f"pg_catalog.jsonb_typeof({operand})"
    others = f"('{wanted}', 'null')" if version >= 18_00_00 else f"('{wanted}')"
    number = _range_failure(f"({operand})::numeric", SqlType("numeric"), target) if target.name in LIMITS else None
    failing = f"{kind} NOT IN {others}"
    if number:
        failing = f"CASE WHEN {kind} = 'number' THEN {number.failing} ELSE {failing} END"
    good = "true" if wanted == "boolean" else "7"
    return CastFailure(failing, f"{operand} = '{good}'", (f"{operand} = '{{}}'",))


def _digits_failure(operand: str, source: SqlType, target: SqlType) -> CastFailure | None:
    """Return the numbers with too many digits before the point."""
    digits = (target.size or 0) - target.scale
    if source.name in LIMITS and len(str(LIMITS[source.name][1])) <= digits:
        return None
    is_narrow = source.name == "numeric" and source.size is not None and source.scale <= target.scale
    if is_narrow and (source.size or 0) - source.scale <= digits:
        return None
    if source.name not in (*LIMITS, "numeric", *FLOATS):
        return None
    rounded = f"pg_catalog.abs(pg_catalog.round(({operand})::numeric, {target.scale}))"
    failing = (
        f"({operand})::text <> 'NaN' AND CASE WHEN ({operand})::text ~* 'inf' THEN true"
        f" ELSE {rounded} >= 1e{digits} END"
    )
    return CastFailure(failing, f"{operand} = 7" if digits else f"{operand} = 0", (f"{operand} = {10**digits}",))
