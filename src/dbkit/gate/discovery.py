"""Find the databases of a project: what its env.py connects to, asked by running it."""

from pathlib import Path

import sqlalchemy as sa
from alembic.runtime.environment import EnvironmentContext

from dbkit.errors import DbkitError, InputError, describe_error
from dbkit.gate.alembic_command import GateConnectionGuard
from dbkit.gate.context import ATTRIBUTE, FoundDatabase, RunContext
from dbkit.postgres.connection_guard import Identity, guarding
from dbkit.project import Project
from dbkit.settings import Settings


class DiscoveryGuard(GateConnectionGuard):
    """Refuses every connection before env.py has called the gate; its own connections then tell the databases."""

    def before(self, dbname: str | None) -> None:
        """Refuse a connection before the gate is called."""
        self._target()

    def check(self, identity: Identity) -> None:
        """Refuse a connection before the gate is called."""
        self._target()


def find_databases(loaded: Project, settings: Settings) -> list[FoundDatabase]:
    """Run env.py as `alembic current` does, without a migration. Returns the databases that it configures.

    In the kit's own layout, a connection to another database than that of the settings is refused. Raises InputError
    for an env.py without the gate, and Unreachable where the database does not answer.
    """
    loaded.require_gate()
    run_context = RunContext(settings, "current", discovers=True)
    config, env_py = loaded.config, Path(loaded.script.dir) / "env.py"
    config.attributes[ATTRIBUTE] = run_context
    environment = EnvironmentContext(
        config, loaded.script, fn=lambda *_: [], as_sql=False, starting_rev=None, destination_rev=None, dont_mutate=True
    )
    guard = (DiscoveryGuard if settings.is_foreign else GateConnectionGuard)(run_context, env_py)
    try:
        with guarding(guard), environment:
            loaded.script.run_env()
    except (DbkitError, sa.exc.DBAPIError, OSError):
        raise
    except (Exception, SystemExit) as error:  # env.py is the project's code
        words = describe_error(error)
        raise InputError(
            f"{env_py} failed: {type(error).__name__}: {words}", "`alembic current` runs it, too."
        ) from error
    finally:
        config.attributes.pop(ATTRIBUTE, None)  # env.py may have removed it
    if not run_context.found:
        raise InputError(
            f"{env_py} ended without running any migrations.", "Check that it calls context.run_migrations()."
        )
    return run_context.found
