"""What may lose data, and where: the environment that the caller states, and the one that the database itself records.

The database's is in the comment on its version table, in a line of its own, so that a dump takes it along.
"""

import re

import psycopg
from psycopg import sql

from dbkit.errors import InputError, Refused, describe_error
from dbkit.postgres.connect import connect, current_revisions, has_version_table
from dbkit.postgres.locks import VERSION_TABLE
from dbkit.postgres.own_statements import place_of
from dbkit.settings import Settings, Target

EXPENDABLE = ("development", "test", "ci")
LINE = re.compile(r"^dbkit environment: (.+)$", re.MULTILINE)
COMMENT = "SELECT obj_description(to_regclass(%s)::oid, 'pg_class'::name)"
HAS_TABLES = """
SELECT EXISTS (
    SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
)"""


# Functions and operators of others, in these schemas, which have the name of one of PostgreSQL's own
SHADOWS = """
SELECT format('the function %%I.%%I(%%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
    pg_get_userbyid(p.proowner), p.proowner, p.oid, 'pg_proc'::regclass AS class
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname::text = ANY (%(schemas)s::text[]) AND p.proname IN (
    SELECT b.proname FROM pg_proc AS b WHERE b.pronamespace = 'pg_catalog'::regnamespace)
UNION ALL
SELECT format('the operator %%I.%%s (%%s, %%s)', n.nspname, o.oprname, format_type(o.oprleft, NULL),
        format_type(o.oprright, NULL)),
    pg_get_userbyid(o.oprowner), o.oprowner, o.oid, 'pg_operator'::regclass
FROM pg_operator AS o JOIN pg_namespace AS n ON n.oid = o.oprnamespace
WHERE n.nspname::text = ANY (%(schemas)s::text[]) AND o.oprname IN (
    SELECT b.oprname FROM pg_operator AS b WHERE b.oprnamespace = 'pg_catalog'::regnamespace)"""
OF_OTHERS = f"""
SELECT s.format, s.pg_get_userbyid FROM ({SHADOWS}) AS s
WHERE NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = s.proowner AND (r.rolsuper OR r.rolname = current_user))
    AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = s.class AND d.objid = s.oid AND d.deptype = 'e')
ORDER BY 1 LIMIT 1"""  # noqa: S608  # constants


def require_no_shadows(connection: psycopg.Connection) -> None:
    """Raise Refused where another role has made a function or operator that could be taken for one of PostgreSQL's.

    SQLAlchemy reads the tables with the project's search path: it would run as the role of this session.
    """
    row = connection.execute(OF_OTHERS, {"schemas": list(place_of(connection).visible)}).fetchone()
    connection.rollback()
    if row:
        raise Refused(
            f"refusing to compare the models with this database: {row[1]} has made {row[0]}, which may be taken for "
            "PostgreSQL's own and would run with your rights.",
            "Have it removed, and take the right to create there from others: REVOKE CREATE ON SCHEMA … FROM PUBLIC.",
        )


def stated(settings: Settings) -> str:
    """What the caller says that the database is: APP_ENV, or development for the embedded server; "" for nothing."""
    name = "".join(character if character.isprintable() else "?" for character in " ".join(settings.app_env.split()))
    return name or ("development" if settings.target is None else "")


def recorded(connection: psycopg.Connection) -> str | None:
    """The environment that the database says it is; None when it says none."""
    marks = LINE.findall(_comment(connection))
    protecting = [mark for mark in marks if mark not in EXPENDABLE]
    return next(iter(protecting or marks), None)


def _comment(connection: psycopg.Connection) -> str:
    """The comment on the version table; "" where there is none."""
    place = place_of(connection)
    if not place.schema:
        return ""
    row = connection.execute(COMMENT, [place.table(VERSION_TABLE).as_string()]).fetchone()
    return (row and row[0]) or ""


def record(connection: psycopg.Connection, environment: str) -> None:
    """Write the environment into the database, within the caller's transaction.

    Raises InputError when there is no version table yet to write it to.
    """
    if not has_version_table(connection):
        raise InputError(
            f"the database has no {VERSION_TABLE} yet, which is where it is written.",
            "Migrate it first; that records APP_ENV by itself.",
        )
    line = f"dbkit environment: {environment}"
    old = _comment(connection)
    comment = LINE.sub(lambda _: line, old) if LINE.search(old) else "\n".join(filter(None, [old, line]))
    table = place_of(connection).table(VERSION_TABLE)
    connection.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(table, sql.Literal(comment)))


def is_to_be_protected(connection: psycopg.Connection, settings: Settings) -> bool:
    """Whether the caller says that it is an environment which protects, and the database does not say so yet."""
    environment = stated(settings)
    return bool(environment) and environment not in EXPENDABLE and recorded(connection) in (None, *EXPENDABLE)


def has_tables(connection: psycopg.Connection) -> bool:
    """Whether there is any table that no extension brought."""
    return connection.execute(HAS_TABLES).fetchone() == (True,)


def record_if_due(connection: psycopg.Connection, settings: Settings, *, is_new: bool) -> str | None:
    """Record the environment before migrations are applied, and return a sentence where something needs telling.

    A new database (without history and without tables) becomes what the caller says that it is. Of any other, only
    what protects it is believed unasked: somebody's development settings may point to a production database.
    """
    environment, mark = stated(settings), recorded(connection)
    if not environment or environment == mark:
        return None
    protects = environment not in EXPENDABLE
    is_due = is_new or protects or settings.target is None if mark is None else mark in EXPENDABLE and protects
    if is_due:
        try:
            record(connection, environment)
        except psycopg.errors.InsufficientPrivilege as error:
            connection.rollback()
            return f"warning: the database cannot be marked {environment}: {describe_error(error, primary=True)}."
        return mark and f"the database was marked {mark}; from now on it is marked {environment}."
    if mark is not None and mark not in EXPENDABLE:
        return f"warning: the database is marked {mark}, and APP_ENV says {environment}."
    return None


def refuse_unless_expendable(
    settings: Settings, target: Target, what: str, mark: str | None, *, has_history: bool
) -> None:
    """Raise Refused when `what` may lose data, and not both sides allow it, nor CONFIRM.

    `mark` is what the database says that it is. One that says nothing allows it when it has no history yet, and when it
    is the embedded server's.
    """
    if settings.confirm == target.dbname:
        return
    caller = stated(settings)
    if caller not in EXPENDABLE:
        why = f"marked {caller}" if caller else "not marked as development (APP_ENV is not set)"
    elif mark is None and has_history and settings.target is not None:
        why = "an existing database that does not say what it is"
    elif mark is not None and mark not in EXPENDABLE:
        why = f"marked {mark} in the database itself"
    else:
        return
    hint = f"If you mean it, put CONFIRM={target.dbname} before the command."
    if "does not say" in why:
        hint += f"\nIf it is a {caller} database, say so once: python -m dbkit mark {caller}"
    raise Refused(f'refusing to {what} "{target.dbname}" on {target.server()}: it is {why}.', hint)


def ask(settings: Settings, target: Target, what: str) -> None:
    """`refuse_unless_expendable`, for who has no connection to the database yet."""
    with connect(target, settings.wait) as connection:
        mark, heads = recorded(connection), current_revisions(connection)
    refuse_unless_expendable(settings, target, what, mark, has_history=bool(heads))
