"""A command that works on all tables, each in a transaction to itself, is reported for each of them."""

from pathlib import Path

import pytest

from dbkit.settings import Target
from support.lint_findings import find_loud

TABLES = (
    "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)",
    *(
        sql
        for name in "tuv"
        for sql in (
            f"CREATE TABLE {name} (id int PRIMARY KEY, a int)",
            f"INSERT INTO {name} SELECT i, i FROM generate_series(1, 9) AS i",
        )
    ),
    "CREATE TABLE without_index (a int)",
    "CLUSTER t USING t_pkey",
)
SCAN, REWRITE = "scan-under-lock", "rewrite-under-lock"
CASES = {
    "REINDEX SCHEMA public": {(SCAN, name) for name in "tuv"},
    'REINDEX DATABASE "{database}"': {(SCAN, name) for name in "tuv"},
    "REINDEX (VERBOSE) SCHEMA public": {(SCAN, name) for name in "tuv"},
    "REINDEX TABLE t": {(SCAN, "t")},
    "VACUUM FULL": {(REWRITE, name) for name in (*"tuv", "without_index")},
    "VACUUM (FULL, ANALYZE)": {(REWRITE, name) for name in (*"tuv", "without_index")},
    "VACUUM FULL t, v": {(REWRITE, name) for name in "tv"},
    "CLUSTER": {(REWRITE, "t")},
    # controls
    "REINDEX SCHEMA CONCURRENTLY public": set(),
    "REINDEX TABLE CONCURRENTLY t": set(),
    "VACUUM": set(),
    "VACUUM (ANALYZE) t": set(),
    "ANALYZE": set(),
}


@pytest.mark.parametrize("sql", CASES)
def test_each_table_is_named(database: Target, tmp_path: Path, sql: str) -> None:
    text = sql.format(database=database.dbname)
    block = "with op.get_context().autocommit_block():"
    found = find_loud(database, tmp_path, TABLES, (), block, f"    op.execute({text!r})")
    assert {(each.id, table) for each in found for table in each.tables} == CASES[sql], found
    assert all(each.blocks == "reads and writes" for each in found)
