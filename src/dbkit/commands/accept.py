"""`dbkit accept`: accept the edited file of an applied revision."""

from dataclasses import dataclass
from pathlib import Path

from dbkit import journal, project
from dbkit.commands.journal_access import open_journal
from dbkit.postgres.connect import current_revisions
from dbkit.settings import Settings


@dataclass(frozen=True)
class AcceptOptions:
    """Options of `dbkit accept`."""

    revision: str


def accept(settings: Settings, ini: Path, options: AcceptOptions) -> None:
    """Record the present content of an applied revision's file in the journal, as one that needs no second run."""
    script = project.load_project(settings).revision(options.revision)
    with open_journal(settings) as connection:
        entry = journal.JournalEntry(journal.ACCEPT, script.revision, settings.app_env, Path(script.path))
        journal.record_step(connection, entry, current_revisions(connection))
        connection.commit()
    print(f"The file of {project.name_of(script)} is accepted as it is.")
