"""Citus: what its catalog says about a table is a fact of the schema, and a proof sees it."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dbkit import catalog
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.connect import connect
from dbkit.roundtrip.prove import Request, prove
from dbkit.settings import Settings, Target
from support.battery import Planted, make_project
from support.citus import install

TABLES = "CREATE TABLE customers (id int, name text); CREATE TABLE orders (id int, customer int); CREATE TABLE lands (id int)"
CHAIN = [
    Planted("tables", TABLES, "DROP TABLE customers, orders, lands", "proven"),
    Planted(
        "distributed",
        "SELECT create_distributed_table('customers', 'id')",
        "SELECT undistribute_table('customers')",
        "proven",
    ),
    Planted(
        "colocated",
        "SELECT create_distributed_table('orders', 'customer', colocate_with => 'customers')",
        "SELECT undistribute_table('orders')",
        "proven",
    ),
    Planted(
        "left",
        "python:op.execute(\"DELETE FROM pg_dist_partition WHERE logicalrelid = 'lands'::regclass\")\n"
        "    op.execute(\"SELECT create_reference_table('lands')\")",
        "SELECT 1",
        "dirty",
        "distribution lands is still there",
    ),
    Planted(
        "another column",
        "SELECT undistribute_table('orders'); SELECT create_distributed_table('orders', 'id')",
        "SELECT undistribute_table('orders'); SELECT create_distributed_table('orders', 'id', 'customers')",
        "dirty",
        "distribution orders",
    ),
]


@pytest.fixture
def control_path(server: Cluster, tmp_path: Path) -> str:
    """The path on which a session of the superuser finds the extension."""
    with psycopg.connect(**server.target("postgres").parameters()) as connection:
        if connection.info.server_version < 18_00_00:
            pytest.skip("extension_control_path came with PostgreSQL 18")
    return install(server, tmp_path / "citus")


@pytest.fixture
def for_all_sessions(server: Cluster, control_path: str) -> Iterator[None]:
    """Set it for each session of the superuser, as those of a proof."""
    with psycopg.connect(**server.target("postgres").parameters(), autocommit=True) as connection:
        connection.execute(f"ALTER ROLE postgres SET extension_control_path = '{control_path}'")
        try:
            yield
        finally:
            connection.execute("ALTER ROLE postgres RESET extension_control_path")


def distribution(connection: psycopg.Connection) -> dict[str, str]:
    facts = catalog.read_facts(connection)
    assert not any(str(fact).startswith("table pg_dist") for fact in facts)
    return {fact.identity: definition for fact, definition in facts.items() if fact.kind == "distribution"}


def test_what_is_distributed_is_a_fact(database: Target, control_path: str) -> None:
    with connect(database) as connection:
        connection.execute(TABLES.replace("TABLE ", "TABLE public."))
        assert distribution(connection) == {}
        connection.execute(f"SET extension_control_path = '{control_path}'")
        connection.execute("CREATE EXTENSION citus")
        assert distribution(connection) == {}
        connection.execute("SELECT create_distributed_table('public.customers', 'id')")
        connection.execute("SELECT create_distributed_table('public.orders', 'customer', 'public.customers')")
        connection.execute("SELECT create_reference_table('public.lands')")
        expected = {
            "customers": "DISTRIBUTED BY HASH (id) SHARDS 32 COLOCATED WITH public.customers",
            "orders": "DISTRIBUTED BY HASH (customer) SHARDS 32 COLOCATED WITH public.customers",
            "lands": "REFERENCE TABLE",
        }
        assert distribution(connection) == expected
        # the number of the group is another one, and the same is distributed in the same way
        for table in ("customers", "orders"):
            connection.execute(f"SELECT undistribute_table('public.{table}')")
        connection.execute("SELECT create_distributed_table('public.customers', 'id')")
        connection.execute("SELECT create_distributed_table('public.orders', 'customer', 'public.customers')")
        assert distribution(connection) == expected


def test_without_its_catalog_nothing_is_asked(database: Target, control_path: str, tmp_path: Path) -> None:
    """As an extension of that name whose tables are not there."""
    (script,) = (tmp_path / "citus/extension").glob("*.sql")
    script.write_text("SELECT 1;")
    with connect(database) as connection:
        connection.execute(f"SET extension_control_path = '{control_path}'")
        connection.execute("CREATE EXTENSION citus")
        assert distribution(connection) == {}


@pytest.mark.usefixtures("for_all_sessions")
def test_a_proof_sees_it(local_settings: Settings, server: Cluster, tmp_path: Path) -> None:
    first = Planted("extension", "CREATE EXTENSION citus", "DROP EXTENSION citus", "proven")
    ini = make_project(tmp_path / "project", [first, *CHAIN])
    outcome = prove(local_settings, ini, Request(rows=0, server=server.target("postgres"), jobs=1))
    for case, found in zip([first, *CHAIN], outcome.revisions, strict=True):
        words = "\n".join(finding.words for finding in (*found.findings, *found.notes))
        assert (found.verdict, case.words in words) == (case.verdict, True), (case.name, found.verdict, words)
