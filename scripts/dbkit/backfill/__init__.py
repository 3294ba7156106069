"""Change many rows without locking them for long: in batches by key, each in a transaction of its own.

`backfill(op, "orders", "reference = 'SO-' || id", where="reference IS NULL")` in a revision. `python -m dbkit backfill`
does the same from the command line.
"""

from dbkit.backfill.revision import backfill

__all__ = ["backfill"]
