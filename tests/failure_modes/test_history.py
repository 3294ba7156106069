"""The history in the files and the one in the database do not agree."""

import pytest

from support.failure_modes import TABLE, one_line
from support.pair import Pair
from support.running import others_slow


def test_downgrade_over_a_merge_and_with_two_heads(pair: Pair) -> None:
    pair.add("left", None, "op.execute('CREATE TABLE l ()')", "op.execute('DROP TABLE l')")
    pair.add("right", None, "op.execute('CREATE TABLE r ()')", "op.execute('DROP TABLE r')")
    for project in (pair.bare, pair.gated):
        assert project.alembic("upgrade", "heads").returncode == 0
    assert pair.bare.alembic("downgrade", "-1").returncode == 0
    assert len(pair.bare.heads()) == 1  # it picked one
    typed = pair.gated.alembic("downgrade", "-1")
    assert typed.returncode == 2
    assert "the database is at 2 revisions, left and right: -1 could be either." in one_line(typed.stderr)
    pair.bare.alembic("upgrade", "heads")
    pair.add("merge", ("left", "right"))
    for project in (pair.bare, pair.gated):
        assert project.alembic("upgrade", "heads").returncode == 0
    typed = pair.bare.alembic("downgrade", "-1")
    assert (typed.returncode, "Ambiguous walk" in typed.stdout + typed.stderr) == (255, True)
    typed = pair.gated.alembic("downgrade", "-1")
    assert typed.returncode == 2
    assert "-1 goes back over a merge: merge joins left and right." in one_line(typed.stderr)
    assert pair.gated.heads() == ["merge"]


def test_a_database_newer_than_the_code(pair: Pair) -> None:
    pair.write(TABLE, "op.execute('CREATE TABLE u ()')")
    for project in (pair.bare, pair.gated):
        assert project.alembic("upgrade", "head").returncode == 0
        (project.versions / "rev2.py").unlink()
        typed = project.alembic("upgrade", "head")
        assert typed.returncode == (7 if project.gated else 255)
    assert "the database is at rev2, which this code does not have." in one_line(typed.stderr)


def test_two_heads(pair: Pair) -> None:
    pair.write(TABLE)
    pair.add("left", "rev1")
    pair.add("right", "rev1")
    assert pair.bare.alembic("upgrade", "head").returncode == 255
    typed = pair.gated.alembic("upgrade", "head")
    assert typed.returncode == 1
    one_line(typed.stderr)
    for words in (
        "2 heads, left and right",
        "left.py",
        "right.py",
        "dbkit merge" if pair.gated.driver else "make merge",
    ):
        assert words in typed.stderr


@pytest.mark.parametrize("fault", others_slow(2, ["twice", "no parent", "cycle", "stray"]))
def test_a_broken_history_names_the_files(pair: Pair, fault: str) -> None:
    pair.write(TABLE)
    for project in (pair.bare, pair.gated):
        file = project.versions / "rev1.py"
        if fault == "twice":
            (project.versions / "copy.py").write_text(file.read_text())
            words = "revision rev1 is in 2 files: copy.py, rev1.py."
        elif fault == "no parent":
            file.write_text(file.read_text().replace("down_revision = None", "down_revision = 'gone'"))
            words = "rev1.py follows revision gone, but no file has that id."
        elif fault == "cycle":
            file.write_text(file.read_text().replace("down_revision = None", "down_revision = 'rev1'"))
            words = "revision rev1 follows itself: rev1.py."
        else:
            (project.versions / "._rev1.py").write_bytes(b"\x00\x05\x16\x07")
            words = "._rev1.py"
        typed = project.alembic("upgrade", "head")
        if project.gated:
            assert typed.returncode == 2
            assert words in one_line(typed.stderr)
        else:
            # warned of at most, or a traceback
            assert typed.returncode == 0 or "Traceback" in typed.stderr or "FAILED" in typed.stdout + typed.stderr


