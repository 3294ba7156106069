"""A rollback keeps what it loses, and `restore` puts it back: values, rows, and nothing that is newer is touched."""

import itertools
import json
import os
import re
import resource
import shutil
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from dbkit.settings import Target
from support import pair as pair_module
from support.kit import Kit
from support.pair import Pair, Project
from support.running import needs_root, others_slow
from support.stashes import KEYED, execute, prints, stashes, typed


@pytest.fixture
def project(pair: Pair) -> Project:
    return pair.gated


def there_and_back(project: Project, to: str = "-1") -> tuple[str, str]:
    """Roll back, migrate, restore: all rows must be what they were. Returns what rollback and restore printed."""
    before = prints(project)
    rolled = typed(project, "rollback", "--to", to)
    migrated = typed(project, "migrate")
    restored = typed(project, "restore")
    assert prints(project) == before, rolled + migrated + restored
    return rolled, restored


@pytest.mark.slow
def test_a_column_comes_back_value_for_value(pair: Pair, project: Project) -> None:
    pair.write(KEYED, (execute("ALTER TABLE item ADD note text"), execute("ALTER TABLE item DROP note")))
    typed(project, "migrate")
    project.query(
        "INSERT INTO item SELECT i, 'n' || i, CASE WHEN i % 2 = 0 THEN 'x' || i END FROM generate_series(1, 500) i"
    )
    rolled, restored = there_and_back(project)
    assert "A rollback to -1 loses, as of now:\n  column item.note: 250 values\n" in rolled
    assert "kept 500 rows of item in " in rolled
    assert "`make restore` puts them back" in rolled
    assert (
        "item (note): 500 rows matched, 250 put back, 250 already there; the same as before, by fingerprint" in restored
    )
    assert "There is no stash" in typed(project, "restore")


def test_alembic_says_what_it_runs_also_while_a_stash_waits(pair: Pair, project: Project) -> None:
    pair.write((KEYED, execute("DROP TABLE item")))
    typed(project, "migrate")
    project.query("INSERT INTO item VALUES (1, 'a')")
    typed(project, "rollback")
    assert "Running upgrade  -> rev1" in project.alembic("upgrade", "head").stderr
    assert "item: 0 rows matched, 1 put back" in typed(project, "restore")


@pytest.mark.slow
def test_a_table_comes_back_with_its_sequence(pair: Pair, project: Project) -> None:
    create = "CREATE TABLE item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n serial, d int GENERATED ALWAYS AS (n * 2) STORED)"
    pair.write(("pass"), (execute(create), execute("DROP TABLE item")))
    typed(project, "migrate")
    project.query("INSERT INTO item SELECT FROM generate_series(1, 300)")
    project.query("DELETE FROM item WHERE id > 290")
    rolled, restored = there_and_back(project)
    assert "table item: 290 rows" in rolled
    assert "item: 0 rows matched, 290 put back; the same as before, by fingerprint" in restored
    assert project.query("INSERT INTO item DEFAULT VALUES RETURNING id, n, d") == [(301, 301, 602)]


@pytest.mark.slow
def test_several_tables_with_every_kind_of_value_and_name(pair: Pair, project: Project) -> None:
    pair.write(
        execute('CREATE SCHEMA "Säle"', "CREATE TYPE mood AS ENUM ('sad', E'it''s \\\\ ok')"),
        (
            execute(
                'CREATE TABLE "Säle"."order" ("select" int, "a ""b" text, PRIMARY KEY ("a ""b", "select"))',
                'CREATE TABLE child (id uuid PRIMARY KEY, "a" text, n int, parent uuid REFERENCES child, m mood,'
                " j json, b bytea, l text[], f float8, d numeric, at timestamptz, span interval, bits bit(3),"
                ' FOREIGN KEY (a, n) REFERENCES "Säle"."order" ("a ""b", "select"))',
            ),
            execute("DROP TABLE child", 'DROP TABLE "Säle"."order"'),
        ),
    )
    typed(project, "migrate")
    text = r"'tab' || chr(9) || 'line' || chr(10) || chr(13) || '\.' || '\N' || ' ü €' || i"
    project.query(f'INSERT INTO "Säle"."order" SELECT i, {text} FROM generate_series(1, 40) i')
    project.query(
        'INSERT INTO child SELECT md5(i::text)::uuid, o."a ""b", i, CASE WHEN i > 1 THEN md5((i - 1)::text)::uuid END,'
        " 'it''s \\ ok', '{\"a\":  [1, \"\\\\\"]}', decode('00ff5c0a', 'hex'), ARRAY['a,b', NULL, '\"', '{}', o.\"a \"\"b\"],"
        " 0.1::float8 + i, 1.500, '2026-01-01 00:00:00.000001+05', '1 mon 2 days 3.5 s', B'101'"
        ' FROM generate_series(1, 40) i JOIN "Säle"."order" AS o ON o."select" = i'
    )
    project.query("INSERT INTO child (id) VALUES (md5('nulls')::uuid)")
    rolled, restored = there_and_back(project)
    assert "table Säle.order: 40 rows" in rolled
    assert restored.count("the same as before, by fingerprint") == 2


