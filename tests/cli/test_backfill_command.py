"""`dbkit backfill` as people type it."""

import os
import pty
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import psycopg
import pytest

from support.backfill_tables import FEW, SLOW, counted, rows_done
from support.kit import Kit
from support.pair import Pair, Project
from support.running import foreground, others_slow, until

COUNT = ("backfill", "t", "--set", "n = n + 1", "--batch", "50")

SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'dbkit%'"


@pytest.fixture
def project(pair: Pair) -> Project:
    pair.gated.query("CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0)")
    pair.gated.query(f"INSERT INTO t SELECT generate_series(1, {FEW})")
    pair.gated.query("ANALYZE t")
    return pair.gated


@contextmanager
def kept(project: Project, row: int) -> Iterator[None]:
    """An application that keeps a row locked."""
    with psycopg.connect(**project.target.parameters()) as application:
        application.execute("SELECT FROM t WHERE id = %s FOR UPDATE", [row])
        yield


def test_done_once_and_again_only_when_asked(project: Project) -> None:
    typed = project.dbkit(*COUNT)
    assert typed.returncode == 0, typed.stderr
    first, last = typed.stderr.splitlines()
    assert first.startswith(f'dbkit: about to change rows of "{project.target.dbname}" on ')
    assert first.endswith(f": UPDATE public.t SET n = n + 1 (the table has about {FEW:,} rows)")
    assert last.startswith(f"dbkit: public.t: {FEW:,} rows in ")
    typed = project.dbkit(*COUNT)
    assert typed.returncode == 2
    assert f"with {FEW:,} rows" in typed.stderr
    assert counted(project) == [(1, FEW)]
    assert project.dbkit(*COUNT, "--again").returncode == 0
    assert counted(project) == [(2, FEW)]


def test_killed(project: Project) -> None:
    project.query(SLOW)
    for _ in range(3):
        before = rows_done(project)
        process = project.start_dbkit(*COUNT)
        until(lambda before=before: rows_done(project) > before)
        process.kill()
        process.communicate()
    typed = project.dbkit(*COUNT)
    assert typed.returncode == 0, typed.stderr
    assert "public.t: resuming after" in typed.stderr
    assert counted(project) == [(1, FEW)]


def test_one_line_on_a_terminal(project: Project) -> None:
    project.query(SLOW)
    ours, theirs = pty.openpty()
    process = project.start_dbkit(*COUNT, stderr=theirs)
    os.close(theirs)
    shown = "".join(read_all(ours))
    assert process.wait() == 0
    assert re.search(r"\r\x1b\[Kdbkit: public\.t: [\d,]+ of about 4,000 rows, [\d,]+ in a second\r\x1b\[K", shown)
    assert "\r\x1b[Kdbkit: public.t: 4,000 rows in " in shown


def read_all(terminal: int) -> Iterator[str]:
    """What is written to a terminal, until nobody has it open any more."""
    with suppress(OSError):
        while part := os.read(terminal, 65536):
            yield part.decode()
    os.close(terminal)


@pytest.mark.slow
def test_begun_anew_after_an_interruption(project: Project) -> None:
    with kept(project, 777):
        process = project.start_dbkit(*COUNT)
        until(lambda: rows_done(project) == 776)
        process.kill()
        process.communicate()
        # what it has begun in the server ends without it
        until(lambda: project.query(SESSIONS) == [(0,)])
        assert rows_done(project) == 776
    assert project.dbkit(*COUNT, "--again").returncode == 0
    assert counted(project) == [(1, FEW - 776), (2, 776)]


@pytest.mark.slow
def test_ctrl_c(project: Project) -> None:
    with kept(project, 777):
        process = project.start_dbkit(*COUNT, preexec_fn=foreground)
        until(lambda: rows_done(project) == 776)
        process.send_signal(signal.SIGINT)
        stderr = process.communicate()[1]
    assert process.returncode == 130, stderr
    assert stderr.splitlines()[-2:] == [
        "dbkit: interrupted in the backfill of public.t; what was committed stays.",
        "  The same command goes on from there.",
    ]
    assert project.dbkit(*COUNT).returncode == 0
    assert counted(project) == [(1, FEW)]


