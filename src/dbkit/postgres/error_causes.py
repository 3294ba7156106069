"""Find the cause of an error of the server in the database, and what to do about it."""

import re
from collections.abc import Callable

import psycopg
from psycopg import sql

from dbkit.errors import causes, original_error, sqlstate_of
from dbkit.postgres.own_statements import place_of
from dbkit.postgres.sql_quote import as_text, quote_ident
from dbkit.redaction import redact

AGAIN = "Then run the same command again."
PREPARED = """
SELECT gid, owner::pg_catalog.text,
    pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - prepared)::pg_catalog.int4
FROM pg_catalog.pg_prepared_xacts WHERE database = %s::pg_catalog.name ORDER BY prepared LIMIT 1"""
EVENT_TRIGGERS = """
SELECT e.evtname::pg_catalog.text, p.proname::pg_catalog.text
FROM pg_catalog.pg_event_trigger AS e JOIN pg_catalog.pg_proc AS p ON p.oid = e.evtfoid
WHERE e.evtenabled <> 'D' ORDER BY 1"""
SCHEMA = """
SELECT pg_catalog.pg_get_userbyid(nspowner)::pg_catalog.text, current_user::pg_catalog.text,
    pg_catalog.has_schema_privilege(oid, 'USAGE'), pg_catalog.has_schema_privilege(oid, 'CREATE')
FROM pg_catalog.pg_namespace WHERE nspname = %s::pg_catalog.name"""
DATABASE = """
SELECT pg_catalog.pg_get_userbyid(datdba)::pg_catalog.text, current_user::pg_catalog.text, true,
    pg_catalog.has_database_privilege(oid, 'CREATE')
FROM pg_catalog.pg_database WHERE datname = %s::pg_catalog.name"""
DISK_FULL = "53100"
REFUSED = re.compile(r"permission denied for (schema|database) (.+)")
NOT_OWNER = re.compile(r"must be (?:the )?owner of ")


def hint_for(connection: psycopg.Connection, error: BaseException, dbname: str) -> str:
    """A hint for an error of the server; "" where its cause is not known.

    `dbname` is the database of the statement; `connection` may be to any database of the server, as the same role.
    """
    state = sqlstate_of(error)
    original = _original(error)
    if original is None:
        return ""
    found = _event_trigger(connection, original)
    if not found and state in HINTS:
        found = HINTS[state](connection, original, dbname)
    # for a full disk, the gate has a better one
    return found or ("" if state == DISK_FULL else redact.text(original.diag.message_hint or ""))


def _original(error: BaseException | None) -> psycopg.Error | None:
    """The psycopg error in an exception of SQLAlchemy, or behind one of a migration."""
    found = (original_error(each) for each in causes(error))
    return next((each for each in found if isinstance(each, psycopg.Error) and each.sqlstate), None)


def _prepared(connection: psycopg.Connection, _error: psycopg.Error, dbname: str) -> str:
    """A hint for a prepared transaction: it holds locks without a session, so pg_stat_activity does not show it."""
    row = connection.execute(PREPARED, [dbname]).fetchone()
    if row is None:
        return ""
    gid, owner, seconds = row
    statement = as_text(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))
    return (
        f"There is a prepared transaction, {gid} of user {owner}, for {seconds} s: it keeps its locks until it ends.\n"
        f'End it, or COMMIT PREPARED in the same way: echo "{statement}" | make psql\n{AGAIN}'
    )


def _event_trigger(connection: psycopg.Connection, error: psycopg.Error) -> str:
    """A hint for an event trigger whose function has raised the error."""
    context = error.diag.context or ""
    for trigger, function in connection.execute(EVENT_TRIGGERS) if context else ():
        if re.search(rf'(?<!\w){re.escape(function)}"?\(\)', context):
            name = quote_ident(trigger)
            return (
                f"The database has an event trigger, {trigger}, whose function {function}() forbids it.\n"
                "Ask its owner; or, as a superuser, before and after:\n"
                f"ALTER EVENT TRIGGER {name} DISABLE\nALTER EVENT TRIGGER {name} ENABLE"
            )
    return ""


def _not_granted(connection: psycopg.Connection, error: psycopg.Error, _dbname: str) -> str:
    words = error.diag.message_primary or ""
    if NOT_OWNER.search(words):
        return f"Only its owner may do that: run it as that role, or as a member of it (GRANT owner TO role). {AGAIN}"
    refused = REFUSED.search(words)
    if refused is None:
        return ""
    kind, name = refused[1], refused[2]
    row = connection.execute(SCHEMA if kind == "schema" else DATABASE, [name]).fetchone()
    if row is None:
        return ""
    owner, role, may_use, may_create = row
    lacking = [privilege for privilege, has in (("USAGE", may_use), ("CREATE", may_create)) if not has]
    if not lacking:
        return ""  # another role than the connection's lacks it
    privileges = sql.SQL(", ").join(map(sql.SQL, lacking))
    grant = sql.SQL("GRANT {} ON {} {} TO {}").format(
        privileges, sql.SQL(kind.upper()), sql.Identifier(name), sql.Identifier(role)
    )
    return f"Its owner, {owner}, or a superuser can allow it: {as_text(grant)}\n{AGAIN}"


def _no_schema(connection: psycopg.Connection, _error: psycopg.Error, _dbname: str) -> str:
    role, path = connection.info.user, place_of(connection).search_path
    return (
        f"search_path is {path!r}, and {role} may use no schema in it. Allow it one, or set search_path:\n"
        f"GRANT USAGE, CREATE ON SCHEMA name TO {quote_ident(role)}\n{AGAIN}"
    )


HINTS: dict[str, Callable[[psycopg.Connection, psycopg.Error, str], str]] = {
    "55P03": _prepared,  # lock_not_available
    "55006": _prepared,  # object_in_use: a database that is to be dropped
    "42501": _not_granted,  # insufficient_privilege
    "3F000": _no_schema,  # invalid_schema_name: nothing to create in
}
