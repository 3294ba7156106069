"""The gate: every Alembic command that env.py runs against a database passes through `run` or `install`.

`run` connects and configures Alembic itself; `install` is one line in a project's own env.py, which does both.

It reads the settings, opens the migration connection, takes the migration lock, checks protection and preconditions,
runs the steps with the executor, and reads the result from a second connection. What makes a migration safe is here;
the commands of `dbkit` only add comfort.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dbkit.errors import InputError
from dbkit.gate.context import ATTRIBUTE as ATTRIBUTE
from dbkit.gate.context import RunContext as RunContext
from dbkit.gate.context import resolve_target as resolve_target
from dbkit.supported_versions import require_supported

if TYPE_CHECKING:
    from types import ModuleType

    from alembic.runtime.environment import EnvironmentContext

    # env.py imports a module that passes everything on to the environment
    Context = EnvironmentContext | ModuleType


def install(context: "Context") -> None:
    """Put the gate behind a project's own env.py. Call it before anything is configured, with Alembic's `context`.

    The project's engine, driver, version table and options stay as they are. Under the `alembic` command an error
    becomes its line on stderr and its exit code; a caller in Python gets a DbkitError.
    """
    require_versions(context)
    from dbkit.gate.project_gate import install as install_gate

    install_gate(cast("EnvironmentContext", context))


def run(context: "Context", root: Path, load_metadata: Callable[[], object]) -> None:
    """Run the current Alembic command through the gate. Called by env.py, with Alembic's `context`.

    `root` is the directory of `.env`; `load_metadata` imports the models, and is called only by commands that compare
    them: it returns a MetaData, or a list of them.
    Under the `alembic` command a DbkitError becomes its line on stderr and its exit code; a caller in Python gets it.
    """
    require_versions(context)
    from dbkit.gate.entry_point import run_through_gate  # commands that only read the database go without Alembic

    run_through_gate(cast("EnvironmentContext", context), root, load_metadata)


def require_versions(context: "Context") -> None:
    """Refuse an old release of SQLAlchemy, Alembic or psycopg, before the import of a module that needs a newer one."""
    try:
        require_supported()
    except InputError as error:
        if context.config.cmd_opts is None:
            raise
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_code) from None
