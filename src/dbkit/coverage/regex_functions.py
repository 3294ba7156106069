"""Inverses of the functions with regular expressions."""

import re
from collections.abc import Iterable, Sequence

from dbkit.sample_data.patterns import compile_regex, generate_matches
from dbkit.sample_data.texts import Inverse, for_each, insert, merge_lists, read_array, read_integer, write_array

Arguments = Sequence[str | None]


def _regexp_replace(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    pattern = arguments[1] if len(arguments) > 1 else None
    if pattern is None:
        return (target,)
    matches = sorted((match for match in generate_matches(pattern)[:6] if match), key=len, reverse=True)
    new = arguments[2] if len(arguments) > 2 else None
    if new and re.search(r"\\\d", new):
        return *_turn_groups(target, pattern, new), target
    back = [target.replace(new, match) for match in matches if new]
    return target, *merge_lists([list(insert(target, match)) for match in matches]), *back, *matches


def _turn_groups(target: str, pattern: str, new: str) -> list[str]:
    """Return texts that match, with the groups where the new text has their numbers."""
    parts = re.findall(r"\\\d|[^\\]+", new)
    if len(set(parts)) < len(parts):
        return []
    found = re.fullmatch(
        "".join(f"(?P<g{part[1:]}>.*?)" if part[0] == "\\" else re.escape(part) for part in parts), target
    )
    groups = {int(name[1:]): text for name, text in found.groupdict().items()} if found else {}
    return generate_matches(pattern, groups=groups)[:3]


def _regexp_count(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    count, pattern = read_integer(target, -1), arguments[1] if len(arguments) > 1 else None
    matches = [match for match in generate_matches(pattern)[:4] if match] if pattern else []
    return [text for match in matches for text in (match * count, f"{match} " * count)] if 0 <= count < 100 else ()


def _regexp_match(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    pattern = arguments[1] if len(arguments) > 1 else None
    elements = read_array(target)
    if pattern is None or elements is None:
        return (target,)
    if "(" not in pattern:
        return [*(each for each in elements if each), *generate_matches(pattern)[:3]]
    # an element that is not known is left to the pattern
    groups = {number: each for number, each in enumerate(elements, 1) if each is not None}
    return generate_matches(pattern, groups=groups)[:5]


def _split_regex(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    pattern = (arguments[1] if len(arguments) > 1 else None) or ","
    compiled = compile_regex(pattern)
    delimiters = [each for each in generate_matches(pattern) if each and compiled and compiled.fullmatch(each)] or [","]
    elements = read_array(target)
    texts = [each or "" for each in elements] if elements is not None else [target]
    return delimiters[0].join(texts), delimiters[-1].join(texts), target if elements is None else ""


def _split_to_rows(target: str, arguments: Arguments, position: int) -> Iterable[str]:
    rows = [write_array([target]), write_array([target, "other"]), write_array(["other", target])]
    return merge_lists(_split_regex(each, arguments, position) for each in rows)


INVERSES: dict[str, Inverse] = {
    "regexp_replace": for_each(_regexp_replace),
    "regexp_count": for_each(_regexp_count),
    **dict.fromkeys(("regexp_match", "regexp_matches"), for_each(_regexp_match)),
    "regexp_split_to_array": for_each(_split_regex),
    **dict.fromkeys(("regexp_split_to_table", "string_to_table"), for_each(_split_to_rows)),
}
"""By function, its inverse."""
