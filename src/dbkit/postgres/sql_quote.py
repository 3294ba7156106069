"""Quote names and values in SQL that is put together as text, by psycopg's rules.

`psycopg.sql` composes other statements, and values are parameters where a statement can have them.
"""

from psycopg import sql

from dbkit.database_url import History


def as_text(composed: sql.Composable) -> str:
    """Return a composed statement, name or value as text, without a connection.

    psycopg before 3.2 needs one for a name.
    """
    if isinstance(composed, sql.Composed):
        return "".join(map(as_text, composed))
    if isinstance(composed, sql.Identifier):
        return ".".join('"' + part.replace('"', '""') + '"' for part in composed._obj)
    return composed.as_string(None)


def quote_ident(*parts: str) -> str:
    """Quote a name as an SQL identifier; several parts make a qualified name."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def quote_literal(text: str | None) -> str:
    """Quote a text as an SQL literal without a type; NULL for None. Raises psycopg.DataError for a NUL character."""
    if isinstance(text, str) and "\\" not in text and "\0" not in text:
        return "'" + text.replace("'", "''") + "'"  # what psycopg makes of it, by far faster
    # psycopg puts a space before E'…'
    return as_text(sql.Literal(text)).strip()


def quote_history(history: History, beside: str | None = None) -> str:
    """Return the version table, or one of dbkit's tables beside it, as SQL for a script.

    Where the project names no schema, the search path of the session finds it. The default names are not quoted.
    """
    name = history.name_beside(beside) if beside else history.table
    if history.schema:
        return quote_ident(history.schema, name)
    return name if history.table == History.table else quote_ident(name)
