"""Documents of json: the smallest ones with a value at a path, and ones beside them."""

import json
import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

from dbkit.sample_data.texts import merge_lists, read_integer, read_number, read_truth

BY_TYPE = {"object": '{"k": 1}', "array": "[1]", "string": '"x"', "number": "5", "boolean": "true", "null": "null"}
USUAL = ("{}", "[]", "null", '"x"', "5", "true", '{"other": 1}', "[1, 2, 3]", '[{"other": 1}]')
Key = str | int
LONGEST = 200


def write_json(value: Any) -> str:
    """Return the text of a document."""
    return json.dumps(value, ensure_ascii=False)


def read_json(text: str) -> Any:
    """Return a document; a text that is none is a string."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def is_json(text: str) -> bool:
    """Whether a text is a document."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def read_leaves(text: str) -> list[str]:
    """Return the texts of the values in a document, without objects and arrays."""
    leaves: list[str] = []
    rest = [read_json(text)] if is_json(text) else []
    while rest:
        value = rest.pop(0)
        if isinstance(value, dict | list):
            rest += value.values() if isinstance(value, dict) else value
        else:
            leaves.append(value if isinstance(value, str) else write_json(value))
    return leaves


def read_texts(texts: Iterable[str]) -> list[str]:
    """Return documents that ->> turns into the texts: numbers, truth values and documents, and strings."""
    lists = []
    for text in texts:
        is_plain = read_number(text) is not None or read_truth(text) is not None or text[:1] in ("{", "[")
        lists.append([text, write_json(text)] if is_plain and is_json(text) else [write_json(text)])
    return merge_lists(lists)


def put_at_key(documents: Iterable[str], key: Key) -> list[str]:
    """Return documents with these at a key; then ones without the key, and with others at it."""
    values = [read_json(document) for document in documents]
    others: tuple[Any, ...] = (None, {}, [], "", 0, "x")
    made = [write_json(_wrap(value, key)) for value in values]
    beside = [write_json(_add_beside(_wrap(value, key))) for value in values[:2]]
    other = [write_json(_wrap(value, key)) for value in others]
    return [*dict.fromkeys([*made[:4], "{}", *other[:1], *made[4:], *beside, *other, *USUAL[:6]])]


def _wrap(value: Any, key: Key) -> Any:
    if isinstance(key, str):
        return {key: value}
    return (
        [value]
        if key in (0, -1)
        else [0] * key + [value]
        if 0 < key < LONGEST
        else [value] + [0] * max(min(-key - 1, LONGEST), 0)
    )


def _add_beside(document: Any) -> Any:
    return {**document, "other": 1} if isinstance(document, dict) else [*document, "other"]


def put_at_path(documents: Sequence[str], path: Sequence[Key]) -> list[str]:
    """Return documents with these at the end of a path."""
    found = list(documents)
    for key in reversed(path):
        found = put_at_key(found, key)
    return found


def read_path(text: str) -> list[Key]:
    """Return the keys of a path such as `{a,b,0}`."""
    parts = [part.strip().strip('"') for part in text.strip("{}").split(",")]
    return [int(part) if re.fullmatch(r"-?\d{1,3}", part) else part for part in parts if part]


def vary_document(text: str) -> list[str]:
    """Return the document, it with more, with less, and with other values."""
    document = read_json(text)
    found: list[Any]
    if isinstance(document, dict):
        less = [{name: each for name, each in document.items() if name != left_out} for left_out in document]
        other = [{**document, name: _change(each)} for name, each in document.items()]
        found = [document, {**document, "other": 1}, *less, *other]
    elif isinstance(document, list):
        found = [
            document,
            [*document, "other"],
            document[:-1],
            [*document, *document],
            [_change(each) for each in document],
            *document[:3],
        ]
    else:
        found = [document, [document], _change(document), {"k": document}]
    return list(dict.fromkeys([text, *map(write_json, found), *USUAL]))


def _change(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _change(each) for name, each in value.items()} or {"other": 1}
    if isinstance(value, list):
        return [_change(each) for each in value] or ["other"]
    if isinstance(value, bool) or value is None:
        return not value
    return value + 1 if isinstance(value, int | float) else f"{value}x"


def make_arrays(elements: Iterable[str]) -> list[str]:
    """Return arrays with each of these documents as an element, and arrays without."""
    values = [read_json(each) for each in elements]
    made = [write_json([value]) for value in values]
    more = [write_json(each) for value in values[:4] for each in ([value, value], [*values[-1:], value], [value, 1])]
    return list(dict.fromkeys([*made[:3], "[]", *more[:4], *made[3:], *more, write_json(values[:3])]))


def make_objects(values: Iterable[str], as_keys: bool) -> list[str]:
    """Return objects with each of these as a value, or as a key."""
    made = [write_json({value: 1} if as_keys else {"k": read_json(value)}) for value in values]
    return [*made[:5], "{}", *made[5:]]


def with_length(target: str) -> list[str]:
    """Return arrays of a length."""
    length = read_integer(target, -1)
    return [write_json(list(range(1, length + 1)))] if 0 <= length <= LONGEST else []


def with_keys(keys: Sequence[str]) -> list[str]:
    """Return documents with all of the keys, with each, and with none."""
    every = dict.fromkeys(keys, 1)
    one = [{key: 1} for key in keys]
    found = [
        every,
        *one,
        {},
        {"other": 1},
        list(keys),
        dict.fromkeys(keys),
        {**every, "other": 1},
        *keys[:1],
        [],
    ]
    return [write_json(each) for each in found]


def merge_documents(first: str, second: str) -> list[str]:
    """Return documents that have the keys of two; lists in them one behind the other, and one laid over the other."""
    merged = [_merge(read_json(first), read_json(second), lay) for lay in (False, True)]
    return list(dict.fromkeys(write_json(each) for each in merged if each is not None))


def _merge(first: Any, second: Any, lay: bool) -> Any:
    if isinstance(first, dict) and isinstance(second, dict):
        shared = {name: _merge(each, second[name], lay) for name, each in first.items() if name in second}
        return {**first, **second, **{name: each for name, each in shared.items() if each is not None}}
    if isinstance(first, list) and isinstance(second, list):
        return _lay(first, second) if lay else [*first, *(each for each in second if each not in first)]
    if isinstance(first, str) and isinstance(second, str) and first != second:
        short, long = sorted((first, second), key=len)
        return short + long[len(short) :] if lay else first + second
    if _is_number(first) and _is_number(second):
        return (first + second) // 2 if isinstance(first + second, int) else (first + second) / 2
    return first if first == second else None


def _lay(first: list[Any], second: list[Any]) -> list[Any]:
    """Return a list with the elements at the same places; zeros are there only to fill."""
    pairs = zip_longest(first, second, fillvalue=0)
    return [other if one == 0 else one if other == 0 else _merge(one, other, True) or one for one, other in pairs]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
