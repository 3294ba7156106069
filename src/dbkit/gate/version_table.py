"""Move the version table along with statements that are not compiled anew for each revision."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from alembic.runtime import migration

from dbkit.journal import VersionChange

INSERT = "INSERT INTO {table} (version_num) VALUES (%(new)s)"
DELETE = "DELETE FROM {table} WHERE version_num = %(old)s"
UPDATE = "UPDATE {table} SET version_num = %(new)s WHERE version_num = %(old)s"


class HeadMaintainer(migration.HeadMaintainer):
    """Alembic's, except that it says what is to be done instead of doing it."""

    move: Callable[[VersionChange], None]
    purges: Callable[[], bool]
    table: str
    """The version table, as SQL."""

    def __init__(self, context: migration.MigrationContext, heads: Any) -> None:
        super().__init__(context, () if self.purges() else heads)

    def _insert_version(self, version: str) -> None:
        self.heads.add(version)
        self.move(VersionChange(INSERT.format(table=self.table), {"new": version}))

    def _delete_version(self, version: str) -> None:
        self.heads.remove(version)
        self.move(VersionChange(DELETE.format(table=self.table), {"old": version}))

    def _update_version(self, from_: str, to_: str) -> None:
        self.heads.remove(from_)
        self.heads.add(to_)
        self.move(VersionChange(UPDATE.format(table=self.table), {"new": to_, "old": from_}))


@contextmanager
def capture_changes(move: Callable[[VersionChange], None], purges: Callable[[], bool], table: str) -> Iterator[None]:
    """Hand each change of the version table (as SQL) to `move`; where it `purges`, as if it were empty.

    Alembic has no public way to this.
    """
    module: Any = migration
    original = module.HeadMaintainer
    module.HeadMaintainer = type(
        "HeadMaintainer",
        (HeadMaintainer,),
        {"move": staticmethod(move), "purges": staticmethod(purges), "table": table},
    )
    try:
        yield
    finally:
        module.HeadMaintainer = original
