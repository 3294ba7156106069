"""What each verb does and says."""

import contextlib
import re
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest

from support.kit import REPOSITORY, SHOP_HEAD, Kit
from support.running import foreground, others_slow

HEAD = SHOP_HEAD
VERSIONS = "backend/alembic/versions"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1))


def revision_file(kit: Kit, ticket: str) -> Path:
    (path,) = (kit.path / VERSIONS).glob(f"*_{ticket}_*.py")
    return path


def test_status_on_one_screen(kit: Kit) -> None:
    kit.set_database("template0")
    shown = kit.make("status").stdout
    assert len(shown.splitlines()) <= 24
    assert f'database  "app" on the embedded server in {kit.path}/.dbkit/postgres' in shown
    assert re.search(r"^answers +yes, PostgreSQL 18", shown, re.MULTILINE)
    assert re.search(r"^revision +none", shown, re.MULTILINE)
    assert re.search(rf'^head +{HEAD} "SHOP-40', shown, re.MULTILINE)
    assert re.search(r"^pending +26$", shown, re.MULTILINE)
    assert 'cd1d761afae9 "SHOP-1 create customers and products"' in shown
    assert shown.splitlines()[-1] == "next      make migrate"
    kit.make("migrate")
    assert "pending   nothing" in kit.make("status").stdout


def test_status_of_a_server_that_does_not_answer(kit: Kit) -> None:
    shown = kit.dbkit("status", env={"DATABASE_URL": "postgresql://shop:hunter2@127.0.0.1:1/x"})
    assert shown.returncode == 4
    assert '"x" on 127.0.0.1:1 as shop' in shown.stdout
    assert "answers   no: the server at 127.0.0.1:1 does not answer" in shown.stdout


@pytest.mark.slow
def test_sql_stops_at_the_first_error_and_gives_the_same_schema(kit: Kit) -> None:
    kit.set_database("template0")
    assert "26 migrations from base to head" in kit.make("sql").stdout
    script = kit.path / "upgrade.sql"
    ran = kit.run("make", "psql", stdin=script.read_text())
    assert ran.returncode == 0, ran.stderr
    assert kit.query("SELECT version_num FROM alembic_version") == [(HEAD,)]
    assert kit.alembic("check").returncode == 0
    kit.set_database("template0")
    script.write_text(script.read_text().replace("CREATE TABLE orders", "CREATE TABLE nowhere.orders"))
    failed = kit.run("make", "psql", stdin=script.read_text())
    assert failed.returncode != 0
    assert kit.query("SELECT version_num FROM alembic_version") == [("cd1d761afae9",)]


def test_sql_begins_where_the_database_is(kit: Kit) -> None:
    kit.alembic("downgrade", "-2")
    kit.make("sql", "out=part.sql")
    script = (kit.path / "part.sql").read_text()
    assert script.count("-- Running upgrade") == 2
    ran = kit.run("make", "psql", stdin=script)
    assert ran.returncode == 0, ran.stderr
    assert kit.query("SELECT version_num FROM alembic_version") == [(HEAD,)]
    (kit.path / "part.sql").unlink()


def test_sql_for_another_revision_changes_nothing(kit: Kit) -> None:
    """Alembic's own script would leave the version table wrong, and say nothing."""
    kit.make("sql", "from=7c3228c8b0cb", "out=part.sql")
    script = (kit.path / "part.sql").read_text()
    (kit.path / "part.sql").unlink()
    ran = kit.run("make", "psql", stdin=script)
    assert ran.returncode != 0
    assert f'this script begins at "7c3228c8b0cb", and the database is at "{HEAD}"' in ran.stderr
    assert kit.query("SELECT version_num FROM alembic_version") == [(HEAD,)]
    kit.set_database("template0")
    assert 'and the database is at ""' in kit.run("make", "psql", stdin=script).stderr


@pytest.mark.slow
def test_sql_from_two_current_heads(kit: Kit) -> None:
    kit.make("rollback", "to=60ecb11634bb")
    assert len(kit.query("SELECT version_num FROM alembic_version")) == 2
    back = kit.make("rollback", "to=-1")
    assert "the database is at 2 revisions" in back.stderr
    made = kit.make("sql")
    assert "3 migrations from 3ef0538ba411 and 60ecb11634bb to head" in made.stdout, made.stderr
    ran = kit.run("make", "psql", stdin=(kit.path / "upgrade.sql").read_text())
    assert ran.returncode == 0, ran.stderr
    assert kit.query("SELECT version_num FROM alembic_version") == [(HEAD,)]