@pytest.mark.slow
def test_two_at_once(project: Project) -> None:
    with kept(project, 777):
        process = project.start_dbkit(*COUNT)
        until(lambda: rows_done(project) == 776)
        for other in (COUNT, ("backfill", "public.t", "--set", "n = 0"), (*COUNT, "--again")):
            typed = project.dbkit(*other, env={"MIGRATION_WAIT": "0"})
            assert typed.returncode == 5, typed.stderr
            assert "another backfill of public.t is still running after 0 s: backend" in typed.stderr
    stderr = process.communicate()[1]
    assert process.returncode == 0, stderr
    assert counted(project) == [(1, FEW)]


def test_locked_by_others(project: Project) -> None:
    with kept(project, 777):
        typed = project.dbkit(*COUNT, env={"MIGRATION_LOCK_BUDGET": "300ms"})
    assert typed.returncode == 1
    assert "public.t: other sessions held locks on rows for 0.3 s. The oldest transaction: backend" in typed.stderr
    assert project.dbkit(*COUNT).returncode == 0
    assert counted(project) == [(1, FEW)]


def test_a_row_that_cannot_be_changed(project: Project) -> None:
    """What was before it stays, and mended, the same command goes on."""
    project.query("ALTER TABLE t ADD CHECK (id <> 777 OR n < 1)")
    typed = project.dbkit(*COUNT)
    assert typed.returncode == 1
    assert "the backfill of public.t failed: new row for relation" in typed.stderr
    assert "what was committed stays" in typed.stderr
    project.query("ALTER TABLE t DROP CONSTRAINT t_check")
    assert project.dbkit(*COUNT).returncode == 0
    assert counted(project) == [(1, FEW)]


@pytest.mark.spread(3)
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["t", "--set", " "], "t: there is nothing to set"),
        (["nosuch", "--set", "n = 1"], "there is no table nosuch"),
        (["T", "--set", "n = 1"], "there is no table T"),
        (["a.b.c", "--set", "n = 1"], "'a.b.c' cannot be the name of a table"),
        (["", "--set", "n = 1"], "'' cannot be the name of a table"),
        (["t; DROP TABLE t", "--set", "n = 1"], "there is no table t; DROP TABLE t"),
        (["v", "--set", "n = 1"], "v is not a table"),
        (["t", "--set", "n = 1", "--key", "n"], "t has no unique key (n) of columns that are NOT NULL"),
        (["t", "--set", "n = 1", "--batch", "0"], "write a number from 1 to 999999, not '0'"),
        (["t", "--set", "n = 1", "--max-lag", "x"], "write a number of seconds, not 'x'"),
        (["u", "--set", "n = 1"], "u has no primary key to divide its rows into batches by"),
    ],
)
def test_bad_input(project: Project, arguments: list[str], line: str) -> None:
    project.query("CREATE VIEW v AS SELECT * FROM t")
    project.query("CREATE TABLE u (n int)")
    typed = project.dbkit("backfill", *arguments)
    assert typed.returncode == 2
    assert line in typed.stderr
    assert "Traceback" not in typed.stderr
    assert counted(project) == [(0, FEW)]


def test_an_error_in_the_sql(project: Project) -> None:
    typed = project.dbkit("backfill", "t", "--set", "nosuch = 1")
    assert typed.returncode == 1
    assert 'the backfill of public.t failed: column "nosuch" of relation "t" does not exist' in typed.stderr


def test_a_protected_database(project: Project) -> None:
    typed = project.dbkit(*COUNT, env={"APP_ENV": "production"})
    assert typed.returncode == 3
    assert f'refusing to change rows of "{project.target.dbname}"' in typed.stderr
    assert counted(project) == [(0, FEW)]
    assert project.dbkit(*COUNT, env={"APP_ENV": "production", "CONFIRM": project.target.dbname}).returncode == 0
    assert counted(project) == [(1, FEW)]


def test_a_role_that_may_not_make_the_progress(project: Project) -> None:
    name = f"poor_{project.target.dbname}"
    project.query(f"CREATE ROLE {name} LOGIN")
    project.query(f"ALTER TABLE t OWNER TO {name}")
    poor = replace(project, target=replace(project.target, user=name))
    typed = poor.dbkit(*COUNT)
    assert typed.returncode == 2
    assert "the progress of the backfill cannot be kept: this role may not create" in typed.stderr
    assert counted(project) == [(0, FEW)]


