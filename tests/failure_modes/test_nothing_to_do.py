"""An upgrade of a database that is up to date."""

import psycopg

from dbkit.postgres.locks import lock_key
from support.failure_modes import TABLE, one_line
from support.pair import Pair


def test_an_up_to_date_database_takes_no_lock(pair: Pair) -> None:
    pair.write(TABLE)
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    with psycopg.connect(**pair.gated.target.parameters(), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [lock_key(pair.gated.target)])
        assert pair.gated.alembic("upgrade", "head", env={"MIGRATION_WAIT": "0"}).returncode == 0
        pair.write("pass")
        typed = pair.gated.alembic("upgrade", "head", env={"MIGRATION_WAIT": "0"})
        assert typed.returncode == 5
        assert f"backend {holder.info.backend_pid}, user postgres, from this machine, for " in one_line(typed.stderr)
