"""One failure never ends a chain: what fails while tables have rows is tried without them, whatever the error is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dbkit.findings.verdict import Verdict
from dbkit.postgres.cluster import Cluster
from dbkit.roundtrip.empty_copy import EmptyCopy
from dbkit.roundtrip.outcome import Outcome
from dbkit.roundtrip.prove import Request, prove
from dbkit.settings import Settings
from support.battery import NOTHING
from support.once import make_once
from support.plain import ENV, Revision, write_project

TABLE: Revision = ("a1", None, "CREATE TABLE t (id serial PRIMARY KEY, note text)", "DROP TABLE t")
NEXT: list[Revision] = [
    ("a3", "a2", "ALTER TABLE t ADD third int", "ALTER TABLE t DROP third"),
    ("a4", "a3", "ALTER TABLE t ADD fourth int", "ALTER TABLE t DROP fourth"),
]
EACH_ROW = "python:for row in op.get_bind().execute(sa.text('SELECT id, note FROM t')).all():\n        "
DO = "DO $$ BEGIN IF EXISTS (SELECT FROM t) THEN RAISE 'rows' USING ERRCODE = '{}'; END IF; END $$"
BY_ROWS = {
    "a column that is not there": EACH_ROW + "op.execute(f'UPDATE t SET note = nott WHERE id = {row.id}')",
    "a table that is not there": EACH_ROW + "op.execute('DELETE FROM tt')",
    "a function that is not there": EACH_ROW + "op.execute('SELECT never(1)')",
    "a syntax error": EACH_ROW + "op.execute(f'UPDAET t SET id = {row.id}')",
    "a plain string": EACH_ROW + "op.get_bind().execute(f'SELECT {row.id}')",
    "a parameter without a value": EACH_ROW + "op.get_bind().execute(sa.text('SELECT :id'))",
    "several rows for one": "python:op.get_bind().execute(sa.text('SELECT id FROM t')).scalar_one_or_none()",
    "no such column of a row": EACH_ROW + "row._mapping['missing']",
    "no such attribute of a row": EACH_ROW + "row.missing",
    "a value that the driver cannot send": EACH_ROW + "op.get_bind().execute(sa.text('SELECT :x'), {'x': object()})",
    "a division by zero": EACH_ROW + "1 / 0",
    "an assertion": EACH_ROW + "assert row.note == 'note'",
    "an error of the file": EACH_ROW + "raise ValueError('no rows here')",
    "an exit": EACH_ROW + "raise SystemExit('no rows here')",
    "a deferred constraint": "CREATE TABLE u (t int REFERENCES t DEFERRABLE INITIALLY DEFERRED); INSERT INTO u SELECT -id FROM t; DROP TABLE IF EXISTS v",
    **{f"SQLSTATE {code}": DO.format(code) for code in ("0A000", "25001", "2BP01", "3F000", "42501", "40001", "55000", "57014", "P0001", "XX000")},
}  # fmt: skip
DOWN = {"a deferred constraint": "DROP TABLE u"}


@pytest.fixture
def proven(local_settings: Settings, server: Cluster, tmp_path: Path) -> Callable[..., Outcome]:
    def run(*revisions: Revision, env: str = ENV, samples: str = "", **request: object) -> Outcome:
        ini = write_project(tmp_path, revisions, env)
        if samples:
            (tmp_path / "migrations/samples").mkdir()
            (tmp_path / "migrations/samples/a1.sql").write_text(samples)
        asked = {"server": server.target("postgres"), "jobs": 1, **request}
        return prove(local_settings, ini, Request(**asked))  # type: ignore[arg-type]

    return run


def verdicts(outcome: Outcome) -> list[str]:
    return [" and ".join((each.verdict, *each.also)) for each in outcome.revisions]


@pytest.fixture(scope="session")
def followed(local_settings: Settings, server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One proof of a chain of all that only rows fail, each followed by a revision that nothing fails."""
    chain = [TABLE]
    for number, name in enumerate(BY_ROWS):
        fine = (f"ALTER TABLE t ADD c{number} int", f"ALTER TABLE t DROP c{number}")
        for kind, code in (("rows", (BY_ROWS[name], DOWN.get(name, NOTHING))), ("fine", fine)):
            chain.append((f"{kind}{number}", chain[-1][0], *code))
    ini = write_project(tmp_path_factory.mktemp("followed"), chain, ENV)
    request = Request(server=server.target("postgres"), jobs=1)
    return make_once(tmp_path_factory, "followed", lambda: prove(local_settings, ini, request))


