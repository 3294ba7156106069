"""The conditions that an expression joins by AND, as PostgreSQL writes it back: `((a > 0) AND (b IS NOT NULL))`."""

from collections.abc import Iterator

from dbkit.postgres.sql_text import Token, tokenize


def split_conjunction(expression: str) -> frozenset[str]:
    """Return the conditions that an expression joins, without the parentheses around each; none of an empty one."""
    return frozenset(_split(expression))


def _split(expression: str) -> Iterator[str]:
    tokens = list(tokenize(expression.strip()))
    while _is_in_parentheses(tokens):
        tokens = tokens[1:-1]
    parts = [""]
    for depth, token in _with_depth(tokens):
        if depth == 0 and token.plain == "and":
            parts.append("")
        else:
            parts[-1] += token.text
    if len(parts) > 1:
        for part in parts:
            yield from _split(part)
    elif tokens:
        yield parts[0]


def _is_in_parentheses(tokens: list[Token]) -> bool:
    """Whether the first and the last token are one pair of parentheses."""
    ends = [number for number, (depth, token) in enumerate(_with_depth(tokens)) if depth == 0 and token.text == ")"]
    return bool(tokens) and tokens[0].text == "(" and ends[:1] == [len(tokens) - 1]


def _with_depth(tokens: list[Token]) -> Iterator[tuple[int, Token]]:
    """Yield each token with the number of parentheses around it; a parenthesis is not within itself."""
    depth = 0
    for token in tokens:
        depth -= token.text == ")"
        yield depth, token
        depth += token.text == "("
