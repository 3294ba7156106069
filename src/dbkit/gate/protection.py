"""Protection: the environment that the caller states, and the environment mark of the database, permit data loss.

The mark is one line in the comment on the version table, so that a dump includes it.
"""

import re

import psycopg
from psycopg import sql

from dbkit.errors import InputError, Refused, describe_error
from dbkit.postgres.connect import connect, current_revisions, has_version_table
from dbkit.postgres.own_statements import place_of
from dbkit.postgres.sql_quote import as_text
from dbkit.settings import Settings, Target

EXPENDABLE = ("development", "test", "ci")
MARK_LINE = re.compile(r"^dbkit environment: (.+)$", re.MULTILINE)
COMMENT = "SELECT obj_description(to_regclass(%s)::oid, 'pg_class'::name)"
OTHER_COMMENTS = """
SELECT obj_description(c.oid, 'pg_class'::name) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = %s::name AND c.relkind IN ('r', 'p') AND n.nspname <> %s::name"""
HAS_TABLES = """
SELECT EXISTS (
    SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
)"""


# Functions and operators of other roles, in these schemas, with the name of one of PostgreSQL's own
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
SHADOWS_OF_OTHERS = f"""
SELECT s.format, s.pg_get_userbyid FROM ({SHADOWS}) AS s
WHERE NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = s.proowner AND (r.rolsuper OR r.rolname = current_user))
    AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = s.class AND d.objid = s.oid AND d.deptype = 'e')
ORDER BY 1 LIMIT 1"""  # noqa: S608  # constants


def require_no_shadows(connection: psycopg.Connection) -> None:
    """Raise Refused where another role has made a function or operator that could be taken for one of PostgreSQL's.

    SQLAlchemy reads the tables with the project's search path, and would call it with the rights of this session.
    """
    row = connection.execute(SHADOWS_OF_OTHERS, {"schemas": list(place_of(connection).visible)}).fetchone()
    connection.rollback()
    if row:
        raise Refused(
            f"refusing to compare the models with this database: {row[1]} has made {row[0]}, which may be taken for "
            "PostgreSQL's own and would run with your rights.",
            "Have it removed, and take the right to create there from others: REVOKE CREATE ON SCHEMA … FROM PUBLIC.",
        )


def stated_environment(settings: Settings) -> str:
    """Return the environment that the caller states: APP_ENV, or development for the embedded server, or ""."""
    name = "".join(character if character.isprintable() else "?" for character in " ".join(settings.app_env.split()))
    return name or ("development" if settings.target is None else "")


def read_mark(connection: psycopg.Connection) -> str | None:
    """Return the environment mark of the database; None where it has none."""
    marks = MARK_LINE.findall(_read_comment(connection))
    protecting = [mark for mark in marks if mark not in EXPENDABLE]
    return next(iter(protecting or marks), None)


def _read_comment(connection: psycopg.Connection) -> str:
    """Return the comment on the version table; "" where there is none."""
    place = place_of(connection)
    if not place.schema:
        return ""
    row = connection.execute(COMMENT, [as_text(place.version_table_sql)]).fetchone()
    return (row and row[0]) or ""


def write_mark(connection: psycopg.Connection, environment: str) -> None:
    """Write the environment mark, within the caller's transaction.

    Raises InputError where there is no version table yet.
    """
    if not has_version_table(connection):
        raise InputError(
            f"the database has no {place_of(connection).version_table} yet, which is where it is written.",
            "Migrate it first; that records APP_ENV by itself.",
        )
    line = f"dbkit environment: {environment}"
    old = _read_comment(connection)
    comment = MARK_LINE.sub(lambda _: line, old) if MARK_LINE.search(old) else "\n".join(filter(None, [old, line]))
    table = place_of(connection).version_table_sql
    connection.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(table, sql.Literal(comment)))


def needs_mark(connection: psycopg.Connection, settings: Settings) -> bool:
    """Whether the caller states a protected environment, and the database is not marked as one yet."""
    environment = stated_environment(settings)
    return bool(environment) and environment not in EXPENDABLE and read_mark(connection) in (None, *EXPENDABLE)


def has_tables(connection: psycopg.Connection) -> bool:
    """Whether there is any table that belongs to no extension."""
    return connection.execute(HAS_TABLES).fetchone() == (True,)


def is_new_or_expendable(connection: psycopg.Connection) -> bool:
    """Whether a database without this history has no tables, or other histories of the name, all marked as expendable.

    Those are of the other tenants in it.
    """
    if not has_tables(connection):
        return True
    place = place_of(connection)
    comments = connection.execute(OTHER_COMMENTS, [place.version_table, place.schema]).fetchall()
    marks = [MARK_LINE.findall(comment or "") for (comment,) in comments]
    return bool(marks) and all(found and set(found) <= {*EXPENDABLE} for found in marks)


def update_mark(connection: psycopg.Connection, settings: Settings, *, is_new: bool) -> str | None:
    """Mark the database before migrations are applied, and return a message where it should be shown.

    A new database (without history and without tables) is marked with the environment that the caller states. Any other
    is only marked as protected: a developer's settings may point to a production database.
    """
    environment, mark = stated_environment(settings), read_mark(connection)
    if not environment or environment == mark:
        return None
    protects = environment not in EXPENDABLE
    is_due = is_new or protects or settings.target is None if mark is None else mark in EXPENDABLE and protects
    if is_due:
        try:
            write_mark(connection, environment)
        except psycopg.errors.InsufficientPrivilege as error:
            connection.rollback()
            return f"warning: the database cannot be marked {environment}: {describe_error(error, primary=True)}."
        return mark and f"the database was marked {mark}; from now on it is marked {environment}."
    if mark is not None and mark not in EXPENDABLE:
        return f"warning: the database is marked {mark}, and APP_ENV is {environment}."
    return None


def require_expendable(settings: Settings, target: Target, action: str, mark: str | None, *, has_history: bool) -> None:
    """Raise Refused for an action that may lose data, unless the caller and the mark both permit it, or CONFIRM does.

    A database without a mark permits it when it has no history yet, and when it is on the embedded server.
    """
    if target.dbname in (settings.confirm or "").split(","):
        return
    caller = stated_environment(settings)
    if caller not in EXPENDABLE:
        why = f"marked {caller}" if caller else "not stated to be for development (APP_ENV is not set)"
    elif mark is None and has_history and settings.target is not None:
        why = "an existing database without an environment mark"
    elif mark is not None and mark not in EXPENDABLE:
        why = f"marked {mark} in the database itself"
    else:
        return
    hint = f"If you mean it, put CONFIRM={target.dbname} before the command."
    if not caller and (mark in EXPENDABLE or mark is None):
        hint += f"\nOn a machine where it may lose its data, set APP_ENV={mark or 'development'} in .env."
    if mark is None and caller in EXPENDABLE:
        hint += f"\nIf it is a {caller} database, mark it once: python -m dbkit mark {caller}"
    raise Refused(f'refusing to {action} "{target.dbname}" on {target.server()}: it is {why}.', hint)


def require_expendable_target(settings: Settings, target: Target, action: str) -> None:
    """Connect to the database, and raise Refused as `require_expendable` does."""
    with connect(target, settings.wait) as connection:
        mark, heads = read_mark(connection), current_revisions(connection)
    require_expendable(settings, target, action, mark, has_history=bool(heads))
