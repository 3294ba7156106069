"""How Alembic reads and changes the version table while the gate runs it; Alembic has no public way to either."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from alembic.runtime import migration
from alembic.runtime.migration import MigrationContext
from psycopg import sql

from dbkit.database_url import History
from dbkit.journal import VersionChange
from dbkit.postgres.connect import current_revisions, has_version_table
from dbkit.postgres.own_statements import OwnConnection, place_of

OPTIONS: dict[str, Any] = {"transaction_per_migration": True, "version_table": History.table}
"""The options of `context.configure()` in every run."""
INSERT = "INSERT INTO {table} (version_num) VALUES (%(new)s)"
DELETE = "DELETE FROM {table} WHERE version_num OPERATOR(pg_catalog.=) %(old)s"
UPDATE = "UPDATE {table} SET version_num = %(new)s WHERE version_num OPERATOR(pg_catalog.=) %(old)s"


def override_queries(context: MigrationContext, driver: OwnConnection) -> None:
    """Make Alembic find, read and create the version table as this package does, without the project's search path."""
    overridden: Any = context

    def get_current_heads() -> tuple[str, ...]:
        return current_revisions(driver)

    def ensure_version_table() -> None:  # without `purge`: the gate empties the table itself
        if not has_version_table(driver):
            overridden._version.create(context.connection, checkfirst=False)

    overridden.get_current_heads = get_current_heads
    overridden._ensure_version_table = ensure_version_table


def empty_version_table(connection: OwnConnection) -> None:
    """Delete all rows of the version table, within the caller's transaction."""
    connection.execute(sql.SQL("DELETE FROM {}").format(place_of(connection).version_table_sql))


class HeadMaintainer(migration.HeadMaintainer):
    """Alembic's HeadMaintainer, which passes each change of the version table on instead of executing it."""

    change: Callable[[VersionChange], None]
    is_emptied: Callable[[], bool]
    table: str
    """The version table, as SQL."""

    def __init__(self, context: MigrationContext, heads: Any) -> None:
        super().__init__(context, () if self.is_emptied() else heads)

    def _insert_version(self, version: str) -> None:
        self.heads.add(version)
        self.change(VersionChange(INSERT.format(table=self.table), {"new": version}))

    def _delete_version(self, version: str) -> None:
        self.heads.remove(version)
        self.change(VersionChange(DELETE.format(table=self.table), {"old": version}))

    def _update_version(self, from_: str, to_: str) -> None:
        self.heads.remove(from_)
        self.heads.add(to_)
        self.change(VersionChange(UPDATE.format(table=self.table), {"new": to_, "old": from_}))


@contextmanager
def capture_changes(
    change: Callable[[VersionChange], None], is_emptied: Callable[[], bool], table: str
) -> Iterator[None]:
    """Pass each change of the version table (as SQL) to `change`; where it `is_emptied`, start without heads."""
    module: Any = migration
    original = module.HeadMaintainer
    module.HeadMaintainer = type(
        "HeadMaintainer",
        (HeadMaintainer,),
        {"change": staticmethod(change), "is_emptied": staticmethod(is_emptied), "table": table},
    )
    try:
        yield
    finally:
        module.HeadMaintainer = original
