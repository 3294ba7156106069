"""Change many rows without locking them for long: in batches by key, each in a transaction of its own.

`backfill(op, "orders", "reference = 'SO-' || id", where="reference IS NULL")` in a revision. `python -m dbkit backfill`
does the same from the command line.
"""

from collections.abc import Sequence
from typing import Any


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

    `op` is Alembic's. `table` is a name, with a schema or without. `assignments` and `where` are SQL, and go to the
    server as they are. `key` names the columns of a unique key that are NOT NULL; without it, it is the primary key.
    `batch` is how many rows the first batch has. It waits while a standby is more than `max_lag` seconds behind (0:
    never).

    What is in the revision's transaction before it is committed, so let it be alone in its revision. When it is
    interrupted, the next upgrade goes on where it was. In a script (`--sql`) it is one UPDATE. Raises DbkitError.
    """
    from dbkit.backfill import revision  # the command line goes without Alembic, which takes long to load

    columns = (key,) if isinstance(key, str) else tuple(key)
    revision.run_in_revision(op.get_context(), (table, assignments, where, columns), batch, max_lag)