def test_sql_from_base_needs_no_database(kit: Kit) -> None:
    env = {"DATABASE_URL": "postgresql://u@127.0.0.1:1/x"}
    made = kit.dbkit("sql", "--from", "base", "--to", "cd1d761afae9", "--out", "-", env=env)
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("\\set ON_ERROR_STOP on\n")
    assert "CREATE TABLE customers" in made.stdout
    assert "CREATE TABLE orders" not in made.stdout


def test_a_bare_word_after_a_colon_is_refused_in_a_script(kit: Kit) -> None:
    """Alembic would write NULL for it, and exit 0."""
    kit.make("revision", "m=json", "empty=1")
    path = kit.newest
    edit(path, "pass", """op.execute('UPDATE products SET name = \\'{"a":true}\\'')""")
    before = (kit.path / "upgrade.sql").exists()
    for typed in (kit.make("sql"), kit.alembic("upgrade", f"{HEAD}:head", "--sql")):
        assert typed.returncode == 2
        assert "op.execute() has a bare :true" in typed.stderr
        assert "UPDATE products" not in typed.stdout
    assert (kit.path / "upgrade.sql").exists() == before
    edit(path, '"a":true', '"a"\\\\:true')
    assert """'{"a":true}'""" in kit.alembic("upgrade", f"{HEAD}:head", "--sql").stdout


def test_a_migration_that_reads_rows_into_python_is_no_script(kit: Kit) -> None:
    kit.make("revision", "m=reads", "empty=1")
    edit(kit.newest, "pass", "op.get_bind().execute(sa.text('SELECT 1')).scalar()")
    typed = kit.make("sql")
    assert f"{kit.newest.name}:" in typed.stderr.splitlines()[0]
    assert "cannot be written as a script" in typed.stderr
    assert "Traceback" not in typed.stderr


def test_sql_with_nothing_pending_writes_nothing(kit: Kit) -> None:
    assert "Nothing to write" in kit.make("sql").stdout
    assert not (kit.path / "upgrade.sql").exists()


def test_rollback_and_redo_say_what_they_did(kit: Kit) -> None:
    undone = kit.make("rollback").stdout
    assert "undoing SHOP-40" in undone
    assert '1 migration undone; now at 3a04fb83cc78 "SHOP-37' in undone
    assert kit.query("SELECT version_num FROM alembic_version") != [(HEAD,)]
    assert kit.make("migrate", "to=+1").returncode == 0
    redone = kit.make("redo").stdout
    assert f'Undone and applied again; now at {HEAD} "SHOP-40' in redone
    assert kit.make("rollback", "to=base").returncode == 0
    assert "nothing is applied" in kit.make("rollback").stderr
    assert kit.make("migrate", "to=cd1d761afae9").returncode == 0
    assert kit.query("SELECT version_num FROM alembic_version") == [("cd1d761afae9",)]


def test_migrate_to_a_revision_that_is_behind_says_how_to_get_there(kit: Kit) -> None:
    typed = kit.make("migrate", "to=cd1d761afae9")
    assert "already past cd1d761afae9" in typed.stderr
    assert "make rollback to=cd1d761afae9" in typed.stderr


def test_reset_gives_an_empty_database_at_head(kit: Kit) -> None:
    kit.query("CREATE TABLE mine AS SELECT 1")
    with psycopg.connect(**kit.cluster.target().parameters()):
        typed = kit.make("reset")
    assert typed.returncode == 0, typed.stderr
    assert 'dropping "app"' in typed.stdout
    assert kit.query("SELECT version_num, to_regclass('mine') FROM alembic_version") == [(HEAD, None)]


@pytest.mark.slow
def test_reset_keeps_a_cluster_of_another_major_aside(kit: Kit) -> None:
    kit.make("db-stop")
    (kit.path / ".dbkit/postgres/data/PG_VERSION").write_text("12\n")
    failed = kit.make("migrate")
    assert "created by PostgreSQL 12" in failed.stderr
    assert "make reset" in failed.stderr
    assert kit.make("reset").returncode == 0
    kept = kit.path / ".dbkit/postgres-12"
    assert kept.is_dir()
    kit.cluster.remove()
    kept.rename(kit.path / ".dbkit/postgres")
    (kit.path / ".dbkit/postgres/data/PG_VERSION").write_text("18\n")


