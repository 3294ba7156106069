"""Colours for verdicts, levels and errors in lines of text. The words stay as they are: a colour is never all there is.

Lines are coloured as they are printed, so that what renders them knows of no terminal.
"""

import re

from dbkit.redaction.outputs import ERROR

BAD = "broken|dirty|lossy|fails on rows|irreversible"
STYLES = {
    "bad": "bold red",
    "error": "red",
    "warning": "yellow",
    "good": "green",
    "dim": "dim",
}
"""By kind of words, the style of rich."""
COUNTED = r"(?<![\w.\"])\d+ "
WORDS = re.compile(
    rf"""^(?:dbkit:\ )?(?P<warning_line>warning)(?=:)
    | ^(?P<bad_verdict>(?:{BAD}|unproven)(?:\ and\ (?:{BAD}|unproven))*)(?=:\ )
    | ^(?P<dim_verdict>accepted\ (?:{BAD}|unproven)|note)(?=:\ )
    | ^(?P<good_verdict>proven(?:,\ if)?)(?=:\ )
    | ^\ \ (?P<bad_level>danger)(?=\ [a-z])
    | ^\ \ (?P<warning_level>warning)(?=\ [a-z])
    | ^\ \ (?P<dim_level>note)(?=\ [a-z])
    | ^\ \ (?P<bad_answer>violated)(?=:\ )
    | ^\ \ (?P<warning_answer>unknown|later)(?=:\ )
    | ^\ \ (?P<good_answer>holds)(?=:\ )
    | (?<=:\ )(?P<bad_end>will\ fail)$
    """,
    re.MULTILINE | re.VERBOSE,
)
SUMMARY = re.compile(r"^[^\n\"]*\d+ (?:migration|danger|pending migration)s?\b[^\n]*\.$", re.MULTILINE)
"""The last line of a report, which has the counts."""
COUNTS = re.compile(
    rf"(?P<bad>{COUNTED}(?:{BAD}|dangers?|violated)\b)"
    rf"|(?P<warning>{COUNTED}(?:unproven|warnings?|unknown|later)\b)"
    rf"|(?P<good>{COUNTED}(?:proven(?:, if)?|holds)\b)"
)
NONE = re.compile(r"0 ")
MESSAGE = re.compile(r"\A(?P<name>dbkit:)(?P<message>[^\n]*)(?P<hint>(?:\n  [^\n]*)*)")


def paint(text: str, kind: str) -> str:
    """Return text with the colours of the words in it. Without any, rich is not loaded."""
    if kind == ERROR:
        return MESSAGE.sub(_paint_error, text)
    return SUMMARY.sub(lambda line: COUNTS.sub(_paint_count, line[0]), WORDS.sub(_paint_word, text))


def style(text: str, name: str) -> str:
    """Return text in a style, by its name in `STYLES`."""
    from rich.color import ColorSystem  # only a person needs it
    from rich.style import Style

    return Style.parse(STYLES[name]).render(text, color_system=ColorSystem.STANDARD)


def _paint_error(found: re.Match[str]) -> str:
    hint = "".join(f"\n{style(line, 'dim')}" for line in found["hint"].splitlines() if line)
    return f"{style(found['name'], 'bad')}{style(found['message'], 'error')}{hint}"


def _paint_word(found: re.Match[str]) -> str:
    group = str(found.lastgroup)
    word = found[group]
    return found[0].replace(word, style(word, group.partition("_")[0]), 1)


def _paint_count(found: re.Match[str]) -> str:
    return found[0] if NONE.match(found[0]) else style(found[0], str(found.lastgroup))
