"""Measure the steps of a draft: run them on a copy of the database, traced, and apply the rules of lint."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import sqlalchemy as sa
from alembic.operations import Operations, ops
from alembic.runtime.migration import MigrationContext

from dbkit.backfill.batches import update_sql
from dbkit.drafts.schema_items import UNQUOTED
from dbkit.drafts.steps import AutocommitOp, BackfillOp, CommentOp, Step
from dbkit.findings.finding import Level
from dbkit.lint.rules import Found, check_statement
from dbkit.lint.trace_reader import read_statements
from dbkit.postgres.connect import connect, end_sessions
from dbkit.postgres.own_statements import Session
from dbkit.postgres.scratch_database import DATABASE_PREFIX
from dbkit.postgres.sql_quote import quote_ident
from dbkit.settings import Target
from dbkit.trace.recorder import Recorder
from dbkit.trace.records import Change


@dataclass(frozen=True)
class Effect:
    """The changes that one step makes, and the findings in it."""

    step: Step
    changes: tuple[Change, ...] = ()
    found: tuple[Found, ...] = ()
    """By the rules of lint."""

    @property
    def dangers(self) -> list[Found]:
        """Return the dangers among the findings."""
        return [each for each in self.found if each[1].level == Level.DANGER]

    @property
    def updates_rows(self) -> bool:
        """Return whether it changes rows of a whole table."""
        return any(identifier == "data-in-one-transaction" for identifier, _violation in self.found)


@contextmanager
def copy_database(original: Target, beside: Target) -> Iterator[Target]:
    """Yield a copy of a scratch database, which is dropped at the end; `beside` is another one of that server."""
    name = f"{DATABASE_PREFIX}{secrets.token_hex(8)}_0"
    with connect(beside, autocommit=True) as connection:
        end_sessions(connection, original.dbname)
        connection.execute(f"CREATE DATABASE {quote_ident(name)} TEMPLATE {quote_ident(original.dbname)}".encode())
        try:
            yield replace(original, dbname=name)
        finally:
            connection.execute(f"DROP DATABASE {quote_ident(name)} WITH (FORCE)".encode())


KEYLESS = """
SELECT c.oid::regclass::text FROM pg_class AS c
WHERE c.relkind IN ('r', 'p') AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary)
"""


def find_keyless(target: Target) -> frozenset[str]:
    """Return the tables without a primary key, by their names in SQL."""
    with connect(target, session=Session.PROJECT) as connection:
        return frozenset(row[0] for row in connection.execute(KEYLESS))


CONSTRAINED = """
WITH RECURSIVE domains AS (
    SELECT d.oid, d.typbasetype,
        d.typnotnull OR EXISTS (SELECT FROM pg_constraint AS c WHERE c.contypid = d.oid) AS is_constrained
    FROM pg_type AS d WHERE d.typtype = 'd'
), above AS (
    SELECT oid FROM domains WHERE is_constrained
    UNION SELECT domains.oid FROM domains JOIN above ON above.oid = domains.typbasetype
)
SELECT oid::regtype::text FROM above
"""


def find_constrained_domains(target: Target) -> frozenset[str]:
    """Return the domains with constraints, by their names in SQL: a new column of such a type rewrites its table."""
    with connect(target, session=Session.PROJECT) as connection:
        return frozenset(row[0] for row in connection.execute(CONSTRAINED))


def measure(steps: Sequence[Step], target: Target) -> list[Effect]:
    """Run steps on a database, in one transaction as a revision would, and return what each of them does.

    Raises sqlalchemy.exc.SQLAlchemyError for a step that fails.
    """
    recorder = Recorder("", "upgrade", {"": target})
    ends: list[int] = []
    with _engine(target).connect() as connection:
        context = MigrationContext.configure(connection, opts={"transaction_per_migration": True})
        with (
            Operations.context(context) as operations,
            context.begin_transaction(_per_migration=True),
            recorder.recording(connection),
        ):
            for step in steps:
                _run(step.operation, operations, context)
                ends.append(len(recorder.statements))
    trace = recorder.trace()
    found = {
        traced.number: tuple(check_statement(traced))
        for traced in read_statements(trace, trace.server_version // 10000)
    }
    effects: list[Effect] = []
    for step, start, end in zip(steps, [0, *ends], ends, strict=False):
        changes = (change for statement in recorder.statements[start:end] for change in statement.changes)
        violations = (each for number in range(start, end) for each in found.get(number, ()))
        effects.append(Effect(step, tuple(changes), tuple(violations)))
    return effects


def find_failing(steps: Sequence[Step], target: Target) -> list[Step]:
    """Return the steps that fail on a database when they run in one transaction, which is rolled back."""
    failing: list[Step] = []
    with _engine(target).connect() as connection:
        context = MigrationContext.configure(connection)
        operations = Operations(context)
        for step in steps:
            savepoint = connection.begin_nested()
            try:
                _run(step.operation, operations, context)
                savepoint.commit()
            except sa.exc.SQLAlchemyError:
                savepoint.rollback()
                failing.append(step)
        connection.rollback()
    return failing


def _engine(target: Target) -> sa.Engine:
    """Return an engine that quotes all reserved words, as the code of a draft does."""
    engine = sa.create_engine(
        "postgresql+psycopg://", creator=lambda: connect(target, session=Session.PROJECT), poolclass=sa.NullPool
    )
    preparer = engine.dialect.identifier_preparer
    preparer.reserved_words = {*preparer.reserved_words, *UNQUOTED}
    return engine


def _run(operation: ops.MigrateOperation, operations: Operations, context: MigrationContext) -> None:
    if isinstance(operation, AutocommitOp):
        with context.autocommit_block():
            for each in operation.ops:
                _run(each, operations, context)
    elif isinstance(operation, ops.OpContainer):
        for each in operation.ops:
            _run(each, operations, context)
    elif isinstance(operation, ops.ExecuteSQLOp) and isinstance(operation.sqltext, str):
        _execute(operation.sqltext, operations)
    elif isinstance(operation, BackfillOp):
        _execute(update_sql(operation.table, operation.assignments, operation.where), operations)
    elif not isinstance(operation, CommentOp):
        operations.invoke(operation)


def _execute(statement: str, operations: Operations) -> None:
    # without parameters, so that a % or a colon has no special meaning
    operations.get_bind().exec_driver_sql(statement, execution_options={"no_parameters": True})
