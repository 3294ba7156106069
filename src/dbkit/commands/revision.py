"""`dbkit revision` and `dbkit merge`: write a revision file."""

import re
import unicodedata
from pathlib import Path

from dbkit import gate, project
from dbkit.errors import InputError
from dbkit.gate import alembic_command, multiple_heads
from dbkit.settings import Settings

LONGEST_MESSAGE = 200  # characters
RESERVED = ("head", "heads", "base")
# https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters
BIDI_CONTROLS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
ASK = 'Say what it does, with its ticket: make revision m="SHOP-12 add orders"'


def revision(
    settings: Settings, ini: Path, message: str, *, empty: bool = False, identifier: str | None = None
) -> None:
    """Write a revision from what the models have and the database lacks, or an `empty` one to fill by hand.

    No difference, no file. Raises InputError for a message or an id that cannot be used, or a database that is behind.
    """
    text = check_message(message)
    if identifier is not None:
        check_identifier(identifier)
    loaded = project.load(ini)
    if not empty:
        loaded.require_gate()
    multiple_heads.require_one_head(loaded, settings)
    project.configure_logging(ini)  # Alembic's log says which differences it found
    if not empty:
        _require_up_to_date(loaded, settings)
    passage = alembic_command.run_alembic(
        loaded, settings, "revision", message=text, autogenerate=not empty, rev_id=identifier
    )
    _say_what_is_next(passage, "Read it and correct it. Then: make migrate; make redo, to see it undone; make schema.")


def merge(settings: Settings, ini: Path, message: str) -> None:
    """Write the revision that joins all heads."""
    text = check_message(message)
    loaded = project.load(ini)
    if len(loaded.heads) < 2:
        print("There is one head: nothing to merge.")
        return
    passage = alembic_command.run_alembic(loaded, settings, "merge", "heads", message=text)
    _say_what_is_next(passage, "Then: make migrate; make schema.")


def check_message(message: str) -> str:
    """The message with its white space collapsed; otherwise verbatim. Raises InputError for one that cannot be kept."""
    text = " ".join(message.split())
    if not text:
        raise InputError("the message is missing.", ASK)
    if len(text) > LONGEST_MESSAGE:
        raise InputError(f"the message has {len(text)} characters; {LONGEST_MESSAGE} is the most.", ASK)
    for character in text:
        category = unicodedata.category(character)
        if category == "Cs":
            raise InputError("the message is not valid UTF-8.", ASK)
        if category == "Cc" or character in BIDI_CONTROLS:
            raise InputError(f"the message holds the invisible control character U+{ord(character):04X}.", ASK)
    return text


def check_identifier(identifier: str) -> None:
    """Raise InputError for an id that is no safe part of a file name, or that means something to Alembic."""
    if not re.fullmatch(r"[0-9a-z_]{4,32}", identifier) or identifier in RESERVED:
        raise InputError(
            f"{identifier!r} cannot be a revision's id.", f"Use 4 to 32 of 0-9, a-z and _ (not {', '.join(RESERVED)})."
        )


def _require_up_to_date(loaded: project.Project, settings: Settings) -> None:
    pending = loaded.pending(alembic_command.read_position(loaded, settings))
    if pending:
        raise InputError(
            f"the database lacks {alembic_command.count_migrations(len(pending))}, "
            "so the models cannot be compared with it.",
            "Apply them first: `make migrate`.",
        )


def _say_what_is_next(passage: gate.RunContext, then: str) -> None:
    for script in passage.revision_files:
        print(f"Wrote {_with_ascii_name(Path(script.path))}")
        print(then)


def _with_ascii_name(path: Path) -> Path:
    """Rename a new file so that its name is the same on every file system: über_größe becomes uber_groe."""
    name = unicodedata.normalize("NFKD", path.stem).encode("ascii", "ignore").decode()
    new = path.with_name(f"{name}.py")
    return path if name == path.stem or new.exists() else path.rename(new)
