"""A backfill in a revision: each row once, whatever ends it in between, and nobody kept waiting for long."""

import random
import re
import signal
import subprocess
import threading
from dataclasses import replace
from functools import partial

import psycopg
import pytest

from support.backfill_tables import FEW, ROWS, SLOW, counted, rows_done
from support.pair import Pair, Project
from support.running import foreground, others_slow, until

TABLE = "op.execute('CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, m int NOT NULL DEFAULT 0)')"
IMPORT = "from dbkit.backfill import backfill\n"
COUNT = f"{IMPORT}backfill(op, 't', 'n = n + 1', batch=50)"
UNCOUNT = f"{IMPORT}backfill(op, 't', 'n = n - 1')"
KILL_ITSELF = "\nimport os\nos.environ.get('KILL') and os.kill(os.getpid(), 9)"


def prepare(project: Project, rows: int = FEW, sql: str = "") -> None:
    """The table of the first revision, with rows."""
    typed = project.alembic("upgrade", "rev1")
    assert typed.returncode == 0, typed.stderr
    project.query(f"INSERT INTO t SELECT generate_series(1, {rows}); {sql}")


def has_moved_on(project: Project, process: "subprocess.Popen[str]", rows: int) -> bool:
    """Whether so many rows are done; also when the process has ended, for the caller to see."""
    return process.poll() is not None or rows_done(project) >= rows


def kill_often(project: Project, times: int, least: int, *command: str) -> None:
    """Start it, and kill it after `least` more rows; so many times. The last run is for the caller."""
    for _ in range(times):
        before = rows_done(project)
        process = project.start(*command)
        until(partial(has_moved_on, project, process, before + least))
        process.kill()
        stderr = process.communicate()[1]
        assert process.returncode == -signal.SIGKILL, stderr


@pytest.mark.slow
def test_killed_again_and_again(pair: Pair) -> None:
    pair.write(TABLE, COUNT)
    prepare(pair.gated, ROWS, SLOW)
    kill_often(pair.gated, 4, 200, "upgrade", "head")
    assert 800 <= rows_done(pair.gated) < ROWS
    typed = pair.gated.alembic("upgrade", "head")
    assert typed.returncode == 0, typed.stderr
    assert "public.t: resuming after" in typed.stderr
    assert counted(pair.gated) == [(1, ROWS)]
    assert pair.gated.heads() == ["rev2"]
    assert pair.gated.query("SELECT to_regclass('dbkit_backfill')") == [(None,)]
    assert pair.gated.journal() == [("upgrade", "rev1"), ("upgrade", "rev2")]


@pytest.mark.slow
def test_killed_in_a_project_without_the_gate(pair: Pair) -> None:
    pair.write(TABLE, COUNT)
    prepare(pair.bare, sql=SLOW)
    kill_often(pair.bare, 3, 200, "upgrade", "head")
    typed = pair.bare.alembic("upgrade", "head")
    assert typed.returncode == 0, typed.stderr
    assert "public.t: resuming after" in typed.stderr
    assert (counted(pair.bare), pair.bare.heads()) == ([(1, FEW)], ["rev2"])
    assert pair.bare.query("SELECT to_regclass('dbkit_backfill')") == [(None,)]


@pytest.mark.slow
def test_a_million_rows_killed_ten_times(pair: Pair) -> None:
    pair.write(TABLE, f"{IMPORT}backfill(op, 't', 'n = n + 1')")
    prepare(pair.gated, 1_000_000)
    kill_often(pair.gated, 10, 1000, "upgrade", "head")
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    assert counted(pair.gated) == [(1, 1_000_000)]


