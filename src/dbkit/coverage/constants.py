"""The values of expressions without a column that is searched for, as far as they are known."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import DecimalException
from itertools import product

from sqlglot import exp

from dbkit.coverage import documents, formats, moment_functions, moments, ranges
from dbkit.coverage.arithmetic import make_operator
from dbkit.coverage.arrays import write_composite
from dbkit.coverage.moments import now, read_moment, today, write_moment
from dbkit.coverage.syntax import (
    INTERVAL_PARTS,
    read_call,
    read_literal,
    read_place,
    read_query,
    read_row,
    type_name,
    unwrap,
)
from dbkit.sample_data.texts import read_array, read_integer, read_number, write_array

MOST = 40
CLOCKS = ("now", "clock_timestamp", "statement_timestamp", "transaction_timestamp", "current_timestamp", "timeofday")


def find_values(expression: exp.Expr) -> list[str]:
    """Return the value of an expression; several where it is one of a few; none where it is unknown."""
    node = unwrap(expression)
    literal = read_literal(node)
    if literal is not None:
        return [literal]
    query = read_query(node)
    if query is not None:
        found = [value for each in query.expressions for value in spread(find_values(each))]
        literals = [text for each in query.walk() if (text := read_literal(each)) is not None]
        leaves = [leaf for text in literals if text[:1] in ("[", "{") for leaf in documents.read_leaves(text)]
        return list(dict.fromkeys([*found, *leaves, *literals]))[:MOST]
    for kind, read in READERS.items():
        if isinstance(node, kind):
            return read(node)
    call = read_call(node)
    return _call(*call) if call else []


def spread(values: Sequence[str]) -> list[str]:
    """Return the elements of the arrays among the values, and the others."""
    found: list[str] = []
    for value in values:
        elements = read_array(value)
        found += [value] if elements is None else [each for each in elements if each is not None]
    return found


def _array(node: exp.Expr) -> list[str]:
    return [write_array(value for each in node.expressions for value in find_values(each)[:1])]


def _values(node: exp.Expr) -> list[str]:
    rows = [read_row(row) or [row] for row in node.expressions]
    return [value for row in rows for value in find_values(row[0])][:MOST]


def _interval(node: exp.Expr) -> list[str]:
    unit = node.args.get("unit")
    return [f"{value} {unit.name if unit else ''}".strip() for value in find_values(node.this)]


def _now(_node: exp.Expr) -> list[str]:
    return [write_moment(now())]


def _cast(node: exp.Expr) -> list[str]:
    name = type_name(node)
    found = []
    for value in find_values(node.this):
        moment = read_moment(value) if name in ("date", "timestamp", "timestamptz") else None
        if moment is not None and name == "date":
            found.append(f"{moment:%Y-%m-%d}")
        else:
            found.append(
                write_moment(moment) if moment and not value.startswith("0") and value in moments.WORDS else value
            )
    return found


def _case(node: exp.Expr) -> list[str]:
    branches = [each.args["true"] for each in node.args["ifs"]] + [
        node.args[key] for key in ("default",) if node.args.get(key)
    ]
    return [value for each in branches for value in find_values(each)][:MOST]


READERS: dict[type[exp.Expr], Callable[[exp.Expr], list[str]]] = {
    exp.Array: _array,
    exp.Values: _values,
    exp.Interval: _interval,
    exp.CurrentTimestamp: _now,
    exp.Localtimestamp: lambda _node: [write_moment(now().replace(tzinfo=None))],
    exp.CurrentDate: lambda _node: [f"{today():%Y-%m-%d}"],
    exp.CurrentTime: lambda _node: [f"{now():%H:%M:%S}"],
    exp.Cast: _cast,
    exp.Case: _case,
    exp.Extract: lambda node: _extract(node),
    exp.AtTimeZone: lambda node: find_values(node.this),
}


def _call(name: str, arguments: list[exp.Expr]) -> list[str]:
    if name in CLOCKS:
        return [write_moment(now())]
    if name == "array" and arguments:
        return [write_array(find_values(arguments[0]))]
    if name == "make_interval":
        return _make_interval(arguments)
    known = [find_values(each) for each in arguments]
    compute = FUNCTIONS.get(name)
    if compute is None or not all(known):
        return [value for values in known for value in values][:MOST]
    found: list[str] = []
    for values in list(product(*known))[:MOST]:
        try:
            found += compute(list(values))
        except (ValueError, ArithmeticError, DecimalException, IndexError, TypeError):
            continue
    return found[:MOST] or [value for values in known for value in values][:MOST]


def _make_interval(arguments: list[exp.Expr]) -> list[str]:
    values = [(find_values(each)[:1] or ["1"])[0] for each in arguments]
    parts = [
        f"{value} {INTERVAL_PARTS[read_place(each, n)]}"
        for n, (value, each) in enumerate(zip(values, arguments, strict=True))
    ]
    return [" ".join(parts)]


def _concatenate(values: list[str]) -> list[str]:
    pair = [read_array(value) for value in values]
    return (
        [write_array([*(pair[0] or ()), *(pair[1] or ())])]
        if all(each is not None for each in pair)
        else ["".join(values)]
    )


def _concatenate_arrays(values: list[str]) -> list[str]:
    lists = [read_array(value) for value in values]
    return [write_array(each for value, elements in zip(values, lists, strict=True) for each in (elements or [value]))]


def _truncate(values: list[str]) -> list[str]:
    moment = read_moment(values[1])
    if moment is None:
        return [values[1]]
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    beginnings = {
        "day": midnight,
        "month": midnight.replace(day=1),
        "year": midnight.replace(day=1, month=1),
        "hour": moment.replace(minute=0, second=0, microsecond=0),
        "minute": moment.replace(second=0, microsecond=0),
        "second": moment.replace(microsecond=0),
        "quarter": midnight.replace(day=1, month=(moment.month - 1) // 3 * 3 + 1),
        "week": midnight.fromordinal(midnight.toordinal() - midnight.weekday()).replace(tzinfo=midnight.tzinfo),
    }
    return [write_moment(beginnings.get(values[0].lower(), midnight))]


def _make_date(values: list[str]) -> list[str]:
    return [write_moment(datetime(*(int(read_number(value) or 1) for value in values[:6])))]  # type: ignore[arg-type]


def _epoch(values: list[str]) -> list[str]:
    number = read_number(values[0])
    moment = moments.from_epoch(float(number)) if number is not None else read_moment(values[0])
    return [write_moment(moment)] if moment else []


def _series(values: list[str]) -> list[str]:
    first, last = read_integer(values[0]), read_integer(values[1])
    return [str(number) for number in range(first, last + 1)[:MOST]] or values


def _object(values: list[str]) -> list[str]:
    keys = values[::2]
    found = [
        documents.read_json(value) if value[:1] in "[{" or read_number(value) is not None else value
        for value in values[1::2]
    ]
    return [documents.write_json(dict(zip(keys, found, strict=False)))]


def _range(values: list[str]) -> list[str]:
    return [ranges.write_range(values[0], values[1], values[2] if len(values) > 2 else "[)")]


def _read_date(values: list[str]) -> list[str]:
    return formats.read_with_format(values[0], values[1])


def _extract(node: exp.Expr) -> list[str]:
    part = node.this.name.lower().strip("'")
    values = find_values(node.expression)
    return [text for value in values for text in moment_functions.read_part(part, value)]


FUNCTIONS: dict[str, Callable[[list[str]], list[str]]] = {
    **{operator: make_operator(operator) for operator in ("+", "-", "*", "/", "%", "^", "<<")},
    "neg": lambda values: [f"-{values[0]}"],
    "||": _concatenate,
    "concat": lambda values: ["".join(values)],
    "concat_ws": lambda values: [values[0].join(values[1:])],
    "lower": lambda values: [values[0].lower()],
    "upper": lambda values: [values[0].upper()],
    "trim": lambda values: [values[0].strip()],
    "btrim": lambda values: [values[0].strip()],
    "chr": lambda values: [chr(int(values[0]))],
    "repeat": lambda values: [values[0] * min(int(values[1]), 1000)],
    **dict.fromkeys(("length", "char_length"), lambda values: [str(len(values[0]))]),
    "left": lambda values: [values[0][: int(values[1])]],
    "right": lambda values: [values[0][-int(values[1]) :]],
    "reverse": lambda values: [values[0][::-1]],
    "replace": lambda values: [values[0].replace(values[1], values[2])],
    "lpad": lambda values: [values[0].rjust(int(values[1]), (values[2:] or [" "])[0][:1] or " ")],
    "rpad": lambda values: [values[0].ljust(int(values[1]), (values[2:] or [" "])[0][:1] or " ")],
    **dict.fromkeys(("array_append", "array_cat", "array_prepend"), lambda values: _concatenate_arrays(values)),
    "row": lambda values: [write_composite(values)],
    "to_date": _read_date,
    "to_char": lambda values: formats.write_with_format(values[0], values[1]),
    "decode": lambda values: [f"\\x{values[0]}"] if values[1] == "hex" else values[:1],
    "date_trunc": _truncate,
    "date": lambda values: [f"{moment:%Y-%m-%d}" if (moment := read_moment(values[0])) else values[0]],
    **dict.fromkeys(("make_date", "make_timestamp", "make_timestamptz"), _make_date),
    "to_timestamp": _epoch,
    "coalesce": lambda values: values,
    "greatest": lambda values: values,
    "least": lambda values: values,
    "unnest": lambda values: spread(values),
    "generate_series": _series,
    "string_to_array": lambda values: [write_array(values[0].split(values[1]))],
    **dict.fromkeys(("jsonb_build_object", "json_build_object"), _object),
    **dict.fromkeys(
        ("jsonb_build_array", "json_build_array"), lambda values: ["[" + ",".join(documents.read_texts(values)) + "]"]
    ),
    **dict.fromkeys(("int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange"), _range),
    **dict.fromkeys(("to_tsquery", "plainto_tsquery", "to_tsvector"), lambda values: values[-1:]),
}
"""By function or operator, how its value is computed."""