@pytest.mark.slow
def test_a_column_of_a_composite_key_table_in_quotes(pair: Pair, project: Project) -> None:
    pair.write(
        execute('CREATE TABLE "T" (a int, "B" text, PRIMARY KEY ("B", a))'),
        (execute("""ALTER TABLE "T" ADD "user" jsonb DEFAULT '{"x": 1}'"""), execute('ALTER TABLE "T" DROP "user"')),
    )
    typed(project, "migrate")
    project.query(
        """INSERT INTO "T" SELECT i, 'k\\' || i, CASE WHEN i > 5 THEN to_jsonb(i) END FROM generate_series(1, 9) i"""
    )
    _, restored = there_and_back(project)
    assert "T (user): 9 rows matched, 9 put back" in restored


@pytest.mark.slow
def test_rows_that_are_new_gone_or_newer_are_counted_and_stay(pair: Pair, project: Project) -> None:
    pair.write(KEYED, (execute("ALTER TABLE item ADD note text"), execute("ALTER TABLE item DROP note")))
    typed(project, "migrate")
    project.query("INSERT INTO item SELECT i, 'n', 'x' || i FROM generate_series(1, 10) i")
    typed(project, "rollback")
    project.query("DELETE FROM item WHERE id = 1")
    project.query("INSERT INTO item VALUES (11, 'new')")
    typed(project, "migrate")
    project.query("UPDATE item SET note = 'newer' WHERE id = 2")
    restored = typed(project, "restore")
    words = "item (note): 9 rows matched, 8 put back, 1 with newer values, which stay, 1 gone since, 1 new since"
    assert words in restored
    assert project.query("SELECT note FROM item WHERE id IN (2, 3, 11) ORDER BY id") == [("newer",), ("x3",), (None,)]
    [stash] = stashes(project)
    assert stash.name.endswith(".restored")
    again = typed(project, "restore", "--name", stash.name.removesuffix(".restored"), "--overwrite")
    assert "9 rows matched, 1 put back, 8 already there" in again
    assert project.query("SELECT note FROM item WHERE id = 2") == [("x2",)]


@pytest.mark.slow
def test_a_column_whose_type_changes_comes_back_unless_somebody_has_written_since(pair: Pair, project: Project) -> None:
    pair.write(
        KEYED,
        (
            execute("ALTER TABLE item ALTER name TYPE text"),
            execute("ALTER TABLE item ALTER name TYPE varchar(3) USING left(name, 3)"),
        ),
    )
    typed(project, "migrate")
    project.query("INSERT INTO item SELECT i, 'name ' || i FROM generate_series(1, 10) i")
    there_and_back(project)
    typed(project, "rollback")
    project.query("UPDATE item SET name = 'abc' WHERE id = 1")
    typed(project, "migrate")
    project.query("UPDATE item SET name = 'longer' WHERE id = 2")
    assert "10 rows matched, 8 put back, 2 with newer values, which stay" in typed(project, "restore")
    assert project.query("SELECT name FROM item WHERE id < 4 ORDER BY id") == [("abc",), ("longer",), ("name 3",)]


