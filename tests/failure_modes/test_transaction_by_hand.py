"""A migration ends Alembic's transaction by hand."""

import pytest

from support.failure_modes import BLOCK, INSERT, NO_KEY, TABLE, one_line
from support.pair import Pair
from support.running import others_slow


@pytest.mark.parametrize("commit", others_slow(1, ["op.execute('COMMIT')", "op.get_bind().commit()"]))
def test_a_commit_by_hand(pair: Pair, commit: str) -> None:
    pair.write(TABLE, f"op.execute('ALTER TABLE t ADD x int')\n{commit}\nop.execute('SELECT 1 / 0')")
    for project in (pair.bare, pair.gated):
        typed = project.alembic("upgrade", "head")
        columns = project.query(
            "SELECT count(*) FROM information_schema.columns WHERE table_name = 't' AND column_name = 'x'"
        )
        assert columns == [(1,)]  # a half of it stays, and nothing can help that now
        assert typed.returncode == (6 if project.gated else 1)
    assert "a part of it was committed: not safe to run again" in one_line(typed.stderr)
    assert pair.gated.alembic("upgrade", "head").returncode == 6
    assert "it ends Alembic's transaction by hand" in pair.gated.dbkit("check").stderr


def test_a_commit_by_hand_that_loses_the_revision(pair: Pair) -> None:
    pair.write(TABLE, "op.execute('ALTER TABLE t ADD x int')\nop.get_bind().commit()")
    assert pair.bare.alembic("upgrade", "rev1").returncode == 0
    typed = pair.bare.alembic("upgrade", "head")
    assert (typed.returncode, pair.bare.heads()) == (0, ["rev1"])  # no error, and not recorded
    typed = pair.gated.alembic("upgrade", "head")
    assert (typed.returncode, pair.gated.heads()) == (0, ["rev2"])
    seen_by = "dbkit check" if pair.gated.driver else "make check"
    assert f"warning: rev2 commits by hand; see `{seen_by}`." in one_line(typed.stderr)
    assert pair.gated.journal() == [("upgrade", "rev1"), ("upgrade", "rev2")]
    pair.write("op.execute('SELECT 1 / 0')")
    assert pair.gated.alembic("upgrade", "head").returncode == 1
    assert pair.gated.heads() == ["rev2"]


@pytest.mark.parametrize("rollback", others_slow(1, ["op.execute('ROLLBACK')", "op.get_bind().rollback()"]))
def test_a_rollback_by_hand(pair: Pair, rollback: str) -> None:
    pair.write(TABLE, f"op.execute('ALTER TABLE t ADD x int')\n{rollback}")
    typed = pair.gated.alembic("upgrade", "head")
    assert typed.returncode in (1, 6)
    assert "it has rolled back by hand what it had done, and so is not recorded" in typed.stderr
    assert pair.gated.heads() == ["rev1"]


RAISE = "raise ValueError('on purpose')"


@pytest.mark.parametrize("first", others_slow(1, ["op.get_bind().rollback()", "op.get_bind().commit()"]))
def test_a_failed_migration_is_not_committed_by_the_gate(pair: Pair, first: str) -> None:
    pair.write(NO_KEY, f"{first}\n{INSERT}\n{RAISE}")
    for _ in range(2):
        assert pair.gated.alembic("upgrade", "head").returncode == 1
        assert pair.gated.query("SELECT count(*) FROM t") == [(0,)]


@pytest.mark.parametrize(
    "commit",
    others_slow(
        3,
        [
            "cursor = op.get_bind().connection.cursor()\ncursor.execute('CREATE TABLE v ()')\ncursor.execute('COMMIT')",
            "op.execute('CREATE TABLE v ()')\nop.get_bind().connection.commit()",
            "op.execute('CREATE TABLE v ()')\nop.execute('COMMIT; BEGIN')",
            "op.execute('CREATE TABLE v ()')\nop.execute('COMMIT AND CHAIN')",
            "op.execute('CREATE TABLE v ()')\nop.execute('-- done\\nCOMMIT')",
            "op.execute('CREATE TABLE v ()')\nop.execute('/* done */ END /* of it */')",
            f"{BLOCK}op.get_bind().connection.cursor().execute('CREATE TABLE v ()')",
            f"{BLOCK}op.execute('SET statement_timeout = 0; CREATE TABLE v ()')",
            f"{BLOCK}op.execute('ANALYZE t; CREATE TABLE v ()')",
        ],
    ),
)
def test_what_was_committed_on_any_way_is_known(pair: Pair, commit: str) -> None:
    if pair.gated.driver == "asyncpg" and "; " in commit:
        pytest.skip("asyncpg takes one statement at a time")
    pair.write(NO_KEY, f"{commit}\n{RAISE}")
    for _ in range(2):
        typed = pair.gated.alembic("upgrade", "head")
        assert typed.returncode == 6
        assert "a part of it was committed: not safe to run again" in one_line(typed.stderr)
    assert pair.gated.query("SELECT to_regclass('v')::text") == [("v",)]


@pytest.mark.parametrize(
    "rollback",
    others_slow(1, ["op.execute('ROLLBACK AND CHAIN')", "op.get_bind().connection.rollback()", "op.execute('ABORT')"]),
)
def test_what_was_rolled_back_on_any_way_is_not_recorded(pair: Pair, rollback: str) -> None:
    pair.write(NO_KEY, f"op.execute('CREATE TABLE v ()')\n{rollback}")
    typed = pair.gated.alembic("upgrade", "head")
    assert "it has rolled back by hand what it had done, and so is not recorded" in one_line(typed.stderr)
    assert (pair.gated.heads(), pair.gated.query("SELECT to_regclass('v')")) == (["rev1"], [(None,)])


def test_savepoints_are_no_commits(pair: Pair) -> None:
    nested = (
        f"with op.get_bind().begin_nested():\n    {INSERT}\n"
        f"op.execute('SAVEPOINT s')\n{INSERT}\nop.execute('ROLLBACK TO SAVEPOINT s')\nop.execute('ROLLBACK TO s')"
    )
    pair.write(NO_KEY, nested)
    assert pair.gated.alembic("upgrade", "head").returncode == 0
    assert pair.gated.query("SELECT count(*) FROM t") == [(1,)]
    assert pair.gated.journal() == [("upgrade", "rev1"), ("upgrade", "rev2")]


@pytest.mark.slow
def test_a_purge_is_one_with_its_stamp(pair: Pair) -> None:
    pair.add("left", None)
    pair.add("right", None)
    gated = pair.gated
    assert gated.alembic("upgrade", "heads").returncode == 0
    gated.query("CREATE SEQUENCE tries")
    gated.query(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF nextval('public.tries') IN (1, 3) THEN "
        "RAISE EXCEPTION 'no' USING ERRCODE = '55P03'; END IF; RETURN NEW; END $$"
    )
    gated.query("CREATE TRIGGER refuse BEFORE INSERT ON dbkit_journal FOR EACH ROW EXECUTE FUNCTION refuse()")
    typed = gated.alembic("stamp", "--purge", "left", "right", env={"MIGRATION_LOCK_BUDGET": "0"})
    assert typed.returncode == 1
    assert "nothing of it was kept, the database is at left and right" in typed.stderr
    assert gated.heads() == ["left", "right"]
    limits = {"MIGRATION_LOCK_TIMEOUT": "50ms"}
    assert gated.alembic("stamp", "--purge", "left", "right", env=limits).returncode == 0
    assert gated.heads() == ["left", "right"]
    assert gated.alembic("stamp", "--purge", "base").returncode == 0
    assert (gated.heads(), gated.journal()[-1]) == ([], ("stamp", "base"))
