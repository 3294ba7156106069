"""No verb waits without an end, or without a word, for a lock that another session holds."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from dbkit.cli import VERBS
from dbkit.postgres.locks import lock_key
from dbkit.settings import Target
from support.kit import SHOP_HEAD, Kit
from support.pair import Pair
from support.running import until

TABLES = ("alembic_version", "dbkit_journal", "orders")
BOUND = 120  # seconds; a verb that is ended by this has hung
NO_WAITING = {"MIGRATION_WAIT": "0"}
# What a verb is called with; one that is not here gets nothing
ARGUMENTS = {
    "accept": [SHOP_HEAD],
    "backfill": ["orders", "--set", "reference = reference"],
    "lint": ["--only", SHOP_HEAD, "--jobs", "1"],
    "mark": ["test"],
    "merge": ["-m", "x"],
    "prove": ["--only", SHOP_HEAD, "--jobs", "1"],
    "psql": ["-c", "SELECT 1"],
    "report": ["--only", SHOP_HEAD, "--jobs", "1", "--output", "markdown"],
    "resolve": [SHOP_HEAD],
    "revision": ["-m", "x"],
    "roundtrip": ["--only", SHOP_HEAD, "--jobs", "1"],
    "sql": ["--out", "-"],
    "trace": [SHOP_HEAD, "--jobs", "1"],
    "wait": ["--at-head"],
}
# What reads none of the locked tables of the database of .env, or can do without
UNTOUCHED = {
    *(
        "check",
        "db-start",
        "diagram",
        "explain",
        "graph",
        "lint",
        "merge",
        "prove",
        "psql",
        "rebase-migration",
        "report",
        "revision",
        "roundtrip",
        "schema",
        "sizes",
        "trace",
    )
}
ENDS_THE_HOLDER = {"db-stop"}
WITHOUT_A_DATABASE = {"adopt", "new"}
TAKE_THE_MIGRATION_LOCK = {"accept", "resolve", "reset", "restore"}
# With one of the tables locked: the verbs that need it
NEEDS = {
    "alembic_version": set(VERBS) - UNTOUCHED - {"log", "resolve", "db-stop"},
    "dbkit_journal": {"migrate", "log", "accept", "resolve", "status", "wait", "redo", "rollback"},
    "orders": {"rollback", "redo", "seed", "drift"},
}


@contextmanager
def locked(kit: Kit, tables: Sequence[str]) -> Iterator[int]:
    """Another session holds the strongest lock on tables; its number."""
    with psycopg.connect(**kit.cluster.target().parameters()) as holder:
        for table in tables:
            holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield holder.info.backend_pid


def run(kit: Kit, verb: str, *arguments: str) -> tuple[int, str]:
    """Exit code and all that was said. Raises TimeoutExpired for a verb that hangs."""
    typed = kit.dbkit(verb, *(arguments or ARGUMENTS.get(verb, [])), env=NO_WAITING, timeout=BOUND)
    return typed.returncode, typed.stdout + typed.stderr


def check_told(verb: str, told: tuple[int, str], pid: int, tables: Sequence[str], expected: int = 5) -> None:
    code, words = told
    assert "Traceback" not in words, (verb, words)
    if verb in UNTOUCHED:
        assert code == 0, (verb, words)
    else:
        assert code == expected, (verb, words)
        assert any(f"{table} is locked by backend {pid}, user postgres" in words for table in tables), (verb, words)
        assert "idle in transaction after LOCK TABLE" in words, (verb, words)


@pytest.mark.parametrize(
    "verbs",
    [
        pytest.param(set(VERBS) - UNTOUCHED, id="verbs that need the tables"),
        pytest.param(UNTOUCHED, id="the others", marks=pytest.mark.slow),
    ],
)
def test_every_verb_ends_and_says_who_holds_the_lock(kit: Kit, verbs: set[str]) -> None:
    at_once = sorted(verbs - ENDS_THE_HOLDER - WITHOUT_A_DATABASE - TAKE_THE_MIGRATION_LOCK)
    with locked(kit, TABLES) as pid, ThreadPoolExecutor(3) as pool:
        for verb, told in zip(at_once, pool.map(lambda verb: run(kit, verb), at_once), strict=True):
            check_told(verb, told, pid, TABLES)
        for verb in verbs & TAKE_THE_MIGRATION_LOCK:  # one after the other: they wait for each other, too
            check_told(verb, run(kit, verb), pid, TABLES)
    assert kit.query("SELECT version_num FROM alembic_version") == [(SHOP_HEAD,)]


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("verb", sorted(set(VERBS) - UNTOUCHED - ENDS_THE_HOLDER - WITHOUT_A_DATABASE - {"reset"}))
def test_with_one_table_locked_who_needs_it_says_so(kit: Kit, verb: str, table: str) -> None:
    with locked(kit, [table]) as pid:
        told = run(kit, verb)
    if verb in NEEDS[table]:
        # where it is the migration that does not get its lock, the migration has failed
        is_of_migration = table == "orders" and verb in {"redo", "rollback"}
        check_told(verb, told, pid, [table], 1 if is_of_migration else 5)
    else:
        # it may have found nothing to do, or something else that is wrong
        assert told[0] in (0, 1, 2, 5), told
        assert "Traceback" not in told[1]


@pytest.mark.slow
def test_status_names_the_migration_that_runs(kit: Kit) -> None:
    with psycopg.connect(**kit.cluster.target().parameters(), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [lock_key(Target("app"))])
        with holder.transaction():
            holder.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            code, words = run(kit, "status")
            assert code == 0
            assert (
                f"running   a migration: backend {holder.info.backend_pid}, user postgres, from this machine" in words
            )
            assert "idle in transaction after LOCK TABLE" in words
            assert "next      wait until the running migration is done" in words
            code, words = run(kit, "rollback", "--to", "base")
            assert (code, "orders is locked by backend" in words) == (5, True), words


@pytest.mark.slow
def test_a_prepared_transaction_is_named(kit: Kit) -> None:
    kit.query("ALTER SYSTEM SET max_prepared_transactions = 2")
    kit.cluster.stop()
    with psycopg.connect(**kit.cluster.ensure_running().parameters()) as holder:
        holder.execute("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
        holder.execute("PREPARE TRANSACTION 'forgotten'")
    try:
        code, words = run(kit, "status")
        assert code == 5
        assert "alembic_version is locked by the prepared transaction 'forgotten'" in words
        assert "ROLLBACK PREPARED 'forgotten'" in words
    finally:
        kit.query("ROLLBACK PREPARED 'forgotten'")


@pytest.mark.slow
def test_what_was_applied_is_no_failure_when_it_cannot_be_read_afterwards(pair: Pair) -> None:
    hold = 'op.execute("LOCK TABLE alembic_version IN ROW EXCLUSIVE MODE")'
    wait_for_it = (
        'op.execute("DO $$BEGIN WHILE NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted) LOOP END LOOP; END$$")'
    )
    pair.write("op.execute('CREATE TABLE t (id int)')", f"{hold}\n{wait_for_it}")
    process = pair.gated.start("upgrade", "head", env={"MIGRATION_WAIT": "1s"})
    with psycopg.connect(**pair.gated.target.parameters()) as holder:
        # the second migration has the lock: the first one had one, too, when it was recorded
        begun = (
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE mode = 'RowExclusiveLock' "
            "AND relation = to_regclass('alembic_version') AND query LIKE 'DO $$BEGIN WHILE%'"
        )
        until(lambda: pair.gated.query(begun) == [(1,)])
        # granted when that is committed, and before the diagnosis reads the table
        holder.execute("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
        _, errors = process.communicate(timeout=BOUND)
        assert process.returncode == 0, errors
        assert "warning: rev2 is applied, but the state of the database could not be read: gave up" in errors
        assert f"alembic_version is locked by backend {holder.info.backend_pid}" in errors
    assert pair.gated.heads() == ["rev2"]


def test_a_role_with_a_single_connection_is_told_the_truth(pair: Pair) -> None:
    pair.write("op.execute('CREATE TABLE t (id int)')")
    pair.gated.query("CREATE ROLE single LOGIN CONNECTION LIMIT 1")
    pair.gated.query("GRANT CREATE ON SCHEMA public TO single")
    single = replace(pair.gated, target=replace(pair.gated.target, user="single"))
    typed = single.alembic("upgrade", "head", env={"MIGRATION_WAIT": "30s"})
    assert (typed.returncode, "waiting" in typed.stderr) == (0, False), typed.stderr
    assert pair.gated.heads() == ["rev1"]
