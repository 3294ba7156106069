"""Names and messages as they are shown in pictures: on one line, without control characters and secrets."""

import re
import unicodedata
from functools import lru_cache

from dbkit.redaction import redact

ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, movements
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f]).*?(?:\x07|\x1b\\|\x9c|$)"  # OSC and other strings: titles, links
    r"|\x1b[ -/]*[0-~]",
    re.DOTALL,
)
SPACES = re.compile(r"[\s\x1c-\x1f\x85\u2028\u2029]+")
# that change the direction of the text after them
BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
REPLACEMENT = "\ufffd"
NARROW, BROAD = frozenset("iljtfrI.,:;'|!()[]{} "), frozenset("mwMWQ@%&—…")


@lru_cache(maxsize=20_000)
def make_label(text: str) -> str:
    """Return a text for display. The result can be a different one for each text, but need not be."""
    text = ESCAPE_SEQUENCE.sub("", redact.text(text))
    return "".join(map(_show, SPACES.sub(" ", text))).strip()


def make_name(text: str) -> str:
    """Return a name for display, which is never empty."""
    return make_label(text) or REPLACEMENT


def _show(letter: str) -> str:
    code = ord(letter)
    is_no_character = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    is_control = unicodedata.category(letter) in ("Cc", "Cs") or letter in BIDIRECTIONAL
    return REPLACEMENT if is_control or is_no_character else letter


def shorten(text: str, length: int) -> str:
    """Return a label of at most `length` columns of a terminal, with an ellipsis where something was cut."""
    if count_columns(text) <= length:
        return text
    kept = ""
    for letter in text:
        if count_columns(kept + letter) >= length:
            break
        kept += letter
    return f"{kept.rstrip()}…"


def count_columns(text: str) -> int:
    """Return the width of a label in a terminal, in columns."""
    return sum(map(_columns_of, text))


@lru_cache(maxsize=2_000)
def _columns_of(letter: str) -> int:
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in ("W", "F") else 1


def estimate_width(text: str, size: float) -> float:
    """Return an upper estimate of a label's width in pixels, in the usual fonts of a browser."""
    return size * sum(map(_em_of, text))


def _em_of(letter: str) -> float:
    columns = _columns_of(letter)
    if columns != 1:
        return columns * 0.65
    if letter in NARROW:
        return 0.42
    if letter in BROAD:
        return 1.0
    return 0.76 if letter.isupper() or not letter.isascii() else 0.64