@pytest.mark.slow
@pytest.mark.parametrize("which", others_slow(1, ["gated", "bare"]))
def test_killed_between_the_last_row_and_the_version(pair: Pair, which: str) -> None:
    pair.write(TABLE, (f"{COUNT}{KILL_ITSELF}", f"{UNCOUNT}{KILL_ITSELF}"))
    project: Project = getattr(pair, which)
    prepare(project, 500)
    for command, expected in ((("upgrade", "head"), 1), (("downgrade", "-1"), 0), (("upgrade", "head"), 1)):
        for kill in ("yes", ""):
            typed = project.alembic(*command, env={"KILL": kill})
            assert typed.returncode == (-signal.SIGKILL if kill else 0), typed.stderr
            assert counted(project) == [(expected, 500)]
        assert project.query("SELECT to_regclass('dbkit_backfill')") == [(None,)]


def test_what_was_taken_back_by_hand_is_begun_anew(pair: Pair) -> None:
    """After `resolve` or `stamp`, the progress of what was interrupted before is of no interest."""
    pair.write(TABLE, f"{COUNT}{KILL_ITSELF}\nop.execute('SELECT 1')")
    prepare(pair.gated, 500)
    assert pair.gated.alembic("upgrade", "head", env={"KILL": "yes"}).returncode == -signal.SIGKILL
    assert pair.gated.alembic("stamp", "rev2").returncode == 0
    assert pair.gated.alembic("stamp", "rev1").returncode == 0
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    assert counted(pair.gated) == [(2, 500)]


@pytest.mark.slow
def test_begun_anew_when_what_it_is_based_on_was_undone(pair: Pair) -> None:
    """The rows that it had done are not done any more: their column is a new one."""
    column = "op.execute('ALTER TABLE t ADD x int NOT NULL DEFAULT 0')", "op.execute('ALTER TABLE t DROP x')"
    pair.write(TABLE, column, f"{IMPORT}backfill(op, 't', 'x = x + 1', batch=50)")
    prepare(pair.gated, sql=SLOW)
    kill_often(pair.gated, 1, 200, "upgrade", "head")
    assert pair.gated.alembic("downgrade", "rev1").returncode == 0
    typed = pair.gated.alembic("upgrade", "head")
    assert (typed.returncode, "resuming after" in typed.stderr) == (0, False)
    assert pair.gated.query("SELECT x, count(*) FROM t GROUP BY x") == [(1, FEW)]


@pytest.mark.slow
def test_edited_while_it_was_interrupted(pair: Pair) -> None:
    pair.write(TABLE, COUNT)
    prepare(pair.gated, sql=SLOW)
    kill_often(pair.gated, 1, 200, "upgrade", "head")
    file = pair.gated.versions / "rev2.py"
    text = file.read_text()
    file.write_text(text.replace("n + 1", "n + 22"))
    typed = pair.gated.alembic("upgrade", "head")
    assert typed.returncode == 1
    assert "from a backfill that was interrupted, and was another one: UPDATE public.t SET n = n + 1" in typed.stderr
    assert 'echo "DELETE FROM public.dbkit_backfill WHERE id = ' in typed.stderr
    file.write_text(text)
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    assert counted(pair.gated) == [(1, FEW)]


@pytest.mark.slow
def test_ctrl_c(pair: Pair) -> None:
    pair.write(TABLE, COUNT)
    prepare(pair.gated, sql=SLOW)
    process = pair.gated.start("upgrade", "head", preexec_fn=foreground)
    until(lambda: rows_done(pair.gated))
    process.send_signal(signal.SIGINT)
    stderr = process.communicate()[1]
    assert process.returncode == 130, stderr
    assert "what it has committed can be done again, the database is at rev1, and it is safe to run again" in stderr
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    assert counted(pair.gated) == [(1, FEW)]


@pytest.mark.slow
def test_several_in_one_revision(pair: Pair) -> None:
    """The first is done, the second is interrupted: the first is not done again."""
    second = "backfill(op, 't', 'm = m + 1', where='id > 100', batch=50)"
    pair.write(TABLE, f"{COUNT}\n{second}")
    prepare(pair.gated, sql=SLOW)
    process = pair.gated.start("upgrade", "head")
    until(lambda: pair.gated.query("SELECT m FROM t WHERE id = 101") == [(1,)])
    process.kill()
    process.communicate()
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    assert pair.gated.query("SELECT n, m, count(*) FROM t GROUP BY 1, 2 ORDER BY 2") == [
        (1, 0, 100),
        (1, 1, FEW - 100),
    ]