@pytest.mark.slow
def test_rows_that_a_downgrade_changes_and_deletes_come_back(pair: Pair, project: Project) -> None:
    pair.write(
        KEYED,
        (
            "pass",
            execute(
                "UPDATE item SET name = 'lost' WHERE id < 3",
                "DELETE FROM item WHERE id IN (3, 4)",
                "INSERT INTO item VALUES (100, 'from the downgrade')",
            ),
        ),
    )
    typed(project, "migrate")
    project.query("INSERT INTO item SELECT i, 'name ' || i FROM generate_series(1, 10) i")
    assert "rows of item may change: 10 rows" in typed(project, "rollback")
    project.query("DELETE FROM item WHERE id = 9")
    project.query("UPDATE item SET name = 'newer' WHERE id = 1")
    typed(project, "migrate")
    restored = typed(project, "restore")
    words = (
        "item: 7 rows matched, 3 put back, 5 already there, 1 with newer values, which stay, 1 gone since, 1 new since"
    )
    assert words in restored, restored
    rows = [(1, "newer"), (2, "name 2"), (3, "name 3"), (4, "name 4")]
    assert project.query("SELECT * FROM item WHERE id < 5 ORDER BY id") == rows
    assert project.query("SELECT count(*) FROM item WHERE id = 9") == [(0,)]


@pytest.mark.slow
def test_what_a_deletion_takes_along_by_foreign_keys_is_kept(pair: Pair, project: Project) -> None:
    pair.write(
        KEYED + "\n" + execute("CREATE TABLE part (id int PRIMARY KEY, item int REFERENCES item ON DELETE CASCADE)"),
        ("pass", execute("DELETE FROM item")),
    )
    typed(project, "migrate")
    project.query("INSERT INTO item VALUES (1, 'a'), (2, 'b')")
    project.query("INSERT INTO part VALUES (1, 1), (2, 2), (3, NULL)")
    there_and_back(project)


@pytest.mark.slow
def test_a_table_without_primary_key(pair: Pair, project: Project) -> None:
    create = execute("CREATE TABLE log (line text)")
    pair.write((create, execute("DROP TABLE log")))
    typed(project, "migrate")
    project.query("INSERT INTO log VALUES ('a'), ('a'), (NULL)")
    there_and_back(project)
    typed(project, "rollback")
    typed(project, "migrate")
    project.query("INSERT INTO log VALUES ('other')")
    refused = typed(project, "restore", code=1)
    assert "log cannot be put back: it has no primary key, and 1 other row by now." in refused
    project.query("TRUNCATE log")
    assert "log: 0 rows matched, 3 put back" in typed(project, "restore")


@pytest.mark.spread(2)
@pytest.mark.parametrize(
    ("down", "why"),
    others_slow(
        2,
        [
            ("ALTER TABLE log DROP level", "log has no primary key, and level would be lost"),
            ("ALTER TABLE item DROP id", "item.id, of its primary key, is dropped or changes its type"),
            ("ALTER TABLE log ALTER level TYPE smallint", "log has no primary key, and level would be lost or change"),
            ("DELETE FROM log", "log has no primary key, and its rows may change"),
            ("ALTER TABLE item ALTER id TYPE smallint", "item.id, of its primary key, is dropped or changes its type"),
        ],
    ),
)
def test_what_could_never_be_put_back_is_refused_before_anything_is_lost(
    pair: Pair, project: Project, down: str, why: str
) -> None:
    pair.write(KEYED + "\n" + execute("CREATE TABLE log (line text, level int)"), ("pass", execute(down)))
    typed(project, "migrate")
    project.query("INSERT INTO log VALUES ('a', 1)")
    project.query("INSERT INTO item VALUES (1, 'a')")
    before = prints(project)
    refused = typed(project, "rollback", code=3)
    assert f"refusing to roll back: {why}, so its values could not be put back." in refused
    assert "STASH=0" in refused
    assert (prints(project), project.heads(), stashes(project)) == (before, ["rev2"], [])
    assert "warning: STASH=0: nothing of it is kept." in typed(project, "rollback", STASH="0")
    assert project.heads() == ["rev1"]


