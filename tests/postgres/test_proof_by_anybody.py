"""Proofs on a server that others use too: by a role that may only create databases, and several at once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from dbkit.postgres import scratch_database
from dbkit.postgres.cluster import Cluster
from dbkit.roundtrip.prove import Request, prove
from dbkit.settings import Settings, Target
from support.battery import NOTHING
from support.plain import write_project

REVISIONS = [
    ("aaaa", None, "CREATE TABLE t (id int PRIMARY KEY, n int)", "DROP TABLE t"),
    ("bbbb", "aaaa", "UPDATE t SET n = 1", "SELECT 1"),
    ("cccc", "bbbb", "CREATE INDEX IF NOT EXISTS ix ON t (id)", NOTHING),
    ("dddd", "cccc", "python:with op.get_context().autocommit_block():\n        op.execute('CREATE INDEX CONCURRENTLY ic ON t (id)')", "DROP INDEX ic"),
    ("eeee", "dddd", "CREATE TABLE u (t_id int REFERENCES t)", "DROP TABLE u"),
]  # fmt: skip
EXPECTED = ["proven", "lossy", "dirty", "proven", "proven"]


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    return write_project(tmp_path, REVISIONS)


@pytest.fixture
def creator(server: Cluster) -> Iterator[Target]:
    """A role with CREATEDB and nothing else."""
    with psycopg.connect(**server.target("postgres").parameters(), autocommit=True) as connection:
        connection.execute("CREATE ROLE creator LOGIN CREATEDB")
        yield replace(server.target("postgres"), user="creator")
        connection.execute("ALTER ROLE creator RESET ALL")
        connection.execute("DROP ROLE creator")


@pytest.mark.spread(2)
@pytest.mark.parametrize("counts", ["on", "off"])
@pytest.mark.parametrize("trace", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["plain", "traced"])
def test_createdb_is_enough(
    local_settings: Settings, server: Cluster, creator: Target, ini: Path, counts: str, trace: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with psycopg.connect(**server.target("postgres").parameters(), autocommit=True) as connection:
        connection.execute(f"ALTER ROLE creator SET track_counts = {counts}")
    outcome = prove(local_settings, ini, Request(server=creator, trace=trace))
    assert [each.verdict.value for each in outcome.revisions] == EXPECTED
    assert ("track_counts is off" in capsys.readouterr().err) == (counts == "off")


def databases(target: Target) -> set[str]:
    with psycopg.connect(**target.parameters()) as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE datname ~ '^dbkit_proof_[0-9a-f]+_'")
        return {row[0] for row in rows}


def left_behind(target: Target) -> str:
    """A database as a killed proof leaves it."""
    name = next(scratch_database.DatabaseNames(scratch_database.new_token()))
    with psycopg.connect(**target.parameters(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return name


@pytest.mark.parametrize("same", [True, False], ids=["same user", "another user"])
def test_a_second_proof_leaves_the_first_ones_databases_alone(
    server: Cluster, creator: Target, same: bool, database: Target
) -> None:
    """Whatever database each --server names, and whoever it logs in as."""
    with scratch_database.named_server(server.target("postgres") if same else creator) as first:
        name = first.create_database(next(scratch_database.DatabaseNames(first.token))).dbname
        with scratch_database.named_server(database):
            assert name in databases(database)
        assert name in databases(database)
    assert name not in databases(database)


def test_what_a_killed_proof_left_goes_with_the_next_in_whatever_database(server: Cluster, database: Target) -> None:
    left = left_behind(server.target("postgres"))
    with scratch_database.named_server(database):
        assert left not in databases(database)


def test_what_another_user_has_left_is_left_to_him(server: Cluster, creator: Target) -> None:
    left = left_behind(server.target("postgres"))
    with scratch_database.named_server(creator):
        assert left in databases(creator)
    with scratch_database.named_server(server.target("postgres")):
        assert left not in databases(creator)