def test_another_statement_keeps_its_rule(pair: Pair) -> None:
    """What was committed beside the backfill needs somebody to look, as ever."""
    pair.write(TABLE, f"op.execute('ALTER TABLE t ADD x int')\n{COUNT}{KILL_ITSELF}")
    prepare(pair.gated, 10)
    assert pair.gated.alembic("upgrade", "head", env={"KILL": "yes"}).returncode == -signal.SIGKILL
    assert pair.gated.alembic("upgrade", "head").returncode == 6
    assert re.search(r"rev2\.py:\d+: autocommit-block-shared: ", pair.gated.dbkit("check").stderr)


def test_the_session_is_left_as_it_was(pair: Pair) -> None:
    names = ("lock_timeout", "statement_timeout", "synchronous_commit", "enable_seqscan", "enable_bitmapscan")
    shown = "', '".join(names)
    look = f"print(op.get_bind().exec_driver_sql(\"SELECT array_agg(setting ORDER BY name) FROM pg_settings WHERE name IN ('{shown}')\").scalar())"
    pair.write(TABLE, f"{look}\n{IMPORT}backfill(op, 't', 'n = n + 1')\n{look}")
    for project in (pair.gated, pair.bare):
        prepare(project, 10)
        typed = project.alembic("upgrade", "head", env={"MIGRATION_STATEMENT_TIMEOUT": "77s"})
        assert typed.returncode == 0, typed.stderr
        before, after = typed.stdout.splitlines()
        assert before == after


@pytest.mark.slow
def test_within_an_autocommit_block(pair: Pair) -> None:
    pair.write(TABLE, f"{IMPORT}with op.get_context().autocommit_block():\n    backfill(op, 't', 'n = n + 1')")
    for project in (pair.gated, pair.bare):
        prepare(project, 10)
        assert project.alembic("upgrade", "head").returncode == 0
        assert counted(project) == [(1, 10)]


def test_rows_that_are_written_behind_it(pair: Pair) -> None:
    """They are found once more by the condition, where that says what is not done; else they are left alone."""
    pair.write(
        "op.execute('CREATE TABLE t (id text PRIMARY KEY, name text, n int NOT NULL DEFAULT 0)')",
        f"{IMPORT}backfill(op, 't', \"name = 'R-' || id\", where='name IS NULL', batch=10)",
        f"{IMPORT}backfill(op, 't', 'n = n + 1', where=\"id <> ''\", batch=10)",
    )
    project = pair.gated
    assert project.alembic("upgrade", "rev1").returncode == 0
    project.query("INSERT INTO t SELECT 'k' || lpad(i::text, 4, '0') FROM generate_series(1, 1000) AS i")
    project.query("""
        CREATE FUNCTION behind() RETURNS trigger LANGUAGE plpgsql
            AS 'BEGIN INSERT INTO t VALUES (''a'' || OLD.id); RETURN NEW; END';
        CREATE TRIGGER behind BEFORE UPDATE ON t FOR EACH ROW WHEN (OLD.id IN ('k0500', 'k0900'))
            EXECUTE FUNCTION behind()
    """)
    assert project.alembic("upgrade", "rev2").returncode == 0
    assert project.query("SELECT count(*), count(name) FROM t") == [(1002, 1002)]
    assert project.query("SELECT name FROM t WHERE id = 'ak0500'") == [("R-ak0500",)]
    project.query("DELETE FROM t WHERE id LIKE 'a%'")
    assert project.alembic("upgrade", "rev3").returncode == 0
    assert project.query("SELECT n, count(*) FROM t GROUP BY n ORDER BY n") == [(0, 2), (1, 1000)]


