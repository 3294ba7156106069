"""A planned edit of one file: everything is planned before anything is written."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Change:
    """An edit of one file. Where `before` and `after` are equal, the part is there already."""

    path: Path
    part: str
    """What it is for, as it is printed: "gate", "settings", "head file", "make", "nox" or "CI"."""
    before: bytes | None
    """The content as it is; None where there is no such file."""
    after: bytes | None
    """The content as it will be; None where the file is to be removed."""
    note: str = ""
    """Printed behind the path."""
    left: str = ""
    """Why the part is left as it is, and what to do by hand: printed instead of "kept"."""
