"""`preflight = on`: the gate refuses a statement that existing rows make fail, before it is executed."""

from dataclasses import replace

import psycopg
import pytest

from support.failure_modes import BLOCK, line_with, one_line
from support.kit import Kit
from support.pair import Pair, Project, url_of
from support.running import until

ORDERS = """op.execute('CREATE TABLE orders (id int PRIMARY KEY, reference text, note text)')
op.execute("INSERT INTO orders VALUES (1, 'r1', 'a'), (17, NULL, 'b'), (40, NULL, 'b')")"""
REQUIRE = "op.alter_column('orders', 'reference', nullable=False)"
MISSING = "2 rows of orders (id 17, 40) violate: orders.reference is not NULL"
REFUSED = f"ALTER TABLE orders ALTER COLUMN reference SET NOT NULL would fail: {MISSING}; nothing of it was kept, the database is at rev1"
TWICE = "2 rows of orders (id 17, 40) violate: no two rows of orders have the same"
INDEX = "op.create_index('ux', 'orders', ['note'], unique=True, postgresql_concurrently=True)"
LOCKS = "SELECT count(*) FROM pg_locks WHERE relation = 'orders'::regclass AND pid <> pg_backend_pid()"
INVALID = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"

# By hand as docs/safety.md shows it, in a project from `alembic init`
GATE_ENV = """
from pathlib import Path

from alembic import context

from dbkit import gate

gate.run(context, root=Path(__file__).resolve().parents[2], load_metadata=lambda: None)
"""


def configure(project: Project, more: str = "preflight = on") -> None:
    ini = project.root / "alembic.ini"
    ini.write_text(f"{ini.read_text()}\n[dbkit]\n{more}\n")


def applied(pair: Pair, *upgrades: str) -> Project:
    """The gated project with the orders, the question switched on, and more revisions that are pending."""
    configure(pair.gated)
    pair.write(ORDERS)
    run = pair.gated.alembic("upgrade", "head")
    assert run.returncode == 0, run.stderr
    pair.write(*upgrades)
    return pair.gated


def rows(project: Project) -> list[tuple[object, ...]]:
    return project.query("SELECT * FROM orders ORDER BY id")


def test_a_statement_is_refused_before_anything_is_changed(pair: Pair) -> None:
    project = applied(
        pair, f"op.execute('CREATE TABLE more (id int)')\nop.execute(\"UPDATE orders SET note = 'c'\")\n{REQUIRE}"
    )
    before = (rows(project), project.heads(), project.journal())
    refused = project.alembic("upgrade", "head")
    assert refused.returncode == 1
    line = one_line(refused.stderr)
    assert line.startswith("dbkit: upgrade of rev2 failed, at rev2.py:13: ")
    assert REFUSED in line
    assert "python -m dbkit preflight" in refused.stderr
    assert "NotNullViolation" not in refused.stderr
    assert (rows(project), project.heads(), project.journal()) == before
    assert project.query("SELECT to_regclass('more'), to_regclass('orders') IS NOT NULL") == [(None, True)]
    assert project.query(LOCKS) == [(0,)]
    project.query("UPDATE orders SET reference = 'r' || id")
    assert project.alembic("upgrade", "head").returncode == 0
    assert project.heads() == ["rev2"]
    assert project.journal() == [*before[2], ("upgrade", "rev2")]


def test_it_is_off_by_default(pair: Pair) -> None:
    pair.write(ORDERS)
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    pair.write(REQUIRE)
    failed = pair.gated.alembic("upgrade", "head")
    assert failed.returncode == 1
    assert "contains null values" in one_line(failed.stderr)
    assert "would fail" not in failed.stderr


def test_a_backfill_before_it_satisfies_it(pair: Pair) -> None:
    project = applied(pair, f"op.execute(\"UPDATE orders SET reference = 'r' || id\")\n{REQUIRE}")
    run = project.alembic("upgrade", "head")
    assert run.returncode == 0, run.stderr


@pytest.mark.spread(2)
@pytest.mark.parametrize(
    "code",
    [
        "op.execute('ALTER TABLE orders ALTER COLUMN reference SET NOT NULL')",
        "op.get_bind().exec_driver_sql('ALTER TABLE orders ALTER COLUMN reference SET NOT NULL')",
        "op.get_bind().connection.cursor().execute(b'ALTER TABLE orders ALTER COLUMN reference SET NOT NULL')",
        "op.get_bind().connection.driver_connection.execute('ALTER TABLE orders ALTER COLUMN reference SET NOT NULL')",
    ],
)
def test_every_way_to_the_driver_is_asked(pair: Pair, code: str) -> None:
    project = applied(pair, code)
    refused = project.alembic("upgrade", "head")
    assert (refused.returncode, REFUSED in one_line(refused.stderr)) == (1, True)


