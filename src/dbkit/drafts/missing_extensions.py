"""Find the extension that has what models use: a type such as citext, an operator class, a function."""

import re
from typing import Any

import psycopg
from psycopg import sql

UNDEFINED_OBJECT, UNDEFINED_FUNCTION = "42704", "42883"
NAMED = re.compile(r'(?:type|operator class|access method|function) "?([\w.]+)"?')
IN_METHOD = re.compile(r'data type (.+) has no default operator class for access method "(\w+)"')
AVAILABLE = """
    SELECT name FROM pg_catalog.pg_available_extensions
    WHERE installed_version IS NULL ORDER BY name <> %s, length(name), name
"""
MEMBERS = """
    SELECT FROM pg_catalog.pg_depend AS d
    JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid AND e.extname = %(extension)s
    LEFT JOIN pg_catalog.pg_type AS t ON d.classid = 'pg_catalog.pg_type'::regclass AND t.oid = d.objid
    LEFT JOIN pg_catalog.pg_proc AS p ON d.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = d.objid
    LEFT JOIN pg_catalog.pg_opclass AS o ON d.classid = 'pg_catalog.pg_opclass'::regclass AND o.oid = d.objid
    LEFT JOIN pg_catalog.pg_am AS m ON m.oid = o.opcmethod
    LEFT JOIN pg_catalog.pg_am AS a ON d.classid = 'pg_catalog.pg_am'::regclass AND a.oid = d.objid
    WHERE d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e'
      AND (%(name)s IN (t.typname, p.proname, o.opcname, a.amname)
           OR (o.opcdefault AND m.amname = %(method)s AND format_type(o.opcintype, NULL) = %(type)s))
    LIMIT 1
"""


def create_missing(connection: psycopg.Connection[Any], error: psycopg.Error) -> str | None:
    """Create the extension that has what an error misses. Returns its name; None where there is none.

    The connection is in autocommit.
    """
    message = error.diag.message_primary or ""
    in_method, named = IN_METHOD.search(message), NAMED.search(message)
    if error.sqlstate not in (UNDEFINED_OBJECT, UNDEFINED_FUNCTION) or not (in_method or named):
        return None
    kind, method = in_method.groups() if in_method else ("", "")
    name = named[1].rpartition(".")[2] if named and not in_method else ""
    for (extension,) in connection.execute(AVAILABLE, [name]).fetchall():
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(sql.SQL("CREATE EXTENSION {} CASCADE").format(sql.Identifier(extension)))
                values = {"extension": extension, "name": name, "type": kind, "method": method}
                has_it = connection.execute(MEMBERS, values).fetchone() is not None
        except psycopg.Error:
            continue  # its library is missing, or it must be loaded at the start of the server
        if has_it:
            connection.execute(sql.SQL("CREATE EXTENSION {} CASCADE").format(sql.Identifier(extension)))
            return str(extension)
    return None
