"""What could never be put back is refused before anything is dropped; what can be, comes back."""

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from dbkit.settings import Target
from support import pair as pair_module
from support.held_up import holding, start, wait_for, waits
from support.pair import Pair, Project
from support.running import others_slow
from support.stashes import KEYED, execute, prints, stashes, typed

PARTITIONED = (
    "CREATE TABLE event (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)",
    "CREATE TABLE event_0 PARTITION OF event FOR VALUES FROM (0) TO (100)",
)
WIDE = f"CREATE TABLE wide (id int PRIMARY KEY, {', '.join(f'c{n} boolean' for n in range(1599))})"


@pytest.fixture
def project(pair: Pair) -> Project:
    return pair.gated


CASES = [
    (
        "a partition that was made at run time",
        PARTITIONED,
        ["CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (100) TO (200)", "INSERT INTO event VALUES (150)"],
        "DROP TABLE event",
        "no revision makes event_1, a partition of event that has rows",
    ),
    (
        "large objects that are unlinked",
        ("CREATE TABLE doc (id int PRIMARY KEY, body oid)",),
        ["INSERT INTO doc VALUES (1, lo_from_bytea(0, 'body'))"],
        "SELECT lo_unlink(oid) FROM pg_largeobject_metadata",
        "undoing rev1 unlinks or changes large objects, which are not kept",
    ),
    (
        "1,600 columns, of which some would be added again",
        (WIDE,),
        ["INSERT INTO wide (id, c1598) VALUES (1, true)"],
        "ALTER TABLE wide DROP c1598",
        "wide has had 1,600 columns of 1,600 that PostgreSQL allows, 1 of which cannot be added again",
    ),
    (
        "a table that somebody made by hand, in a schema that goes",
        ("CREATE SCHEMA s", "CREATE TABLE s.ours (id int PRIMARY KEY)"),
        ["CREATE TABLE s.theirs (id int)", "INSERT INTO s.theirs VALUES (1)"],
        "DROP SCHEMA s CASCADE",
        "undoing rev1 drops the table s.theirs, which no revision makes and nothing keeps",
    ),
    (
        "a partition that was made at run time, and goes by itself",
        PARTITIONED,
        ["CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (100) TO (200)", "INSERT INTO event VALUES (150)"],
        "DO $$ DECLARE t regclass; BEGIN FOR t IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'event'::regclass"
        " LOOP EXECUTE 'DROP TABLE ' || t; END LOOP; END $$",
        "undoing rev1 drops the table event_1, which no revision makes and nothing keeps",
    ),
    (
        "a column that somebody made by hand",
        ("CREATE TABLE item (id int PRIMARY KEY)",),
        ["ALTER TABLE item ADD extra text", "INSERT INTO item VALUES (1, 'x')"],
        "DROP TABLE item",
        "no revision makes the column item.extra",
    ),
    (
        "a column whose type somebody changed by hand",
        ("CREATE TABLE item (id int PRIMARY KEY, n int)",),
        ["ALTER TABLE item ALTER n TYPE bigint", "INSERT INTO item VALUES (1, 2)"],
        "ALTER TABLE item DROP n",
        "item.n is bigint in this database, and integer after its revision",
    ),
    (
        "a hand-made column of a type that goes",
        ("CREATE TYPE mood AS ENUM ('ok')", "CREATE TABLE item (id int PRIMARY KEY)"),
        ["ALTER TABLE item ADD m mood", "INSERT INTO item VALUES (1, 'ok')"],
        "DROP TYPE mood CASCADE",
        "undoing rev1 drops the column item.m, which no revision makes and nothing keeps",
    ),
    (
        "rows that violate a CHECK that is NOT VALID",
        ("CREATE TABLE item (id int PRIMARY KEY)",),
        ["INSERT INTO item VALUES (-1)", "ALTER TABLE item ADD CONSTRAINT positive CHECK (id > 0) NOT VALID"],
        "DROP TABLE item",
        "rows of item violate its constraint positive, which is NOT VALID",
    ),
    (
        "rows that violate a foreign key that is NOT VALID",
        ("CREATE TABLE one (id int PRIMARY KEY)", "CREATE TABLE item (id int PRIMARY KEY, one int)"),
        [
            "INSERT INTO item VALUES (1, 5)",
            "ALTER TABLE item ADD CONSTRAINT f FOREIGN KEY (one) REFERENCES one NOT VALID",
        ],
        "DROP TABLE item, one",
        "rows of item violate its constraint f, which is NOT VALID",
    ),
]


