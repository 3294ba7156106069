"""Whether a revision's id fits into the version table."""

import re
from collections.abc import Iterable
from pathlib import Path

import psycopg

from dbkit.errors import InputError

LIMIT = 32
"""Characters that version_num takes as Alembic makes it."""
COLUMN = "version_num"


def limit_of(connection: psycopg.Connection, version_table: str) -> int | None:
    """How many characters version_num takes in a database; None where there is no limit, LIMIT without a table.

    `version_table` is SQL.
    """
    query = """
        SELECT atttypmod - 4 FROM pg_catalog.pg_attribute
        WHERE attrelid = pg_catalog.to_regclass(%s::pg_catalog.text) AND attname = %s AND NOT attisdropped
    """
    row = connection.execute(query, [version_table, COLUMN]).fetchone()
    if row is None:
        return LIMIT
    return int(row[0]) if row[0] > 0 else None


def words(revision: str, version_table: str, limit: int) -> str:
    """What is wrong with an id, after "its id"."""
    return f"has {len(revision)} characters, and {version_table}.{COLUMN} takes {limit}"


def require_recordable(steps: Iterable[tuple[str, Path]], version_table: str, limit: int | None) -> None:
    """Raise InputError when one of these revisions, first to last, could be applied and not recorded.

    Not for those after a file that names the column: it may make it wider.
    """
    for revision, path in steps:
        if limit is None or (path.suffix == ".py" and re.search(rf"\b{COLUMN}\b", path.read_text(errors="replace"))):
            return
        if len(revision) > limit:
            raise InputError(
                f"{revision} cannot be recorded: its id {words(revision, version_table, limit)}.",
                f"Give it a shorter id, in {path.name} and in what follows it; or make the column wider in a revision\n"
                f"before it: ALTER TABLE {version_table} ALTER COLUMN {COLUMN} TYPE varchar(255). Nothing was done.",
            )
