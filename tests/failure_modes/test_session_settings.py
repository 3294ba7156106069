"""What a migration sets in its session, and how long it may be idle."""

import pytest

from dbkit.postgres.sql_quote import quote_ident
from support.failure_modes import BLOCK, NO_KEY, TABLE, upgrade_behind_a_reader
from support.pair import Pair
from support.running import others_slow


@pytest.mark.parametrize(
    "statement",
    others_slow(
        3,
        [
            "op.execute('SELECT pg_advisory_unlock_all()')",
            f"{BLOCK}op.execute('DISCARD ALL')",
            "op.execute(\"SET lock_timeout = '10min'\")",
            "op.execute(\"SELECT pg_catalog.set_config('search_path', '', false)\")",
            "op.execute('SET LOCAL search_path = pg_catalog')",
            "op.execute('RESET ALL')",
            'op.execute("SET search_path = pg_catalog")\nop.execute("SET statement_timeout = \'1h\'")',
            "op.execute(\"-- more time\\nSET lock_timeout = '10min'\")",
            "op.execute('CREATE ROLE nobody_else')\nop.execute('SET ROLE nobody_else')",
        ],
    ),
)
def test_what_a_migration_sets_ends_with_it(pair: Pair, statement: str) -> None:
    if pair.gated.driver == "asyncpg" and "DISCARD ALL" in statement:
        pytest.skip("asyncpg keeps prepared statements, which DISCARD ALL removes")
    seen = (
        "op.execute(\"CREATE TABLE seen AS SELECT current_setting('lock_timeout') AS lock, current_setting('search_path') AS path, "
        "current_setting('client_connection_check_interval') AS interval, current_setting('statement_timeout') AS time, "
        "(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks\")"
    )
    pair.write(statement, seen)
    typed = pair.gated.alembic("upgrade", "head")
    try:
        assert typed.returncode == 0, typed.stderr
        assert pair.gated.query("SELECT * FROM seen") == [("1s", '"$user", public', "500ms", "0", 1)]
        assert pair.gated.journal() == [("upgrade", "rev1"), ("upgrade", "rev2")]
    finally:
        pair.gated.query("DROP ROLE IF EXISTS nobody_else")


def test_the_longer_wait_of_an_index_ends_with_it(pair: Pair) -> None:
    swallowed = (
        f"try:\n    {BLOCK.replace(chr(10), chr(10) + '    ')}op.execute('CREATE INDEX CONCURRENTLY ix ON t (nothing)')\n"
        "except sa.exc.ProgrammingError:\n    pass\n"
        "op.execute(\"CREATE TABLE seen AS SELECT current_setting('lock_timeout') AS lock\")"
    )
    pair.write(NO_KEY, swallowed)
    typed = pair.gated.alembic("upgrade", "head")
    assert typed.returncode == 0, typed.stderr
    assert pair.gated.query("SELECT * FROM seen") == [("1s",)]


def test_a_pause_does_not_end_the_session(pair: Pair) -> None:
    pair.write(TABLE)
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    name = quote_ident(pair.gated.target.dbname)
    pair.gated.query(f"ALTER DATABASE {name} SET idle_session_timeout = '100ms'")
    pair.write("op.execute('ALTER TABLE t ADD x int')")
    upgrade_behind_a_reader(pair.gated, "400ms")