@pytest.mark.parametrize("name", BY_ROWS)
def test_an_upgrade_that_only_rows_fail_is_followed(followed: Outcome, name: str) -> None:
    number = list(BY_ROWS).index(name)
    assert verdicts(followed)[2 * number : 2 * number + 3] == ["proven", "fails on rows", "proven"]
    assert followed.chain == "the whole chain"


@pytest.mark.spread(12)
@pytest.mark.parametrize("name", list(BY_ROWS))
def test_one_upgrade_that_only_rows_fail_is_followed(proven: Callable[..., Outcome], name: str) -> None:
    outcome = proven(TABLE, ("a2", "a1", BY_ROWS[name], DOWN.get(name, NOTHING)), *NEXT)
    assert verdicts(outcome) == ["proven", "fails on rows", "proven", "proven"]
    assert outcome.chain == "the whole chain"


@pytest.mark.spread(3)
@pytest.mark.parametrize(
    "up", ["UPDATE t SET note = nott", "SELECT never(1)", "python:op.get_bind().execute('SELECT 1')", "python:1 / 0"]
)
def test_what_fails_without_rows_too_is_broken(proven: Callable[..., Outcome], up: str) -> None:
    outcome = proven(TABLE, ("a2", "a1", up, NOTHING), *NEXT)
    assert verdicts(outcome) == ["proven", "broken", "unproven", "unproven"]
    assert outcome.sample_rows.filled == {"t"}


# The origin of the error is env.py

HOOK = """
def check(ctx, step, heads, run_args):
    if step.up_revision_id == "a2" and ctx.connection.exec_driver_sql("SELECT 1 FROM t WHERE id > 100000").all():
        raise {error}("rows")
"""
WRAPS = "try:\n            context.run_migrations()\n        except Exception as error:\n            raise {error}('it failed') from error"
AFTER = (
    ENV
    + "    if connection.exec_driver_sql(\"SELECT 1 FROM pg_tables WHERE tablename = 't'\").all():\n        assert not connection.exec_driver_sql('SELECT 1 FROM t').all(), 'rows'\n"
)
BEFORE = ENV.replace(
    "    context.configure(",
    "    if connection.exec_driver_sql(\"SELECT 1 FROM pg_tables WHERE tablename = 't'\").all():\n"
    "        assert not connection.exec_driver_sql('SELECT 1 FROM t').all(), 'rows'\n    connection.rollback()\n    context.configure(",
)  # fmt: skip
OUTSIDE = (
    ENV.replace("    context.configure(", "    connection.begin()\n    context.configure(")
    + "    connection.commit()\n"
)


@pytest.mark.spread(3)
@pytest.mark.parametrize("error", ["RuntimeError", "LookupError", "__import__('sqlalchemy').exc.InvalidRequestError"])
def test_a_hook_of_env_py_that_fails_on_rows(proven: Callable[..., Outcome], error: str) -> None:
    env = ENV.replace("\nwith ", HOOK.format(error=error) + "\nwith ").replace(
        "connection=connection", "connection=connection, on_version_apply=[check]"
    )
    second = ("a2", "a1", "ALTER TABLE t ADD second int", "ALTER TABLE t DROP second")
    outcome = proven(TABLE, second, *NEXT, env=env)
    assert verdicts(outcome) == ["proven", "fails on rows", "proven", "proven"]
    assert "rows" in outcome.revisions[1].findings[0].words


@pytest.mark.slow
@pytest.mark.parametrize("error", ["RuntimeError", "__import__('sqlalchemy').exc.InvalidRequestError"])
def test_a_hook_of_env_py_that_fails_always(proven: Callable[..., Outcome], error: str) -> None:
    hook = HOOK.format(error=error).replace(" WHERE id > 100000", " RIGHT JOIN (SELECT) AS x ON true")
    env = ENV.replace("\nwith ", f"{hook}\nwith ").replace(
        "connection=connection", "connection=connection, on_version_apply=[check]"
    )
    outcome = proven(TABLE, ("a2", "a1", "SELECT 1", NOTHING), *NEXT, env=env)
    assert verdicts(outcome) == ["proven", "broken", "unproven", "unproven"]


