"""Write the migrations as a script instead of running them: `--sql`."""

from typing import Any

import sqlalchemy as sa
from alembic.ddl import postgresql
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from psycopg import sql
from sqlalchemy.sql.elements import BindParameter, TextClause
from sqlalchemy.sql.visitors import iterate

from dbkit import journal
from dbkit.database_url import History
from dbkit.errors import InputError
from dbkit.gate import version_table
from dbkit.gate.context import RunContext
from dbkit.gate.plan import make_entry, record_steps, replace_plan, revisions_to_apply
from dbkit.gate.unlocked_run import run_unlocked
from dbkit.postgres.locks import lock_name
from dbkit.postgres.sql_quote import as_text, quote_history, quote_literal
from dbkit.postgres.sql_text import Kind, tokenize
from dbkit.project import revision_ids
from dbkit.project.config import read_config
from dbkit.settings import Settings

OPTIONS: dict[str, Any] = {
    "dialect_name": "postgresql",
    "literal_binds": True,
    "dialect_opts": {"paramstyle": "named"},
}


def write_script(context: EnvironmentContext, run_context: RunContext) -> None:
    """Write the script of the current command, with its preamble and the journal's rows."""
    several: dict[str, Any] = {"starting_rev": run_context.start} if len(run_context.start) > 1 else {}
    context.configure(**OPTIONS, **version_table.OPTIONS, **several)
    migration = context.get_context()
    prepare_script(run_context, migration)
    context.static_output(make_preamble(run_context, migration))
    run_unlocked(context, run_context)


def prepare_script(run_context: RunContext, migration: MigrationContext) -> None:
    """Make the script of a migration context write the journal's rows. Raises InputError for an id that is too long."""
    history = _history_of(migration)
    steps = migration.opts["fn"](migration.get_current_heads(), migration)
    revision_ids.require_recordable(revisions_to_apply(steps), quote_history(history), revision_ids.LIMIT)
    replace_plan(migration, lambda plan: record_steps(plan, run_context))
    if read_config(run_context.settings.ini).journal:

        def write_journal_row(ctx: MigrationContext, heads: set[str], **_rest: Any) -> None:
            entry = make_entry(run_context.steps[-1], run_context.settings)
            ctx.impl.static_output(f"{journal.render_insert(entry, sorted(heads), history)};\n")

        migration.on_version_apply_callbacks += (write_journal_row,)


def make_preamble(run_context: RunContext, migration: MigrationContext) -> str:
    """Return the preamble of the script of a migration context."""
    settings = run_context.settings
    writes_journal = read_config(settings.ini).journal
    return render_preamble(migration.get_current_heads(), settings, _history_of(migration), writes_journal)


def _history_of(migration: MigrationContext) -> History:
    return History(migration.version_table, migration.version_table_schema)


def render_preamble(start: tuple[str, ...], settings: Settings, history: History, writes_journal: bool) -> str:
    """Return what a script for psql begins with.

    The script stops at its first error, has the time limits of the settings, takes the migration lock (with the key of
    `locks.lock_key`), and runs only on a database that is at `start`, the revisions where it begins.
    """
    version_table, suffix = quote_history(history), quote_literal(f":{lock_name(history)}")
    # without ON_ERROR_STOP psql goes on after a failure, and records a version whose statements were not applied
    return f"""\\set ON_ERROR_STOP on
SET lock_timeout = {round(settings.lock_timeout * 1000)};
SET statement_timeout = {round(settings.statement_timeout * 1000)};

DO $dbkit$
DECLARE
    start CONSTANT text := {as_text(sql.Literal(", ".join(sorted(start))))};
    found text := '';
BEGIN
    -- the lock that every migration takes; held until the end of the session
    IF NOT pg_try_advisory_lock(('x' || encode(substr(sha256(convert_to(
        'dbkit:' || current_database() || {suffix}, 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint) THEN
        RAISE EXCEPTION 'another migration is running';
    END IF;
    IF to_regclass({quote_literal(version_table)}) IS NOT NULL THEN
        SELECT coalesce(string_agg(version_num, ', ' ORDER BY version_num), '') INTO found FROM {version_table};
    END IF;
    IF found <> start THEN
        RAISE EXCEPTION 'this script begins at "%", and the database is at "%"', start, found;
    END IF;
END
$dbkit$;
{f"{journal.CREATE.format(table=quote_history(history, journal.TABLE))};" if writes_journal else ""}"""  # noqa: S608  # revision ids of this project


class PostgresqlImpl(postgresql.PostgresqlImpl):
    """Alembic's PostgreSQL implementation, whose scripts have each statement as the server gets it without a script.

    Alembic writes the percent signs and backslashes that its driver wants doubled, and four spaces for a tab, also in
    strings. It refuses bind parameters without a value: SQLAlchemy reads a bind parameter `true` in
    `op.execute('{"a":true}')`. Online that is an error; in a script Alembic writes NULL:
    https://github.com/sqlalchemy/alembic/issues/522
    """

    __dialect__ = "postgresql"

    def __init__(self, dialect: Any, connection: Any, as_sql: bool, *arguments: Any, **options: Any) -> None:
        super().__init__(_script_dialect(dialect) if as_sql else dialect, connection, as_sql, *arguments, **options)

    def execute(self, sql: Any, execution_options: dict[str, Any] | None = None) -> None:
        """As Alembic's. Raises InputError, with the parameter's name, for one that has no value."""
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

    def _exec(self, construct: Any, execution_options: Any = None, multiparams: Any = None, params: Any = None) -> Any:
        if not self.as_sql or multiparams or params:
            given = {"multiparams": multiparams, "params": params}
            return super()._exec(construct, execution_options, **{name: each for name, each in given.items() if each})
        clause = sa.text(construct) if isinstance(construct, str) else construct
        compiling = {"literal_binds": True} if self.literal_binds and not isinstance(clause, sa.DDLElement) else {}
        self.static_output(_as_statement(str(clause.compile(dialect=self.dialect, compile_kwargs=compiling))))
        return None


def _script_dialect(dialect: Any) -> Any:
    """The same dialect for a script: no driver reads its percent signs, and strings are as in standard SQL."""
    script_dialect = type(dialect)(paramstyle="named")
    script_dialect._backslash_escapes = False
    return script_dialect


def _as_statement(text: str) -> str:
    """A statement with its terminator, indented with spaces."""
    tokens = list(tokenize(text.strip()))
    pieces = [each.text.replace("\t", "    ") if each.kind == Kind.SPACE else each.text for each in tokens]
    ends_in_comment = bool(tokens) and tokens[-1].kind == Kind.COMMENT and tokens[-1].text.startswith("--")
    return "".join(pieces) + ("\n;" if ends_in_comment else ";")