@pytest.mark.slow
def test_rows_that_are_rare(pair: Pair) -> None:
    pair.write(TABLE, f"{IMPORT}backfill(op, 't', 'n = n + 1', where='id % 7001 = 0 -- a few', batch=1)")
    prepare(pair.gated, ROWS)
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    assert counted(pair.gated) == [(0, ROWS - 2), (1, 2)]


@pytest.mark.slow
def test_a_row_that_the_application_keeps(pair: Pair) -> None:
    """All others that come before it are done meanwhile; then it is done as the application has left it."""
    pair.write(TABLE, COUNT)
    prepare(pair.gated, 1000)
    with psycopg.connect(**pair.gated.target.parameters()) as application:
        application.execute("UPDATE t SET n = n + 10, m = 1 WHERE id = 777")
        process = pair.gated.start("upgrade", "head")
        until(lambda: rows_done(pair.gated) == 776)
    stderr = process.communicate()[1]
    assert process.returncode == 0, stderr
    assert counted(pair.gated) == [(1, 999), (11, 1)]


def test_a_row_that_the_application_does_not_give_back(pair: Pair) -> None:
    pair.write(TABLE, COUNT)
    prepare(pair.gated, 1000)
    with psycopg.connect(**pair.gated.target.parameters()) as application:
        application.execute("SELECT FROM t WHERE id = 777 FOR UPDATE")
        pid = application.info.backend_pid
        typed = pair.gated.alembic("upgrade", "head", env={"MIGRATION_LOCK_BUDGET": "300ms"})
    assert typed.returncode == 1
    assert "public.t: other sessions held locks on rows for 0.3 s. The oldest transaction: backend" in typed.stderr
    assert f"backend {pid}, user postgres, idle in transaction" in typed.stderr
    assert "what it has committed can be done again" in typed.stderr
    assert "When they have ended, the same command resumes from here." in typed.stderr
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    assert counted(pair.gated) == [(1, 1000)]


@pytest.mark.slow
def test_a_batch_that_takes_long_is_taken_back(pair: Pair) -> None:
    """Its rows would be locked for a second; it is done in smaller ones."""
    pair.write(TABLE, f"{IMPORT}backfill(op, 't', 'n = n + 1')")
    prepare(pair.gated, 1000, SLOW.replace("WHEN (OLD.id % 5 = 0)", ""))
    typed = pair.gated.alembic("upgrade", "head")
    assert typed.returncode == 0, typed.stderr
    batches = re.search(r"public\.t: 1,000 rows in [\d.]+ s, (\d+) batches", typed.stderr)
    assert batches
    assert int(batches[1]) > 5
    assert counted(pair.gated) == [(1, 1000)]


