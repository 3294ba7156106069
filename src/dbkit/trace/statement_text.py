"""The text of an executed statement: its parameters as literals, and whether it begins or ends transactions."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import sql

from dbkit.postgres.sql_quote import as_text
from dbkit.postgres.sql_text import (
    Kind,
    Token,
    begins_transaction,
    ends_transaction,
    plain_statements,
    read_string,
    tokenize,
)
from dbkit.redaction import redact

# None of these can be executed inside a transaction block: https://www.postgresql.org/docs/18/sql-commands.html
NOT_IN_TRANSACTION = re.compile(
    r"(?:(?:create (?:unique )?|drop )index concurrently\b|reindex\b.*\b(?:concurrently|database|system|schema)\b"
    r"|alter table\b.*\bdetach partition\b.*\bconcurrently\b|vacuum\b|cluster(?: verbose|\s?\([^)]*\))?$|alter system\b"
    r"|(?:create|drop) (?:database|tablespace|subscription)\b|discard all\b|(?:commit|rollback) prepared\b)",
    re.DOTALL,
)
CALL, DO = re.compile(r"call\b"), re.compile(r"do\b")
COMMITS = re.compile(r"\b(?:commit|rollback)\b", re.IGNORECASE)


def ends_own_transactions(statement: str) -> bool:
    """Whether a statement, outside of a transaction, begins or ends transactions itself."""
    return controls_transaction(statement) or any(
        NOT_IN_TRANSACTION.match(each) or _may_commit(each, statement) for each in plain_statements(statement)
    )


def controls_transaction(statement: str) -> bool:
    """Whether a statement begins or ends a transaction, and does nothing else."""
    return ends_transaction(statement) or begins_transaction(statement)


def _may_commit(plain: str, statement: str) -> bool:
    """Whether it is a CALL, or a DO block with COMMIT or ROLLBACK in its code, not in its strings and comments."""
    if not DO.match(plain):
        return bool(CALL.match(plain))
    bodies = (read_string(token.text) for token in tokenize(statement) if token.kind == Kind.STRING)
    # the lexical rules of another language are not known
    is_read = "language" not in plain or "plpgsql" in statement.lower()
    return any(_commits(body) if is_read else COMMITS.search(body) for body in bodies)


def _commits(body: str) -> bool:
    return any(token.kind == Kind.WORD and COMMITS.fullmatch(token.text) for token in tokenize(body))


def render_statement(statement: str, parameters: Any, style: str) -> str:
    """Return a statement with its parameters as literals, and without passwords; the first set of many.

    `style` is the DBAPI's paramstyle. A value that has no literal is written as a string.
    """
    several = isinstance(parameters, list) and parameters and isinstance(parameters[0], dict | tuple | list)
    return redact.text(_filled(statement, parameters[0] if several else parameters, style))


def _filled(statement: str, values: Any, style: str) -> str:
    if style in ("pyformat", "format"):
        return statement % _literals(values) if values else statement.replace("%%", "%")
    if style == "numeric_dollar" and values:
        return "".join(_numbered(token, values) for token in tokenize(statement))
    return statement


def _numbered(token: Token, values: Sequence[Any]) -> str:
    """Return a token, or for a parameter such as `$1` the literal of its value."""
    is_parameter = token.kind == Kind.PARAMETER and token.text.startswith("$")
    return _literal(values[int(token.text[1:]) - 1]) if is_parameter else token.text


def _literals(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {name: _literal(value) for name, value in values.items()}
    return tuple(_literal(value) for value in values) if isinstance(values, Sequence) else values


def _literal(value: object) -> str:
    try:
        return as_text(sql.Literal(value))
    except Exception:  # psycopg's adapters raise their own, for a type that they do not know
        return as_text(sql.Literal(str(value)))
