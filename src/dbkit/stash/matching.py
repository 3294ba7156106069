"""Match the tables of a stash to those of the database, which must have the same columns and keys."""

from collections.abc import Mapping, Sequence

import psycopg

from dbkit.errors import CheckFailed
from dbkit.stash import obstacles
from dbkit.stash.manifest import SavedTable
from dbkit.stash.tables import StashTable


def match_table(entry: SavedTable, present: Mapping[tuple[str, str], StashTable]) -> StashTable:
    """Return the table that a part of a stash belongs to. Raises CheckFailed, with its name, where it has changed."""
    table = present.get((entry.schema, entry.table))
    if table is None:
        raise misfit_error(entry, f"the database has no table {entry.label}")
    for name, kind in entry.columns:
        column = table.column(name)
        if column is None:
            raise misfit_error(entry, f"{entry.label} has no column {name}")
        if not column.has_type(kind):
            raise misfit_error(entry, f"{entry.label}.{name} was {kind}, and is {column.type}")
        if column.generated:
            raise misfit_error(entry, f"{entry.label}.{name} is computed by the server now")
    key = [column.name for column in table.keys]
    if key != [name for name, _ in entry.key]:
        now = ", ".join(key) or "none"
        raise misfit_error(
            entry, f"the primary key of {entry.label} was {_join_names(entry.key) or 'none'}, and is {now}"
        )
    return table


def misfit_error(entry: SavedTable, why: str) -> CheckFailed:
    """Return the error for a table that has changed since the rollback."""
    return CheckFailed(
        f"{entry.label} cannot be put back: {why}.",
        "The stash stays. Roll back to the revision that it is of, `make restore` there, then `make migrate`.",
    )


def _join_names(columns: Sequence[Sequence[str]]) -> str:
    return ", ".join(name for name, _ in columns)


def require_visible(connection: psycopg.Connection, found: Sequence[StashTable]) -> None:
    """Raise CheckFailed where row security hides rows of a table from this role."""
    hidden = obstacles.find_hidden_tables(connection, found)
    if hidden:
        raise CheckFailed(
            f"{hidden[0]} cannot be put back: row security hides rows of it from {connection.info.user}.",
            "The stash stays. `make restore` as a role that sees all rows (a superuser, or one with BYPASSRLS).",
        )
