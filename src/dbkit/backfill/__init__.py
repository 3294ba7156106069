"""Backfill: change many rows without locking them for long, in batches by key with one transaction each.

`backfill(op, "orders", "reference = 'SO-' || id", where="reference IS NULL")` in a revision. `python -m dbkit backfill`
does the same from the command line.
"""

from collections.abc import Sequence
from typing import Any

from dbkit.supported_versions import require_supported


def backfill(
    op: Any,
    table: str,
    assignments: str,
    *,
    where: str | None = None,
    key: str | Sequence[str] = (),
    batch: int = 1000,
    max_lag: float = 10.0,
) -> None:
    """UPDATE `table` SET `assignments` WHERE `where`, in batches with a transaction each; each row once.

    `op` is Alembic's. `table` is a name, with or without a schema. `assignments` and `where` are SQL, and are sent to
    the server unchanged. `key` names the columns of a unique key that are NOT NULL; without it, it is the primary key.
    `batch` is the number of rows in the first batch. The backfill waits while a standby is more than `max_lag` seconds
    behind (0: never).

    The statements before it in the revision's transaction are committed first, so a backfill should be the only thing
    in its revision. After an interruption the next upgrade resumes it. In a script (`--sql`) it is one UPDATE. Raises
    DbkitError.
    """
    require_supported()
    from dbkit.backfill import revision  # the command line does not need Alembic, which takes long to load

    columns = (key,) if isinstance(key, str) else tuple(key)
    revision.run_in_revision(op.get_context(), (table, assignments, where, columns), batch, max_lag)
