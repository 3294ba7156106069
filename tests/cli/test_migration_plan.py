"""`dbkit migrate --plan` says what would run, and runs nothing on the database."""

import json
from pathlib import Path

import pytest

from dbkit.postgres.cluster import Cluster
from support.other_project import OtherProject, make_project

STATE = """
SELECT (SELECT json_agg(c.relname ORDER BY c.oid) FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace)::text,
    (SELECT count(*) FROM pg_locks WHERE locktype IN ('advisory', 'relation') AND database = (
        SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid())
"""
SIZES = [
    {
        "table": "public.customers",
        "rows": 40_000_000,
        "bytes": 4_000_000_000,
        "indexes": 1,
        "index_bytes": 900_000_000,
        "writes_per_second": 3,
    },
]


@pytest.fixture(scope="module")
def project(server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> OtherProject:
    """Its database is at c1; what is pending works out its SQL from rows, so that --sql cannot write it."""
    found = make_project(tmp_path_factory.mktemp("plan"), server.create_database("test_plan"))
    up = (
        "python:rows = op.get_bind().execute(sa.text('SELECT count(*) FROM customers')).scalar()\n"
        "    op.execute(f'ALTER TABLE customers ADD CONSTRAINT ck CHECK (id <> {0 - rows})')\n"
        "    op.execute('ALTER TABLE customers ALTER city SET NOT NULL')"
    )
    found.add(
        "c3", "c2", up, "ALTER TABLE customers DROP CONSTRAINT ck; ALTER TABLE customers ALTER city DROP NOT NULL"
    )
    run = found.dbkit("migrate", "--to", "c1")
    assert run.returncode == 0, run.stderr
    return found


@pytest.fixture(scope="module")
def planned(project: OtherProject) -> dict[str, object]:
    """The plan as JSON."""
    before = project.query(STATE)
    run = project.dbkit("migrate", "--plan", "--format", "json")
    assert run.returncode == 0, run.stderr
    # no table was made, and no lock is kept
    assert project.query(STATE) == before
    found: dict[str, object] = json.loads(run.stdout)
    return found


def test_it_has_the_sql_as_executed_with_locks_and_preconditions(planned: dict[str, object]) -> None:
    assert (planned["current"], planned["has_sizes"], planned["seconds"]) == (["c1"], False, None)
    second, third = planned["revisions"]  # type: ignore[misc]
    assert [each["sql"] for each in second["statements"]] == ["ALTER TABLE customers ADD COLUMN city text"]
    assert second["statements"][0]["locks"] == [
        {"table": "customers", "lock": "ACCESS EXCLUSIVE", "blocks": "reads and writes"}
    ]
    assert second["waits"] == [{"table": "customers", "blocks": "reads and writes", "seconds": None}]
    assert any("CHECK (id <> -" in each["sql"] for each in third["statements"])
    conditions = {each["words"]: each for each in third["preconditions"]}
    assert "IS NULL" in conditions["customers.city is not NULL"]["query"]
    assert "adds customers.city before" in conditions["customers.city is not NULL"]["later"]
    scanned = [work["kind"] for each in third["statements"] for work in each["work"]]
    assert "scan" in scanned


@pytest.mark.slow
def test_it_is_text_for_people(project: OtherProject) -> None:
    run = project.dbkit("migrate", "--plan", "--to", "+1")
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert lines[0] == 'c2 "c2"'
    assert "    ALTER TABLE customers ADD COLUMN city text;" in lines
    assert "      -- customers: ACCESS EXCLUSIVE: reads and writes wait" in lines
    assert "1 pending migration on test_plan on " in run.stdout
    assert "Nothing was run on it." in run.stdout
    assert "`dbkit sizes` prints a query" in run.stdout
    assert "c3" not in run.stdout


@pytest.mark.slow
def test_times_are_those_of_the_live_sizes(project: OtherProject, tmp_path: Path) -> None:
    (project.root / "sizes.txt").write_text(json.dumps(SIZES))
    before = project.ini.read_text()
    project.ini.write_text(f"{before}\n[dbkit]\nsizes = sizes.txt\n")
    try:
        run = project.dbkit("migrate", "--plan", "--format", "json")
        text = project.dbkit("migrate", "--plan").stdout
    finally:
        project.ini.write_text(before)
    plan = json.loads(run.stdout)
    third = plan["revisions"][1]
    assert plan["seconds"] > 0
    assert third["waits"][0]["seconds"] >= max(
        each["seconds"] or 0 for one in third["statements"] for each in one["work"]
    )
    assert "40 million rows" in text
    assert "at the sizes of its tables" in text


@pytest.mark.spread(3)
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--plan", "--to", "nope"), 2, "Can't locate revision"),
        (("--plan", "--to", "-1"), 2, "-1 is behind the database"),
        (("--format", "json"), 2, "--format json is for --plan"),
    ],
)
def test_what_cannot_be_planned(project: OtherProject, arguments: tuple[str, ...], code: int, words: str) -> None:
    run = project.dbkit("migrate", *arguments)
    assert (run.returncode, words in run.stderr, run.stdout) == (code, True, "")
    assert project.query("SELECT version_num FROM alembic_version") == [("c1",)]


@pytest.mark.slow
def test_an_upgrade_that_does_not_work_is_named(server: Cluster, tmp_path: Path) -> None:
    project = make_project(tmp_path, server.create_database("test_plan_broken"))
    project.add("c3", "c2", "ALTER TABLE nothing ADD x int", "SELECT 1")
    run = project.dbkit("migrate", "--plan")
    assert run.returncode == 1, run.stderr
    assert "unknown: its upgrade fails in the proof" in run.stdout
    assert "3 pending migrations on test_plan_broken" in run.stdout
    assert "; c3 does not work in a scratch database." in run.stdout
    assert "at base" in run.stdout
    assert project.query("SELECT count(*) FROM pg_class WHERE relname = 'alembic_version'") == [(0,)]


@pytest.mark.slow
def test_nothing_pending(server: Cluster, tmp_path: Path) -> None:
    project = make_project(tmp_path, server.create_database("test_plan_nothing"))
    assert project.dbkit("migrate").returncode == 0
    run = project.dbkit("migrate", "--plan")
    assert (run.returncode, run.stdout.startswith("Nothing is pending on test_plan_nothing on ")) == (0, True)
