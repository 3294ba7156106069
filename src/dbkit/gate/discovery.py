"""Find the databases of a project: what its env.py connects to, asked by running it."""

import logging
from pathlib import Path

from alembic.runtime.environment import EnvironmentContext

from dbkit.errors import DbkitError, InputError, as_dbkit_error
from dbkit.gate.alembic_command import GateConnectionGuard
from dbkit.gate.context import ATTRIBUTE, FoundDatabase, RunContext
from dbkit.postgres.connection_guard import guarding
from dbkit.project import Project
from dbkit.settings import Settings


def find_databases(loaded: Project, settings: Settings) -> list[FoundDatabase]:
    """Run env.py as `alembic current` does, without a migration. Returns the databases that it configures.

    Raises InputError for an env.py without the gate, and Unreachable where the database does not answer.
    """
    loaded.require_gate()
    run_context = RunContext(settings, "current", discovers=True)
    config = loaded.config
    former = config.attributes.get(ATTRIBUTE)
    config.attributes[ATTRIBUTE] = run_context
    environment = EnvironmentContext(
        config, loaded.script, fn=lambda *_: [], as_sql=False, starting_rev=None, destination_rev=None, dont_mutate=True
    )
    disabled = logging.root.manager.disable
    logging.disable(logging.INFO)  # Alembic logs there how env.py has configured it
    try:
        with guarding(GateConnectionGuard(run_context, Path(loaded.script.dir) / "env.py")), environment:
            loaded.script.run_env()
    except DbkitError:
        raise
    except Exception as error:  # env.py is the project's code
        raise as_dbkit_error(error) from error
    finally:
        logging.disable(disabled)
        config.attributes[ATTRIBUTE] = former
    if not run_context.found:
        raise InputError(
            f"{loaded.script.dir}/env.py ended without running any migrations.",
            "Check that it calls context.run_migrations().",
        )
    return run_context.found
