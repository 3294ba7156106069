"""The sessions of the tests' own SQL, and settings that change what SQL means."""

import os
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

from dbkit.postgres.connect import connect
from dbkit.postgres.own_statements import OwnConnection, Session
from dbkit.settings import Target

HOSTILE_SETTINGS = {
    "DateStyle": "German, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "Asia/Kathmandu",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    "quote_all_identifiers": "on",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "xmlbinary": "hex",
    "statement_timeout": "50ms",
    "idle_in_transaction_session_timeout": "300ms",
}


"""What a role or a database may have set, and what must not change what this package does: `nox -s hostile`."""


def make_hostile(target: Target) -> None:
    """Give the sessions of a server HOSTILE_SETTINGS; those of the tests themselves have the usual ones."""
    with psycopg.connect(**target.parameters(), autocommit=True) as connection:
        for name, value in HOSTILE_SETTINGS.items():
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), value))
        connection.execute("SELECT pg_reload_conf()")


def make_usual(target: Target) -> None:
    """Give the sessions of one database of such a server what they have by default."""
    with psycopg.connect(**target.parameters(), autocommit=True) as connection:
        defaults = "SELECT name, boot_val FROM pg_settings WHERE lower(name) = ANY (%s)"
        for name, value in connection.execute(defaults, [[name.lower() for name in HOSTILE_SETTINGS]]).fetchall():
            alter = sql.SQL("ALTER DATABASE {} SET {} = {}")
            connection.execute(alter.format(sql.Identifier(target.dbname), sql.Identifier(name), value))


def usual_settings(connect: Callable[..., Any]) -> Callable[..., Any]:
    """psycopg.connect for the tests themselves, whatever the server's settings are."""
    usual = "-c DateStyle=ISO,MDY -c TimeZone=UTC -c statement_timeout=0 -c idle_in_transaction_session_timeout=0"

    def connected(*arguments: Any, **keywords: Any) -> Any:
        options = (
            f"{usual} -c standard_conforming_strings=on -c quote_all_identifiers=off {keywords.pop('options', '')}"
        )
        return connect(*arguments, options=options, **keywords)

    return connected


IS_HOSTILE = bool(os.environ.get("HOSTILE_SETTINGS"))


def connect_as_project(target: Target, **options: Any) -> OwnConnection:
    """A session with the settings that migrations have, for the SQL of a test."""
    return connect(target, session=Session.PROJECT, **options)