@pytest.mark.parametrize(
    ("execute", "percent"),
    [
        ("op.execute", "%"),
        ("op.get_bind().exec_driver_sql", "%%"),
        ("op.get_bind().connection.cursor().execute", "%"),
    ],
)
def test_a_percent_sign_is_what_the_server_gets(pair: Pair, execute: str, percent: str) -> None:
    allowed, refused = (
        f"ALTER TABLE orders ADD CONSTRAINT {name} CHECK (note NOT LIKE '{like}{percent}')"
        for name, like in (("allowed", "b_"), ("refused", "b"))
    )
    project = applied(pair, f'{execute}("{allowed}")', f'{execute}("{refused}")')
    run = project.alembic("upgrade", "head")
    assert run.returncode == 1
    assert "(id 17, 40) violate: every row of orders satisfies note NOT LIKE 'b%'; nothing" in one_line(run.stderr)
    assert project.heads() == ["rev2"]


def test_no_invalid_index_is_left(pair: Pair) -> None:
    project = applied(pair, f"{BLOCK}{INDEX}")
    before = rows(project)
    for _ in range(2):
        refused = project.alembic("upgrade", "head")
        assert refused.returncode == 1
        assert TWICE in one_line(refused.stderr)
        assert "the database is at rev1, and it is safe to run again" in refused.stderr
        assert project.query(INVALID) == [(0,)]
        assert (rows(project), project.heads()) == (before, ["rev1"])
    project.query("DELETE FROM orders WHERE id = 40")
    assert project.alembic("upgrade", "head").returncode == 0
    assert project.query("SELECT indisvalid FROM pg_index WHERE indexrelid = 'ux'::regclass") == [(True,)]
    assert project.journal()[-1] == ("upgrade", "rev2")


def test_a_part_that_was_committed_is_reported_as_ever(pair: Pair) -> None:
    project = applied(pair, f"{BLOCK}op.execute(\"UPDATE orders SET note = 'c'\")\n    {INDEX}")
    refused = project.alembic("upgrade", "head")
    assert refused.returncode == 6
    assert "at least 3 rows of orders (id 1, 17, 40) violate" in one_line(refused.stderr)
    assert "python -m dbkit resolve rev2" in refused.stderr
    assert project.query(INVALID) == [(0,)]


def test_a_failure_that_the_migration_expects_is_not_refused(pair: Pair) -> None:
    code = f"""try:
    with op.get_bind().begin_nested():
        {REQUIRE}
except sa.exc.IntegrityError:
    op.execute("UPDATE orders SET note = 'not required'")"""
    project = applied(pair, code)
    run = project.alembic("upgrade", "head")
    assert run.returncode == 0, run.stderr
    assert project.query("SELECT DISTINCT note FROM orders") == [("not required",)]


@pytest.mark.parametrize("after", ["pass", "op.execute('SELECT 1')", f"{BLOCK}pass"])
def test_a_migration_that_ignores_the_refusal_is_not_applied(pair: Pair, after: str) -> None:
    project = applied(
        pair, f"op.execute(\"UPDATE orders SET note = 'c'\")\ntry:\n    {REQUIRE}\nexcept Exception:\n    pass\n{after}"
    )
    before = rows(project)
    refused = project.alembic("upgrade", "head")
    assert refused.returncode == 1, refused.stderr
    assert REFUSED in one_line(refused.stderr)
    assert (rows(project), project.heads()) == (before, ["rev1"])


def test_a_savepoint_of_the_driver_is_one_too(pair: Pair) -> None:
    code = """from psycopg.errors import NotNullViolation
driver = op.get_bind().connection.driver_connection
try:
    with driver.transaction():
        driver.execute("ALTER TABLE orders ALTER reference SET NOT NULL")
except NotNullViolation:
    op.execute("UPDATE orders SET note = 'not required'")"""
    project = applied(pair, code)
    run = project.alembic("upgrade", "head")
    assert run.returncode == 0, run.stderr


def test_a_downgrade_is_asked_too(pair: Pair) -> None:
    project = applied(pair, ("pass", REQUIRE))  # type: ignore[arg-type]
    assert project.alembic("upgrade", "head").returncode == 0
    refused = project.alembic("downgrade", "-1")
    assert refused.returncode == 1
    assert f"would fail: {MISSING}" in refused.stderr
    assert project.heads() == ["rev2"]


def test_the_settings_of_the_migration_stay(pair: Pair) -> None:
    code = f"""bind = op.get_bind()
op.execute("SET LOCAL lock_timeout = '3s'; SET LOCAL statement_timeout = '77s'")
{REQUIRE.replace("reference", "note")}
names = ("lock_timeout", "statement_timeout", "transaction_read_only", "row_security")
found = [bind.exec_driver_sql(f"SHOW {{name}}").scalar() for name in names]
assert found == ["3s", "77s", "off", "on"], found"""
    project = applied(pair, code)
    run = project.alembic("upgrade", "head")
    assert run.returncode == 0, run.stderr


