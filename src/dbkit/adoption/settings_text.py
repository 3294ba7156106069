"""The text of alembic.ini and pyproject.toml: sections and keys are found by line, and the result is parsed again."""

import re
from collections.abc import Mapping, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from pathlib import Path
from typing import Any

from dbkit.adoption.lines import Lines
from dbkit.backports import parse_toml


class NotEditable(Exception):
    """The text has a form that is not edited; the message is why."""


class SettingsText:
    """A settings file as text, and its lines for insertions."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        self.content = content
        self.is_toml = path.suffix == ".toml"
        self.lines = Lines(content)
        self.data = self.parse(content)

    def parse(self, content: bytes) -> dict[str, Any]:
        """Parse the text into dicts. Raises NotEditable."""
        try:
            if self.is_toml:
                data: dict[str, Any] = parse_toml(content.decode())
                return data
            parser = ConfigParser(default_section="", interpolation=None)
            parser.read_string(content.decode(errors="surrogateescape"))
            return {name: dict(parser.items(name)) for name in parser.sections()}
        except (ConfigParserError, ValueError) as error:
            raise NotEditable(f"it cannot be read: {' '.join(str(error).split()).rstrip('.')}") from error

    def find_sections(self, name: str) -> list[int]:
        """Return the numbers of the lines that may be the header of a section; in TOML a text may have such lines."""
        if self.is_toml:
            parts = (rf"[\"']?{re.escape(part)}[\"']?" for part in name.split("."))
            pattern = re.compile(rb"\s*\[\s*" + r"\s*\.\s*".join(parts).encode() + rb"\s*\]")
        else:
            pattern = re.compile(rb"\[" + re.escape(name.encode()) + rb"\]")
        return [number for number in range(1, len(self.lines.lines) + 1) if pattern.match(self.lines.text(number))]

    def find_value_end(self, header: int, key: str) -> int:
        """Return the number of the last line of a value in a section of an INI file; 0 where it is not there."""
        pattern = re.compile(re.escape(key.encode()) + rb"\s*[=:]", re.IGNORECASE)
        found = 0
        for number in range(header + 1, len(self.lines.lines) + 1):
            text = self.lines.text(number)
            if found:
                if text.strip() and not text[:1].isspace():
                    break
                if text.strip() and not text.lstrip().startswith((b"#", b";")):
                    found = number
            elif text.startswith(b"["):
                break
            elif pattern.match(text):
                found = number
        return found

    def append(self, *texts: str) -> None:
        """Insert an empty line and these lines at the end."""
        self.lines.insert_after(len(self.lines.lines), "", *texts)

    def require(self, expected: Mapping[str, Any]) -> bytes:
        """Return the changed content. Raises NotEditable where it does not parse to what is expected."""
        result = self.lines.content()
        if self.parse(result) != expected:
            raise NotEditable("there is no place for it that leaves the rest as it is")
        return result

    def texts(self) -> list[str]:
        """Return the lines without their ends; the first is empty, so that they are counted from 1."""
        return [
            "",
            *(self.lines.text(number + 1).decode(errors="surrogateescape") for number in range(len(self.lines.lines))),
        ]

    def without(self, numbers: Sequence[int]) -> bytes:
        """Return the content without some lines."""
        return self.lines.without(frozenset(numbers))
