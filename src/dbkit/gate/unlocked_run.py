"""Run Alembic without the migration lock: for a script, a comparison of the models, or a proof on its own database."""

from alembic.runtime.environment import EnvironmentContext

from dbkit.errors import CheckFailed, DbkitError
from dbkit.gate import diagnosis
from dbkit.gate.context import RunContext
from dbkit.gate.plan import make_entry
from dbkit.gate.script_errors import is_reading_rows

NOTHING_RUN = "Nothing was run."
READS_ROWS = """\
A migration that reads rows into Python cannot be written as a script: do it in SQL, or guard it
with `if not op.get_context().as_sql`."""


def run_unlocked(context: EnvironmentContext, run_context: RunContext) -> None:
    """Run the migrations of the current command. Raises CheckFailed, naming the step, for what a migration raises."""
    begun = len(run_context.steps)
    try:
        with context.begin_transaction():
            context.run_migrations()
    except DbkitError:
        raise
    except (Exception, SystemExit) as error:  # a migration can raise anything
        if len(run_context.steps) == begun:
            raise
        entry = make_entry(run_context.steps[-1], run_context.settings)
        place, text = diagnosis.find_error_place(error, entry.path), diagnosis.error_text(error)
        hint = NOTHING_RUN if context.is_offline_mode() else ""
        if context.is_offline_mode() and is_reading_rows(error, entry.path):
            hint = f"{NOTHING_RUN} {READS_ROWS}"
        raise CheckFailed(f"{entry.action} of {entry.revision} failed, at {place}: {text}", hint) from error
