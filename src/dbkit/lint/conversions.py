"""The conversion of a column to another type, in the text of ALTER TABLE."""

from collections.abc import Iterator, Sequence

from dbkit.postgres.sql_text import SEPARATORS, Kind, Token, read_string, split_statements, unquote_name

NEW_TYPE = ["set", "data", "type"]


def find_conversions(sql: str, column: str) -> Iterator[str]:
    """Yield the expressions of ALTER COLUMN … TYPE … USING for a column; also in the body of a function."""
    if "using" not in sql.lower():
        return
    for tokens in split_statements(sql):
        words = [each for each in tokens if each.kind not in SEPARATORS]
        for number, word in enumerate(words):
            if word.kind == Kind.STRING:
                yield from find_conversions(read_string(word.text), column)
            elif word.plain == "alter" and _is_new_type(words[number + 1 : number + 6], column):
                expression = _read_expression(tokens, word)
                if expression:
                    yield expression


def _is_new_type(words: Sequence[Token], column: str) -> bool:
    """Return whether the words after ALTER are those of a new type for a column."""
    rest = words[1:] if words and words[0].plain == "column" else words
    after = [each.plain for each in rest[1:4]]
    return bool(rest) and unquote_name(rest[0].text) == column and (after[:1] == ["type"] or after == NEW_TYPE)


def _read_expression(tokens: Sequence[Token], start: Token) -> str:
    """Return what is between USING and the next action of ALTER TABLE, on one line."""
    depth, is_found, pieces = 0, False, [""]
    for token in tokens:
        if token.start <= start.start:
            continue
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(token.plain, 0)
        if depth == 0 and token.plain == ",":
            break
        if is_found:
            pieces.append(" " if token.kind in SEPARATORS else token.text)
        is_found = is_found or (depth == 0 and token.plain == "using")
    return "".join(pieces).strip()