@pytest.mark.slow
@pytest.mark.parametrize("error", ["RuntimeError", "SystemExit"])
def test_an_env_py_that_turns_errors_into_its_own(proven: Callable[..., Outcome], error: str) -> None:
    env = ENV.replace("context.run_migrations()", WRAPS.format(error=error))
    outcome = proven(TABLE, ("a2", "a1", BY_ROWS["a column that is not there"], NOTHING), *NEXT, env=env)
    assert verdicts(outcome) == ["proven", "fails on rows", "proven", "proven"]
    assert 'column "nott" does not exist' in outcome.revisions[1].findings[0].words


@pytest.mark.slow
def test_an_env_py_that_fails_on_rows_before_its_migrations(proven: Callable[..., Outcome]) -> None:
    """It meets rows where it is run once more, for a revision that leaves its transaction."""
    up = "python:with op.get_context().autocommit_block():\n        op.execute('ALTER TABLE t ADD second int')"
    outcome = proven(TABLE, ("a2", "a1", up, "ALTER TABLE t DROP second"), *NEXT, env=BEFORE)
    assert verdicts(outcome) == ["proven", "fails on rows", "proven", "proven"]
    assert outcome.chain == "the whole chain"


def test_an_env_py_that_fails_on_rows_after_its_migrations(proven: Callable[..., Outcome]) -> None:
    lossy = ("a2", "a1", "UPDATE t SET note = 'x'", NOTHING)
    outcome = proven(TABLE, lossy, env=AFTER)
    assert verdicts(outcome) == ["proven", "fails on rows and lossy"]
    assert outcome.revisions[1].findings[0].words == "AssertionError: rows"
    assert outcome.chain == "the whole chain"


@pytest.mark.slow
def test_a_deferred_constraint_in_a_transaction_of_env_py(proven: Callable[..., Outcome]) -> None:
    name = "a deferred constraint"
    outcome = proven(TABLE, ("a2", "a1", BY_ROWS[name], DOWN[name]), *NEXT, env=OUTSIDE)
    assert verdicts(outcome) == ["proven", "fails on rows", "proven", "proven"]


# The way down


def test_a_downgrade_that_only_rows_fail(proven: Callable[..., Outcome]) -> None:
    down = BY_ROWS["a column that is not there"] + "\n    op.execute('ALTER TABLE t DROP second')"
    outcome = proven(TABLE, ("a2", "a1", "ALTER TABLE t ADD second int", down), *NEXT)
    assert verdicts(outcome) == ["proven", "fails on rows", "proven", "proven"]


UNNAMED = (
    "python:op.create_check_constraint(None, 't', 'id > 0')",
    "python:op.drop_constraint(None, 't', type_='check')",
)


def test_a_constraint_that_has_no_name_needs_no_clone(proven: Callable[..., Outcome]) -> None:
    outcome = proven(TABLE, ("a2", "a1", *UNNAMED), *NEXT)
    assert verdicts(outcome) == ["proven", "broken", "proven", "proven"]
    assert all(each.transactional for each in outcome.revisions)
    words = outcome.revisions[1].findings[0].words
    assert "it has no name" in words
    assert "TextClause object at 0x…>" in words  # the same in each run


@pytest.mark.parametrize(
    ("up", "down", "is_same"),
    [
        ("ALTER TABLE t ADD x int", "ALTER TABLE t DROP y", True),
        ("ALTER TABLE t ADD x int; UPDATE t SET x = 1", "ALTER TABLE t DROP y", False),
        ("ALTER TABLE t ADD x int", "ALTER TABLE t ALTER x TYPE bool USING note::bool", False),
        ("ALTER TABLE t ADD x int", f"ALTER TABLE t DROP x; {DO.format('2BP01')}; ALTER TABLE t DROP y", False),
        ("CREATE TABLE u AS SELECT * FROM t", "DROP TABLE v", False),
        ("CREATE TYPE mood AS ENUM ('well')", "python:pass", True),
    ],
)
def test_what_rows_cannot_be_the_cause_of_is_not_tried_without_them(
    proven: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, up: str, down: str, is_same: bool
) -> None:
    heads: list[str] = []
    monkeypatch.setattr(EmptyCopy, "replace_databases", lambda copy: heads.append(copy.work.applied[-1].revision))
    outcome = proven(TABLE, ("a2", "a1", up, down))
    assert outcome.revisions[1].verdict == Verdict.BROKEN
    # the whole chain goes down without rows, from its last revision
    assert heads == (["a2"] if is_same else ["a1", "a2"])