# it ends at once in the migration itself, whose transaction may write
SLOW = """op.execute('''CREATE FUNCTION is_there(reference text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
    IF current_setting('transaction_read_only') = 'on' THEN PERFORM pg_sleep(600); END IF;
    RETURN true;
END $$''')"""


def test_without_an_answer_in_time_the_migration_goes_on(pair: Pair) -> None:
    configure(pair.gated, "preflight = on\npreflight_timeout = 100ms")
    pair.write(ORDERS, SLOW, "op.create_check_constraint('there', 'orders', 'is_there(reference)')")
    run = pair.gated.alembic("upgrade", "head")
    assert run.returncode == 0, run.stderr
    words = (
        "not known within 0.1 s, so the migration goes on: whether every row of orders satisfies is_there(reference)."
    )
    assert one_line(run.stderr) == f"dbkit: {words}"
    assert pair.gated.heads() == ["rev3"]


def test_without_the_right_to_read_the_migration_goes_on(pair: Pair) -> None:
    project = applied(pair, REQUIRE)
    role = f"owner_{abs(hash(project.target.dbname)) % 10**9}"
    for statement in (
        f"CREATE ROLE {role} LOGIN",
        f"GRANT ALL ON alembic_version, dbkit_journal TO {role}",
        f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}",
        f"ALTER TABLE orders OWNER TO {role}",
        f"REVOKE SELECT ON orders FROM {role}",
    ):
        project.query(statement)
    owned = {"DATABASE_URL": url_of(replace(project.target, user=role, password=None))}
    failed = project.alembic("upgrade", "head", env=owned)
    assert failed.returncode == 1
    assert "contains null values" in one_line(failed.stderr)  # by the server, as without the question
    project.query("UPDATE orders SET reference = 'r' || id")
    run = project.alembic("upgrade", "head", env=owned)
    assert run.returncode == 0, run.stderr


@pytest.mark.slow
def test_a_lock_of_another_session_is_waited_for_as_ever(pair: Pair) -> None:
    project = applied(pair, REQUIRE)
    project.query("UPDATE orders SET reference = 'r' || id")
    with psycopg.connect(**project.target.parameters()) as other:
        other.execute("LOCK orders IN ACCESS EXCLUSIVE MODE")
        process = project.start("upgrade", "head", env={"MIGRATION_LOCK_TIMEOUT": "300ms"})
        assert "did not get its locks within 0.3 s (try 1)" in line_with(process, "(try 1)")
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors


def test_ctrl_c_during_a_question(pair: Pair) -> None:
    configure(pair.gated, "preflight = on\npreflight_timeout = 10min")
    pair.write(ORDERS, SLOW)
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    pair.write("op.create_check_constraint('there', 'orders', 'is_there(reference)')")
    process = pair.gated.start("upgrade", "head")
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
    until(lambda: pair.gated.query(sleeping) == [(1,)])
    process.terminate()
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 143, errors
    assert one_line(errors).startswith("dbkit: interrupted in the upgrade of rev3")
    assert pair.gated.heads() == ["rev2"]
    assert pair.gated.query(sleeping) == [(0,)]


def test_a_project_whose_env_py_calls_the_gate(pair: Pair) -> None:
    project = pair.bare
    project.env_py.write_text(GATE_ENV)
    project.environment = {"DATABASE_URL": url_of(project.target), "APP_ENV": "test"}
    configure(project)
    pair.write(ORDERS, REQUIRE)
    refused = project.alembic("upgrade", "head")
    assert (refused.returncode, REFUSED in one_line(refused.stderr)) == (1, True)
    assert project.heads() == ["rev1"]


def test_the_kit(kit: Kit) -> None:
    ini = kit.path / "alembic.ini"
    before = ini.read_text()
    try:
        assert kit.make("seed").returncode == 0
        count = kit.query("SELECT count(*) FROM orders")
        assert count != [(0,)]
        ini.write_text(f"{before}\n[dbkit]\npreflight = on\n")
        assert kit.make("revision", "m=SHOP-99 a check", "empty=1").returncode == 0
        revision = kit.newest
        code = 'op.create_check_constraint("one", "orders", "id < 0")'
        revision.write_text(revision.read_text().replace("pass", code, 1))
        for refused in (kit.make("migrate"), kit.alembic("upgrade", "head")):
            assert refused.returncode in (1, 2)
            assert "violate: every row of orders satisfies id < 0; nothing of it was kept" in refused.stderr
        assert kit.query("SELECT count(*) FROM orders") == count
    finally:
        ini.write_text(before)