@pytest.mark.slow
def test_an_empty_table_without_primary_key_is_in_nobodys_way(pair: Pair, project: Project) -> None:
    pair.write(
        execute("CREATE TABLE log (line text)"),
        (execute("ALTER TABLE log ADD l int"), execute("ALTER TABLE log DROP l")),
    )
    typed(project, "migrate")
    rolled = typed(project, "rollback")
    assert "loses" not in rolled
    assert stashes(project) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "why"),
    others_slow(
        2,
        [
            ("ALTER TABLE item ALTER note TYPE varchar(99)", "item.note was text, and is character varying(99)"),
            ("ALTER TABLE item DROP CONSTRAINT item_pkey", "the primary key of item was id, and is none"),
            ("ALTER TABLE item RENAME id TO number", "item has no column id"),
            ("ALTER TABLE item ALTER id TYPE bigint", "item.id was integer, and is bigint"),
            ("ALTER TABLE item DROP note", "item has no column note"),
            ("DROP TABLE item", "the database has no table item"),
        ],
    ),
)
def test_what_does_not_fit_any_more_is_refused_by_name(pair: Pair, project: Project, changed: str, why: str) -> None:
    pair.write(KEYED, (execute("ALTER TABLE item ADD note text"), execute("ALTER TABLE item DROP note")))
    typed(project, "migrate")
    project.query("INSERT INTO item VALUES (1, 'a', 'b')")
    typed(project, "rollback")
    typed(project, "migrate")
    project.query(changed)
    assert f"item cannot be put back: {why}." in typed(project, "restore", code=1)
    assert [path.suffix for path in stashes(project)] != [".restored"]


@pytest.mark.slow
def test_a_row_in_the_way_of_a_unique_key_stays_and_the_stash_waits(pair: Pair, project: Project) -> None:
    pair.write((execute("CREATE TABLE item (id int PRIMARY KEY, name text UNIQUE)"), execute("DROP TABLE item")))
    typed(project, "migrate")
    project.query("INSERT INTO item VALUES (1, 'a'), (2, 'b')")
    typed(project, "rollback")
    typed(project, "migrate")
    project.query("INSERT INTO item VALUES (3, 'a')")
    restored = typed(project, "restore", code=1)
    assert "0 rows matched, 1 put back, 1 new since, 1 in the way of a unique key, and not put back" in restored
    project.query("DELETE FROM item WHERE id = 3")
    assert "1 row matched, 1 put back, 1 already there" in typed(project, "restore")


@pytest.mark.slow
def test_a_restore_fires_no_triggers_of_the_application(pair: Pair, project: Project) -> None:
    pair.write(
        execute(
            "CREATE TABLE stock (id int PRIMARY KEY, n int)",
            "CREATE FUNCTION move() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN UPDATE stock SET n = n + NEW.n WHERE id = 1; RETURN NEW; END $$",
        ),
        (
            execute(
                "CREATE TABLE movement (id int PRIMARY KEY, n int)",
                "CREATE TRIGGER moves BEFORE INSERT ON movement FOR EACH ROW EXECUTE FUNCTION move()",
                "CREATE TRIGGER never BEFORE INSERT ON movement FOR EACH ROW EXECUTE FUNCTION move()",
                "ALTER TABLE movement ENABLE ALWAYS TRIGGER moves",
                "ALTER TABLE movement DISABLE TRIGGER never",
            ),
            execute("DROP TABLE movement"),
        ),
    )
    typed(project, "migrate")
    project.query("INSERT INTO stock VALUES (1, 0)")
    project.query("INSERT INTO movement VALUES (1, 5), (2, 6)")
    there_and_back(project)
    assert project.query("SELECT tgname, tgenabled FROM pg_trigger ORDER BY 1") == [("moves", "A"), ("never", "D")]


@pytest.mark.slow
def test_several_steps_at_once_and_redo(pair: Pair, project: Project) -> None:
    pair.write(
        (execute("CREATE TABLE a (id int PRIMARY KEY)"), execute("DROP TABLE a")),
        (execute("ALTER TABLE a ADD b text NOT NULL DEFAULT 'b'"), execute("ALTER TABLE a DROP b")),
        (execute("ALTER TABLE a RENAME b TO c"), execute("ALTER TABLE a RENAME c TO b")),
    )
    typed(project, "migrate")
    project.query("INSERT INTO a SELECT i, 'x' || i FROM generate_series(1, 10) i")
    assert "loses" not in typed(project, "rollback")
    typed(project, "migrate")
    rolled, _ = there_and_back(project, "base")
    assert rolled.count("  kept ") == 1
    before = prints(project)
    pair.write((execute("ALTER TABLE a ADD d int"), execute("ALTER TABLE a DROP d")))
    typed(project, "migrate")
    project.query("UPDATE a SET d = id")
    before = prints(project)
    redone = typed(project, "redo")
    assert "a (d): 10 rows matched, 10 put back" in redone
    assert prints(project) == before


