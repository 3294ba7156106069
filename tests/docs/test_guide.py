"""Every command of the migrations guide, exactly as a person types it, in one shell."""

import re
from pathlib import Path

import pytest

from support.kit import SHOP_HEAD, Kit

FIRST = "cd1d761afae9"


def empty_project(kit: Kit) -> None:
    """The way a team starts: models, no revisions, an empty database."""
    for path in kit.versions:
        path.unlink()
    kit.set_database("template0")


def test_the_guides_commands_in_one_shell(kit: Kit) -> None:
    typed = kit.shell(f"""
        source venv/bin/activate
        cd backend
        alembic current
        alembic history
        alembic revision -m "Description of changes"
        alembic upgrade head
        alembic downgrade -1
        alembic downgrade {FIRST}
        alembic upgrade head
        sed -i 's/^class Customer(Base):/class Loyalty(Base):\\n    __tablename__ = "loyalty"\\n    id: Mapped[Id]\\n    points: Mapped[int]\\n\\n\\n&/' app/models/customers.py
        alembic revision --autogenerate -m "Initial migration"
        alembic upgrade head
        alembic current
    """)
    assert typed.returncode == 0, typed.stderr
    assert SHOP_HEAD in typed.stdout
    ours = [path for path in kit.versions if "description_of_changes" in path.name or "initial_migration" in path.name]
    assert len(ours) == 2
    assert re.search(r"op\.create_table\(\s*.loyalty", ours[1].read_text())
    assert typed.stderr.count("Running downgrade") == 1 + 25
    assert kit.query("SELECT to_regclass('loyalty')") == [("loyalty",)]
    assert re.search(r"^[0-9a-f]{12} \(head\)$", typed.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_team_starts_with_models_and_no_revisions(kit: Kit) -> None:
    empty_project(kit)
    assert "There are no revisions yet" in kit.make("migrate").stdout
    made = kit.make("revision", "m=Initial migration")
    assert made.returncode == 0, made.stderr
    assert len(kit.versions) == 1
    assert kit.versions[0].name.endswith("_initial_migration.py")
    assert kit.make("migrate").returncode == 0
    tables = {name for (name,) in kit.query("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")}
    assert tables >= {"customers", "addresses", "products", "prices", "orders", "order_lines", "payments", "stock"}
    again = kit.make("revision", "m=Nothing new")
    assert again.returncode == 0
    assert "no changes" in again.stderr
    assert len(kit.versions) == 1
    assert kit.make("redo").returncode == 0


@pytest.mark.slow
def test_a_team_may_start_with_bare_alembic(kit: Kit) -> None:
    empty_project(kit)
    typed = kit.shell("""
        source venv/bin/activate
        cd backend
        alembic current
        alembic history
        alembic upgrade head
        alembic revision --autogenerate -m "Initial migration"
        alembic upgrade head
        alembic downgrade -1
        alembic upgrade head
        alembic check
    """)
    assert typed.returncode == 0, typed.stderr
    assert len(kit.versions) == 1


@pytest.mark.slow
def test_going_back_further_than_there_is_says_how_far_there_is(kit: Kit) -> None:
    empty_project(kit)
    for number in range(3):
        assert kit.make("revision", f"m=step {number}", "empty=1").returncode == 0
    assert kit.make("migrate").returncode == 0
    typed = kit.make("rollback", "to=-9")
    assert "cannot go back -9: 3 migrations applied" in typed.stderr
    assert len(kit.query("SELECT version_num FROM alembic_version")) == 1


def test_a_ticket_number_stays_in_the_file_name(kit: Kit) -> None:
    kit.make("revision", "m=SHOP-77: let customers close their account", "empty=1")
    assert kit.newest.name.endswith("_shop_77_let_customers_close_their_account.py")


def test_two_developers_and_a_conflict(kit: Kit) -> None:
    """Two heads: said, named, and joined by the command that the message gives."""
    assert kit.alembic("revision", "-m", "mine").returncode == 0
    assert kit.alembic("revision", "-m", "theirs", "--head", SHOP_HEAD, "--splice").returncode == 0
    for typed in (kit.make("migrate"), kit.make("check"), kit.make("revision", "m=x"), kit.make("sql")):
        assert "2 heads" in typed.stderr
        assert "_mine.py" in typed.stderr
        assert "_theirs.py" in typed.stderr
        assert 'make merge m="merge heads"' in typed.stderr
    assert 'make merge m="merge heads"' in kit.make("status").stdout
    assert kit.make("merge", "m=merge heads").returncode == 0
    assert kit.make("migrate").returncode == 0
    assert "nothing to merge" in kit.make("merge", "m=again").stdout
    back = kit.make("rollback")
    assert "goes back over a merge" in back.stderr
    assert "`make rollback to=REV`" in back.stderr
    assert kit.make("rollback", f"to={SHOP_HEAD}").returncode == 0


def test_a_bad_revision_id_does_not_leave_the_directory(kit: Kit) -> None:
    before = kit.versions
    for identifier in ("head", "abc", "A_capital"):
        refused = kit.alembic("revision", "-m", "x", "--rev-id", identifier)
        assert refused.returncode != 0
        assert "use 4 to 32 of 0-9, a-z and _" in refused.stderr
    for identifier in ("../../evil", "a/../../../../evil", "/tmp/evil"):
        assert kit.alembic("revision", "-m", "x", "--rev-id", identifier).returncode != 0
    assert kit.versions == before
    assert not [*kit.path.parent.rglob("*evil*.py"), *Path("/tmp").glob("*evil*"), *Path("/").glob("*evil*")]


def test_bare_alembic_keeps_a_hostile_message_a_message(kit: Kit) -> None:
    message = '"""; open("canary", "w") #\n${open("canary")} \\u12 \\'
    assert kit.alembic("revision", "-m", message).returncode == 0
    shown = kit.alembic("history", "-r", "head:head")
    assert shown.returncode == 0
    assert '"""; open("canary", "w") # ${open("canary")} \\u12 \\' in shown.stdout
    assert not list(kit.path.rglob("canary"))
