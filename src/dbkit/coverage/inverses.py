"""The inverse of every function and operator that has one, and the kind of what expressions return."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlglot import exp

from dbkit.coverage import (
    arrays,
    byte_functions,
    documents,
    fit,
    moment_functions,
    networks,
    number_functions,
    ranges,
    regex_functions,
    text_functions,
)
from dbkit.coverage.json_paths import follow_path
from dbkit.coverage.syntax import column_name, read_call, type_name, unwrap
from dbkit.coverage.variations import USUAL, vary_all
from dbkit.sample_data.constraints import Type
from dbkit.sample_data.texts import for_each, merge_lists, write_array

Arguments = Sequence[str | None]
INTERVALS = ("age", "make_interval", "justify_days", "justify_hours", "justify_interval")
CLASSES: dict[type[exp.Expr], str] = {
    exp.Interval: "interval",
    exp.CurrentTimestamp: "timestamptz",
    exp.Localtimestamp: "timestamp",
    exp.CurrentDate: "date",
    exp.Array: "array",
}
MOMENTS = ("timestamp", "timestamptz", "timestamp with time zone")
RESULTS = {
    **dict.fromkeys(INTERVALS, "interval"),
    **dict.fromkeys(
        ("string_to_array", "regexp_split_to_array", "regexp_match", "regexp_matches", "array_remove"), "array"
    ),
    **dict.fromkeys(("array_append", "array_prepend", "array_cat", "array_replace", "array_agg"), "array"),
    **dict.fromkeys(
        ("jsonb_path_query_first", "jsonb_strip_nulls", "jsonb_set", "to_jsonb", "jsonb_extract_path"), "jsonb"
    ),
    **dict.fromkeys(("jsonb_array_elements", "json_array_elements", "jsonb_path_query"), "jsonb"),
    **dict.fromkeys(
        ("now", "clock_timestamp", "statement_timestamp", "to_timestamp", "transaction_timestamp"), "timestamptz"
    ),
    **dict.fromkeys(("int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange"), "range"),
    **dict.fromkeys(("to_tsvector",), "tsvector"),
    **dict.fromkeys(("make_date", "to_date", "date"), "date"),
}


def describe(kind: Type) -> str:
    """Return the name of a type; `array`, `range` and `composite` for those that are made of others."""
    if kind.element:
        return "array"
    return {"r": "range", "m": "range", "c": "composite"}.get(kind.kind, kind.name)


def find_kind(expression: exp.Expr, names: frozenset[str], kind: str) -> str:
    """Return the kind of what an expression returns, as far as it is known, from that of a column and its names."""
    node = unwrap(expression)
    if isinstance(node, exp.Column):
        return kind if column_name(node) in names else ""
    if isinstance(node, exp.Cast):
        name = type_name(node)
        return "array" if name.endswith("]") else "range" if name.endswith("range") else name
    for known, result in CLASSES.items():
        if isinstance(node, known):
            return result
    if isinstance(node, exp.JSONExtract | exp.JSONBExtract | exp.Bracket):
        return "jsonb" if find_kind(node.this, names, kind) in ("json", "jsonb") else ""
    call = read_call(node)
    return _find_result(call[0], [find_kind(each, names, kind) for each in call[1]]) if call else ""


def _find_result(name: str, kinds: Sequence[str]) -> str:
    if name == "-" and sum(kind in MOMENTS for kind in kinds) == 2:
        return "interval"
    known = [kind for kind in kinds if kind and kind != "interval"]
    if name in ("-", "+", "*", "/", "||"):
        return known[0] if known else "interval" if "interval" in kinds else ""
    if name in ("coalesce", "nullif", "date_trunc", "sum", "max", "min", "#-"):
        return next((kind for kind in kinds if kind), "")
    return RESULTS.get(name, "")


def _invert_document(name: str, targets: Sequence[str], arguments: Arguments) -> list[str] | None:
    """Return documents from which a function of json gets the results; None for another function."""
    base = name.removeprefix("jsonb_").removeprefix("json_")
    if base == name:
        return None
    is_text = base.endswith("_text")
    values = documents.read_texts(targets) if is_text else list(targets)
    keys = [each for each in arguments if each]
    invert = DOCUMENT_FUNCTIONS.get(base.removesuffix("_text"))
    return invert(values, keys) if invert else _keep_document(values, keys)


def _keep_document(targets: Sequence[str], _keys: Sequence[str]) -> list[str]:
    more = [f'{target[:-1]}, "gone": null}}' for target in targets if target[:1] == "{" and len(target) > 2]
    return merge_lists([targets, ['{"gone": null}', *more]])


def _set_path(targets: Sequence[str], keys: Sequence[str]) -> list[str]:
    found = documents.put_at_path(keys[1:2], documents.read_path(keys[0])) if len(keys) > 1 else []
    return merge_lists([found, targets])


def _build(targets: Sequence[str], _keys: Sequence[str]) -> list[str]:
    found = [documents.read_json(each) for each in targets]
    values = [value for each in found for value in _members(each)]
    return [*map(documents.write_json, values), *(value for value in values if isinstance(value, str)), *targets]


def _members(document: Any) -> Iterable[Any]:
    return document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()


def _type_of(targets: Sequence[str], _keys: Sequence[str]) -> list[str]:
    wanted = [documents.BY_TYPE[each] for each in targets if each in documents.BY_TYPE]
    return merge_lists([wanted, documents.BY_TYPE.values()])


def _length_of(targets: Sequence[str], _keys: Sequence[str]) -> list[str]:
    return [*merge_lists(documents.with_length(each) for each in targets), "[]", "[1, 2, 3, 4, 5, 6, 7]"]


def _fill_path(keys: Sequence[str]) -> str:
    """Return the jsonpath, with its variables replaced."""
    path, variables = (*keys, "", "")[:2]
    values = documents.read_json(variables)
    for name, value in values.items() if isinstance(values, dict) else ():
        path = path.replace(f"${name}", documents.write_json(value))
    return path


DOCUMENT_FUNCTIONS: dict[str, Callable[[Sequence[str], Sequence[str]], list[str]]] = {
    "typeof": _type_of,
    "array_length": _length_of,
    "set": _set_path,
    **dict.fromkeys(("build_object", "build_array"), _build),
    **dict.fromkeys(("path_exists", "path_match"), lambda _targets, keys: follow_path(_fill_path(keys))),
    **dict.fromkeys(("path_query_first", "path_query"), lambda targets, keys: follow_path(_fill_path(keys), targets)),
    "path_query_array": lambda targets, keys: follow_path(_fill_path(keys).removesuffix("[*]"), targets),
    "extract_path": lambda targets, keys: documents.put_at_path(targets, list(keys)),
    "array_elements": lambda targets, _keys: documents.make_arrays(targets),
    "object_keys": lambda targets, _keys: documents.make_objects(targets, True),
    "each": lambda targets, _keys: documents.make_objects(targets, False),
}
"""By function without `jsonb_`, from results and the other arguments to documents."""


TABLES = (
    text_functions.INVERSES,
    regex_functions.INVERSES,
    byte_functions.INVERSES,
    number_functions.INVERSES,
    moment_functions.INVERSES,
    arrays.INVERSES,
    networks.INVERSES,
)
"""The inverses; a function or operator of several types is in several of them."""
CASTS = {
    "cast int": "int4",
    "cast bigint": "int8",
    "cast smallint": "int2",
    "cast decimal": "numeric",
    "cast boolean": "bool",
}
INTEGER_CASTS = ("cast int", "cast bigint", "cast smallint")
TRUTH_FUNCTIONS = ("starts_with", "isfinite", "exist")


def invert_call(name: str, targets: Sequence[str], arguments: Arguments, position: int, kind: str) -> list[str]:
    """Return values of an argument, of a kind, with which a function has one of the results; None: has the column."""
    known = [each for each in arguments if each]
    if kind == "range" and (name in ("lower", "upper", "isempty") or name.endswith(("_inc", "_inf"))):
        return _invert_range(name, targets)
    if name in ("coalesce", "nullif"):
        return merge_lists([targets, vary_all(known), [""]])
    if name in TRUTH_FUNCTIONS:
        return [*vary_all(known or USUAL), "infinity", "2020-06-15"]
    if RESULTS.get(name) == "range":
        return merge_lists(
            [bounds[position]] for each in targets if (bounds := ranges.read_bounds(each)) and position < 2
        )
    if kind in ("json", "jsonb") and name in ("-", "#-", "||"):
        return _invert_change(name, targets, known)
    found = [table[name] for table in TABLES if name in table]
    if found:
        return merge_lists(inverse(targets, arguments, position) for inverse in found)
    if name == "to_jsonb":
        return merge_lists([targets, [_read_value(each) for each in targets]])
    document = _invert_document(name, targets, arguments)
    if document is not None:
        return document
    rounded = number_functions.INVERSES["round"](targets, [None, "0"], 0) if name in INTEGER_CASTS else []
    usual = fit.USUAL.get(CASTS.get(name, name.removeprefix("cast ")), ())[:3] if name.startswith("cast ") else ()
    return merge_lists([targets, vary_all(known), rounded, usual])


def _read_value(document: str) -> str:
    """Return the value that to_jsonb() makes a document of."""
    value = documents.read_json(document)
    return write_array(map(str, value)) if isinstance(value, list) else str(value)


def _invert_range(name: str, targets: Sequence[str]) -> list[str]:
    if name in ("lower", "upper"):
        with_bounds = for_each(lambda target, _arguments, _position: ranges.with_bound(target, name == "lower"))
        return merge_lists([with_bounds(targets, (), 0), ranges.USUAL])
    return [*ranges.USUAL, "(1,5]", "[2,2]"]


def _invert_change(name: str, targets: Sequence[str], known: Sequence[str]) -> list[str]:
    """The operators that take keys out of a document, or put them in."""
    if name == "||":
        return merge_lists([targets, *(documents.vary_document(each) for each in known)])
    path = documents.read_path(known[0]) if name == "#-" and known else list(known) or ["a"]
    return merge_lists([documents.put_at_path(["1"], path), targets])
