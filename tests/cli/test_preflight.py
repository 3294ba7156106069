"""`dbkit preflight` on real databases: what it finds, what it locks, and what it says where it may not look."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dbkit import settings
from dbkit.errors import InputError
from dbkit.postgres import binaries, scratch_cluster
from dbkit.postgres.cluster import Cluster
from dbkit.settings import Settings, Target
from support.kit import Kit
from support.pair import run_python, url_of
from support.plain import Revision, write_project
from support.running import foreground, others_slow, until
from support.servers import running_standby

BASE = """
CREATE TABLE customers (id int PRIMARY KEY, email text);
CREATE TABLE orders (id int PRIMARY KEY, reference text, amount int, customer_id int);
CREATE SCHEMA app;
CREATE FUNCTION app.waits(int) RETURNS boolean LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared(16); RETURN true; END';
"""
DROP = "DROP FUNCTION app.waits; DROP SCHEMA app; DROP TABLE orders, customers"
LIVE_ROWS = """
INSERT INTO customers SELECT n, 'c' || n FROM generate_series(1, 20) AS n;
INSERT INTO orders SELECT n, 'SO-' || n, n, 1 + n % 20 FROM generate_series(1, 2000) AS n;
"""
REFERENCE = ("ALTER TABLE orders ALTER reference SET NOT NULL", "ALTER TABLE orders ALTER reference DROP NOT NULL")
AMOUNT = ("ALTER TABLE orders ADD CONSTRAINT ck CHECK (amount > 0)", "ALTER TABLE orders DROP CONSTRAINT ck")
SAME = ("ALTER TABLE orders ADD CONSTRAINT uq UNIQUE (reference)", "ALTER TABLE orders DROP CONSTRAINT uq")
CUSTOMER = (
    "ALTER TABLE orders ADD CONSTRAINT fk FOREIGN KEY (customer_id) REFERENCES customers",
    "ALTER TABLE orders DROP CONSTRAINT fk",
)
BACKFILL = ("UPDATE orders SET reference = 'SO-' || id WHERE reference IS NULL", "SELECT 1")
WAITS = ("ALTER TABLE orders ADD CONSTRAINT waits CHECK (app.waits(id))", "ALTER TABLE orders DROP CONSTRAINT waits")
BLOCK = "DO $$ BEGIN UPDATE orders SET amount = 1 WHERE amount < 0; END $$"
BOUND = 120  # seconds; a process that is ended by this has hung


@dataclass(frozen=True)
class Project:
    """A project whose live database is at its revision `first`."""

    ini: Path
    live: Target
    server: Target
    """Where the proofs are made."""

    def command(self, *arguments: str | Path) -> list[str | Path]:
        given = [sys.executable, "-m", "dbkit", "preflight", "-c", self.ini, "--server", url_of(self.server)]
        return [*given, *arguments]

    def environment(self, target: Target | None) -> dict[str, str]:
        # the server is of PG_BINDIR already, and pg_dump may be missing there
        others = ("DATABASE", "MIGRATION", "PG_BINDIR")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        return kept | {"MIGRATION_WAIT": "2s"} | ({"DATABASE_URL": url_of(target)} if target else {})

    def run(self, *arguments: str | Path, live: bool = True) -> subprocess.CompletedProcess[str]:
        """Run preflight to its end; not `live`: without the URL of the database."""
        env = self.environment(self.live if live else None)
        return run_python(*self.command(*arguments)[1:], env=env, timeout=BOUND)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        env = self.environment(self.live)
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self.command(*arguments), env=env, stdout=pipe, stderr=pipe, text=True, preexec_fn=foreground
        )

    def read(self, *arguments: str | Path) -> tuple[int, list[dict[str, Any]]]:
        """Return the exit code, and the revisions of the report."""
        done = self.run("--format", "json", *arguments)
        assert done.stdout, done.stderr
        document = json.loads(done.stdout)
        assert document["current"] == ["first"]
        return done.returncode, document["revisions"]

    def query(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(**self.live.parameters(), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def sessions(self) -> list[int]:
        """The server processes of preflight's sessions in the live database."""
        query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'dbkit%'"
        return [int(str(row[0])) for row in self.query(query)]


