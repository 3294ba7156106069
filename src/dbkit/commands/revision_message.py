"""The message and the id of a new revision, and the name of its file."""

import re
import unicodedata
from pathlib import Path

from dbkit import hints
from dbkit.errors import InputError
from dbkit.gate import RunContext

LONGEST_MESSAGE = 200  # characters
RESERVED = ("head", "heads", "base")
# https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters
BIDI_CONTROLS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
NEXT_STEP = "Read it and correct it. Then: make migrate; make redo, to see it undone; make schema."
HOW_TO_WRITE = 'Write what it does, with its ticket: make revision m="SHOP-12 add orders"'


def check_message(message: str) -> str:
    """Return the message with its white space collapsed. Raises InputError for one that a file cannot have."""
    text = " ".join(message.split())
    if not text:
        raise InputError("the message is missing.", HOW_TO_WRITE)
    if len(text) > LONGEST_MESSAGE:
        raise InputError(f"the message has {len(text)} characters; {LONGEST_MESSAGE} is the most.", HOW_TO_WRITE)
    for character in text:
        category = unicodedata.category(character)
        if category == "Cs":
            raise InputError("the message is not valid UTF-8.", HOW_TO_WRITE)
        if category == "Cc" or character in BIDI_CONTROLS:
            raise InputError(f"the message holds the invisible control character U+{ord(character):04X}.", HOW_TO_WRITE)
    return text


def check_identifier(identifier: str) -> None:
    """Raise InputError for an id that is unsafe in a file name, or that Alembic reserves."""
    if not re.fullmatch(r"[0-9a-z_]{4,32}", identifier) or identifier in RESERVED:
        raise InputError(
            f"{identifier!r} cannot be a revision's id.", f"Use 4 to 32 of 0-9, a-z and _ (not {', '.join(RESERVED)})."
        )


def print_written_files(run_context: RunContext, next_step: str) -> None:
    """Print the new revision files, renamed to ASCII, and what to do next."""
    for script in run_context.revision_files:
        print(f"Wrote {rename_to_ascii(Path(script.path))}")
        hints.show(next_step)


def rename_to_ascii(path: Path) -> Path:
    """Rename a file so that its name is the same on every file system: über_größe becomes uber_groe."""
    name = unicodedata.normalize("NFKD", path.stem).encode("ascii", "ignore").decode()
    new = path.with_name(f"{name}.py")
    return path if name == path.stem or new.exists() else path.rename(new)
