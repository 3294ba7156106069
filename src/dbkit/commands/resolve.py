"""`dbkit resolve`: record that an interrupted migration was undone by hand."""

from dataclasses import dataclass
from pathlib import Path

from dbkit import journal
from dbkit.commands.journal_access import open_journal
from dbkit.errors import InputError
from dbkit.postgres.connect import current_revisions
from dbkit.settings import Settings


@dataclass(frozen=True)
class ResolveOptions:
    """Options of `dbkit resolve`."""

    revision: str


def resolve(settings: Settings, _ini: Path, options: ResolveOptions) -> None:
    """Record in the journal that an interrupted step was undone. Raises InputError for one that was not interrupted."""
    revision = options.revision
    with open_journal(settings) as connection:
        row = journal.read_latest(connection).get(revision)
        if row is None or row.ended_at is not None:
            raise InputError(f"{revision} was not interrupted.", "`python -m dbkit log` shows what was.")
        entry = journal.JournalEntry(journal.RESOLVE, revision, settings.app_env)
        journal.record_step(connection, entry, current_revisions(connection))
        connection.commit()
    print(f"{revision} is recorded as undone. Run the same command again.")