@pytest.mark.spread(3)
@pytest.mark.parametrize(("create", "fill", "down", "why"), others_slow(3, [case[1:] for case in CASES]))
def test_what_could_never_be_put_back_is_refused(
    pair: Pair, project: Project, create: tuple[str, ...], fill: list[str], down: str, why: str
) -> None:
    pair.write((execute(*create), execute(down)))
    typed(project, "migrate")
    for statement in fill:
        project.query(statement)
    before = project.query("SELECT array_agg(relname ORDER BY oid) FROM pg_class")
    objects = project.query("SELECT count(*) FROM pg_largeobject_metadata")
    refused = typed(project, "rollback", code=3)
    assert f"refusing to roll back: {why}" in refused
    assert project.query("SELECT array_agg(relname ORDER BY oid) FROM pg_class") == before
    assert project.query("SELECT count(*) FROM pg_largeobject_metadata") == objects
    assert (project.heads(), stashes(project)) == (["rev1"], [])
    typed(project, "rollback", STASH="0")
    assert project.heads() == []


COMES_BACK = [
    (
        "foreign keys in a circle, none of which can be deferred",
        [
            "CREATE TABLE team (id int PRIMARY KEY, lead int)",
            "CREATE TABLE person (id int PRIMARY KEY, team int NOT NULL REFERENCES team, boss int REFERENCES person)",
            "ALTER TABLE team ADD CONSTRAINT lead FOREIGN KEY (lead) REFERENCES person",
        ],
        "DROP TABLE team, person CASCADE",
        [
            "INSERT INTO team VALUES (1), (2)",
            "INSERT INTO person VALUES (1, 1, 1), (2, 1, 1), (3, 2, 1)",
            "UPDATE team SET lead = id + 1",
            "ALTER TABLE team ALTER lead SET NOT NULL",
        ],
    ),
    (
        "1,600 columns",
        [WIDE],
        "DROP TABLE wide",
        ["INSERT INTO wide (id, c5, c1598) SELECT i, true, i > 3 FROM generate_series(1, 5) i"],
    ),
    (
        "1,600 columns, of which some are written",
        [WIDE],
        "UPDATE wide SET c7 = false, c8 = NULL",
        ["INSERT INTO wide (id, c7, c8, c1598) SELECT i, true, true, i > 3 FROM generate_series(1, 5) i"],
    ),
    (
        "a partition that was made at run time, where there is a default one",
        [*PARTITIONED, "CREATE TABLE event_x PARTITION OF event DEFAULT"],
        "DROP TABLE event",
        [
            "CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (100) TO (200)",
            "INSERT INTO event VALUES (5), (150)",
        ],
    ),
    (
        "partitioned tables in a circle",
        [
            "CREATE TABLE a (id int PRIMARY KEY, b int) PARTITION BY LIST (id)",
            "CREATE TABLE a1 PARTITION OF a DEFAULT",
            "CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a) PARTITION BY LIST (id)",
            "CREATE TABLE b1 PARTITION OF b DEFAULT",
            "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b",
        ],
        "DROP TABLE a, b CASCADE",
        ["INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (1, 1)", "UPDATE a SET b = 1"],
    ),
]


def constraints(project: Project) -> list[tuple[object, ...]]:
    return project.query(
        "SELECT conrelid::regclass::text, conname, condeferrable, condeferred, convalidated FROM pg_constraint"
        " WHERE contype = 'f' ORDER BY 1, 2"
    )


@pytest.mark.slow
@pytest.mark.parametrize(("create", "down", "fill"), others_slow(1, [case[1:] for case in COMES_BACK]))
def test_it_comes_back(pair: Pair, project: Project, create: list[str], down: str, fill: list[str]) -> None:
    pair.write(*([execute(*create), ("pass", execute(down))] if stays(down) else [(execute(*create), execute(down))]))
    typed(project, "migrate")
    before = constraints(project)
    for statement in fill:
        project.query(statement)
    rows = [project.query(f"SELECT r::text FROM {table} AS r ORDER BY id") for table in tables_of(create)]
    typed(project, "rollback")
    typed(project, "migrate")
    restored = typed(project, "restore")
    assert [project.query(f"SELECT r::text FROM {table} AS r ORDER BY id") for table in tables_of(create)] == rows
    assert "the same as before, by fingerprint" in restored
    assert constraints(project) == before


def stays(down: str) -> bool:
    return down.startswith("UPDATE")


def tables_of(create: list[str]) -> list[str]:
    return [statement.split()[2] for statement in create if statement.endswith(")") and statement.startswith("CREATE")]


