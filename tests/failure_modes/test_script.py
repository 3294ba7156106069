"""A script of `--sql`, run by somebody else."""

import subprocess

import psycopg

from dbkit.postgres.binaries import client_program
from dbkit.postgres.locks import lock_key
from dbkit.settings import Settings
from support.failure_modes import BLOCK, NO_KEY, TABLE
from support.pair import Pair, url_of


def test_06_a_script_that_goes_on_after_an_error(pair: Pair, local_settings: Settings) -> None:
    pair.write(TABLE, f"{BLOCK}op.execute('CREATE INDEX CONCURRENTLY ix ON t (nothing)')")
    for project in (pair.bare, pair.gated):
        script = project.alembic("upgrade", "head", "--sql").stdout
        psql = [client_program(local_settings, "psql"), "-X", "-q", url_of(project.target)]
        subprocess.run(psql, input=script, text=True, capture_output=True, check=False)
        assert project.heads() == (["rev1"] if project.gated else ["rev2"])


def test_06_a_script_writes_the_journal(pair: Pair, local_settings: Settings) -> None:
    pair.write(TABLE, "op.execute('ALTER TABLE t ADD x int')")
    script = pair.gated.alembic("upgrade", "head", "--sql").stdout
    psql = [client_program(local_settings, "psql"), "-X", "-q", url_of(pair.gated.target)]
    subprocess.run(psql, input=script, text=True, check=True)
    assert pair.gated.journal() == [("upgrade", "rev1"), ("upgrade", "rev2")]
    assert pair.gated.alembic("upgrade", "head").returncode == 0


def test_a_script_waits_for_nobody_and_runs_beside_nobody(pair: Pair, local_settings: Settings) -> None:
    pair.write(NO_KEY)
    script = pair.gated.alembic("upgrade", "head", "--sql").stdout
    psql = [client_program(local_settings, "psql"), "-X", "-q", url_of(pair.gated.target)]
    with psycopg.connect(**pair.gated.target.parameters(), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [lock_key(pair.gated.target)])
        refused = subprocess.run(psql, input=script, text=True, capture_output=True, check=False)
        assert "another migration is running" in refused.stderr
    subprocess.run(psql, input=script, text=True, check=True)
