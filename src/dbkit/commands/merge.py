"""`dbkit merge`: write the revision that joins the heads of a branch."""

from dataclasses import dataclass
from pathlib import Path

from dbkit import project
from dbkit.commands.revision_message import check_message, print_written_files
from dbkit.gate import alembic_command, databases
from dbkit.project import alembic_features, branches
from dbkit.settings import Settings


@dataclass(frozen=True)
class MergeOptions:
    """Options of `dbkit merge`."""

    message: str


def merge(settings: Settings, ini: Path, options: MergeOptions) -> None:
    """Write the revision that joins the heads of each branch. Raises InputError for a message that cannot be used."""
    message = check_message(options.message)
    loaded = project.load_project(settings)
    forks = branches.find_forks(loaded.script, loaded.heads)
    if not forks:
        heads = f"{branches.describe_heads(loaded.heads)} are branches on purpose"
        print(f"{heads if len(loaded.heads) > 1 else 'There is one head'}: nothing to merge.")
        return
    if alembic_features.runs_env_for_new_files(loaded.config):
        databases.list_settings(loaded, settings)  # env.py runs
    for fork in forks:
        revisions = tuple(head.revision for head in fork)
        run_context = alembic_command.run_alembic(loaded, settings, "merge", revisions=revisions, message=message)
        print_written_files(run_context, "Then: make migrate; make schema.")
