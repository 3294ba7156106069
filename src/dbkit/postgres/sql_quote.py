"""Quote names and values in SQL that is put together as text, by psycopg's rules.

`psycopg.sql` composes other statements, and values are parameters where a statement can have them.
"""

import re

from psycopg import sql

from dbkit.database_url import History
from dbkit.postgres.sql_text import Kind, tokenize, unquote_name

PLAIN_NAME = re.compile(r"[a-z_][a-z_0-9]*")
# of pg_get_keywords(), those that are not unreserved
KEYWORDS = frozenset(
    [
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "asymmetric",
        "authorization",
        "between",
        "bigint",
        "binary",
        "bit",
        "boolean",
        "both",
        "case",
        "cast",
        "char",
        "character",
        "check",
        "coalesce",
        "collate",
        "collation",
        "column",
        "concurrently",
        "constraint",
        "create",
        "cross",
        "current_catalog",
        "current_date",
        "current_role",
        "current_schema",
        "current_time",
        "current_timestamp",
        "current_user",
        "dec",
        "decimal",
        "default",
        "deferrable",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "exists",
        "extract",
        "false",
        "fetch",
        "float",
        "for",
        "foreign",
        "freeze",
        "from",
        "full",
        "grant",
        "greatest",
        "group",
        "grouping",
        "having",
        "ilike",
        "in",
        "initially",
        "inner",
        "inout",
        "int",
        "integer",
        "intersect",
        "interval",
        "into",
        "is",
        "isnull",
        "join",
        "json",
        "json_array",
        "json_arrayagg",
        "json_exists",
        "json_object",
        "json_objectagg",
        "json_query",
        "json_scalar",
        "json_serialize",
        "json_table",
        "json_value",
        "lateral",
        "leading",
        "least",
        "left",
        "like",
        "limit",
        "localtime",
        "localtimestamp",
        "merge_action",
        "national",
        "natural",
        "nchar",
        "none",
        "normalize",
        "not",
        "notnull",
        "null",
        "nullif",
        "numeric",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "out",
        "outer",
        "overlaps",
        "overlay",
        "placing",
        "position",
        "precision",
        "primary",
        "real",
        "references",
        "returning",
        "right",
        "row",
        "select",
        "session_user",
        "setof",
        "similar",
        "smallint",
        "some",
        "substring",
        "symmetric",
        "system_user",
        "table",
        "tablesample",
        "then",
        "time",
        "timestamp",
        "to",
        "trailing",
        "treat",
        "trim",
        "true",
        "union",
        "unique",
        "user",
        "using",
        "values",
        "varchar",
        "variadic",
        "verbose",
        "when",
        "where",
        "window",
        "with",
        "xmlattributes",
        "xmlconcat",
        "xmlelement",
        "xmlexists",
        "xmlforest",
        "xmlnamespaces",
        "xmlparse",
        "xmlpi",
        "xmlroot",
        "xmlserialize",
        "xmltable",
    ]
)


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


def quote_name(*parts: str) -> str:
    """Quote a name only where it needs quotes, as the server does; several parts make a qualified name."""
    return ".".join(
        part if PLAIN_NAME.fullmatch(part) and part not in KEYWORDS else quote_ident(part) for part in parts
    )


def split_name(name: str) -> tuple[str, ...]:
    """Return the parts of a name in SQL, the schema first, without quotes."""
    return tuple(unquote_name(each.text) for each in tokenize(name) if each.kind in (Kind.NAME, Kind.WORD))


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
