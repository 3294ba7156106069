"""Read `.env`, strictly and without interpolation: a line that is not NAME=value is an error."""

import re
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

from dbkit.errors import InputError


@dataclass(frozen=True)
class Variable:
    """The value of a variable, and where it was set, for messages."""

    text: str
    where: str
    from_environment: bool


def read_dotenv(path: Path) -> dict[str, Variable]:
    """Read a file's variables; none where there is no file. Raises InputError with the line."""
    values: dict[str, Variable] = {}
    lines: dict[str, int] = {}
    for binding in parse_stream(StringIO(_decode(path))):
        # for python-dotenv, a binding begins with the blank lines before it
        text = binding.original.string
        line = binding.original.line + len(text) - len(text.lstrip("\r\n"))
        place = f"{path.name}, line {line}"
        if binding.error:
            raise InputError(
                f"{place} is not NAME=value.", "Check for a missing =, a missing closing quote or text after a quote."
            )
        if binding.key is None:
            continue
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", binding.key):
            raise InputError(f"{place}: {binding.key!r} cannot be the name of a variable.")
        if binding.value is None:
            raise InputError(f"{place}: {binding.key} has no value.", f"Write {binding.key}=… or delete the line.")
        if binding.key in lines:
            raise InputError(
                f"{place}: {binding.key} was already set in line {lines[binding.key]}.", "Keep one of the two."
            )
        lines[binding.key] = line
        values[binding.key] = Variable(binding.value, f"{binding.key} in {place}", from_environment=False)
    return values


def _decode(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}.") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path.name}, line 1: the file is UTF-16.", "Save it as UTF-8.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path.name}, line {line}: the file is not UTF-8.", "Save it as UTF-8.") from error
    if "\0" in text:
        raise InputError(f"{path.name}, line {text.count(chr(10), 0, text.index(chr(0))) + 1}: there is a NUL byte.")
    return text
