"""Texts in Markdown, so that no character of theirs is read as Markdown, HTML, a mention or a reference."""

import re

PUNCTUATION = re.compile(r"[!\"#$&'()*+:<=>@\[\\\]^_`{|}~]|(?<![\w)])-(?=-)|(?<=www)\.")
CALLS = re.compile(r"[@#!%&$~](?=\w)|\b(?:GH|gh)-(?=\d)")
"""What GitHub and GitLab take for a mention or a reference, in the text that they have rendered."""
NO_BREAK = "\u2060"
"""WORD JOINER: it has no width, and ends a mention."""


def escape(text: str) -> str:
    """Return a text as one line of Markdown, with character references for all that has a meaning there."""
    line = " ".join(text.split())
    line = CALLS.sub(lambda found: found[0] + NO_BREAK, line)
    line = PUNCTUATION.sub(lambda found: f"&#{ord(found[0])};", line)
    # a number with a full stop, a dash or a plus at the beginning would be a list
    return re.sub(r"^(\d+)([.)])|^([-+])", lambda found: f"{found[1] or ''}&#{ord(found[2] or found[3])};", line)


def code(text: str) -> str:
    """Return a text as code within a line; character references work in <code>, and not between backticks."""
    line = PUNCTUATION.sub(lambda found: f"&#{ord(found[0])};", " ".join(text.split()))
    return f"<code>{line}</code>"


def block(text: str, language: str = "") -> str:
    """Return a block of code, whose fence is longer than any row of backticks in it."""
    longest = max((len(found) for found in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def fold(summary: str, content: str) -> str:
    """Return a part that is folded. `summary` is Markdown without a line break, `content` any Markdown."""
    return f"<details><summary>{summary}</summary>\n\n{content}\n\n</details>"


def cut(text: str, longest: int) -> str:
    """Return a text with at most so many characters, and how many more there are."""
    rest = len(text) - longest
    return text if rest <= 0 else f"{text[:longest]}\n-- … {rest:,} more characters"