@pytest.mark.slow
def test_seed_adds_its_rows_once_and_leaves_mine_alone(kit: Kit) -> None:
    kit.query("INSERT INTO customers (email, full_name) VALUES ('me@example.org', 'Me')")
    kit.query("ALTER DATABASE app SET statement_timeout = '200ms'")  # the application's; the rows take longer
    first, second = kit.make("seed"), kit.make("seed")
    assert first.returncode == second.returncode == 0, first.stderr
    added = int(first.stdout.split()[0].replace(",", ""))
    assert added >= 50_000
    assert second.stdout.startswith("0 rows added")
    assert kit.query("SELECT full_name FROM customers WHERE email = 'me@example.org'") == [("Me",)]
    kit.alembic("downgrade", "-1")
    assert "not at the head" in kit.make("seed").stderr


@pytest.mark.slow
def test_seeded_rows_survive_the_way_to_the_first_revision_and_back(kit: Kit) -> None:
    kit.make("seed")
    count = "SELECT (SELECT count(*) FROM customers), (SELECT count(*) FROM products)"
    before = kit.query(count)
    assert kit.alembic("downgrade", "cd1d761afae9").returncode == 0
    assert kit.query(count) == before
    assert kit.alembic("upgrade", "head").returncode == 0
    assert kit.query(count) == before


def test_check_is_clean_on_the_example(kit: Kit) -> None:
    typed = kit.make("check")
    assert (typed.returncode, typed.stderr) == (0, "")
    assert typed.stdout == "The models match the migrations, there is one head, and the schema snapshot is fresh.\n"
    assert kit.alembic("check").returncode == 0


@pytest.mark.spread(2)
@pytest.mark.parametrize(
    ("file", "old", "new", "finding"),
    [
        ("backend/schema.sql", "CREATE TABLE public.addresses", "CREATE TABLE public.adresses", "schema.sql is stale"),
        (
            "backend/app/models/products.py",
            "class Product(Base):",
            "class Product(Base):\n    x: Mapped[int]",
            "column products.x is only in the models: integer NOT NULL",
        ),
        ("backend/app/models/orders.py", "CANCELLED = ", "LOST = 'lost'\n    CANCELLED = ", "enum order_status"),
    ],
)
def test_check_names_what_differs(kit: Kit, file: str, old: str, new: str, finding: str) -> None:
    edit(kit.path / file, old, new)
    typed = kit.dbkit("check")
    assert typed.returncode == 1
    assert finding in typed.stderr


@pytest.mark.slow
def test_check_names_a_downgrade_that_does_nothing(kit: Kit) -> None:
    path = revision_file(kit, "shop_10")
    text = path.read_text()
    path.write_text(text[: text.index("def downgrade")] + "def downgrade() -> None:\n    pass\n")
    typed = kit.dbkit("check")
    assert typed.returncode == 1
    assert f"{path.name}:" in typed.stderr
    assert "empty-downgrade: downgrade() does nothing, but upgrade() does" in typed.stderr
    path.write_text(f"{path.read_text()}\n# dbkit: ok empty-downgrade, nothing was made\n")
    assert "empty-downgrade" not in kit.dbkit("check").stderr


@pytest.mark.slow
def test_schema_is_the_same_each_time_and_the_one_in_git(kit: Kit) -> None:
    committed = (REPOSITORY / "backend/schema.sql").read_bytes()
    (kit.path / "backend/schema.sql").unlink()
    assert "Wrote" in kit.make("schema").stdout
    assert (kit.path / "backend/schema.sql").read_bytes() == committed
    assert "is fresh" in kit.make("schema").stdout


def test_schema_sql_can_be_loaded(kit: Kit) -> None:
    kit.set_database("template0")
    loaded = kit.run(
        "venv/bin/python", "-m", "dbkit", "psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", "backend/schema.sql"
    )
    assert loaded.returncode == 0, loaded.stderr
    assert kit.query("SELECT count(*) FROM orders") == [(0,)]


@pytest.mark.slow
def test_the_round_trip_of_the_example(kit: Kit) -> None:
    typed = kit.make("roundtrip")
    assert typed.returncode == 0, typed.stderr
    assert "26 migrations on PostgreSQL 18" in typed.stdout
    assert (
        "21 proven, 3 proven, if, 2 lossy; 2 of them accepted; the whole chain went down and up again" in typed.stdout
    )
    again = kit.make("roundtrip").stdout
    assert "; 26 verdicts kept; " in again
    assert again.splitlines()[:-1] == typed.stdout.splitlines()[:-1]


def test_the_round_trip_since_a_commit_takes_it_verbatim(kit: Kit) -> None:
    typed = kit.make("roundtrip", "since=$(touch here); `touch here`")
    assert typed.returncode == 2
    assert "--since $(touch here); `touch here`: " in typed.stderr
    assert not (kit.path / "here").exists()


