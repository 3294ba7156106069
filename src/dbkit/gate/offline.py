"""`--sql`: write the migrations as a script instead of running them."""

import ast
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.ddl import postgresql
from psycopg import sql
from sqlalchemy.engine.mock import MockConnection
from sqlalchemy.sql.elements import BindParameter, TextClause
from sqlalchemy.sql.visitors import iterate

from dbkit import journal
from dbkit.errors import InputError
from dbkit.postgres.locks import VERSION_TABLE
from dbkit.project.tracebacks import line_in
from dbkit.settings import Settings

OPTIONS: dict[str, Any] = {
    "dialect_name": "postgresql",
    "literal_binds": True,
    "dialect_opts": {"paramstyle": "named"},
}

EXECUTE = ("execute", "exec_driver_sql", "scalar", "scalars")


def preamble(start: tuple[str, ...], settings: Settings, keeps_journal: bool) -> str:
    """What a script for psql begins with.

    It stops at its first error, waits for locks no longer than we would, takes the migration lock (with the key of
    `lock.lock_key`), and runs only on a database that is at `start`, the revisions where the script begins.
    """
    # without ON_ERROR_STOP psql goes on after a failure, and records a version whose statements were not applied
    return f"""\\set ON_ERROR_STOP on
SET lock_timeout = {round(settings.lock_timeout * 1000)};
SET statement_timeout = {round(settings.statement_timeout * 1000)};

DO $dbkit$
DECLARE
    start CONSTANT text := {sql.Literal(", ".join(sorted(start))).as_string()};
    found text := '';
BEGIN
    -- the lock that every migration takes; held until the end of the session
    IF NOT pg_try_advisory_lock(('x' || encode(substr(sha256(convert_to(
        'dbkit:' || current_database() || ':{VERSION_TABLE}', 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint) THEN
        RAISE EXCEPTION 'another migration is running';
    END IF;
    IF to_regclass('{VERSION_TABLE}') IS NOT NULL THEN
        SELECT coalesce(string_agg(version_num, ', ' ORDER BY version_num), '') INTO found FROM {VERSION_TABLE};
    END IF;
    IF found <> start THEN
        RAISE EXCEPTION 'this script begins at "%", and the database is at "%"', start, found;
    END IF;
END
$dbkit$;
{f"{journal.CREATE.format(table=journal.TABLE)};" if keeps_journal else ""}"""  # noqa: S608  # revision ids of this project


def reads_rows(error: BaseException, path: Path | None) -> bool:
    """Whether a migration has failed since there is no connection that answers, while a script is written.

    What stands for it is a MockConnection; a statement that is executed on it, or by op.execute(), returns None.
    """
    words = str(error)
    if MockConnection.__name__ in words:
        return True
    if isinstance(error, AttributeError):
        return error.obj is None and hasattr(sa.CursorResult, error.name or "")
    line = line_in(error, path) if path else None
    is_none = isinstance(error, TypeError) and "NoneType" in words
    return is_none and path is not None and line is not None and _is_of_answer(path, line)


def _is_of_answer(path: Path, line: int) -> bool:
    """Whether a line of a migration works on what a statement has returned, or on a name that was given that."""
    tree = ast.parse(path.read_bytes())
    given = [node for node in ast.walk(tree) if isinstance(node, ast.Assign) and _executes(node.value)]
    names = {target.id for node in given for target in node.targets if isinstance(target, ast.Name)}
    there = [
        node for node in ast.walk(tree) if isinstance(node, ast.expr) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    return any(_executes(node) or (isinstance(node, ast.Name) and node.id in names) for node in there)


def _executes(node: ast.expr) -> bool:
    calls = (each.func for each in ast.walk(node) if isinstance(each, ast.Call))
    return any(isinstance(each, ast.Attribute) and each.attr in EXECUTE for each in calls)


class PostgresqlImpl(postgresql.PostgresqlImpl):
    """Alembic's PostgreSQL, except that a script never holds a NULL nobody wrote.

    `op.execute('{"a":true}')` has a bind parameter `true` in it for SQLAlchemy. Online that is an error; in a script
    Alembic writes NULL: https://github.com/sqlalchemy/alembic/issues/522
    """

    __dialect__ = "postgresql"

    def execute(self, sql: Any, execution_options: dict[str, Any] | None = None) -> None:
        """As Alembic's. Raises InputError, naming the parameter, for one that has no value."""
        if self.as_sql:
            clause = sa.text(sql) if isinstance(sql, str) else sql
            if isinstance(clause, TextClause):
                for part in iterate(clause):
                    if isinstance(part, BindParameter) and part.required and part.value is None:
                        raise InputError(
                            f"op.execute() has a bare :{part.key}, a parameter without a value: {str(clause)[:60]!r}",
                            f"Write \\:{part.key} for the text itself.",
                        )
        super().execute(sql, execution_options)
