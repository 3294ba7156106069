"""Checkpoints: copies of the databases in the middle of a walk, from which a later run goes on."""

from dataclasses import dataclass, field

from dbkit.postgres.cluster import Cluster
from dbkit.project.revision_source import mentions_server_objects
from dbkit.roundtrip.access import MAIN
from dbkit.roundtrip.empty_copy import EmptyCopy
from dbkit.roundtrip.outcome import SampleRowCount
from dbkit.roundtrip.sample_rows import SampleRowState
from dbkit.roundtrip.workspace import Workspace

LEAST_REVISIONS = 20
"""The length of a chain from which on a run makes a checkpoint."""
REVISIONS_AFTER = 2
"""The revisions after a checkpoint, which are proven in each run: those that are being worked on are among them."""
STEP = 10
"""The least distance of two checkpoints."""


@dataclass(frozen=True)
class Checkpoint:
    """The names of databases at one revision, and what is known of their rows."""

    position: int
    """The number of revisions that they have."""
    empty: str
    """The database without sample rows."""
    with_rows: str
    """The database with them; "" where tables are left empty."""
    state: SampleRowState = field(default_factory=SampleRowState)
    sample_rows: SampleRowCount = field(default_factory=SampleRowCount)


def position_for(revisions: int, former: int = 0) -> int | None:
    """Return where a walk over so many revisions makes a checkpoint; None where the `former` one will do."""
    position = revisions - REVISIONS_AFTER
    return position if revisions >= LEAST_REVISIONS and position - former >= STEP else None


def make_checkpoint(work: Workspace, empty_copy: EmptyCopy) -> Checkpoint | None:
    """Copy the databases; None where a later run could not go on from them.

    That is: where the server has other things that belong to them, such as roles, or where revisions could not be
    applied, or not without rows.
    """
    position = len(work.base) + len(work.applied)
    is_complete = not work.missing_before(position)
    is_plain = isinstance(work.place, Cluster) and list(work.databases.databases) == [MAIN]
    if not (is_complete and is_plain) or any(map(mentions_server_objects, work.plan.scripts)):
        return None
    rows, main = work.sample_rows, work.databases.databases[MAIN]
    if not rows.options.rows:
        return Checkpoint(position, work.databases.copy()[MAIN].dbname, "")
    rows.fill()
    rows.close()
    if not empty_copy.replace_databases():
        return None
    names = work.databases.names
    empty = work.place.create_database(next(names), main.dbname)
    with_rows = work.place.create_database(next(names), empty_copy.with_rows[MAIN].dbname)
    empty_copy.put_rows_back()
    return Checkpoint(position, empty.dbname, with_rows.dbname, rows.state(), rows.count_rows())


def go_on_from(work: Workspace, checkpoint: Checkpoint) -> None:
    """Put the database with rows of a checkpoint in place of the one without, of which there are copies."""
    if checkpoint.with_rows:
        main = work.databases.databases[MAIN]
        work.databases.drop()
        work.place.rename_database(checkpoint.with_rows, main.dbname)
        work.sample_rows.restore(checkpoint.state)