@pytest.mark.slow
def test_a_partitioned_table_comes_back(pair: Pair, project: Project) -> None:
    create = execute(
        "CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)",
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100)",
        "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200)",
    )
    pair.write((create, execute("DROP TABLE p")))
    typed(project, "migrate")
    project.query("INSERT INTO p SELECT i, 'v' FROM generate_series(50, 150) i")
    rolled, _ = there_and_back(project)
    assert re.findall(r"table (\w+):", rolled) == ["p"]


def test_files_are_for_their_owner_only(pair: Pair, project: Project) -> None:
    pair.write((execute("CREATE TABLE a (id int PRIMARY KEY)"), execute("DROP TABLE a")))
    typed(project, "migrate")
    project.query("INSERT INTO a VALUES (1)")
    os.umask(0o022)
    typed(project, "rollback")
    [stash] = stashes(project)
    assert re.fullmatch(rf"{project.target.dbname}-rev1-\d{{8}}T\d{{6}}\.\d{{3}}Z", stash.name)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (stash.parent, stash)] == [0o700, 0o700]
    assert {stat.S_IMODE(path.stat().st_mode) for path in stash.iterdir()} == {0o600}
    manifest = json.loads((stash / "manifest.json").read_text())
    assert (manifest["database"], manifest["heads"], manifest["revision"]) == (project.target.dbname, ["rev1"], "rev1")


@pytest.mark.slow
def test_a_file_that_was_changed_is_not_put_back(pair: Pair, project: Project) -> None:
    pair.write((execute("CREATE TABLE a (id int PRIMARY KEY)"), execute("DROP TABLE a")))
    typed(project, "migrate")
    project.query("INSERT INTO a VALUES (1), (2)")
    typed(project, "rollback")
    typed(project, "migrate")
    [stash] = stashes(project)
    (stash / "1.copy").write_bytes(b"1\n3\n")
    assert "1.copy has 2 rows and another content than the 2 that were written." in typed(project, "restore", code=1)
    (stash / "manifest.json").write_text("{}")
    assert "manifest.json is not the manifest of a stash" in typed(project, "restore", code=2)


@pytest.mark.slow
def test_a_step_that_leaves_its_transaction_is_told(pair: Pair, project: Project) -> None:
    down = "with op.get_context().autocommit_block():\n    op.execute('DROP TABLE item')"
    pair.write((KEYED, down))
    typed(project, "migrate")
    project.query("INSERT INTO item VALUES (1, 'a')")
    rolled, _ = there_and_back(project)
    assert "warning: rev1 leaves its transaction: what was written to item meanwhile is in no stash." in rolled


@pytest.mark.slow
def test_without_the_servers_programs_it_is_refused(pair: Pair, project: Project) -> None:
    pair.write((KEYED, execute("DROP TABLE item")))
    typed(project, "migrate")
    refused = typed(project, "rollback", code=2, PG_BINDIR="/nowhere")
    assert "what a rollback to -1 would lose cannot be worked out" in refused
    assert "PG_BINDIR" in refused
    assert "STASH=0" in refused
    told = typed(project, "rollback", PG_BINDIR="/nowhere", STASH="0")
    assert "warning: STASH=0: nothing is kept, and what a rollback to -1 would lose cannot be worked out" in told


@pytest.mark.slow
def test_a_downgrade_that_cannot_be_tried_is_refused(pair: Pair, project: Project) -> None:
    pair.write((KEYED, "raise NotImplementedError('no way back')"))
    typed(project, "migrate")
    refused = typed(project, "rollback", code=1)
    assert "cannot be worked out: in an empty database, downgrade of rev1 failed" in refused
    assert project.heads() == ["rev1"]