@pytest.mark.slow
def test_rows_that_row_security_hides_are_named_as_the_cause(tmp_path: Path, password_server: Target) -> None:
    pair = pair_module.make(tmp_path, password_server, password_server)
    with psycopg.connect(**password_server.parameters(), autocommit=True) as connection:
        connection.execute("DROP OWNED BY shop")
    project = pair.gated
    pair.write((KEYED, execute("DROP TABLE item")))
    typed(project, "migrate")
    project.query("INSERT INTO item SELECT i, 'name' FROM generate_series(1, 500) i")
    project.query("CREATE POLICY few ON item USING (id < 100)")
    project.query("ALTER TABLE item ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    assert project.query("SELECT count(*) FROM item") == [(99,)]
    refused = typed(project, "rollback", code=3)
    assert "row security hides rows of item from shop, so they could not be kept." in refused
    assert "ALTER TABLE item NO FORCE ROW LEVEL SECURITY" in refused
    assert "STASH=0" not in refused
    assert "99" not in refused
    assert (project.heads(), stashes(project)) == (["rev1"], [])
    project.query("ALTER TABLE item NO FORCE ROW LEVEL SECURITY")
    assert "table item: 500 rows" in typed(project, "rollback")
    typed(project, "migrate")
    project.query("ALTER TABLE item ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    assert "row security hides rows of it from shop" in typed(project, "restore", code=1)
    assert [path.suffix for path in stashes(project)] != [".restored"]
    project.query("ALTER TABLE item NO FORCE ROW LEVEL SECURITY")
    typed(project, "restore")
    assert project.query("SELECT count(*) FROM item") == [(500,)]
    project.query("ALTER TABLE item FORCE ROW LEVEL SECURITY")
    without = typed(project, "rollback", STASH="0")
    assert "some of item: row security hides rows of it" in without


@pytest.mark.slow
def test_a_database_that_moved_meanwhile_is_named_as_the_cause(pair: Pair, project: Project) -> None:
    """Two rollbacks at once: the other one is done while this one counts what would be lost."""
    pair.write((KEYED, execute("DROP TABLE item")))
    typed(project, "migrate")
    project.query("INSERT INTO item VALUES (1, 'a')")
    with holding(project, "LOCK TABLE item IN ACCESS EXCLUSIVE MODE") as other:
        process = start(project, "rollback")
        wait_for(process, waits(project, "relation"))
        other.execute("DROP TABLE item")
        other.execute("DELETE FROM alembic_version")
        other.commit()
        _, errors = process.communicate()
    assert process.returncode == 1
    assert "the database moved while the rollback was prepared: it was at rev1, and is at base." in errors
    assert "STASH=0" not in errors


@pytest.mark.slow
def test_a_row_of_more_than_a_gigabyte_as_text_is_refused(pair: Pair, project: Project) -> None:
    pair.write((execute("CREATE TABLE doc (id int PRIMARY KEY, body bytea)"), execute("DROP TABLE doc")))
    typed(project, "migrate")
    half = "decode(repeat('00', 280000000), 'hex')"
    project.query(f"INSERT INTO doc SELECT 1, body || body FROM (SELECT {half} AS body) AS h")
    refused = typed(project, "rollback", code=3)
    assert "doc has a row that is larger than 1 GB as text" in refused
    assert (project.heads(), stashes(project)) == (["rev1"], [])


PEAK = """
import resource, runpy, sys
sys.argv = ["dbkit", *sys.argv[1:]]
try:
    runpy.run_module("dbkit", run_name="__main__")
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "MB", file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.parametrize("value", ["string_agg(md5(i::text), '')", "decode(string_agg(md5(i::text), ''), 'hex')"])
def test_one_large_value_is_not_held_in_memory(pair: Pair, project: Project, value: str) -> None:
    kind = "bytea" if "decode" in value else "text"
    pair.write(
        (execute(f"CREATE TABLE doc (id int PRIMARY KEY, a text, body {kind}, z bool)"), execute("DROP TABLE doc"))
    )
    typed(project, "migrate")
    project.query(f"INSERT INTO doc SELECT 1, e'a\\t\\\\b\\n', {value}, true FROM generate_series(1, 6250000) i")
    project.query("INSERT INTO doc VALUES (2, NULL, NULL, false), (3, 'c', '', NULL)")
    before = prints(project)
    for verb in ("rollback", "migrate", "restore"):
        ran = subprocess.run(
            [sys.executable, "-c", PEAK, verb],
            cwd=project.root,
            env={**project.variables(), "PYTHONPATH": str(project.root / "src")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "MB" in ran.stderr, ran.stderr
        assert int(ran.stderr.split()[-2]) < 200, ran.stderr
    assert prints(project) == before
