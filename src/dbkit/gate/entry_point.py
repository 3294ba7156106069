"""The body of `dbkit.gate.run`: turn errors into exit codes, connect, and choose how the command runs.

It is loaded by every command, also by an upgrade with nothing to do: what only some commands need is imported where
they need it.
"""

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic.runtime.environment import EnvironmentContext

from dbkit import signals
from dbkit.errors import DbkitError, as_dbkit_error, say
from dbkit.gate import protection, requirements
from dbkit.gate.context import ATTRIBUTE, FoundDatabase, RunContext, resolve_target
from dbkit.gate.engine import create_engine
from dbkit.gate.migration_run import COMMANDS, MigrationRun
from dbkit.gate.migration_session import MigrationSession
from dbkit.gate.monitored_connection import driver_of
from dbkit.gate.plan import record_steps, replace_plan
from dbkit.gate.version_table import OPTIONS, override_queries
from dbkit.postgres import connection_guard
from dbkit.postgres.own_statements import place_of
from dbkit.project import configure_logging
from dbkit.redaction import outputs, redact
from dbkit.settings import load

COMPARISON_OPTIONS: dict[str, Any] = {
    "compare_type": True,
    "compare_server_default": True,
}


def run_through_gate(context: EnvironmentContext, root: Path, load_metadata: Callable[[], object]) -> None:
    """Run the current Alembic command; under the `alembic` command, exit with the code of its error."""
    command_line = context.config.cmd_opts
    if command_line is None:
        _run_command(context, root, load_metadata)
        return
    redact.learn_variables(os.environ)
    outputs.redact_for_alembic(stdout=not context.is_offline_mode())
    configure_logging(root / "alembic.ini")
    gc.freeze()  # what is loaded by now stays; scanning it again and again costs a tenth of a long run
    signals.raise_on_signals()
    try:
        _run_command(context, root, load_metadata)
    except (DbkitError, sa.exc.DBAPIError, psycopg.Error, OSError) as error:
        if getattr(command_line, "raiseerr", False):
            raise
        reported = as_dbkit_error(error)
        print(reported, file=sys.stderr)
        raise SystemExit(reported.exit_code) from None
    except KeyboardInterrupt:
        say("interrupted")
        raise SystemExit(signals.exit_code()) from None


def _run_command(context: EnvironmentContext, root: Path, load_metadata: Callable[[], object]) -> None:
    connection_guard.require_none_refused()
    run_context = context.config.attributes.get(ATTRIBUTE) or RunContext(load(root, warn=True))
    run_context.is_gate_called = True
    if run_context.discovers:
        from dbkit.gate.comparison import import_models

        settings = run_context.settings
        target = resolve_target(settings if settings.scratch else load(root))
        run_context.found.append(FoundDatabase("", target, tuple(import_models(load_metadata))))
        return
    if context.is_offline_mode():
        from dbkit.gate.offline import write_script

        write_script(context, run_context)
    else:
        _run_online(context, run_context, load_metadata)


def _run_online(context: EnvironmentContext, run_context: RunContext, load_metadata: Callable[[], object]) -> None:
    target = run_context.target = resolve_target(run_context.settings)
    connection_guard.require_meant(target.dbname)
    run_context.choose_hook(target)
    with create_engine(target, run_context.settings).connect() as connection:
        context.configure(connection=connection, **COMPARISON_OPTIONS, **OPTIONS)
        migration = context.get_context()
        driver = driver_of(connection)
        override_queries(migration, driver)
        if "revision_context" in migration.opts:
            if not run_context.settings.scratch:
                protection.require_no_shadows(driver)
            from dbkit.gate.comparison import configure_comparison, reset_session_formats

            reset_session_formats(connection)
            configure_comparison(context, run_context, load_metadata)
        if migration.opts["fn"].__name__ in COMMANDS and not run_context.is_proof:
            MigrationRun(MigrationSession(context, run_context, target, connection, driver)).run()
            return
        from dbkit.gate.unlocked_run import run_unlocked

        if run_context.is_proof:
            replace_plan(migration, lambda plan: record_steps(plan, run_context))
        else:
            requirements.require_consistent(
                context.script, migration.get_current_heads(), place_of(driver).version_table
            )
            connection.rollback()
        run_unlocked(context, run_context)
