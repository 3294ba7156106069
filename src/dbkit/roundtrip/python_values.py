"""The statements of a revision with values that it computes in Python, from rows that it has read."""

import re
from collections.abc import Collection, Iterable

from dbkit.coverage.recorder import StatementRun

READS = re.compile(r"\s*(?:select|with)\b|.*\breturning\b", re.IGNORECASE | re.DOTALL)
WRITES = re.compile(r"\s*(?:insert|update|delete|merge|with)\b", re.IGNORECASE)
OF_CATALOG = re.compile(r"\b(?:pg_catalog|information_schema)\b", re.IGNORECASE)


def find_python_values(runs: Iterable[StatementRun], tables: Collection[str], source: str) -> set[str]:
    """Return the statements that write after rows were read, and that the file does not have with these values.

    Their values may be those of the rows of a proof. `tables`: the names of those that existed before; `source`: the
    text of the revision file.
    """
    text = _collapse(source)
    has_read, found = False, set()
    for run in runs:
        if has_read and WRITES.match(run.sql) and _collapse(run.sql) not in text:
            found.add(run.sql)
        has_read = has_read or bool(find_read_tables([run], tables))
    return found


def find_read_tables(runs: Iterable[StatementRun], tables: Collection[str]) -> set[str]:
    """Return those of these names of tables that are in queries which have returned rows to the revision."""
    queries = [run.sql for run in runs if run.rows != 0 and READS.match(run.sql) and not OF_CATALOG.search(run.sql)]
    return {name for name in tables for sql in queries if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", sql)}


def _collapse(text: str) -> str:
    return " ".join(text.split())
