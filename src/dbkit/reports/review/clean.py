"""Remove secrets and control characters from all texts of a review, before a format is written."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, TypeVar

from dbkit.redaction import redact
from dbkit.redaction.control_characters import show_controls

T = TypeVar("T")
LARGEST = 20_000


def clean(value: T) -> T:
    """Return a tree of dataclasses and tuples in which no text has a secret or a control character.

    It is searched for secrets before and after: a control character may divide one.
    """
    redacted = _redact_all(value)
    shown: T = _map_texts(redacted, show)
    return shown if shown == redacted else _redact_all(shown)


def show(text: str) -> str:
    """Return a text that can be written as UTF-8, with control characters as escapes."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return show_controls(text.replace("\r\n", "\n")).replace("\r", "\\r")


def _redact_all(value: T) -> T:
    texts = dict.fromkeys(_texts(value))  # each once: names and locks are there a thousand times
    # most trees have no secret, and one look at many texts is faster than one at each
    if all(redact.text(part) == part for part in _join(texts)):
        return value
    # what one text shows by its shape is found in the others by its value
    for each in texts:
        redact.text(each)
    shown = {each: redact.text(each) for each in texts}
    redacted: T = _map_texts(value, shown.__getitem__)
    return redacted


def _join(texts: Iterable[str]) -> Iterator[str]:
    """Yield the texts joined to some of a bounded size: the search for some shapes is not linear in it."""
    part: list[str] = []
    size = 0
    for text in texts:
        part.append(text)
        size += len(text)
        if size > LARGEST:
            yield "\n".join(part)
            part, size = [], 0
    yield "\n".join(part)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif is_dataclass(value):
        for each in fields(value):
            yield from _texts(getattr(value, each.name))
    elif isinstance(value, tuple):
        for each in value:
            yield from _texts(each)


def _map_texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, Enum) or value is None:
        return value
    if isinstance(value, str):
        return change(value)
    if is_dataclass(value) and not isinstance(value, type):
        changes = {}
        for each in fields(value):
            before = getattr(value, each.name)
            after = _map_texts(before, change)
            if after is not before:
                changes[each.name] = after
        return replace(value, **changes) if changes else value
    if isinstance(value, tuple):
        return tuple(_map_texts(each, change) for each in value)
    return value
