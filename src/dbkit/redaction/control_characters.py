"""Make control characters visible in text for people, so that no name or message can move the cursor or hide text."""

import re

COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
"""The sequences with which loggers colour their lines. They have no text in them."""
CONTROL = re.compile(
    r"\r(?!\n|\Z)(?<!\A\r)"  # a progress bar begins or ends with it
    "|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb]"
)
"""C0 and C1 without tab and line feed, and what changes the direction of text."""


def show_controls(text: str) -> str:
    r"""Return the text without colours, and with other control characters as escapes such as `\x1b` or `\u202e`."""
    if not CONTROL.search(text):
        return text
    return CONTROL.sub(lambda found: ascii(found[0])[1:-1], COLOUR.sub("", text))
