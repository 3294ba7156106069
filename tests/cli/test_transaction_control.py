"""What ends Alembic's transaction is seen by the gate, the round trip and lint; what only looks like it is not."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dbkit.findings.finding import Level, LintFinding
from dbkit.postgres.cluster import Cluster
from support.alembic_templates import plain
from support.lint_runs import findings
from support.pair import Pair
from support.running import others_slow
from support.sessions import connect_as_project as connect
from support.source_findings import ids
from support.sql_bodies import SQL_BODIES

TABLE = "op.execute('CREATE TABLE t (id int, note text)')"
RAISE = "raise ValueError('on purpose')"
DOWN = "DROP TABLE IF EXISTS v; DROP FUNCTION IF EXISTS two()"
LOOKS_LIKE_IT = [
    r"""op.execute(r"INSERT INTO t (note) VALUES (E'it\'s; commit now')")""",
    'op.execute("CREATE FUNCTION two() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END")',
    r"""op.execute("INSERT INTO t (note) VALUES (E'a'\n'\\'; rollback; ')")""",
    """op.execute("INSERT INTO t (note) VALUES ($größe$; commit; $größe$)")""",
    """op.execute('CREATE TABLE v (\"; commit; \" int)')""",
    """op.execute("INSERT INTO t (note) /* a /* b */ ; commit; */ VALUES ('x')")""",
    """op.execute("SELECT 1 AS a$b$; SELECT 2 AS c$b$")""",
    """op.execute("BEGIN")""",
]


@pytest.fixture(params=others_slow(2, LOOKS_LIKE_IT))
def statement(request: pytest.FixtureRequest, server: Cluster) -> str:
    """One that the server knows."""
    with connect(server.target("postgres")) as connection:
        if "ATOMIC" in request.param and connection.info.server_version < SQL_BODIES:
            pytest.skip("bodies of SQL came with PostgreSQL 14")
    return str(request.param)


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_the_gate_takes_no_text_for_a_commit(pair: Pair, statement: str) -> None:
    """Nothing is half applied when it fails, and nothing is said of commits when it does not."""
    pair.write(TABLE, f"{statement}\n{RAISE}")
    for _ in range(2):
        typed = pair.gated.alembic("upgrade", "head")
        assert typed.returncode == 1, typed.stderr
        assert "nothing of it was kept" in one_line(typed.stderr)
    assert pair.gated.journal() == [("upgrade", "rev1")]
    (path,) = (each for each in pair.gated.versions.glob("*.py") if RAISE in each.read_text())
    path.write_text(path.read_text().replace(RAISE, "pass"))
    typed = pair.gated.alembic("upgrade", "head")
    assert (typed.returncode, "by hand" in typed.stderr) == (0, False)
    assert pair.gated.heads() == ["rev2"]


@pytest.mark.spread(2)
def test_lint_and_the_round_trip_take_no_text_for_a_commit(
    init: Callable[..., Path],
    lint: Callable[..., tuple[int, str]],
    statement: str,
) -> None:
    table = "CREATE TABLE t (id int, note text)"
    revisions = [("aaaa", None, table, "DROP TABLE t"), ("bbbb", "aaaa", f"python:{statement}", DOWN)]
    ini = init(online=plain(), revisions=revisions)
    assert findings(lint(ini, "--format", "json")[1], "commit-by-hand") == []
    (_, proven) = json.loads(lint(ini, "--format", "json", verb="roundtrip")[1])["revisions"]
    assert proven["transactional"]


# In the text of a file

BLOCK = "with op.get_context().autocommit_block():"
OUTSIDE = {
    "a DO block in an f-string": 'for role in ("a", "b"):\n        op.execute(f"""DO $$ BEGIN IF x = \'{role}\' THEN RETURN; END IF; GRANT y TO {role}; END $$;""")',
    "a tag that is filled in": 'tag = "x"\n    op.execute(f"DO ${tag}$ BEGIN PERFORM 1; END; ${tag}$")',
    "a tag that is formatted": 'op.execute("DO ${tag}$ BEGIN PERFORM 1; END; ${tag}$".format(tag="x"))',
    "a tag by a percent sign": 'op.execute("DO $%s$ BEGIN PERFORM 1; END; $%s$" % ("x", "x"))',
    "joined lines": 'op.execute("\\n".join(["DO $$", "BEGIN PERFORM 1;", "END; $$"]))',
    "a value": 'op.get_bind().execute(sa.text("SELECT :how").bindparams(how="commit"))',
    "a value beside it": 'op.get_bind().execute(sa.text("SELECT :how"), {"how": "rollback"})',
    "a key": 'statements = {"commit": "SELECT 1"}\n    op.execute(statements["commit"])',
    "another connection": 'with op.get_bind().engine.connect() as other:\n        other.execute(sa.text("COMMIT"))',
    "a helper in a block": f"def helper():\n        op.execute('BEGIN')\n        op.execute('COMMIT')\n    {BLOCK}\n        helper()",
    "a helper of a helper": f"def inner():\n        op.execute('COMMIT')\n    def helper():\n        inner()\n    {BLOCK}\n        helper()",
    "a method in a block": f"class Work:\n        def run(self):\n            op.execute('COMMIT')\n    {BLOCK}\n        Work().run()",
    "a wrapper": f"def wrapper():\n        {BLOCK}\n            yield\n    with wrapper():\n        op.execute('COMMIT')",
    "a helper that is handed on": f"def helper():\n        op.execute('COMMIT')\n    def alone(work):\n        {BLOCK}\n            work()\n    alone(helper)",
    "a savepoint": 'op.execute("SAVEPOINT a")\n    op.execute("ROLLBACK TO SAVEPOINT a")',
}
INSIDE = {
    "a helper": "def helper():\n        op.execute('COMMIT')\n    helper()",
    "a helper in a block and outside of it": f"def helper():\n        op.execute('COMMIT')\n    {BLOCK}\n        helper()\n    helper()",
    "a helper of a helper": "def inner():\n        op.execute('COMMIT')\n    def helper():\n        inner()\n    helper()",
    "after a DO block": 'op.execute(f"DO $$ BEGIN PERFORM {1 + 1}; END $$; COMMIT")',
    "a branch": 'op.execute("SELECT 1" if op.get_bind() else "COMMIT")',
    "text": 'op.execute(sa.text("COMMIT").execution_options(x=1))',
    "a method": "class Work:\n        def run(self):\n            op.execute('COMMIT')\n    work = Work()\n    work.run()",
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_the_text_of_a_file_is_not_blamed(found: Callable[..., list[LintFinding]], name: str) -> None:
    assert "commit-by-hand" not in ids(found(OUTSIDE[name]))


@pytest.mark.parametrize("name", INSIDE)
def test_the_text_of_a_file_is_blamed_once(found: Callable[..., list[LintFinding]], name: str) -> None:
    for up, down, level in ((INSIDE[name], "pass", Level.DANGER), ("pass", INSIDE[name], Level.NOTE)):
        blamed = [each for each in found(up, down) if each.id == "commit-by-hand"]
        assert [each.level for each in blamed] == [level]
