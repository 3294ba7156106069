"""Turn dataclasses into JSON and back. Reading makes objects of the named class only: no entry can run code."""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Collection, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from dbkit.redaction import redact

T = TypeVar("T")
Reader = Callable[[Any], Any]


class Unreadable(Exception):
    """A value of JSON that is no object of the class."""


def encode(value: object) -> Any:
    """Return a value of JSON for an object whose fields are simple values, tuples, sets and dataclasses."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, frozenset):
        return sorted(map(encode, value))
    if isinstance(value, tuple | list):
        return [encode(each) for each in value]
    if isinstance(value, dict):
        return {key: encode(each) for key, each in value.items()}
    if dataclasses.is_dataclass(value):
        # without the fields that have their default: most have
        return {
            each.name: encode(found)
            for each in dataclasses.fields(value)
            if (found := getattr(value, each.name)) != each.default
        }
    raise TypeError(f"no JSON for {type(value).__name__}")


def encode_redacted(value: object, redacted: Collection[str] = ()) -> Any:
    """Return the value of JSON without secrets; `redacted` are strings that an earlier run has kept without them."""
    content = encode(value)
    strings = dict.fromkeys(strings_of(content))
    # there is rarely one, and one look at all strings is faster than one at each
    new, everything = "\n".join(each for each in strings if each not in redacted), "\n".join(strings)
    has_secret = redact.shapes(new) != new or redact.known(everything) != everything
    return redact.tree(content) if has_secret else content


def strings_of(content: Any) -> Iterator[str]:
    """Yield the strings in a value of JSON, but for the names of its fields."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list | dict):
        for each in content.values() if isinstance(content, dict) else content:
            yield from strings_of(each)


def decode(kind: type[T], content: Any) -> T:
    """Return the object of this class that `encode` has written. Raises Unreadable."""
    try:
        return _reader(kind)(content)  # type: ignore[no-any-return,arg-type]
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise Unreadable(str(error)) from error


@functools.cache
def _reader(kind: Any) -> Reader:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _optional_reader(arguments)
    if origin is tuple:
        return _tuple_reader(arguments)
    if origin is frozenset:
        item = _reader(arguments[0])
        return lambda content: frozenset(map(item, content))
    if origin is dict:
        item = _reader(arguments[1])
        return lambda content: {key: item(each) for key, each in content.items()}
    if dataclasses.is_dataclass(kind):
        return _object_reader(kind)
    if kind in (str, int, float, bool):
        return _plain_reader(kind)
    if isinstance(kind, type) and issubclass(kind, Enum | Path):
        return kind
    raise TypeError(f"no JSON for {kind}")


def _plain_reader(kind: type) -> Reader:
    def read(content: Any) -> Any:
        if type(content) is not kind and not (kind is float and type(content) is int):
            raise TypeError(f"{content!r} is no {kind.__name__}")
        return content

    return read


def _optional_reader(arguments: tuple[Any, ...]) -> Reader:
    (wanted,) = [each for each in arguments if each is not type(None)]
    item: list[Reader] = []  # made at the first use: a class may refer to itself

    def read(content: Any) -> Any:
        if content is None:
            return None
        if not item:
            item.append(_reader(wanted))
        return item[0](content)

    return read


def _tuple_reader(arguments: tuple[Any, ...]) -> Reader:
    if arguments[-1] is not Ellipsis:
        items = [_reader(each) for each in arguments]
        return lambda content: tuple(item(each) for item, each in zip(items, content, strict=True))
    found: list[Reader] = []

    def read(content: Any) -> Any:
        if not content:
            return ()
        if not found:
            found.append(_reader(arguments[0]))
        return tuple(map(found[0], content))

    return read


def _object_reader(kind: Any) -> Reader:
    hints = typing.get_type_hints(kind)
    readers = {each.name: _reader(hints[each.name]) for each in dataclasses.fields(kind)}
    return lambda content: kind(**{name: readers[name](value) for name, value in content.items()})
