"""The models of a command that compares them with the database: `check` and `revision --autogenerate`."""

import traceback
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from alembic.runtime.environment import EnvironmentContext

from dbkit.errors import DbkitError, InputError
from dbkit.gate.context import RunContext
from dbkit.gate.monitored_connection import driver_of
from dbkit.postgres.own_statements import TEXT_FORMATS, change_settings, timeouts_off
from dbkit.project import autogenerate


def configure_comparison(
    context: EnvironmentContext, run_context: RunContext, load_metadata: Callable[[], object]
) -> None:
    """Import the models, and set Alembic's options for comparing them. Raises InputError where the import fails."""
    run_context.metadata = _import_models(load_metadata)
    writes_file = run_context.command == "revision" or getattr(context.config.cmd_opts, "autogenerate", False)
    migration = context.get_context()
    revisions = [Path(each.path) for each in context.script.walk_revisions()][::-1]
    options = autogenerate.comparison_options(run_context.metadata, revisions, migration, writes_file=writes_file)
    migration.opts.update(options)


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


def _import_models(load_metadata: Callable[[], object]) -> list[sa.MetaData]:
    try:
        return autogenerate.as_metadata(load_metadata())
    except DbkitError:
        raise
    except Exception as error:  # importing the models runs the project's code
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise InputError(
            f"the models cannot be imported: {type(error).__name__}: {error}",
            f"At {place.filename}, line {place.lineno}.",
        ) from error
