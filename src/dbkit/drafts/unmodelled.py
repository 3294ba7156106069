"""Drop what no model has from a copy of the migrations' database: what is left would not count as gone."""

from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any

import psycopg

from dbkit.drafts.shapes import TableName
from dbkit.errors import describe_error
from dbkit.postgres.sql_quote import quote_ident

TABLES = """
    SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""
ENUMS = """
    SELECT n.nspname::pg_catalog.text, t.typname::pg_catalog.text
    FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
    WHERE t.typtype = 'e' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
"""
# directly, or through other views
VIEWS = """
    WITH RECURSIVE used (oid) AS (
        SELECT pg_catalog.to_regclass(name) FROM pg_catalog.unnest(%(tables)s::pg_catalog.text[]) AS name
        UNION
        SELECT r.ev_class FROM used
        JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
            AND d.refobjid = used.oid AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
        JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid
    )
    SELECT c.relkind::pg_catalog.text, n.nspname::pg_catalog.text, c.relname::pg_catalog.text
    FROM used JOIN pg_catalog.pg_class AS c ON c.oid = used.oid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm')
"""


def drop_unmodelled(
    connection: psycopg.Connection[Any], made: Collection[TableName], version_table: str
) -> dict[TableName, str]:
    """Drop the tables that no model has, with the views on them, and the types that nothing uses.

    Returns why tables could not be dropped.
    """
    rows = connection.execute(TABLES.encode()).fetchall()
    tables = {(row[0], row[1]): quote_ident(*row) for row in rows if (row[0], row[1]) not in made}
    tables = {key: quoted for key, quoted in tables.items() if key[1] != version_table}
    views = connection.execute(VIEWS.encode(), {"tables": list(tables.values())}).fetchall()
    _drop_all(
        connection,
        [
            f"{'VIEW' if kind == 'v' else 'MATERIALIZED VIEW'} {quote_ident(schema, name)}"
            for kind, schema, name in views
        ],
    )
    failed = _drop_all(connection, [f"TABLE {each}" for each in tables.values()])
    for row in connection.execute(ENUMS.encode()).fetchall():
        with suppress(psycopg.Error), connection.transaction():  # a column may have it
            connection.execute(f"DROP TYPE {quote_ident(*row)}".encode())
    return {key: failed[f"TABLE {quoted}"] for key, quoted in tables.items() if f"TABLE {quoted}" in failed}


def _drop_all(connection: psycopg.Connection[Any], objects: Iterable[str]) -> dict[str, str]:
    """Drop these, each after what depends on it. Returns why some could not be dropped."""
    waiting = list(objects)
    while waiting:
        failed: dict[str, str] = {}
        for each in waiting:
            try:
                with connection.transaction():
                    connection.execute(f"DROP {each}".encode())
            except psycopg.Error as error:
                failed[each] = describe_error(error)
        if len(failed) == len(waiting):
            return _drop_together(connection, failed)
        waiting = list(failed)
    return {}


def _drop_together(connection: psycopg.Connection[Any], failed: dict[str, str]) -> dict[str, str]:
    """Drop tables that refer to each other. Returns what could not be dropped."""
    names = [each.removeprefix("TABLE ") for each in failed]
    try:
        with connection.transaction():
            connection.execute(f"DROP TABLE {', '.join(names)}".encode())
    except psycopg.Error:
        return failed
    return {}
