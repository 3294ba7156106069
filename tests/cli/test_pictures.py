"""`dbkit graph` and `dbkit diagram`, and their targets."""

import psycopg
import pytest

from support.kit import SHOP_HEAD, Kit
from support.pair import Pair
from support.pictures import SVG, parse_svg

TABLES = {
    *("addresses", "currencies", "customers", "order_lines", "orders", "payments", "prices", "products"),
    *("stock", "stock_movements"),
}


def test_the_graph_shows_what_is_applied_when_and_by_whom(kit: Kit) -> None:
    assert kit.dbkit("rollback", "--to", "-1").returncode == 0
    typed = kit.dbkit("graph")
    assert typed.returncode == 0, typed.stderr
    first, second, _, head, former, *_ = typed.stdout.splitlines()
    assert first == f"26 revisions; head {SHOP_HEAD}"
    assert second == "The database is at 3a04fb83cc78; 1 revision pending."
    assert head.startswith(f"○   {SHOP_HEAD} SHOP-40")
    assert head.endswith("[pending]")
    assert former.startswith("◉   3a04fb83cc78 SHOP-37")
    assert "[the database is here, applied 20" in former
    assert " by postgres from " in former


@pytest.mark.slow
def test_the_target_history_draws_below_alembic_s_list(kit: Kit) -> None:
    typed = kit.make("history", "last=3", env={"PYTHONIOENCODING": "ascii"})
    assert typed.returncode == 0, typed.stderr
    listed, drawn = typed.stdout.split("\n\n", 1)
    assert f"3a04fb83cc78 -> {SHOP_HEAD} (head) (current)" in listed
    assert f"@   {SHOP_HEAD}" in drawn
    assert drawn.endswith("and 23 older\n")


def test_without_a_database_the_files_are_drawn(kit: Kit) -> None:
    typed = kit.dbkit("graph", env={"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/app", "MIGRATION_WAIT": "60s"})
    assert typed.returncode == 0
    assert "The files alone: " in typed.stdout
    assert "127.0.0.1:1" in typed.stdout
    assert f"●   {SHOP_HEAD} " in typed.stdout


def test_a_lock_of_another_session_is_the_reason(kit: Kit) -> None:
    with psycopg.connect(**kit.cluster.target().parameters()) as holder:
        holder.execute("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
        pid = holder.info.backend_pid
        typed = kit.dbkit("graph", env={"MIGRATION_WAIT": "0"})
    assert typed.returncode == 0, typed.stderr
    assert "The files alone: gave up after " in typed.stdout
    assert f"alembic_version is locked by backend {pid}" in typed.stdout


def test_a_database_ahead_of_the_files_exits_with_7(kit: Kit) -> None:
    kit.query("UPDATE alembic_version SET version_num = 'gone'")
    typed = kit.dbkit("graph")
    assert typed.returncode == 7
    assert "No file has gone: the database is ahead of these files." in typed.stdout


@pytest.mark.slow
def test_pictures_are_written_to_files(kit: Kit) -> None:
    typed = kit.make("graph", "out=x.svg")
    assert (typed.returncode, typed.stdout) == (0, "Wrote x.svg: 26 revisions.\n"), typed.stderr
    root = parse_svg((kit.path / "x.svg").read_text(encoding="utf-8"))
    states = [each.attrib["data-state"] for each in root.iter(f"{SVG}g") if "data-state" in each.attrib]
    assert states == ["applied"] * 26
    (kit.path / "x.svg").unlink()
    typed = kit.make("diagram")
    assert (typed.returncode, typed.stdout) == (0, "Wrote diagram.svg: 10 tables.\n"), typed.stderr
    root = parse_svg((kit.path / "diagram.svg").read_text(encoding="utf-8"))
    assert {each.attrib["data-name"] for each in root.iter(f"{SVG}g") if each.attrib.get("class") == "table"} == TABLES


def test_a_revision_s_tables_are_those_that_it_changes(kit: Kit) -> None:
    # it adds no column, and updates rows
    typed = kit.dbkit("diagram", "--revision", "cd24292d0cba")
    assert typed.returncode == 0, typed.stderr
    assert typed.stdout.startswith("erDiagram\n")
    assert '["customers"]' in typed.stdout
    typed = kit.make("diagram", "rev=60ecb11634bb", "out=-")
    assert typed.returncode == 0, typed.stderr
    assert '["addresses"] {' in typed.stdout
    assert '["customers"] {' in typed.stdout
    assert '["stock"]' not in typed.stdout


@pytest.mark.slow
def test_wrong_options_are_named(kit: Kit) -> None:
    for arguments, words in (
        (("graph", "--output", ""), "--output is empty"),
        (("graph", "--output", "x.png"), "no format is known by the suffix of x.png"),
        (("diagram", "--output", "no/such/x.svg"), "cannot write no/such/x.svg: No such file or directory"),
        (("diagram", "--revision", "nope"), "nope"),
    ):
        typed = kit.dbkit(*arguments)
        assert typed.returncode == 2, arguments
        assert words in typed.stderr
        assert "Traceback" not in typed.stderr


@pytest.mark.slow
def test_a_failing_migration_is_named(pair: Pair) -> None:
    pair.write("op.execute('CREATE TABLE t (id int PRIMARY KEY)')", "op.execute('SELECT 1/0')")
    typed = pair.gated.dbkit("diagram")
    assert typed.returncode == 1
    assert "upgrade of rev2 failed" in typed.stderr
    assert pair.gated.dbkit("diagram", "--revision", "rev1").stdout.count("{") == 1