@pytest.mark.slow
def test_beside_an_application_that_writes(pair: Pair) -> None:
    """Nothing of what either has written is lost."""
    pair.write(TABLE, COUNT)
    prepare(pair.gated, 5000, SLOW)
    done, written = threading.Event(), [0, 0]

    def write(which: int) -> None:
        chance = random.Random(which)  # noqa: S311
        with psycopg.connect(**pair.gated.target.parameters()) as connection:
            while not done.is_set():
                # in any order, so that there are deadlocks too
                for row in chance.sample(range(1, 5001), 3):
                    connection.execute("UPDATE t SET m = m + 1 WHERE id = %s", [row])
                connection.commit()
                written[which] += 3

    threads = [threading.Thread(target=write, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    try:
        typed = pair.gated.alembic("upgrade", "head")
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert typed.returncode == 0, typed.stderr
    assert counted(pair.gated) == [(1, 5000)]
    assert pair.gated.query("SELECT sum(m) FROM t") == [(sum(written),)]
    assert sum(written) > 0


def test_an_empty_table_leaves_no_trace(pair: Pair) -> None:
    pair.write(TABLE, COUNT)
    for project in (pair.gated, pair.bare):
        typed = project.alembic("upgrade", "head")
        assert typed.returncode == 0
        assert "rows" not in typed.stderr
        assert project.query("SELECT to_regclass('dbkit_backfill')") == [(None,)]


def test_without_a_primary_key(pair: Pair) -> None:
    pair.write(
        "op.execute('CREATE TABLE t (a int NOT NULL, b text NOT NULL, c int UNIQUE, n int NOT NULL DEFAULT 0, UNIQUE (a, b))')",
        f"{IMPORT}backfill(op, 't', 'n = n + 1')",
    )
    project = pair.gated
    assert project.alembic("upgrade", "rev1").returncode == 0
    project.query("INSERT INTO t SELECT i / 10, i % 10 FROM generate_series(1, 500) AS i")
    typed = project.alembic("upgrade", "head")
    assert (typed.returncode, "t has no primary key to divide its rows into batches by" in typed.stderr) == (
        1,
        True,
    )
    file = project.versions / "rev2.py"
    text = file.read_text()
    file.write_text(text.replace("'n = n + 1'", "'n = n + 1', key='c'"))
    typed = project.alembic("upgrade", "head")
    assert (typed.returncode, "t has no unique key (c) of columns that are NOT NULL" in typed.stderr) == (1, True)
    file.write_text(text.replace("'n = n + 1'", "'n = n + 1', key=('b', 'a'), batch=7"))
    assert project.alembic("upgrade", "head").returncode == 0
    assert counted(project) == [(1, 500)]


@pytest.mark.parametrize("which", others_slow(1, ["gated", "bare"]))
def test_a_script_has_one_update(pair: Pair, which: str) -> None:
    pair.write(TABLE, f"{IMPORT}backfill(op, 'public.t', \"n = n + 1 -- ':x' 100%\", where=\"m::text <> ':y'\")")
    project: Project = getattr(pair, which)
    prepare(project, 10)
    typed = project.alembic("upgrade", "rev1:rev2", "--sql")
    assert typed.returncode == 0, typed.stderr
    assert "UPDATE \"public\".\"t\" SET n = n + 1 -- ':x' 100%\nWHERE m::text <> ':y'\n;" in typed.stdout
    project.query("\n".join(line for line in typed.stdout.splitlines() if not line.startswith("\\")))
    assert (counted(project), project.heads()) == ([(1, 10)], ["rev2"])
    assert project.alembic("upgrade", "head").returncode == 0


@pytest.mark.slow
def test_a_round_trip_of_a_project_that_uses_it(pair: Pair) -> None:
    fill = "op.execute('INSERT INTO t SELECT generate_series(1, 300)')"
    pair.write((f"{TABLE}\n{fill}", "op.execute('DROP TABLE t')"), (COUNT, UNCOUNT))
    for project in (pair.gated, pair.bare):
        typed = project.dbkit("roundtrip", "-c", "alembic.ini")
        assert typed.returncode == 0, typed.stdout + typed.stderr
        assert "2 migrations on PostgreSQL 18" in typed.stdout
        assert "2 proven" in typed.stdout


@pytest.mark.slow
def test_not_another_role_than_the_owner(pair: Pair) -> None:
    """A plain role that owns the database and the table can do all of it."""
    pair.write(TABLE, COUNT)
    name = f"plain_{pair.gated.target.dbname}"
    pair.gated.query(f"CREATE ROLE {name} LOGIN")
    pair.gated.query(f"ALTER DATABASE {pair.gated.target.dbname} OWNER TO {name}")
    plain = Project(pair.gated.root, replace(pair.gated.target, user=name), gated=True)
    prepare(plain, sql=SLOW)
    kill_often(plain, 2, 200, "upgrade", "head")
    typed = plain.alembic("upgrade", "head")
    assert typed.returncode == 0, typed.stderr
    assert counted(plain) == [(1, FEW)]
    assert plain.query("SELECT tableowner FROM pg_tables WHERE tablename = 't'") == [(name,)]
