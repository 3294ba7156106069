"""`dbkit sizes FILE`: the saved result of the query, as a table for a person and as lines for a pipe."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dbkit.lint.table_sizes import format_bytes
from dbkit.postgres.cluster import Cluster
from support.sessions import connect_as_project as connect
from support.terminal import type_in_terminal

ROWS = [
    {"table": "public.notes", "rows": None, "bytes": 8192, "indexes": 0, "index_bytes": 0, "writes_per_second": None},
    {
        "table": '"Shop"."or\x1b[2Jders"',
        "rows": 43_000_000,
        "bytes": 5 << 30,
        "indexes": 3,
        "index_bytes": 1 << 20,
        "writes_per_second": 12.5,
    },
]
LINES = """\
"Shop"."or\\x1b[2Jders": rows 43,000,000, size 5120 MB, indexes 3, size of indexes 1024 kB, writes per second 12.5
notes: rows 0, size 8192 bytes, indexes 0, size of indexes 0 bytes, writes per second 0
"""
COMMAND = [sys.executable, "-m", "dbkit", "sizes", "result of the query.txt"]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with a result, and no project."""
    (tmp_path / "result of the query.txt").write_text(json.dumps(ROWS))
    return tmp_path


def test_a_pipe_gets_a_line_for_each_table_and_the_largest_is_first(directory: Path) -> None:
    done = subprocess.run(COMMAND, cwd=directory, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == (LINES, "", 0)


@pytest.mark.parametrize("columns", [40, 120])
def test_a_person_gets_a_table_that_fits_the_window(directory: Path, columns: int) -> None:
    shown = type_in_terminal(COMMAND, directory, dict(os.environ), columns=columns)
    assert shown.exit_code == 0, shown.raw
    assert max(map(len, shown.lines)) <= columns
    for word in ("43,000,000", "5120 MB", "1024 kB", "12.5", "notes", "writes per second", "[2Jders"):
        assert word in shown.plain
    assert "\x1b[2J" not in shown.raw


def test_a_file_without_the_result_is_refused(directory: Path) -> None:
    done = subprocess.run([*COMMAND[:-1], "no such file"], cwd=directory, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 2)
    assert "cannot read no such file" in done.stderr


def test_bytes_are_written_as_postgresql_writes_them(server: Cluster) -> None:
    counts = [0, 1, 8192, 10_239, 10_240, 10_752, 1 << 20, 5 << 30, 10 << 30, 123_456_789_012, 1 << 50]
    with connect(server.target(), autocommit=True) as connection:
        for count in counts:
            ((text,),) = connection.execute("SELECT pg_catalog.pg_size_pretty(%s::bigint)", [count]).fetchall()
            assert format_bytes(count) == text, count
