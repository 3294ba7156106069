"""`dbkit merge`: write the revision that joins all heads."""

from dataclasses import dataclass
from pathlib import Path

from dbkit import project
from dbkit.commands.revision_message import check_message, print_written_files
from dbkit.gate import alembic_command, databases
from dbkit.project import alembic_features
from dbkit.settings import Settings


@dataclass(frozen=True)
class MergeOptions:
    """Options of `dbkit merge`."""

    message: str


def merge(settings: Settings, ini: Path, options: MergeOptions) -> None:
    """Write the revision that joins all heads. Raises InputError for a message that cannot be used."""
    message = check_message(options.message)
    loaded = project.load_project(settings)
    if len(loaded.heads) < 2:
        print("There is one head: nothing to merge.")
        return
    if alembic_features.runs_env_for_new_files(loaded.config):
        databases.list_settings(loaded, settings)  # env.py runs
    run_context = alembic_command.run_alembic(loaded, settings, "merge", "heads", message=message)
    print_written_files(run_context, "Then: make migrate; make schema.")
