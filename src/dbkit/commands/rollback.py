"""`dbkit rollback`: undo the last migration, or go back to a revision."""

from dataclasses import dataclass
from pathlib import Path

from dbkit import hints
from dbkit.commands.alembic_downgrade import downgrade
from dbkit.settings import Settings


@dataclass(frozen=True)
class RollbackOptions:
    """Options of `dbkit rollback`."""

    to: str
    stash: bool | None
    """Whether the rows that the rollback loses are saved; None: the setting STASH."""


def rollback(settings: Settings, ini: Path, options: RollbackOptions) -> None:
    """Run `alembic downgrade` through the gate, with a preview of the rows that it loses, which are stashed.

    Raises Refused on a protected database, and where rows could not be restored.
    """
    if downgrade(settings, ini, options.to, stash=options.stash):
        hints.show("The lost rows are in a stash: after `make migrate`, `make restore` puts them back.")
