"""The text of what is executed: its single statements, its parameters as literals, what needs its own transaction."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import sql

from dbkit.errors import without_secrets
from dbkit.roundtrip.steps import ends_transaction, without_text

# a string with escapes, a string, a name, a dollar-quoted string, comments; what they hold is no statement's end
TOKEN = re.compile(
    r"""\b[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"""
    r"""|--[^\n]*|/\*.*?\*/|[();]""",
    re.DOTALL,
)
# https://www.postgresql.org/docs/18/: each of these says that it cannot be executed inside a transaction block
ALONE = re.compile(
    r"^(?:(?:create\s+(?:unique\s+)?|drop\s+)index\s+concurrently\b|reindex\b.*\b(?:concurrently|database|system|schema)\b"
    r"|alter\s+table\b.*\bdetach\s+partition\b.*\bconcurrently\b|vacuum\b|cluster\s*$|alter\s+system\b"
    r"|(?:create|drop)\s+(?:database|tablespace|subscription)\b)",
    re.IGNORECASE | re.DOTALL,
)
MAY_COMMIT = re.compile(r"^(?:call|do)\b", re.IGNORECASE)
COMMITS = re.compile(r"\b(?:commit|rollback)\b", re.IGNORECASE)
ATOMIC = re.compile(r"\bbegin\s+atomic\b", re.IGNORECASE)


def statements(text: str) -> list[str]:
    """The single statements of a string, without those that are empty."""
    if ";" not in text or ATOMIC.search(text):
        return [text]
    found, start, depth = [], 0, 0
    for token in TOKEN.finditer(text):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if token[0] == ";" and depth == 0:
            found.append(text[start : token.start()])
            start = token.end()
    found.append(text[start:])
    return [each.strip() for each in found if without_text(each)] or [text]


def is_alone(statement: str) -> bool:
    """Whether a statement must have, or may end, a transaction of its own."""
    plain = without_text(statement)
    may_commit = bool(MAY_COMMIT.match(plain)) and bool(COMMITS.search(statement) or plain[:4].lower() == "call")
    return bool(ALONE.match(plain)) or may_commit or ends_transaction(statement)


def rendered(statement: str, parameters: Any, style: str) -> str:
    """The statement with its parameters as literals, and without passwords; of many sets of parameters, the first.

    `style` is the DBAPI's paramstyle. A value that has no literal is written as a string.
    """
    several = isinstance(parameters, list) and parameters and isinstance(parameters[0], dict | tuple | list)
    return without_secrets(_filled(statement, parameters[0] if several else parameters, style))


def _filled(statement: str, values: Any, style: str) -> str:
    if style in ("pyformat", "format"):
        return statement % _literals(values) if values else statement.replace("%%", "%")
    if style == "numeric_dollar" and values:
        literals = [_literal(value) for value in values]
        return re.sub(r"\$(\d+)", lambda match: literals[int(match[1]) - 1], statement)
    return statement


def _literals(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {name: _literal(value) for name, value in values.items()}
    return tuple(_literal(value) for value in values) if isinstance(values, Sequence) else values


def _literal(value: object) -> str:
    try:
        return sql.Literal(value).as_string()
    except Exception:  # the adapters' own, for a type that they do not know
        return sql.Literal(str(value)).as_string()
