"""Write expressions so that PostgreSQL parses an array that is cast to what it was, not to a cast of each element.

`a IN ('x', 'y')` with a varchar column is printed as `a::text = ANY (ARRAY['x'::varchar, 'y'::varchar]::text[])`, and
the parser takes the cast of an ARRAY[…] for one of its elements: what it makes of that text is printed in another way.
https://www.postgresql.org/docs/18/sql-expressions.html#SQL-SYNTAX-ARRAY-CONSTRUCTORS
"""

import re
from collections.abc import Sequence

from dbkit.postgres.sql_text import Kind, Token, tokenize

CAST = re.compile(r"\]\)?::")
OPENING, CLOSING = "([", ")]"


def keep_array_types(text: str) -> str:
    """Write the own type of each array before the type that it is cast to: `ARRAY['x'::varchar]::varchar[]::text[]`."""
    if "ARRAY[" not in text or not CAST.search(text):
        return text
    tokens = list(tokenize(text))
    ends = {}
    for first in range(len(tokens) - 1):
        if not _is_array(tokens, first):
            continue
        end = _closing(tokens, first + 1)
        after = end + 1
        if first and tokens[first - 1].text == "(" and _text(tokens, after) == ")":
            after += 1
        own = _element_type(tokens[first + 2 : end])
        if own and _text(tokens, after) == "::":
            ends[end] = f"::{own}[]"
    return "".join(token.text + ends.get(number, "") for number, token in enumerate(tokens))


def _is_array(tokens: Sequence[Token], number: int) -> bool:
    return tokens[number][:2] == (Kind.WORD, "ARRAY") and _text(tokens, number + 1) == "["


def _text(tokens: Sequence[Token], number: int) -> str:
    return tokens[number].text if number < len(tokens) else ""


def _closing(tokens: Sequence[Token], opening: int) -> int:
    """Return the number of the token that closes a bracket."""
    depth = 0
    for number in range(opening, len(tokens)):
        if tokens[number].kind == Kind.SYMBOL:
            depth += (tokens[number].text in OPENING) - (tokens[number].text in CLOSING)
        if not depth:
            return number
    return len(tokens)


def _element_type(tokens: Sequence[Token]) -> str:
    """Return the type that the first of these elements is cast to; "" for one without a cast."""
    if len(tokens) > 1 and _is_array(tokens, 0):
        return _element_type(tokens[2 : _closing(tokens, 1)])
    start = number = 0
    while number < len(tokens) and tokens[number].text != ",":
        if tokens[number].text in OPENING and tokens[number].kind == Kind.SYMBOL:
            number = _closing(tokens, number)
        elif tokens[number].text == "::":
            start = number + 1
        number += 1
    return "".join(token.text for token in tokens[start:number]).strip() if start else ""
