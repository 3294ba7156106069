"""A copy of the databases without sample rows, for a revision that fails on rows, and for the whole chain."""

from dbkit.postgres import scratch_database
from dbkit.project.revision_source import mentions_server_objects
from dbkit.roundtrip.access import Databases
from dbkit.roundtrip.apply import reapply_revisions, run_revisions
from dbkit.roundtrip.run_state import RunState
from dbkit.roundtrip.workspace import Workspace


class EmptyCopy:
    """The databases as they were before the first sample row.

    Where a revision fails on rows, what was applied since is applied to the copy, and it replaces the databases: the
    revision is then proven without rows, too, and the next one can follow.
    """

    def __init__(self, work: Workspace) -> None:
        self.work = work
        self.databases: Databases = {}
        """Empty where there is no copy."""
        self.is_template = False
        """Whether the databases' template is one, so that they are copied when a copy is needed."""
        self.applied_count = 0
        """The number of the applied revisions that the copy has."""
        self.with_rows: Databases = {}
        """The databases with rows, while they are replaced."""
        self.state_with_rows: RunState | None = None
        """What is known of these."""
        self.is_usable = True
        """Whether it can replace the databases: False once a migration was found to need rows."""

    def create(self) -> None:
        """Copy the databases, unless a role may have grants in the copy: the role could not be dropped then."""
        can_copy = not any(map(mentions_server_objects, self.work.applied))
        self.is_template = bool(self.work.base) and not self.work.applied
        self.databases = self.work.databases.copy() if can_copy and not self.is_template else {}
        self.applied_count = len(self.work.applied)

    def replace_databases(self) -> bool:
        """Replace the databases by ones without sample rows. Returns False where migrations need rows to work.

        Afterwards, call `keep` or `put_rows_back`.
        """
        if not self.is_usable:
            return False
        self.work.sample_rows.close()
        self.state_with_rows, self.work.run_state = self.work.run_state, None
        self.with_rows = self.work.databases.rename_away()
        if not self._update_copy() and not self._apply_on_new_server():
            self.work.databases.replace_by(self.with_rows)
            self.with_rows = {}
            self.is_usable = False
            return False
        return True

    def keep(self) -> None:
        """Go on without the rows: drop the databases that have them, and copy those without."""
        self.drop_rows()
        self.create()

    def drop_rows(self) -> None:
        """Drop the databases with rows, which were replaced."""
        self.work.databases.drop(self.with_rows)
        self.with_rows = {}
        self.work.sample_rows.forget_tables()

    def put_rows_back(self) -> bool:
        """Replace the databases by those with rows again. Returns False where they are on a server that was renewed."""
        if not self.with_rows:
            return False
        if any(map(mentions_server_objects, self.work.applied)):
            self.work.databases.drop()
            self.databases = {}
        else:
            self.databases, self.applied_count = self.work.databases.rename_away(), len(self.work.applied)
        self.work.databases.rename_back(self.with_rows)
        self.with_rows = {}
        self.work.run_state = self.state_with_rows
        return True

    def _update_copy(self) -> bool:
        """Give the databases' names to the copy, and apply what it lacks. Returns whether that succeeded."""
        missing = self.work.applied[self.applied_count :]
        if self.is_template:
            self.databases, self.is_template = self.work.databases.copy_template(), False
        if not self.databases or any(map(mentions_server_objects, missing)):
            return False
        self.work.databases.rename_back(self.databases)
        return not missing or not run_revisions(self.work, missing, up=True)

    def _apply_on_new_server(self) -> bool:
        """Apply all on a new server, which has none of the roles yet. Returns False where there is no other server."""
        place = self.work.place
        if isinstance(place, scratch_database.NamedServer) or not any(map(mentions_server_objects, self.work.applied)):
            return False
        scratch_database.renew(place)
        self.with_rows = {}
        self.work.databases.create()
        reapply_revisions(self.work)
        return True
