"""The query for the sizes of a live database's tables, and its result."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dbkit.errors import InputError

QUERY = """\
-- How big the tables are, for `dbkit lint --sizes FILE`. It reads the catalog and the statistics, no row of any table,
-- and takes no lock beyond ACCESS SHARE. Save what it prints as it is: psql -f sizes.sql > sizes.txt
SELECT json_agg(json_build_object(
    'table', quote_ident(n.nspname) || '.' || quote_ident(c.relname),
    'rows', l.rows, 'bytes', l.bytes, 'indexes', l.indexes, 'index_bytes', l.index_bytes,
    'writes_per_second', round((l.writes / greatest(extract(epoch FROM now() - coalesce(
        d.stats_reset, pg_postmaster_start_time())), 1))::numeric, 3)))
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_stat_database AS d ON d.datname = current_database()
CROSS JOIN LATERAL (
    SELECT sum(CASE WHEN p.reltuples >= 0 THEN p.reltuples ELSE coalesce(s.n_live_tup, 0) END)::bigint AS rows,
        sum(pg_table_size(p.oid))::bigint AS bytes, sum(pg_indexes_size(p.oid))::bigint AS index_bytes,
        max((SELECT count(*) FROM pg_index AS i WHERE i.indrelid = p.oid)) AS indexes,
        coalesce(sum(s.n_tup_ins + s.n_tup_upd + s.n_tup_del), 0) AS writes
    FROM pg_class AS p LEFT JOIN pg_stat_all_tables AS s ON s.relid = p.oid
    WHERE p.relkind IN ('r', 'm')
        AND (p.oid = c.oid OR p.oid IN (SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf AND c.relkind = 'p'))
) AS l
WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_';
"""
FIELDS = ("rows", "bytes", "indexes", "index_bytes")
MOST_OF_A_UNIT = 10_240
"""From here on, pg_size_pretty takes the next unit."""
HINT = "Save the result of the query that `dbkit sizes` prints: psql -f sizes.sql > sizes.txt"


@dataclass(frozen=True)
class TableSize:
    """The size of one table; `bytes` includes TOAST and excludes indexes."""

    rows: int
    bytes: int
    indexes: int
    index_bytes: int
    writes_per_second: float


def read_sizes(path: Path) -> dict[str, TableSize]:
    """Read the saved result of the query: sizes by table name as in SQL, without the schema if it is public.

    The file may have psql's headers and alignment, or be CSV. Raises InputError if it is not the query's result.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}", HINT) from error
    # psql wraps a long line with "+" at its end; JSON has none outside of strings
    joined = "".join(line.strip().removesuffix("+").strip() for line in text.splitlines())
    start, end = joined.find("[{"), joined.rfind("}]")
    if start < 0 or end < start:
        raise InputError(f"{path} does not contain the result of the query.", HINT)
    found = joined[start : end + 2]
    try:
        rows = _load_json(found)
        return {str(row["table"]).removeprefix("public."): _size(row) for row in rows}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not the result of the query: {error}", HINT) from error


def format_bytes(count: int) -> str:
    """Return a number of bytes as PostgreSQL's pg_size_pretty does: "8 kB", "12 GB"."""
    size, units = float(count), ["bytes", "kB", "MB", "GB", "TB"]
    while size >= MOST_OF_A_UNIT and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{int(size + 0.5)} {units[0]}"  # a half is rounded up


def _load_json(text: str) -> list[dict[str, object]]:
    try:
        return json.loads(text)  # type: ignore[no-any-return]  # a wrong shape raises where it is read
    except ValueError:
        # CSV doubles quotes
        return json.loads(text.replace('""', '"'))  # type: ignore[no-any-return]


def _size(row: Mapping[str, object]) -> TableSize:
    rows, table, indexes, index_bytes = (int(str(row[name] or 0)) for name in FIELDS)
    return TableSize(rows, table, indexes, index_bytes, float(str(row["writes_per_second"] or 0)))
