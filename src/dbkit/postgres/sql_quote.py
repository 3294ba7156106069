"""Quote names and values in SQL that is put together as text, by psycopg's rules.

`psycopg.sql` composes other statements, and values are parameters where a statement can have them.
"""

from psycopg import sql


def quote_ident(*parts: str) -> str:
    """Quote a name as an SQL identifier; several parts make a qualified name."""
    return sql.Identifier(*parts).as_string()


def quote_literal(text: str | None) -> str:
    """Quote a text as an SQL literal without a type; NULL for None. Raises psycopg.DataError for a NUL character."""
    # psycopg puts a space before E'…'
    return sql.Literal(text).as_string().strip()
