"""Whether a stream is a terminal that a person looks at, and whether it gets colours: decided once, at the start."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

from dbkit.backports import StrEnum
from dbkit.redaction import outputs

LEAST_WIDTH = 20


class Color(StrEnum):
    """The values of `--color`."""

    AUTO = "auto"
    """On a terminal."""
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True)
class Person:
    """The output that a person wants. Without one, there are neither tables nor progress nor questions."""

    is_there: bool = False
    """Whether a terminal is looked at: not in CI, and not one that only prints."""
    wants_color: bool = False
    """Whether a terminal gets colours."""
    color: Color = Color.AUTO

    @classmethod
    def of_environment(cls, environment: Mapping[str, str], color: Color) -> "Person":
        """Read `NO_COLOR`, `TERM` and `CI`. `--color` is stronger than `NO_COLOR`."""
        is_in_ci = environment.get("CI", "").lower() not in ("", "0", "false")
        is_there = not is_in_ci and environment.get("TERM") != "dumb"
        return cls(is_there, is_there and not environment.get("NO_COLOR"), color)

    def looks_at(self, stream: TextIO | None) -> bool:
        """Whether a stream is a terminal that the person looks at."""
        return self.is_there and stream is not None and not stream.closed and stream.isatty()

    def gets_color(self, stream: TextIO | None) -> bool:
        """Whether the lines of a stream get colours."""
        if self.color is Color.AUTO:
            return self.wants_color and self.looks_at(stream)
        return self.color is Color.ALWAYS


_person: Person | None = None
"""None where no command line was parsed, as in the `alembic` command."""


def meet(color: str) -> None:
    """Decide for this process by its environment and `--color`, and colour its standard streams where they get that."""
    global _person
    _person = Person.of_environment(os.environ, Color(color))
    outputs.use_paint(_find_paint)


def looks_at(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal that a person looks at."""
    return _find_person().looks_at(stream)


def can_be_asked() -> bool:
    """Whether a person can read a question, and type an answer."""
    return looks_at(sys.stdin) and looks_at(sys.stderr)


def gets_color(stream: TextIO | None) -> bool:
    """Whether the lines of a stream get colours."""
    return _find_person().gets_color(stream)


def read_width() -> int:
    """Return the columns of the terminal, of which a window may have few."""
    import shutil  # a pipe has no width

    return max(LEAST_WIDTH, shutil.get_terminal_size().columns)


def _find_person() -> Person:
    return _person or Person.of_environment(os.environ, Color.AUTO)


def _find_paint(stream: TextIO) -> outputs.Paint | None:
    if not gets_color(stream):
        return None
    from dbkit.terminal import paint  # a pipe needs none

    return paint.paint