@pytest.mark.slow
def test_a_downgrade_that_fails_leaves_no_stash(pair: Pair, project: Project) -> None:
    fails = "if op.get_bind().execute(sa.text('SELECT count(*) FROM item')).scalar(): raise ValueError('rows')"
    pair.write((KEYED, f"{fails}\n{execute('DROP TABLE item')}"))
    typed(project, "migrate")
    project.query("INSERT INTO item VALUES (1, 'a')")
    before = prints(project)
    failed = typed(project, "rollback", code=1)
    assert "downgrade of rev1 failed" in failed
    assert (prints(project), stashes(project)) == (before, [])


@pytest.mark.slow
def test_stash_0_in_make_and_in_the_environment(kit: Kit) -> None:
    shutil.rmtree(kit.path / ".dbkit/stash", ignore_errors=True)
    kit.query("INSERT INTO products (sku, name) VALUES ('a', 'b')")
    for ran in (kit.make("rollback", "to=-1", "STASH=0"), kit.make("rollback", env={"STASH": "0"})):
        assert ran.returncode == 0, ran.stderr
        assert not (kit.path / ".dbkit/stash").exists()
    assert "write 1 or 0, not '$(touch canary)'" in kit.make("rollback", "STASH=$(touch canary)").stderr
    assert "STASH in the environment is 'no'." in kit.dbkit("rollback", env={"STASH": "no"}).stderr
    assert not list(kit.path.rglob("canary"))


