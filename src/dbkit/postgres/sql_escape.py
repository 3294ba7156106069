"""Escape SQL for SQLAlchemy's text(), so that it reaches the server letter for letter.

text() reads `:name` as a bind parameter and `\\:` as a colon, and neither where another colon follows the name.
Percent signs are left as they are: where the driver reads them, its dialect doubles them.
"""

import re

import sqlalchemy as sa

COLONS = re.compile(r":+")
NAME = re.compile(r"[\w$]*")
"""What may be a part of a parameter's name, in all versions of SQLAlchemy."""


def sql(text: str) -> sa.TextClause:
    """Return a text() whose SQL is `text`, without a bind parameter."""
    return sa.text(escape(text))


def escape(text: str) -> str:
    """Return what `op.execute("…")` and `sa.text("…")` have to be given for the server to get `text`.

    A colon is escaped only where it must be, so that `::text` and `12:30` stay readable.
    """
    pieces: list[str] = []
    position = 0
    is_escaped = False
    for match in COLONS.finditer(text):
        start, end = match.span()
        before, colons = text[position:start], match.group()
        # an escaped colon with its name is read only where no bare colon follows
        is_escaped = is_escaped and NAME.fullmatch(before) is not None
        is_escaped = is_escaped or (len(colons) == 1 and _is_read(text[start - 1 : start], text[end : end + 1]))
        pieces += [before, "\\:" * len(colons) if is_escaped else colons]
        position = end
    return "".join([*pieces, text[position:]])


def _is_read(before: str, after: str) -> bool:
    """Whether SQLAlchemy takes a single colon between two letters for a bind parameter or an escape."""
    if before == "\\":
        return True
    return re.match(r"[\w$]", after) is not None and re.match(r"\w", before) is None