@pytest.fixture
def make(server: Cluster, database: Target, tmp_path: Path) -> Any:
    """Write a project with these revisions after `first`, named rev1, rev2 and so on, and its live database."""

    def write(*steps: tuple[str, str], rows: str = LIVE_ROWS, live: Target = database) -> Project:
        names = ["first", *(f"rev{number}" for number, _ in enumerate(steps, 1))]
        revisions: list[Revision] = [
            (name, parent, up, down)
            for name, parent, (up, down) in zip(
                names, [None, *names], [(f"python:op.execute({BASE!r})", DROP), *steps], strict=False
            )
        ]
        project = Project(write_project(tmp_path / "project", revisions), live, server.target())
        project.query(BASE)
        project.query(rows)
        project.query("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        project.query("INSERT INTO alembic_version VALUES ('first')")
        project.query("ANALYZE")
        return project

    return write


def preconditions(revision: dict[str, Any]) -> list[dict[str, Any]]:
    return list(revision["preconditions"])


def statuses(revisions: Sequence[dict[str, Any]]) -> list[list[str]]:
    return [[each["status"] for each in preconditions(revision)] for revision in revisions]


def only(revisions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The one precondition of all."""
    (found,) = [each for revision in revisions for each in preconditions(revision)]
    return found


# What is found


def test_violating_rows_are_counted_and_named(make: Any) -> None:
    project = make(REFERENCE)
    project.query("UPDATE orders SET reference = NULL WHERE id % 7 = 3")
    code, revisions = project.read()
    found = only(revisions)
    assert (code, found["status"], found["rows"], found["keys"]) == (1, "violated", 286, ["3", "10", "17"])
    assert (found["kind"], found["table"]) == ("not null", "orders")
    text = project.run()
    assert text.returncode == 1
    words = "286 rows of orders violate: orders.reference is not NULL (first keys 3, 10, 17)"
    assert words in text.stdout
    assert 'rev1 "rev1": will fail' in text.stdout
    assert text.stdout.endswith("at first: 1 violated; rev1 will fail.\n")


def test_each_kind_holds_until_a_row_violates_it(make: Any) -> None:
    project = make(REFERENCE, AMOUNT, CUSTOMER, SAME)
    code, revisions = project.read()
    assert (code, statuses(revisions)) == (0, [["holds"], ["holds"], ["holds"], ["holds"]])
    project.query("UPDATE orders SET reference = NULL WHERE id = 17")
    project.query("UPDATE orders SET amount = 0 WHERE id = 18")
    project.query("UPDATE orders SET customer_id = 99 WHERE id = 19")
    project.query("UPDATE orders SET reference = 'SO-20' WHERE id = 21")
    code, revisions = project.read()
    conditions = [each for (each,) in map(preconditions, revisions)]
    found = [(each["kind"], each["rows"], sorted(each["keys"]), each["proven"]) for each in conditions]
    assert code == 1
    assert found == [
        ("not null", 1, ["17"], True),
        ("check", 1, ["18"], True),
        ("foreign key", 1, ["19"], True),
        ("unique", 2, ["20", "21"], True),
    ]


@pytest.mark.slow
def test_the_migration_fails_as_foreseen(make: Any) -> None:
    """The verdict is what the database itself then does."""
    project = make(CUSTOMER)
    for broken in (False, True):
        if broken:
            project.query("UPDATE orders SET customer_id = 99 WHERE id = 17")
        code, _ = project.read()
        try:
            with psycopg.connect(**project.live.parameters()) as connection:
                connection.execute(CUSTOMER[0])
                connection.rollback()
            assert code == 0
        except psycopg.errors.ForeignKeyViolation:
            assert code == 1


def test_nothing_pending(make: Any) -> None:
    project = make()
    done = project.run()
    assert done.returncode == 0
    assert done.stdout.startswith("Nothing is pending on ")
    code, revisions = project.read()
    assert (code, revisions) == (0, [])


@pytest.mark.slow
def test_only_what_is_pending_up_to_a_revision_is_asked(make: Any) -> None:
    project = make(REFERENCE, AMOUNT, SAME)
    for to in ("rev2", "+2"):
        _, revisions = project.read("--to", to)
        assert [each["revision"] for each in revisions] == ["rev1", "rev2"]
    project.query("UPDATE alembic_version SET version_num = 'rev2'")
    done = project.run("--format", "json")
    assert [each["revision"] for each in json.loads(done.stdout)["revisions"]] == ["rev3"]


@pytest.mark.slow
def test_the_shop_asks_nothing_of_its_rows(kit: Kit) -> None:
    typed = kit.make("preflight")
    assert (typed.returncode, typed.stdout[:19]) == (0, "Nothing is pending "), typed.stderr
    assert kit.make("rollback", "to=-2").returncode == 0
    typed = kit.make("preflight", "to=+1")
    assert typed.returncode == 0, typed.stderr
    assert "1 pending migration on app on " in typed.stdout


# What an earlier revision decides


@pytest.mark.slow
def test_rows_that_an_earlier_revision_changes_are_no_verdict(make: Any) -> None:
    project = make(BACKFILL, REFERENCE)
    project.query("UPDATE orders SET reference = NULL WHERE id < 5")
    code, revisions = project.read()
    found = only(revisions)
    assert (code, found["status"], found["rows"]) == (0, "later", 4)
    assert found["reason"] == 'rev1 "rev1" changes the rows of orders before'
    assert "later: orders.reference is not NULL: rev1" in project.run().stdout


@pytest.mark.slow
def test_an_update_of_other_columns_is_no_reason_to_wait(make: Any) -> None:
    project = make(("UPDATE orders SET amount = amount + 1", "SELECT 1"), REFERENCE, AMOUNT)
    project.query("UPDATE orders SET reference = NULL WHERE id = 1")
    code, revisions = project.read()
    assert (code, statuses(revisions)) == (1, [[], ["violated"], ["later"]])


@pytest.mark.slow
def test_rows_that_are_only_added_repair_none_and_rows_that_are_deleted_break_none(make: Any) -> None:
    add = ("INSERT INTO orders SELECT 5000, 'SO-5000', 1, 1", "DELETE FROM orders WHERE id = 5000")
    delete = ("DELETE FROM orders WHERE id = 1", "INSERT INTO orders VALUES (1)")
    adds = make(add, REFERENCE)
    assert statuses(adds.read()[1]) == [[], ["later"]]
    adds.query("UPDATE orders SET reference = NULL WHERE id = 1")
    code, revisions = adds.read()
    assert (code, statuses(revisions)) == (1, [[], ["violated"]])
    versions = adds.ini.parent / "migrations/versions"
    text = (versions / "rev1.py").read_text()
    (versions / "rev1.py").write_text(text.replace(add[0], delete[0]).replace(add[1], delete[1]))
    assert statuses(adds.read()[1]) == [[], ["later"]]
    adds.query("UPDATE orders SET reference = 'x' WHERE id = 1")
    assert statuses(adds.read()[1]) == [[], ["holds"]]


@pytest.mark.slow
def test_a_deletion_does_not_hide_the_rows_that_the_same_string_adds(make: Any) -> None:
    both = "DELETE FROM orders WHERE id = 1; INSERT INTO orders SELECT 5000, NULL, 1, 1"
    project = make((f"python:op.execute({both!r})", "SELECT 1"), REFERENCE)
    assert statuses(project.read()[1]) == [[], ["later"]]


@pytest.mark.slow
def test_a_row_that_is_added_to_the_other_table_may_repair_it(make: Any) -> None:
    project = make(("INSERT INTO customers SELECT 99, 'x'", "SELECT 1"), CUSTOMER)
    project.query("UPDATE orders SET customer_id = 99 WHERE id = 1")
    code, revisions = project.read()
    assert (code, statuses(revisions), only(revisions)["rows"]) == (0, [[], ["later"]], 1)


@pytest.mark.slow
def test_what_an_earlier_revision_adds_is_not_asked(make: Any) -> None:
    column = ("ALTER TABLE orders ADD COLUMN note text", "ALTER TABLE orders DROP COLUMN note")
    note = ("ALTER TABLE orders ALTER note SET NOT NULL", "ALTER TABLE orders ALTER note DROP NOT NULL")
    table = ("CREATE TABLE notes (id int PRIMARY KEY, note text)", "DROP TABLE notes")
    notes = ("ALTER TABLE notes ALTER note SET NOT NULL", "ALTER TABLE notes ALTER note DROP NOT NULL")
    code, revisions = make(column, note, table, notes).read()
    assert (code, statuses(revisions)) == (0, [[], ["later"], [], ["later"]])
    reasons = [each["reason"] for revision in revisions for each in preconditions(revision)]
    assert reasons == ['rev1 "rev1" adds orders.note before', 'rev3 "rev3" creates notes before']


@pytest.mark.slow
def test_another_column_of_the_same_table_is_no_reason_to_wait(make: Any) -> None:
    column = ("ALTER TABLE orders ADD COLUMN note text", "ALTER TABLE orders DROP COLUMN note")
    project = make(column, REFERENCE)
    project.query("UPDATE orders SET reference = NULL WHERE id = 1")
    code, revisions = project.read()
    assert (code, statuses(revisions)) == (1, [[], ["violated"]])


# What cannot be asked


def test_a_locked_table_is_unknown_and_its_holder_is_named(make: Any) -> None:
    project = make(REFERENCE)
    with psycopg.connect(**project.live.parameters()) as holder:
        holder.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        code, revisions = project.read("--lock-timeout", "1")
        found = only(revisions)
        assert (code, found["status"], found["rows"]) == (1, "unknown", None)
        assert f"orders is locked by backend {holder.info.backend_pid}" in found["reason"]
        assert found["reason"].startswith("not asked within 1 s: ")


@pytest.mark.slow
def test_a_query_that_takes_too_long_is_unknown(make: Any) -> None:
    project = make(REFERENCE, rows="INSERT INTO orders SELECT n, 'x' FROM generate_series(1, 2000000) AS n")
    code, revisions = project.read("--timeout", "0.05")
    found = only(revisions)
    assert (code, found["status"], found["reason"]) == (1, "unknown", "no answer within 0.05 s")
    assert "unknown: orders.reference is not NULL: no answer within 0.05 s" in project.run("--timeout", "0.05").stdout


@pytest.mark.slow
def test_without_the_right_to_read_it_is_unknown(make: Any) -> None:
    project = make(REFERENCE)
    project.query("CREATE ROLE blind LOGIN")
    try:
        project.query("GRANT SELECT ON alembic_version TO blind")
        blind = replace(project, live=replace(project.live, user="blind"))
        code, revisions = blind.read()
        assert (code, only(revisions)["status"]) == (1, "unknown")
        assert only(revisions)["reason"] == "permission denied for table orders"
        project.query("REVOKE SELECT ON alembic_version FROM blind")
        done = blind.run()
        assert (done.returncode, done.stdout) == (1, "")
        assert "the revision of the database cannot be read: permission denied for table alembic_version" in done.stderr
        project.query("GRANT SELECT ON alembic_version, orders TO blind")
        assert blind.read()[0] == 0
    finally:
        project.query("DROP OWNED BY blind")
        project.query("DROP ROLE blind")


@pytest.mark.slow
def test_a_revision_that_fails_in_its_proof_is_no_pass(make: Any) -> None:
    project = make(("ALTER TABLE nowhere ADD COLUMN x int", "SELECT 1"), REFERENCE)
    done = project.run()
    assert done.returncode == 1
    assert "unknown: its upgrade fails in the proof" in done.stdout
    assert 'relation "nowhere" does not exist' in done.stdout
    assert "unknown: its upgrade was not run in the proof: it follows rev1, which could not be applied" in done.stdout


@pytest.mark.slow
def test_an_accepted_failure_of_the_proof_is_reported(make: Any) -> None:
    code = "op.execute('ALTER TABLE nowhere ADD COLUMN x int')\n    # dbkit: ok broken, the operators make it"
    project = make((f"python:{code}", "SELECT 1"))
    done = project.run()
    assert done.returncode == 0, done.stderr
    assert "unknown: its upgrade fails in the proof: " in done.stdout
    assert 'relation "nowhere" does not exist' in done.stdout
    assert ", which is accepted: the operators make it" in done.stdout
    assert "asks nothing" not in done.stdout


# Refusals


def test_no_database_is_named(make: Any) -> None:
    done = make(REFERENCE).run(live=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no database: DATABASE_URL is not set" in done.stderr


def test_a_database_that_is_ahead(make: Any) -> None:
    project = make(REFERENCE)
    project.query("UPDATE alembic_version SET version_num = 'unknown'")
    done = project.run()
    assert (done.returncode, done.stdout) == (7, "")
    assert "the database is at unknown, which this code does not have" in done.stderr


def test_a_server_that_does_not_answer(make: Any) -> None:
    project = replace(make(REFERENCE), live=Target("app", user="postgres", host="127.0.0.1", port=1))
    done = project.run()
    assert done.returncode == 4
    assert "127.0.0.1:1 does not answer" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--sql", "--answers", "x"), "--sql and --answers exclude each other"),
        (("--from", "base"), "--from is for --sql and --answers"),
        (("--from", "", "--sql"), "--from is empty"),
        (("--timeout", "0"), "write a number of seconds above 0, not '0'"),
        (("--sql", "--from", "nowhere"), "nowhere"),
        (("--to", "nowhere"), "nowhere"),
        (("--answers", "nowhere"), "cannot read nowhere"),
    ],
)
def test_bad_input(make: Any, arguments: tuple[str, ...], words: str) -> None:
    done = make(REFERENCE).run(*arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert words in done.stderr


# The session


@pytest.mark.slow
def test_a_query_takes_no_lock_but_for_reads(make: Any) -> None:
    project = make(WAITS)
    with psycopg.connect(**project.live.parameters(), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(16)")
        process = project.start("--lock-timeout", "60", "--format", "json")
        waiting = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        until(lambda: project.query(waiting) or process.poll() is not None)
        ((pid,),) = project.query(waiting)
        locks = project.query(f"SELECT DISTINCT mode FROM pg_locks WHERE pid = {pid} AND locktype = 'relation'")
        others = project.query(f"SELECT DISTINCT locktype FROM pg_locks WHERE pid = {pid}")
        started = f"SELECT xact_start IS NOT NULL, backend_xid IS NULL FROM pg_stat_activity WHERE pid = {pid}"
        assert project.query(started) == [(True, True)]
        assert locks == [("AccessShareLock",)]
        assert {str(row[0]) for row in others} == {"relation", "virtualxid", "advisory"}
        # writes go on beside it
        project.query("UPDATE orders SET amount = 5 WHERE id = 5")
        holder.execute("SELECT pg_advisory_unlock(16)")
        output, errors = process.communicate(timeout=BOUND)
    assert process.returncode == 0, errors
    assert statuses(json.loads(output)["revisions"]) == [["holds"]]


@pytest.mark.parametrize(
    ("number", "code"),
    others_slow(1, [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)]),
    ids=lambda value: value.name if isinstance(value, signal.Signals) else "",
)
def test_a_signal_leaves_no_session_behind(make: Any, number: signal.Signals, code: int) -> None:
    project = make(WAITS)
    with psycopg.connect(**project.live.parameters(), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(16)")
        process = project.start("--lock-timeout", "60")
        waiting = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        until(lambda: project.query(waiting) or process.poll() is not None)
        assert process.poll() is None
        process.send_signal(number)
        output, errors = process.communicate(timeout=BOUND)
        assert (process.returncode, output) == (code, "")
        assert errors.endswith("dbkit: interrupted\n") or number == signal.SIGKILL
        until(lambda: not project.sessions())


@pytest.mark.slow
def test_a_session_that_is_ended_is_one_clear_sentence(make: Any) -> None:
    project = make(WAITS)
    with psycopg.connect(**project.live.parameters(), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(16)")
        process = project.start("--lock-timeout", "60")
        waiting = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        until(lambda: project.query(waiting) or process.poll() is not None)
        output, errors = process.communicate(timeout=BOUND)
    assert (process.returncode, output) == (4, ""), errors
    assert f'the session in "{project.live.dbname}" at ' in errors
    assert "has ended: terminating connection due to administrator command." in errors
    assert "Traceback" not in errors


def test_a_function_of_a_check_cannot_write(make: Any) -> None:
    """Whatever a condition calls: the transaction is read-only."""
    project = make(WAITS)
    project.query(
        "CREATE OR REPLACE FUNCTION app.waits(int) RETURNS boolean LANGUAGE plpgsql AS "
        "'BEGIN DELETE FROM public.customers; RETURN true; END'"
    )
    code, revisions = project.read()
    assert (code, only(revisions)["status"]) == (1, "unknown")
    assert "cannot execute DELETE in a read-only transaction" in only(revisions)["reason"]
    assert project.query("SELECT count(*) FROM customers") == [(20,)]


# Estimates


@pytest.mark.slow
def test_statements_are_estimated_without_their_locks(make: Any) -> None:
    added = "ALTER TABLE orders ADD COLUMN note text; UPDATE orders SET note = 'x' WHERE note IS NULL AND amount > 1000"
    steps = [
        BACKFILL,
        (added, "ALTER TABLE orders DROP COLUMN note"),
        ("DELETE FROM orders USING customers AS c WHERE c.id = customer_id AND amount <= 500", "SELECT 1"),
        (f"python:op.execute({BLOCK!r})", "SELECT 1"),
        ("CREATE TABLE copies AS SELECT * FROM orders WHERE id <= 100", "DROP TABLE copies"),
        ("CREATE FUNCTION half(int) RETURNS int LANGUAGE sql AS 'SELECT $1 / 2'", "DROP FUNCTION half"),
        ("UPDATE orders SET amount = 1 WHERE half(id) = 5000", "SELECT 1"),
    ]
    project = make(*steps)
    project.query("UPDATE orders SET reference = NULL WHERE id <= 1000")
    project.query("ANALYZE")
    code, revisions = project.read()
    assert code == 0
    found = [each for revision in revisions for each in revision["statements"]]
    verbs = [(each["verb"], each["table"]) for each in found]
    expected = [
        ("update", "orders"),
        ("update", "orders"),
        ("delete", "orders"),
        ("run", ""),
        ("insert", "copies"),
        ("update", "orders"),
    ]
    assert verbs == expected
    for each, rows in zip(found, (1000, 1000, 500, None, 100, None), strict=True):
        assert each["rows"] is None if rows is None else rows * 0.8 <= each["rows"] <= rows * 1.2, each
    text = project.run().stdout
    assert "updates about 1,000 rows of orders" in text
    assert "runs a block of code" in text
    assert (
        "not estimated: functions and operators are those of pg_catalog: function half(integer) does not exist" in text
    )


# By another person


@pytest.fixture(scope="module")
def psql() -> str:
    """The path of psql."""
    try:
        return str(binaries.client_program(settings.load(Path("/"), dict(os.environ)), "psql"))
    except InputError:
        pytest.skip("there is no psql")


def run_psql(psql: str, project: Project, script: Path) -> str:
    """Run the script as the documentation has it."""
    command = [psql, "-X", "-q", "--csv", "-f", str(script), url_of(project.live)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@pytest.mark.slow
def test_the_answers_of_another_person_are_judged(make: Any, psql: str, tmp_path: Path) -> None:
    project = make(REFERENCE, AMOUNT, SAME)
    project.query("UPDATE orders SET reference = NULL WHERE id IN (17, 40, 41, 99)")
    script, answers = tmp_path / "preflight.sql", tmp_path / "answers.csv"
    written = project.run("--sql", "--from", "first", live=False)
    assert (written.returncode, written.stderr) == (0, "")
    script.write_text(written.stdout)
    assert project.run("--sql").stdout == written.stdout
    answers.write_text(run_psql(psql, project, script))
    judged = project.run("--answers", answers, "--format", "json", live=False)
    assert judged.returncode == 1
    revisions = json.loads(judged.stdout)["revisions"]
    assert statuses(revisions) == [["violated"], ["holds"], ["holds"]]
    found = revisions[0]["preconditions"][0]
    assert (found["rows"], found["keys"]) == (4, ["17", "40", "41"])
    project.query("UPDATE orders SET reference = 'x' || id WHERE reference IS NULL")
    answers.write_text(run_psql(psql, project, script))
    assert project.run("--answers", answers, live=False).returncode == 0


@pytest.mark.slow
def test_a_query_that_failed_for_the_other_person_is_unknown(make: Any, psql: str, tmp_path: Path) -> None:
    project = make(REFERENCE, AMOUNT)
    script, answers = tmp_path / "preflight.sql", tmp_path / "answers.csv"
    script.write_text(project.run("--sql").stdout)
    project.query("ALTER TABLE orders RENAME COLUMN reference TO other")
    answers.write_text(run_psql(psql, project, script))
    judged = project.run("--answers", answers, "--format", "json", live=False)
    assert judged.returncode == 1
    assert statuses(json.loads(judged.stdout)["revisions"]) == [["unknown"], ["holds"]]


@pytest.mark.slow
def test_answers_to_other_queries_are_refused(make: Any, tmp_path: Path) -> None:
    project = make(REFERENCE)
    identifier = only(project.read()[1])["id"]
    assert identifier.startswith("rev1.1-")
    answers = tmp_path / "answers.csv"
    for given, words in {
        "rev1.1-00000000": f"answers rev1.1-00000000, but the query of rev1.1 is now {identifier}",
        "rev9.1-00000000": "answers rev9.1-00000000, but there is no such precondition",
    }.items():
        answers.write_text(f'precondition,rows,first_keys\ncurrent,1,"[""first""]"\n{given},0,\n')
        done = project.run("--answers", answers, live=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
    answers.write_text(f'current,1,"[""first""]"\n{identifier},0,\n')
    assert project.run("--answers", answers, live=False).returncode == 0
    done = project.run("--answers", answers, "--from", "rev1", live=False)
    assert (done.returncode, "a database at first, not at rev1" in done.stderr) == (2, True)
    position, held = 'current,1,"[""first""]"\n', f"{identifier},0,\n"
    for text, words in {
        "": "has no answers",
        "no answer\n": "line 1, is not an answer",
        "a,b,c\n": "line 1",
        f"{position}{identifier},3,\n": "line 2, is not an answer",
        f'{position}{identifier},0,"[""1""]"\n': "line 2, is not an answer",
        f'{position}{identifier},1,"""1"""\n': "line 2, is not an answer",
        f'{position}{identifier},1,"[""1""]"\n{held}': f"line 3, is a second answer to {identifier}",
        f"{position}{held}{position}": "line 3, is a second answer to current",
    }.items():
        answers.write_text(text)
        done = project.run("--answers", answers, live=False)
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr


# A standby


@pytest.fixture
def replicated(local_settings: Settings) -> Iterator[tuple[Target, Target]]:
    """A database on a primary, and the same one on its standby, which does not delay what conflicts with a query."""
    with scratch_cluster.cluster(local_settings) as cluster:
        primary = cluster.create_database("shop")
        with psycopg.connect(**primary.parameters(), autocommit=True) as connection:
            for setting in ("wal_level = replica", "max_wal_senders = 4", "max_standby_streaming_delay = 0"):
                connection.execute(f"ALTER SYSTEM SET {setting}".encode())
        cluster.stop()
        cluster.ensure_running()  # once with this wal_level: a standby cannot begin at what was written before
        cluster.stop()
        data = cluster.directory / "standby"
        subprocess.run(["cp", "-a", cluster.data, data], check=True)
        cluster.ensure_running()
        with (data / "postgresql.auto.conf").open("a") as settings_file:
            settings_file.write(f"primary_conninfo = 'host={cluster.socket_directory} port=5432 user=postgres'\n")
        subprocess.run(["cp", "-a", data / "PG_VERSION", data / "standby.signal"], check=True)
        with running_standby(cluster, data) as target:
            yield primary, replace(target, dbname="shop")


def ask_standby(project: Any, query: str) -> list[tuple[object, ...]]:
    """Run a query; nothing where what the standby replays is in conflict with the login itself."""
    try:
        found: list[tuple[object, ...]] = project.query(query)
    except psycopg.OperationalError as error:
        assert "conflict with recovery" in str(error)  # noqa: PT017  # another error is one
        return []
    return found


@pytest.mark.slow
def test_a_standby_answers_until_what_it_replays_is_in_conflict(make: Any, replicated: tuple[Target, Target]) -> None:
    primary, standby = replicated
    on_primary = make(REFERENCE, WAITS, live=primary)
    on_primary.query("UPDATE orders SET reference = NULL WHERE id = 17")
    ((position,),) = on_primary.query("SELECT pg_current_wal_insert_lsn()::text")
    project = replace(on_primary, live=standby)
    until(lambda: ask_standby(project, f"SELECT pg_last_wal_replay_lsn() >= '{position}'") == [(True,)])
    code, revisions = project.read()
    assert (code, statuses(revisions)) == (1, [["violated"], ["holds"]])
    with psycopg.connect(**standby.parameters(), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(16)")
        process = project.start("--lock-timeout", "60", "--format", "json")
        waiting = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        until(lambda: ask_standby(project, waiting) or process.poll() is not None)
        on_primary.query("DROP TABLE orders")
        output, errors = process.communicate(timeout=BOUND)
    assert process.returncode == 1, errors
    found = json.loads(output)["revisions"][1]["preconditions"][0]
    assert found["status"] == "unknown"
    assert found["reason"].startswith("the standby has canceled it: ")
