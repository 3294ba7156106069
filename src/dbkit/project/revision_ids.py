"""Check that the id of a revision fits into the version table."""

import re
from collections.abc import Iterable
from pathlib import Path

import psycopg

from dbkit.errors import InputError

LIMIT = 32
"""The length of version_num in a version table that Alembic creates."""
COLUMN = "version_num"


def read_limit(connection: psycopg.Connection, version_table: str) -> int | None:
    """The length of version_num in a database; None without a limit, LIMIT without a table.

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


def describe_excess(revision: str, version_table: str, limit: int) -> str:
    """Describe an id that is too long, as the predicate of "its id"."""
    return f"has {len(revision)} characters, and {version_table}.{COLUMN} takes {limit}"


def require_recordable(steps: Iterable[tuple[str, Path]], version_table: str, limit: int | None) -> None:
    """Raise InputError when one of these revisions, first to last, could be applied but not recorded.

    Ignores those after a file that mentions the column, because it may widen it.
    """
    for revision, path in steps:
        if limit is None or (path.suffix == ".py" and re.search(rf"\b{COLUMN}\b", path.read_text(errors="replace"))):
            return
        if len(revision) > limit:
            raise InputError(
                f"{revision} cannot be recorded: its id {describe_excess(revision, version_table, limit)}.",
                f"Give it a shorter id, in {path.name} and in its child revisions; or widen the column in a revision\n"
                f"before it: ALTER TABLE {version_table} ALTER COLUMN {COLUMN} TYPE varchar(255). Nothing was done.",
            )
