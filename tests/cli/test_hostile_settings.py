"""Every verb does its work where a database writes dates, numbers and bytes in another way than by default."""

import psycopg
import pytest

from support.every_verb import VERBS_RUN, prepare
from support.pair import Pair
from support.running import others_slow
from support.sessions import HOSTILE_SETTINGS

STYLES = ("German, DMY", "SQL, DMY", "Postgres, MDY")
OTHERS = {
    "lock_timeout": "50ms",
    "session_replication_role": "replica",
    "default_transaction_isolation": "serializable",
}


@pytest.mark.parametrize("style", others_slow(0, STYLES))
def test_every_verb_under_hostile_settings(pair: Pair, style: str) -> None:
    """No traceback, and the exit codes of a database with the usual settings."""
    prepare(pair)
    project = pair.gated
    with psycopg.connect(**project.target.parameters(), autocommit=True) as connection:
        for name, value in {**HOSTILE_SETTINGS, **OTHERS, "DateStyle": style}.items():
            connection.execute(f"ALTER DATABASE {project.target.dbname} SET {name} = '{value}'".encode())
    failed = []
    for verb, arguments in VERBS_RUN:
        done = project.dbkit(verb, *arguments)
        # there are no HEAD and no snapshot of this project
        expected = {"resolve": 2, "check": 1}.get(verb, 0)
        if done.returncode != expected or "Traceback" in done.stderr:
            failed.append((verb, done.returncode, (done.stdout + done.stderr)[-600:]))
    assert failed == []
