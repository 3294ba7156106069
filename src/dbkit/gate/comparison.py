"""The models of a command that compares them with the database: `check` and `revision --autogenerate`."""

import traceback
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from alembic.autogenerate.api import RevisionContext
from alembic.runtime.environment import EnvironmentContext

from dbkit.errors import DbkitError, InputError, say
from dbkit.gate import drafts
from dbkit.gate.context import RunContext
from dbkit.gate.monitored_connection import driver_of
from dbkit.postgres.own_statements import TEXT_FORMATS, change_settings, timeouts_off
from dbkit.project import autogenerate
from dbkit.project.models import as_metadata


def configure_comparison(
    context: EnvironmentContext, run_context: RunContext, load_metadata: Callable[[], object]
) -> None:
    """Set Alembic's options for comparing the models. Raises InputError where they cannot be imported.

    A bare `alembic` command gets the draft of `dbkit revision`; where there is none, and for that verb, when it cannot
    compare on a scratch database, Alembic compares the models with the database itself.
    """
    migration = context.get_context()
    revision_context: RevisionContext = migration.opts["revision_context"]
    if not revision_context.command_args["autogenerate"]:
        return
    writes_file = run_context.command == "revision" or getattr(context.config.cmd_opts, "autogenerate", False)
    if not run_context.command:
        root = run_context.settings.root
        answer = drafts.ask(root, Path(context.config.config_file_name or root / "alembic.ini"), proves=writes_file)
        if not answer.unavailable:
            options = context.config.cmd_opts
            ends_with_code = options is not None and not getattr(options, "raiseerr", False)
            migration.opts.update(
                drafts.options_for(answer, revision_context, writes_file=writes_file, ends_with_code=ends_with_code)
            )
            return
        say(drafts.describe_fallback(answer.unavailable))
    run_context.metadata = import_models(load_metadata)
    migration.opts.update(autogenerate.comparison_options(run_context.metadata, migration, writes_file=writes_file))


def reset_session_formats(connection: sa.Connection) -> None:
    """Give the rest of the session PostgreSQL's default text formats, and no timeouts.

    SQLAlchemy and Alembic compare definitions as text: with quote_all_identifiers = on, all of them differ. Between two
    queries they compute inside a transaction that only reads, which an idle limit of the project must not end.
    """
    driver = driver_of(connection)
    change_settings(driver, TEXT_FORMATS | timeouts_off(driver), local=False)
    driver.commit()
    connection.dialect.initialize(connection)  # it keeps how strings are read
    connection.rollback()


def import_models(load_metadata: Callable[[], object]) -> list[sa.MetaData]:
    """Import the models of the project. Raises InputError where that fails."""
    try:
        return as_metadata(load_metadata())
    except DbkitError:
        raise
    except Exception as error:  # importing the models runs the project's code
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise InputError(
            f"the models cannot be imported: {type(error).__name__}: {error}",
            f"At {place.filename}, line {place.lineno}.",
        ) from error