WORDS = [
    "",
    " ",
    "a",
    "A",
    "ä",
    "'",
    "''",
    "\\",
    "\\'",
    "%",
    "%s",
    ":x",
    "{}",
    "NULL",
    "z\n",
    "日本",
    "\u00ff",
    '"',
    "$dbkit$",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "columns", "values", "key"),
    others_slow(
        4,
        [
            ('"My Schema"."Odd ""Table"""', '"The Key" bigint PRIMARY KEY', "i * 1000000000::bigint", ""),
            ("t_desc", "k int NOT NULL", "-i", "k"),
            ("t_text", 'k text COLLATE "C" PRIMARY KEY', "w", ""),
            ("t_icu", "k text PRIMARY KEY", "md5(i::text) || w", ""),
            ("t_uuid", "k uuid PRIMARY KEY", "md5(i::text)::uuid", ""),
            ("t_char", "k char(9) PRIMARY KEY", "i::text", ""),
            ("t_date", "k timestamptz PRIMARY KEY", "now() + i * interval '1 microsecond'", ""),
            ("t_float", "k float8 PRIMARY KEY", "(i - 100) / 3.0", ""),
            ("t_numeric", "k numeric PRIMARY KEY", "i::numeric / 7", ""),
            ("t_enum", "k mood, l int, PRIMARY KEY (k, l)", "('{sad,fine,glad}'::mood[])[1 + i % 3], i", ""),
            ("t_two", 'a text, "B" int, PRIMARY KEY (a, "B")', "w, i", ""),
            ("t_three", "a int, b uuid, c text, PRIMARY KEY (b, c, a)", "i, md5((i % 3)::text)::uuid, w", "a, b, c"),
            ("t_part", "a int PRIMARY KEY", "i", ""),
        ],
    ),
)
def test_keys_of_any_type(project: Project, table: str, columns: str, values: str, key: str) -> None:
    project.query('CREATE SCHEMA "My Schema"')
    project.query("CREATE TYPE mood AS ENUM ('sad', 'fine', 'glad')")
    partitions = " PARTITION BY RANGE (a)" if table == "t_part" else ""
    project.query(f"CREATE TABLE {table} ({columns}, n int NOT NULL DEFAULT 0){partitions}")
    if partitions:
        project.query("CREATE TABLE p1 PARTITION OF t_part FOR VALUES FROM (0) TO (150)")
        project.query("CREATE TABLE p2 PARTITION OF t_part FOR VALUES FROM (150) TO (1000)")
    if table == "t_desc":
        project.query("CREATE UNIQUE INDEX ON t_desc (k DESC)")
    with psycopg.connect(**project.target.parameters()) as connection:
        if table == "t_text":
            source = "unnest(%s::text[]) WITH ORDINALITY AS s (w, i)"
        else:
            source = f"(SELECT i, (%s::text[])[1 + i % {len(WORDS)}] AS w FROM generate_series(1, 300) AS i) AS s"
        statement = f"INSERT INTO {table} SELECT {values} FROM {source}"
        rows = connection.execute(statement.replace("% ", "%% ").encode(), [WORDS]).rowcount
    typed = project.dbkit("backfill", table, "--set", "n = n + 1", "--batch", "7", "--key", key)
    assert typed.returncode == 0, typed.stderr
    assert project.query(f"SELECT n, count(*) FROM {table} GROUP BY n") == [(1, rows)]


@pytest.mark.slow
def test_make_backfill(kit: Kit) -> None:
    """What people write reaches the server as it is."""
    assert kit.make("seed").returncode == 0
    orders = kit.query("SELECT count(*) FROM orders")[0][0]
    typed = kit.make(
        "backfill", "table=orders", "set=reference = reference || '-$(shell echo x)-$$HOME:x%s'", "where=id > 0"
    )
    assert typed.returncode == 0, typed.stderr
    assert kit.query("SELECT count(*) FROM orders WHERE reference LIKE '%-$(shell echo x)-$$HOME:x\\%s'") == [(orders,)]
    assert (
        "was done already"
        in kit.make(
            "backfill", "table=orders", "set=reference = reference || '-$(shell echo x)-$$HOME:x%s'", "where=id > 0"
        ).stderr
    )
    assert "'' cannot be the name of a table" in kit.make("backfill").stderr
    assert kit.make("check").returncode == 0