@pytest.mark.slow
def test_a_file_that_was_edited_after_it_was_applied(pair: Pair) -> None:
    pair.write((TABLE, "op.execute('DROP TABLE t')"))
    for project in (pair.bare, pair.gated):
        assert project.alembic("upgrade", "head").returncode == 0
        file = project.versions / "rev1.py"
        file.write_text(file.read_text().replace("name text", "title text"))
    assert pair.bare.alembic("upgrade", "head").returncode == 0
    gated = pair.gated
    for environment in ("development", "test", "ci"):
        typed = gated.alembic("upgrade", "head", env={"APP_ENV": environment})
        assert (typed.returncode, "rev1.py: edited after it was applied" in one_line(typed.stderr)) == (1, True)
    assert gated.dbkit("migrate").returncode == 1
    typed = gated.alembic("upgrade", "head", env={"APP_ENV": "production"})
    assert (typed.returncode, "warning: rev1.py: edited after it was applied" in typed.stderr) == (0, True)
    assert gated.dbkit("mark", "test", env={"CONFIRM": gated.target.dbname}).returncode == 0
    assert "edited since" in gated.dbkit("log").stdout
    assert gated.dbkit("accept", "rev1").returncode == 0
    assert gated.dbkit("migrate").returncode == 0
    assert "edited since" not in gated.dbkit("log").stdout
    # line ends are git's business
    file = gated.versions / "rev1.py"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert gated.alembic("upgrade", "head").returncode == 0
    # going down and up again applies the file as it is
    file.write_text(file.read_text().replace("title text", "label text"))
    assert gated.alembic("upgrade", "head").returncode == 1
    assert gated.dbkit("redo").returncode == 0
    assert gated.alembic("upgrade", "head").returncode == 0


def test_tables_without_a_history(pair: Pair) -> None:
    pair.write(TABLE)
    for project in (pair.bare, pair.gated):
        project.query("CREATE TABLE t (id int PRIMARY KEY, name text)")
        project.query("CREATE TABLE unrelated (id int)")
    assert "DuplicateTable" in pair.bare.alembic("upgrade", "head").stderr
    typed = pair.gated.alembic("upgrade", "head")
    assert typed.returncode == 2
    assert "has tables that the migrations create (t), but no history." in one_line(typed.stderr)
    assert "alembic stamp REV" in typed.stderr
    assert pair.gated.alembic("stamp", "rev1").returncode == 0
    assert pair.gated.alembic("upgrade", "head").returncode == 0


def test_several_rows_in_the_version_table(pair: Pair) -> None:
    pair.write(TABLE, "op.execute('CREATE TABLE u ()')")
    for project in (pair.bare, pair.gated):
        assert project.alembic("upgrade", "head").returncode == 0
        project.query("INSERT INTO alembic_version VALUES ('rev1')")
    assert "overlaps" in pair.bare.alembic("upgrade", "head").stderr + pair.bare.alembic("upgrade", "head").stdout
    typed = pair.gated.alembic("upgrade", "head")
    assert typed.returncode == 2
    assert "alembic_version has 2 rows, rev1 and rev2, and rev2 already includes rev1." in one_line(typed.stderr)
    pair.gated.query("ALTER TABLE alembic_version DROP CONSTRAINT alembic_version_pkc")
    pair.gated.query("UPDATE alembic_version SET version_num = 'rev2'")
    assert "has rev2 in two rows" in pair.gated.alembic("upgrade", "head").stderr
    assert pair.gated.alembic("stamp", "--purge", "rev2").returncode == 0
    assert pair.gated.alembic("upgrade", "head").returncode == 0


def test_a_project_without_a_journal(pair: Pair) -> None:
    pair.write((TABLE, "op.execute('DROP TABLE t')"))
    ini = pair.gated.root / "alembic.ini"
    text = ini.read_text()
    ini.write_text(f"{text}\n[dbkit]\njournal = off\n")
    for arguments in (["upgrade", "head"], ["downgrade", "-1"], ["upgrade", "head"]):
        assert pair.gated.alembic(*arguments).returncode == 0
    assert pair.gated.query("SELECT to_regclass('dbkit_journal')") == [(None,)]
    assert pair.gated.dbkit("log").stdout == "Nothing is recorded yet.\n"
    assert pair.gated.dbkit("accept", "rev1").returncode == 2
    ini.write_text(f"{text}\n[dbkit]\njournal = perhaps\n")
    assert pair.gated.alembic("downgrade", "-1").returncode == 2