def test_the_round_trip_touches_no_database_of_mine(kit: Kit) -> None:
    typed = kit.dbkit("roundtrip", env={"DATABASE_URL": "postgresql://u@127.0.0.1:1/x", "APP_ENV": "production"})
    assert typed.returncode == 0, typed.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "finding"),
    others_slow(
        1,
        [
            ('op.execute("DROP TYPE order_status")', "pass", "order_status"),
            ('op.drop_table("orders")', 'op.rename_table("orders", "old_orders")', "old_orders"),
        ],
    ),
)
def test_a_round_trip_that_leaves_something_says_what(kit: Kit, old: str, new: str, finding: str) -> None:
    path = revision_file(kit, "shop_2")
    text = path.read_text()
    start = text.index("def downgrade")
    if old not in text[start:]:
        pytest.fail(f"{path.name} has no {old} in downgrade(): the test must be brought up to date")
    path.write_text(text[:start] + text[start:].replace(old, new))
    typed = kit.dbkit("roundtrip")
    assert typed.returncode == 1
    assert finding in typed.stdout + typed.stderr


@pytest.mark.slow
def test_a_schema_that_changes_on_the_second_upgrade_is_found(kit: Kit) -> None:
    """Nothing is left at base, and yet the second upgrade gives another schema: here, by what a role remembers."""
    path = revision_file(kit, "shop_40")
    memory = "ALTER ROLE postgres SET dbkit_test.seen = 'yes'"
    old = "def upgrade() -> None:\n"
    new = f"{old}    op.execute(\"COMMENT ON TABLE orders IS 'first'\")\n"
    edit(path, old, new)
    edit(path, "def downgrade() -> None:\n", f'def downgrade() -> None:\n    op.execute("{memory}")\n')
    second = "op.execute(\"DO $$ BEGIN IF (SELECT rolconfig FROM pg_roles WHERE rolname = 'postgres') IS NOT NULL THEN CREATE TABLE again (x int); END IF; END $$\")"
    edit(path, new, f"{new}    {second}\n")
    typed = kit.dbkit("roundtrip")
    assert typed.returncode == 1
    assert "after the second upgrade, table again is new" in typed.stdout


@pytest.mark.slow
def test_nothing_to_walk_over_is_not_proven(kit: Kit) -> None:
    for path in kit.versions:
        path.unlink()
    for verb in ("roundtrip", "check", "schema"):
        typed = kit.dbkit(verb)
        assert typed.returncode == 2
        assert "there are no revisions" in typed.stderr


def test_ctrl_c_in_the_round_trip_leaves_nothing(kit: Kit) -> None:
    others = {path for place in ("/dev/shm", tempfile.gettempdir()) for path in Path(place).glob("*/*.owner")}
    process = subprocess.Popen(
        [kit.path / "venv/bin/python", "-m", "dbkit", "roundtrip", "--no-cache"],
        cwd=kit.path,
        env=dict(kit.environment),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=foreground,
    )
    while not (owner := open_file(process.pid, ".owner")) or owner in others:  # it looks into those of others, too
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=180) == 130
    assert not owner.exists()
    assert not owner.with_suffix("").exists()


def open_file(pid: int, suffix: str) -> Path | None:
    """A file with this suffix that the process has open."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if link.readlink().suffix == suffix:
                return link.readlink()
    return None


def test_db_start_and_db_stop_are_for_the_embedded_server(kit: Kit) -> None:
    assert kit.make("db-stop").stdout == "Stopped. The data stay.\n"
    assert kit.make("db-stop").stdout == "It was not running.\n"
    assert "is running" in kit.make("db-start").stdout
    refused = kit.make("db-stop", env={"DATABASE_URL": "postgresql://u@db/x"})
    assert "not the kit's to start or stop" in refused.stderr


def test_psql_runs_what_it_is_given(kit: Kit) -> None:
    assert kit.dbkit("psql", "-Atc", "SELECT 40 + 2").stdout == "42\n"


@pytest.mark.parametrize("arguments", [[], ["no-such-verb"], ["migrate", "--no-such-option"], ["revision"]])
def test_bad_usage_is_exit_2(kit: Kit, arguments: list[str]) -> None:
    typed = kit.dbkit(*arguments)
    assert typed.returncode == 2
    assert typed.stderr.startswith("usage: dbkit")


def test_a_reader_that_goes_away_is_no_error(kit: Kit) -> None:
    typed = kit.shell("venv/bin/python -m dbkit sql --from base --out - | head -n 1")
    assert (typed.returncode, typed.stderr) == (0, "")