@pytest.mark.slow
def test_what_rows_show_of_a_broken_revision_is_kept(proven: Callable[..., Outcome]) -> None:
    up = "CREATE TABLE u (x int); UPDATE t SET note = 'x'"
    outcome = proven(TABLE, ("a2", "a1", up, NOTHING), *NEXT)
    assert verdicts(outcome) == ["proven", "broken and lossy", "proven", "proven"]


# A project's own rows stay where a revision is broken: generated ones are no numbers

NUMBERS = ("a3", "a2", "ALTER TABLE t ALTER note TYPE int USING note::int", "ALTER TABLE t ALTER note TYPE text")
OWN_ROWS = "INSERT INTO t (note) VALUES ('1'), ('20')"


@pytest.mark.spread(3)
@pytest.mark.parametrize(
    ("up", "down", "verdict"),
    [
        ("CREATE INDEX i ON t (note)", "DROP INDEX j", "broken"),
        ("SELECT 1", "python:1 / 0", "broken"),
        ("SELECT 1", BY_ROWS["a column that is not there"], "fails on rows"),
        ("SELECT 1", BY_ROWS["a plain string"], "fails on rows"),
    ],
    ids=["a name", "Python", "a name, on rows", "SQLAlchemy, on rows"],
)
def test_own_rows_stay_behind_a_downgrade_that_fails(
    proven: Callable[..., Outcome], up: str, down: str, verdict: str
) -> None:
    outcome = proven(TABLE, ("a2", "a1", up, down), NUMBERS, samples=OWN_ROWS)
    assert verdicts(outcome) == ["proven", verdict, "proven, if"]


def test_own_rows_stay_behind_an_upgrade_that_is_broken(proven: Callable[..., Outcome]) -> None:
    """Of two branches, one is broken."""
    beside = ("a3", "a1", *NUMBERS[2:])
    outcome = proven(TABLE, ("a2", "a1", "ALTER TABLE t ADD second intt", NOTHING), beside, samples=OWN_ROWS)
    assert dict(zip((each.revision for each in outcome.revisions), verdicts(outcome), strict=True)) == {
        "a1": "proven",
        "a2": "broken",
        "a3": "proven, if",
    }


# Where no database without sample rows can be made

NEEDS_ROWS = "python:op.get_bind().execute(sa.text('SELECT id FROM t')).all()[0]"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a column that is not there", "a plain string", "SQLSTATE P0001", "an exit"])
def test_a_chain_goes_on_behind_a_migration_that_needs_rows(proven: Callable[..., Outcome], name: str) -> None:
    third, fourth = (("a3", "a2", BY_ROWS[name], NOTHING), NEXT[1])
    outcome = proven(TABLE, ("a2", "a1", NEEDS_ROWS, "python:pass"), third, fourth)
    assert verdicts(outcome) == ["proven", "proven", "fails on rows", "proven"]


def test_a_migration_that_needs_rows_and_cannot_go_down_is_broken(proven: Callable[..., Outcome]) -> None:
    outcome = proven(TABLE, ("a2", "a1", NEEDS_ROWS, "DROP INDEX j"), *NEXT)
    assert verdicts(outcome) == ["proven", "broken", "proven", "proven"]


# A file without downgrade() is irreversible by intent


@pytest.mark.spread(3)
@pytest.mark.parametrize("up", ["ALTER TABLE t ADD second int", "UPDATE t SET note = 'x'", "SELECT 1"])
@pytest.mark.parametrize("rows", [0, 5])
def test_a_file_without_downgrade_is_irreversible(
    local_settings: Settings, server: Cluster, tmp_path: Path, up: str, rows: int
) -> None:
    ini = write_project(tmp_path, [TABLE, ("a2", "a1", up, NOTHING), *NEXT])
    path = tmp_path / "migrations/versions/a2.py"
    path.write_text("# dbkit: ok irreversible, a rule of the house\n" + path.read_text().partition("def downgrade")[0])
    outcome = prove(local_settings, ini, Request(server=server.target("postgres"), rows=rows))
    assert verdicts(outcome) == ["proven", "irreversible", "proven", "proven"]
    assert [each.words for each in outcome.revisions[1].findings] == ["the file has no downgrade()"]
    assert outcome.chain == "the chain above a2"
    assert outcome.passed


