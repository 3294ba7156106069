"""The lines of a file as bytes, with lines inserted between them and all else as it was."""

import ast
import codecs
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

NEWLINE = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True)
class Unit:
    """Statements that share a line, and the numbers of their first and last line, counted from 1."""

    statements: tuple[ast.stmt, ...]
    first: int
    last: int


class Lines:
    """The content of a file, into which whole lines can be inserted."""

    def __init__(self, content: bytes) -> None:
        self.mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
        self.lines = content.removeprefix(self.mark).splitlines(keepends=True)
        found = NEWLINE.search(content)
        self.newline = found.group() if found else b"\n"
        self.inserted: list[tuple[int, bytes]] = []

    def text(self, number: int) -> bytes:
        """Return a line without its end."""
        return self.lines[number - 1].rstrip(b"\r\n")

    def units(self, statements: Sequence[ast.stmt]) -> list[Unit]:
        """Group the statements of a block by the lines that they share."""
        found: list[Unit] = []
        for each in statements:
            first, last = _first_line(each), each.end_lineno or each.lineno
            if found and (first <= found[-1].last or self._is_continued(found[-1].last)):
                former = found.pop()
                found.append(Unit((*former.statements, each), former.first, max(last, former.last)))
            else:
                found.append(Unit((each,), first, last))
        return found

    def _is_continued(self, number: int) -> bool:
        return self.text(number).endswith(b"\\")

    def indent_of(self, unit: Unit) -> str:
        """Return the white space before the statements of a unit."""
        text = self.text(unit.first)
        return text[: len(text) - len(text.lstrip(b" \t"))].decode()

    def count_blank_after(self, number: int) -> int:
        """Return how many empty lines come after a line; 0 where the file ends with them."""
        rest = [self.text(each) for each in range(number + 1, len(self.lines) + 1)]
        return next((count for count, text in enumerate(rest) if text), 0)

    def find_comment(self, unit: Unit, pattern: re.Pattern[bytes]) -> str:
        """Return the comment in the first line of a unit of imports that matches a pattern; "" where none does."""
        text = self.text(unit.first)
        at = text.find(b"#")
        comment = text[at:] if at >= 0 else b""
        return f"  {comment.decode('ascii')}" if comment.isascii() and pattern.fullmatch(comment) else ""

    def insert_after(self, number: int, *texts: str) -> None:
        """Insert lines after a line; a last line without an end gets none."""
        self.inserted.append((number, b"".join(self.newline + text.encode() for text in texts)))

    def append_to(self, number: int, added: str) -> None:
        """Add text to a line, before the white space at its end."""
        line = self.lines[number - 1]
        text = line.rstrip()
        self.lines[number - 1] = text + added.encode() + line[len(text) :]

    def insert_before(self, number: int, text: str) -> None:
        """Insert a line before a line."""
        self.inserted.append((-number, text.encode() + self.newline))

    def content(self) -> bytes:
        """Return the content with what was inserted."""
        if not self.lines:
            return self.mark + b"".join(each for _, each in self.inserted)
        parts = [self.mark]
        for number, line in enumerate(self.lines, 1):
            text = line.rstrip(b"\r\n")
            parts += [each for at, each in self.inserted if at == -number]
            parts.append(text)
            parts += [each for at, each in self.inserted if at == number]
            parts.append(line[len(text) :])
        return b"".join(parts)

    def without(self, numbers: Collection[int], *, end_before: bool = True) -> bytes:
        """Return the content without some lines: each with the end of the line before it, or else with its own.

        That differs only at the end of a file, and in one with several kinds of ends.
        """
        parts = [self.mark]
        for number, line in enumerate(self.lines, 1):
            text = line.rstrip(b"\r\n")
            if number not in numbers:
                parts += [text, line[len(text) :]]
            elif end_before and number > 1:
                parts = [*parts[:-1], line[len(text) :]]
        return b"".join(parts)


def _first_line(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(each.lineno for each in decorators)])
