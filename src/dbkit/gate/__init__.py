"""The gate: every Alembic command that env.py runs against a database passes through `run`.

It reads the settings, opens the migration connection, takes the migration lock, checks protection and preconditions,
runs the steps with the executor, and reads the result from a second connection. What makes a migration safe is here;
the commands of `dbkit` only add comfort.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dbkit.gate.context import ATTRIBUTE as ATTRIBUTE
from dbkit.gate.context import RunContext as RunContext
from dbkit.gate.context import resolve_target as resolve_target

if TYPE_CHECKING:
    from alembic.runtime.environment import EnvironmentContext


def run(context: "EnvironmentContext", root: Path, load_metadata: Callable[[], object]) -> None:
    """Run the current Alembic command through the gate. Called by env.py, with Alembic's `context`.

    `root` is the directory of `.env`; `load_metadata` imports the models, and is called only by commands that compare
    them: it returns a MetaData, or a list of them.
    Under the `alembic` command a DbkitError becomes its line on stderr and its exit code; a caller in Python gets it.
    """
    from dbkit.gate.entry_point import run_through_gate  # commands that only read the database go without Alembic

    run_through_gate(context, root, load_metadata)