@pytest.mark.slow
@pytest.mark.parametrize("down", ["python:raise AttributeError('the file has no downgrade()')", "python:op.nothing()"])
def test_a_downgrade_that_fails_is_told_from_none(proven: Callable[..., Outcome], down: str) -> None:
    expected = "irreversible" if "raise" in down else "broken"
    assert verdicts(proven(TABLE, ("a2", "a1", "SELECT 1", down))) == ["proven", expected]


def test_a_file_without_upgrade_is_broken(local_settings: Settings, server: Cluster, tmp_path: Path) -> None:
    ini = write_project(tmp_path, [TABLE, ("a2", "a1", "SELECT 1", NOTHING)])
    path = tmp_path / "migrations/versions/a2.py"
    path.write_text(path.read_text().partition("def upgrade")[0] + "def downgrade():\n    pass\n")
    assert verdicts(prove(local_settings, ini, Request(server=server.target("postgres")))) == ["proven", "broken"]


CAUGHT = """python:try:
        op.execute({statement!r})
    except Exception:
        pass
    op.execute('SELECT 1')"""
GOES_ON = "the migration caught it and went on"


@pytest.mark.parametrize("in_clone", [False, True], ids=["in a transaction", "in a clone"])
def test_the_error_that_has_aborted_a_transaction_is_named(proven: Callable[..., Outcome], in_clone: bool) -> None:
    up = CAUGHT.format(statement="INSERT INTO t (id) SELECT id FROM t")
    down = CAUGHT.format(statement="SELECT nothing FROM t")
    if in_clone:
        block = "python:with op.get_context().autocommit_block():\n        op.execute('SELECT 2')\n    "
        up, down = (text.replace("python:", block) for text in (up, down))
    outcome = proven(TABLE, ("a2", "a1", up, "SELECT 1"), ("a3", "a2", "SELECT 1", down))
    assert verdicts(outcome)[1:] == ["fails on rows", "broken"]
    first, second = (each.findings[0].words for each in outcome.revisions[1:])
    assert "duplicate key value" in first
    assert 'column "nothing" does not exist' in second
    assert GOES_ON in first
    assert GOES_ON in second


def test_an_error_that_is_caught_at_the_end_is_named(proven: Callable[..., Outcome]) -> None:
    up = CAUGHT.format(statement="ALTER TABLE missing ADD x int").replace("\n    op.execute('SELECT 1')", "")
    outcome = proven(TABLE, ("a2", "a1", up, "SELECT 1"))
    assert verdicts(outcome)[1:] == ["broken"]
    assert 'relation "missing" does not exist' in outcome.revisions[1].findings[0].words
    assert GOES_ON in outcome.revisions[1].findings[0].words


def test_an_error_that_a_migration_raises_for_another_one_stays(proven: Callable[..., Outcome]) -> None:
    up = """python:try:
        op.execute('SELECT nothing FROM t')
    except Exception:
        try:
            op.execute('SELECT 1')
        except Exception:
            raise ValueError('not with this database')"""
    outcome = proven(TABLE, ("a2", "a1", up, "SELECT 1"))
    assert "not with this database" in outcome.revisions[1].findings[0].words


def test_an_error_in_a_savepoint_is_not_the_one_of_a_later_error(proven: Callable[..., Outcome]) -> None:
    up = """python:bind = op.get_bind()
    try:
        with bind.begin_nested():
            bind.execute(sa.text('SELECT nothing FROM t'))
    except Exception:
        pass
    op.execute('SELECT other FROM t')"""
    outcome = proven(TABLE, ("a2", "a1", up, "SELECT 1"))
    assert 'column "other" does not exist' in outcome.revisions[1].findings[0].words
    assert GOES_ON not in outcome.revisions[1].findings[0].words
