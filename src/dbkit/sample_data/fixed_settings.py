"""Insert rows within a project's transaction with fixed settings, and leave the transaction as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

SETTINGS = {
    "lock_timeout": "10s",
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
}
READ_SETTINGS = """
SELECT ARRAY(SELECT current_setting(name) FROM unnest(%s::text[]) AS name),
    (SELECT string_agg(DISTINCT quote_ident(n.nspname) || '.' || quote_ident(o.conname), ', ')
     FROM pg_constraint AS o JOIN pg_namespace AS n ON n.oid = o.connamespace WHERE o.condeferred)
"""
SET_SETTINGS = "SELECT set_config(name, value, true) FROM unnest(%s::text[], %s::text[]) AS s (name, value)"


@contextmanager
def fixed_settings(connection: "psycopg.Connection[Any]") -> Iterator[None]:
    """Use fixed formats meanwhile, and check each constraint at once: a row is refused where it is inserted."""
    names = list(SETTINGS)
    cursor = psycopg.ClientCursor(connection)
    cursor.execute(
        f"{READ_SETTINGS}; {SET_SETTINGS}; SET CONSTRAINTS ALL IMMEDIATE", [names, names, list(SETTINGS.values())]
    )
    values, deferred = cursor.fetchall()[0]
    yield
    again = f"; SET CONSTRAINTS {deferred.replace('%', '%%')} DEFERRED" if deferred else ""
    cursor.execute(SET_SETTINGS + again, [names, values])