def limited() -> None:
    """For a child: no file longer than a segment of the server's own log."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 * 1024 * 1024, 16 * 1024 * 1024))


@pytest.mark.slow
def test_no_room_for_the_stash_is_refused(pair: Pair, project: Project) -> None:
    pair.write((KEYED, execute("DROP TABLE item")))
    typed(project, "migrate")
    project.query("INSERT INTO item SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i")
    before = prints(project)
    ran = subprocess.run(
        [sys.executable, "-m", "dbkit", "rollback"],
        cwd=project.root,
        env={**project.variables(), "PYTHONPATH": str(project.root / "src")},
        capture_output=True,
        text=True,
        preexec_fn=limited,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    last = ran.stderr.splitlines()[-2:]
    assert "what rev1 would lose cannot be kept in " in last[0]
    assert "File too large; it was not undone." in last[0]
    assert "STASH=0" in last[1]
    assert (prints(project), stashes(project), project.heads()) == (before, [], ["rev1"])


@pytest.mark.slow
@needs_root
def test_a_full_disk_is_refused(pair: Pair, project: Project) -> None:
    pair.write((KEYED, execute("DROP TABLE item")))
    typed(project, "migrate")
    project.query("INSERT INTO item SELECT i, repeat('x', 1000) FROM generate_series(1, 2000) i")
    before = prints(project)
    place = project.root / ".dbkit/stash"
    place.mkdir(parents=True, mode=0o700)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", place], check=False)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        refused = typed(project, "rollback", code=1)
        assert "No space left on device; it was not undone." in refused, refused
        assert (prints(project), stashes(project), project.heads()) == (before, [], ["rev1"])
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.slow
def test_an_owner_who_is_no_superuser(tmp_path: Path, password_server: Target) -> None:
    pair = pair_module.make(tmp_path, password_server, password_server)
    with psycopg.connect(**password_server.parameters(), autocommit=True) as connection:
        connection.execute("DROP OWNED BY shop")
    project = pair.gated
    pair.write(
        execute("CREATE TABLE a (id serial PRIMARY KEY)"),
        (
            execute("ALTER TABLE a ADD b text", "CREATE TABLE c (id serial PRIMARY KEY, d int REFERENCES a)"),
            execute("DROP TABLE c", "ALTER TABLE a DROP b"),
        ),
    )
    typed(project, "migrate")
    project.query("INSERT INTO a SELECT FROM generate_series(1, 9)")
    project.query("UPDATE a SET b = 'b' || id")
    project.query("INSERT INTO c (d) SELECT id FROM a")
    there_and_back(project)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [5000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_what_others_write_meanwhile_is_there_in_the_end(pair: Pair, project: Project, rows: int) -> None:
    """Before the lock it is in the stash; after the column is back, it is newer than that, and stays."""
    pair.write(KEYED, (execute("ALTER TABLE item ADD note text"), execute("ALTER TABLE item DROP note")))
    typed(project, "migrate")
    project.query(f"INSERT INTO item SELECT i, 'n', 'old' FROM generate_series(1, {rows}) i")
    written: dict[int, str] = {}
    stop = threading.Event()

    def write() -> None:
        with psycopg.connect(**project.target.parameters(), autocommit=True) as connection:
            for turn in itertools.count():
                number, note = 1 + turn * 7 % (rows + 1000), f"note {turn}"
                try:
                    connection.execute(
                        "INSERT INTO item (id, name, note) VALUES (%s, 'n', %s) ON CONFLICT (id) DO UPDATE SET note = excluded.note",
                        [number, note],
                    )
                    written[number] = note
                except psycopg.errors.UndefinedColumn:  # it is lost by now
                    connection.execute("UPDATE item SET name = 'm' WHERE id = %s", [number])
                if stop.is_set():
                    return

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        try:
            for verb in ("rollback", "migrate", "restore"):
                typed(project, verb)
        finally:
            stop.set()
        writer.result()
    assert len(written) > 100
    found = dict(project.query("SELECT id, note FROM item WHERE note <> 'old'"))
    assert found == written
    assert project.query("SELECT count(*) FROM item WHERE note IS NULL AND name = 'n'") == [(0,)]


@pytest.mark.slow
def test_a_lock_that_is_not_granted_is_tried_again_with_a_new_copy(pair: Pair, project: Project) -> None:
    pair.write((KEYED, execute("DROP TABLE item")))
    typed(project, "migrate")
    project.query("INSERT INTO item VALUES (1, 'a')")
    with psycopg.connect(**project.target.parameters()) as reader:
        reader.execute("SELECT FROM item")  # lets it be copied, and not dropped
        process = subprocess.Popen(
            [sys.executable, "-m", "dbkit", "rollback"],
            cwd=project.root,
            env={
                **project.variables(),
                "PYTHONPATH": str(project.root / "src"),
                "MIGRATION_LOCK_TIMEOUT": "200ms",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        while "(try 1)" not in process.stderr.readline():
            assert process.poll() is None
        reader.execute("UPDATE item SET name = 'b'")
        reader.commit()
    printed, _ = process.communicate()
    assert process.returncode == 0
    assert printed.count("kept 1 row of item") >= 2
    assert len(stashes(project)) == 1
    typed(project, "migrate")
    typed(project, "restore")
    assert project.query("SELECT name FROM item") == [("b",)]


@pytest.mark.slow
def test_values_that_the_upgrade_has_written_itself_give_way(pair: Pair, project: Project) -> None:
    pair.write(
        KEYED,
        (
            execute("ALTER TABLE item ADD note text", "UPDATE item SET note = 'from ' || name"),
            execute("ALTER TABLE item DROP note"),
        ),
    )
    typed(project, "migrate")
    project.query("INSERT INTO item SELECT i, 'n', 'mine ' || i FROM generate_series(1, 10) i")
    there_and_back(project)
    typed(project, "rollback")
    typed(project, "migrate")
    project.query("UPDATE item SET note = 'newer' WHERE id = 1")
    assert "10 rows matched, 9 put back, 1 with newer values, which stay" in typed(project, "restore")


@pytest.mark.slow
def test_columns_may_have_other_numbers_here_than_in_an_empty_database(pair: Pair, project: Project) -> None:
    pair.write(
        KEYED,
        (execute("ALTER TABLE item ADD a text, ADD b text"), execute("ALTER TABLE item DROP a, DROP b")),
        (
            execute("ALTER TABLE item ALTER b TYPE text"),
            execute("ALTER TABLE item ALTER b TYPE varchar(2) USING left(b, 2)"),
        ),
    )
    for _ in range(2):
        typed(project, "migrate")
        typed(project, "rollback", "--to", "rev1", "--stash", "0")
    typed(project, "migrate")
    project.query("INSERT INTO item SELECT i, 'n', 'aaa' || i, 'bbb' || i FROM generate_series(1, 10) i")
    _, restored = there_and_back(project)
    assert "item (b): 10 rows matched, 10 put back" in restored


@pytest.mark.slow
def test_what_is_written_between_two_steps_is_in_a_stash_of_its_own(pair: Pair, project: Project) -> None:
    wait = "SELECT pg_advisory_xact_lock(42)"
    pair.write((KEYED, execute("DROP TABLE item")), ("pass", execute(wait)), ("pass", "pass"))
    typed(project, "migrate")
    project.query("INSERT INTO item VALUES (1, 'a')")
    with psycopg.connect(**project.target.parameters()) as other, ThreadPoolExecutor(1) as pool:
        other.execute(wait)
        rolling = pool.submit(typed, project, "rollback", "--to", "base", MIGRATION_LOCK_TIMEOUT="60s")
        while project.heads() != ["rev2"]:
            assert not rolling.done()
        other.execute("INSERT INTO item VALUES (2, 'b')")
        other.commit()
        assert "kept 2 rows of item, as they are before rev1 is undone, in " in rolling.result()
    typed(project, "migrate")
    restored = typed(project, "restore")
    assert "item: 0 rows matched, 1 put back" in restored
    assert "item: 1 row matched, 1 put back, 1 already there" in restored
    assert project.query("SELECT * FROM item ORDER BY id") == [(1, "a"), (2, "b")]


@pytest.mark.slow
def test_a_million_rows_come_back(pair: Pair, project: Project) -> None:
    pair.write(
        execute("CREATE TABLE big (id bigint PRIMARY KEY, a text, b numeric)"),
        (execute("ALTER TABLE big ADD c text, ADD d timestamptz"), execute("ALTER TABLE big DROP c, DROP d")),
        (execute("CREATE TABLE two (id bigint PRIMARY KEY, a text, b numeric)"), execute("DROP TABLE two")),
    )
    typed(project, "migrate")
    rows = "SELECT i, 'name ' || i, i * 1.25 FROM generate_series(1, 1000000) AS i"
    project.query(f"INSERT INTO two {rows}")
    project.query(f"INSERT INTO big SELECT *, md5(a), now() FROM ({rows}) AS r (id, a, b)")
    there_and_back(project, "-1")
    there_and_back(project, "-2")


def kit_prints(kit: Kit) -> dict[str, object]:
    return prints(Project(kit.path, kit.cluster.target(), gated=True))


@pytest.mark.parametrize("to", others_slow(1, ["base", "-2"]))
def test_the_seeded_shop_comes_back(kit: Kit, to: str) -> None:
    shutil.rmtree(kit.path / ".dbkit/stash", ignore_errors=True)
    assert kit.make("seed").returncode == 0
    before = kit_prints(kit)
    rolled = kit.make("rollback", f"to={to}")
    assert rolled.returncode == 0, rolled.stderr
    migrated = kit.make("migrate")
    assert migrated.returncode == 0, migrated.stderr
    assert ("put it back with `make restore`" in migrated.stdout) == (to != "-1")
    assert migrated.stdout.splitlines()[-1:] == kit.make("migrate").stdout.splitlines()[-1:] or to == "-1"
    restored = kit.make("restore")
    assert restored.returncode == 0, restored.stderr
    assert kit_prints(kit) == before, rolled.stdout + restored.stdout
    assert "nothing to apply" in kit.make("migrate").stdout.splitlines()[-1]


@pytest.mark.slow
def test_each_step_of_the_seeded_shop_comes_back(kit: Kit) -> None:
    shutil.rmtree(kit.path / ".dbkit/stash", ignore_errors=True)
    assert kit.make("seed").returncode == 0
    undone = 0
    while heads := [str(row[0]) for row in kit.query("SELECT version_num FROM alembic_version")]:
        if heads == ["13a5eed6ba55"]:  # it joins two branches
            assert kit.alembic("downgrade", "16712616b231").returncode == 0
            continue
        before = kit_prints(kit)
        rolled = kit.make("rollback")
        migrated = kit.make("migrate", f"to={heads[0]}")
        restored = kit.make("restore")
        assert (rolled.returncode, migrated.returncode) == (0, 0), rolled.stderr + migrated.stderr
        assert restored.returncode == 0, restored.stderr
        after = kit_prints(kit)
        if heads == ["b19e8311e41b"]:  # makes a row of stock for each product: those stay, and are told
            assert "950 already there, 50 new since" in restored.stdout
            after["public.stock"] = before["public.stock"]
        assert after == before, rolled.stdout + restored.stdout
        assert kit.alembic("downgrade", "-1").returncode == 0
        undone += 1
    assert undone == 23
