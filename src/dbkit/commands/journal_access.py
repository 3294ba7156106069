"""Access to the journal for the verbs that write to it."""

from collections.abc import Iterator
from contextlib import contextmanager

from dbkit import gate, journal
from dbkit.errors import InputError
from dbkit.postgres.connect import connect
from dbkit.postgres.locks import migration_lock
from dbkit.postgres.own_statements import OwnConnection
from dbkit.project.config import read_config
from dbkit.settings import Settings


@contextmanager
def open_journal(settings: Settings) -> Iterator[OwnConnection]:
    """Connect to a database that has a journal, and hold the migration lock."""
    if not read_config(settings.ini).journal:
        raise InputError(
            f"this project keeps no journal: see [dbkit] in {settings.ini.name}.", "So nothing is recorded."
        )
    target = gate.resolve_target(settings)
    with (
        connect(target, settings.wait) as connection,
        migration_lock(connection, target, settings.wait),
    ):
        journal.ensure_table(connection)
        yield connection
