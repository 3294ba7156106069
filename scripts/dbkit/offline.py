"""`--sql`: write the migrations as a script instead of running them."""

from typing import Any

import sqlalchemy as sa
from alembic.ddl import postgresql
from alembic.runtime.environment import EnvironmentContext
from sqlalchemy.sql.elements import BindParameter, TextClause
from sqlalchemy.sql.visitors import iterate

from dbkit.errors import InputError


def run(context: EnvironmentContext) -> None:
    """Write to Alembic's output buffer a script for psql that stops at its first error."""
    context.configure(
        dialect_name="postgresql",
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
        transaction_per_migration=True,
    )
    # without it psql goes on after a failure, and records a version whose statements were not applied
    context.static_output("\\set ON_ERROR_STOP on")
    with context.begin_transaction():
        context.run_migrations()


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
