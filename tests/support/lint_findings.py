"""What lint finds in the text of one migration."""

import runpy
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError

from dbkit.findings.finding import Level, LintFinding
from dbkit.findings.verdict import Verdict
from dbkit.lint import failure_rules, source_rules
from dbkit.lint.rules import find_in_traces
from dbkit.project.revision_source import read_source
from dbkit.roundtrip.failures import describe_failure
from dbkit.roundtrip.outcome import Finding, RevisionOutcome
from dbkit.settings import Target
from dbkit.trace.recorder import Recorder
from support.sessions import connect_as_project as connect

IMPORTS = "import sqlalchemy as sa\nfrom sqlalchemy.dialects import postgresql\nfrom alembic import op\n"


def engine_of(target: Target) -> sa.Engine:
    """An engine that says which database it is for."""
    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: connect(target), poolclass=sa.NullPool)
    engine.dbkit_target = target  # type: ignore[attr-defined]
    return engine


def advice_on(engine: sa.Engine, path: Path, text: str, version: int = 0) -> list[LintFinding]:
    """What is found in the upgrade() of a migration, on tables of its own; for a major version, if not the server's."""
    path.write_text(f"{IMPORTS}{text}")
    read_source.cache_clear()  # a process reads a file once, and cases have the same name
    outcome = RevisionOutcome("r", (), "", path, Verdict.UNPROVEN, 0.0)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"transaction_per_migration": True})
        recorder = Recorder(str(path), "upgrade", {"": engine.dbkit_target})  # type: ignore[attr-defined]
        module = runpy.run_path(str(path))
        try:
            with (
                Operations.context(context),
                context.begin_transaction(_per_migration=True),
                recorder.recording(connection),
            ):
                module["upgrade"]()
            outcome = replace(outcome, traces=(recorder.trace(),))
        except (sa.exc.SQLAlchemyError, CommandError) as error:
            why = describe_failure(error, SimpleNamespace(path=path, module=None, down_revision="first"))  # type: ignore[arg-type]
            outcome = replace(outcome, findings=(Finding("up", failure=why),))
    return [
        *find_in_traces(outcome, version),
        *failure_rules.find_failures([outcome]),
        *source_rules.find_in_file("r", path),
    ]


def find_loud(
    database: Target, directory: Path, before: Iterable[str], sql: Iterable[str] = (), *lines: str
) -> list[LintFinding]:
    """Return the dangers and warnings of a migration that executes statements, and then has these lines of Python.

    `before`: what was executed before it, each statement in a transaction to itself.
    """
    engine = engine_of(database)
    for each in before:
        with engine.begin() as connection:
            connection.exec_driver_sql(each)
    body = [*(f"op.execute({each!r})" for each in sql), *lines]
    text = "def upgrade():\n" + "".join(f"    {line}\n" for line in body)
    return [each for each in advice_on(engine, directory / "revision.py", text) if each.level != Level.NOTE]
