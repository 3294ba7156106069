"""A project's own assertions on a revision are asked after each step of its proof, and what does not hold is a finding."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from dbkit.errors import InputError
from dbkit.postgres.cluster import Cluster
from dbkit.reports import github, junit, text
from dbkit.reports import json as json_report
from dbkit.roundtrip.assertions import read_assertions
from dbkit.roundtrip.outcome import Outcome, RevisionOutcome
from dbkit.roundtrip.prove import Request, prove
from dbkit.settings import Settings
from support.plain import Revision, write_project

TABLE: Revision = (
    "a1",
    None,
    "CREATE TABLE t (id serial PRIMARY KEY, net int NOT NULL CHECK (net > 0))",
    "DROP TABLE t",
)
UP, DOWN = "ALTER TABLE t ADD total int; UPDATE t SET total = net * 2", "ALTER TABLE t DROP total"
LAST: Revision = ("a3", "a2", "CREATE TABLE u (id int PRIMARY KEY)", "DROP TABLE u")
OUTSIDE = "python:with op.get_context().autocommit_block():\n        op.execute({!r})"
PLACES = ("in the transaction", "by clones")
# The way up adds 1 to what the way down has left; without that, it changes nothing
LEFT = "CREATE TABLE IF NOT EXISTS left_over (id int); ALTER TABLE t ADD total int; UPDATE t SET total = net * 2 + (SELECT count(*) FROM left_over)"
LEAVES = "ALTER TABLE t DROP total; INSERT INTO left_over VALUES (1)"
SAMPLES = "INSERT INTO t (net) VALUES (7), (8), (9)"
HINT = "`-- after: up`"


class Case(NamedTuple):
    """The files of assertions, the phases of the findings, and what the words of the first have in them."""

    sql: str = ""
    python: str = ""
    phases: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    up: str = UP
    down: str = DOWN


CASES = {
    "a query that holds": Case("-- after: up\nSELECT * FROM t WHERE total IS DISTINCT FROM net * 2"),
    "one that holds everywhere": Case("SELECT * FROM t WHERE net <= 0"),
    "a query that does not hold after the upgrade": Case(
        "\n-- after: up\nSELECT net, total, NULL::int AS none FROM t WHERE total <> net ORDER BY net;", phases=("up",),
        words=("assertion failed after upgrade, samples/a2_after.sql:3 returns 3 rows, the first: net = 7, total = 14, none = NULL",)),
    "one row": Case("-- after: up\nSELECT 'x' AS y", phases=("up",), words=("returns 1 row: y = x",)),
    "a row without columns": Case("-- after: up\nSELECT FROM t", phases=("up",), words=("a2_after.sql:2 returns 3 rows",)),
    "a value that Python does not have": Case(
        "-- after: up\nSELECT 'infinity'::date AS day, '20000-01-01'::date AS other", phases=("up",), words=("day = infinity, other = 20000-01-01",)),
    "long values": Case(
        "-- after: up\nSELECT repeat('ab', 100) AS a, E'x\\ny' AS b", phases=("up",), words=(f"a = {'ab' * 20}…, b = x y",)),
    "a query that does not hold after the downgrade": Case(
        "-- after: down\nSELECT * FROM t WHERE net > 8", phases=("down",),
        words=("assertion failed after downgrade, samples/a2_after.sql:2 returns 1 row: ", "net = 9")),
    "one that holds only after the first upgrade": Case(
        "-- after: up\nSELECT net, total FROM t WHERE total <> net * 2 ORDER BY net", phases=("reup",), up=LEFT, down=LEAVES,
        words=("assertion failed after the second upgrade, samples/a2_after.sql:2 returns 3 rows, the first: net = 7, total = 15",)),
    "each statement has its marker": Case(
        "-- after: up\nSELECT FROM t WHERE total <> net * 2;\n-- after: down\nSELECT FROM t WHERE net = 7;\nSELECT ';' FROM t WHERE net = 0;",
        phases=("down",), words=("samples/a2_after.sql:4 returns 1 row",)),
    "several fail": Case(
        "SELECT FROM t WHERE net = 7;\nTABLE t;", phases=("up", "up"), words=("samples/a2_after.sql:1 returns 1 row",)),
    "a query that names what the downgrade drops": Case(
        "SELECT * FROM t WHERE total IS NULL", phases=("down",), words=('samples/a2_after.sql:1: column "total" does not exist', HINT)),
    "an error after the upgrade": Case(
        "-- after: up\nSELECT 1 / (total - total) FROM t", phases=("up",), words=("samples/a2_after.sql:2: division by zero",)),
    "a percent sign": Case("-- after: up\nSELECT * FROM t WHERE total % 2 <> 0 OR total::text LIKE '%(x)s'"),
    "a query that writes": Case(
        "-- after: up\nWITH gone AS (DELETE FROM t RETURNING id) SELECT FROM gone", phases=("up",), words=("in a read-only transaction",)),
    "a sequence that is drawn from": Case(
        "-- after: up\nSELECT nextval('t_id_seq')", phases=("up",), words=("cannot execute nextval() in a read-only transaction",)),
    "a function that holds": Case(python="def after_upgrade(connection):\n    assert connection.execute('SELECT FROM t').rowcount == 3"),
    "a function that asserts": Case(
        python="def after_upgrade(connection):\n    rows = connection.execute('SELECT FROM t').rowcount\n    assert not rows, f'{rows} rows'", phases=("up",),
        words=("assertion failed after upgrade, samples/a2_after.py:3: 3 rows",)),
    "an assertion without a message": Case(
        python="def after_downgrade(connection):\n    assert connection is None", phases=("down",),
        words=("assertion failed after downgrade, samples/a2_after.py:2: AssertionError: assert connection is None",)),
    "another exception": Case(python="def after_downgrade(connection):\n    {}['total']", phases=("down",), words=("samples/a2_after.py:2: 'total'",)),
    "an exit": Case(python="def after_upgrade(connection):\n    raise SystemExit('no')", phases=("up",), words=("samples/a2_after.py:2: no",)),
    "a function whose query fails": Case(
        python="def after_upgrade(connection):\n    connection.execute('SELECT nothing FROM t')", phases=("up",),
        words=('samples/a2_after.py:2: column "nothing" does not exist',)),
    "a function that writes": Case(
        python="def after_upgrade(connection):\n    connection.execute('UPDATE t SET net = 1')", phases=("up",),
        words=("cannot execute UPDATE in a read-only transaction",)),
    "a function that commits": Case(
        python="def after_upgrade(connection):\n    connection.commit()", phases=("up",), words=("commit() forbidden",)),
    "both forms": Case(
        "-- after: down\nSELECT 1 AS one", "def after_upgrade(connection):\n    raise ValueError('two')", phases=("up", "down"), words=("two",)),
}  # fmt: skip
NO_ASSERTIONS = {
    "nothing": ("sql", "-- after: up\n", "has no assertion"),
    "an unknown marker": ("sql", "SELECT 1;\n-- after: upgrade\nSELECT 1", "a2_after.sql:2: one of"),
    "two markers": ("sql", "-- after: up\n-- after: down\nSELECT 1", "a2_after.sql:2: one of"),
    "a marker behind a statement": ("sql", "SELECT 1; -- after: up\nSELECT 2", "a2_after.sql:1: the comment must be a separate line"),
    "a marker in a statement": ("sql", "SELECT 1\n-- after: up\n+ 1", "a2_after.sql:2: the comment must be a separate line"),
    "a marker at the end": ("sql", "SELECT 1;\n-- after: up\n", "a2_after.sql:2: the comment must be a separate line"),
    "a statement that is no query": ("sql", "SELECT 1;\n\nUPDATE t SET net = 1", "a2_after.sql:3: UPDATE is no query"),
    "a commit": ("sql", "COMMIT", "a2_after.sql:1: COMMIT is no query"),
    "no function": ("py", "def after(connection):\n    pass", "a2_after.py has no function after_upgrade or after_downgrade"),
    "a file that cannot be loaded": ("py", "import nothing_of_this_name", "cannot be loaded: No module named"),
}  # fmt: skip


@pytest.fixture
def proven(local_settings: Settings, server: Cluster, tmp_path: Path) -> Callable[..., Outcome]:
    """Prove revisions; `samples` are files beside them, by name."""

    def run(*revisions: Revision, samples: Mapping[str, str], **request: object) -> Outcome:
        ini = write_project(tmp_path, revisions)
        (directory := tmp_path / "migrations/samples").mkdir()
        for name, content in samples.items():
            (directory / name).write_text(content)
        asked = {"server": server.target("postgres"), "jobs": 1, **request}
        return prove(local_settings, ini, Request(**asked))  # type: ignore[arg-type]

    return run


def revision(up: str, down: str, place: str = PLACES[0]) -> Revision:
    """Return the second revision, of which `place` says how it is proven."""
    if place == "by clones":
        up = OUTSIDE.format(up)
    return ("a2", "a1", up, down)


def second(outcome: Outcome) -> RevisionOutcome:
    return outcome.revisions[1]


def found(outcome: Outcome) -> list[str]:
    """Return the phases of the assertions that do not hold."""
    return [each.phase for each in second(outcome).findings if each.is_assertion]


@pytest.mark.spread(18)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", list(CASES))
def test_what_does_not_hold_is_a_finding(proven: Callable[..., Outcome], name: str, place: str) -> None:
    case = CASES[name]
    files = {"a1.sql": SAMPLES, "a2_after.sql": case.sql, "a2_after.py": case.python}
    outcome = proven(
        TABLE, revision(case.up, case.down, place), LAST, samples={each: files[each] for each in files if files[each]}
    )
    assert second(outcome).transactional == (place == PLACES[0])
    assert found(outcome) == list(case.phases)
    words = [each.words for each in second(outcome).findings if each.is_assertion]
    assert [each for each in case.words if each not in words[0]] == []
    verdicts = (second(outcome).verdict, *second(outcome).also)
    assert (verdicts[0] == "broken") == bool(case.phases)
    assert "fails on rows" not in verdicts
    # neither the next revision nor the chain is affected
    assert [outcome.revisions[0].verdict, outcome.revisions[2].verdict] == ["proven", "proven"]
    assert outcome.chain_length == 3


@pytest.mark.parametrize("name", NO_ASSERTIONS)
def test_a_file_that_asserts_nothing_is_refused(proven: Callable[..., Outcome], name: str) -> None:
    kind, content, words = NO_ASSERTIONS[name]
    with pytest.raises(InputError, match=words.replace(".", r"\.")):
        proven(TABLE, revision(UP, DOWN), samples={f"a2_after.{kind}": content})


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a2_after.sql").write_bytes("SELECT 'ä'".encode("latin-1"))
    with pytest.raises(InputError, match=r"a2_after\.sql is not UTF-8"):
        read_assertions(tmp_path, "a2")


def test_the_rows_are_the_sample_rows(proven: Callable[..., Outcome]) -> None:
    asked = "def after_upgrade(connection):\n    assert connection.execute('SELECT FROM t').rowcount != 5, 'generated'"
    outcome = proven(TABLE, revision(UP, DOWN), samples={"a2_after.py": asked})
    assert [each.words.endswith(": generated") for each in second(outcome).findings] == [True]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"rows": 0}, {"extra_rows": False}])
def test_nothing_is_asked_without_sample_rows(proven: Callable[..., Outcome], options: Mapping[str, object]) -> None:
    outcome = proven(TABLE, revision(UP, DOWN), samples={"a2_after.sql": "SELECT 1"}, **options)
    assert second(outcome).verdict == "proven"


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_an_assertion_is_listed_with_other_findings(proven: Callable[..., Outcome], place: str) -> None:
    up = "CREATE TABLE extra (id int); UPDATE t SET net = net + 1"
    asked = "-- after: up\nSELECT FROM t WHERE net = 8"
    outcome = proven(
        TABLE,
        revision(up, "SELECT 1", place),
        samples={"a1.sql": "INSERT INTO t (net) VALUES (7)", "a2_after.sql": asked},
    )
    assert (second(outcome).verdict, second(outcome).also) == ("broken", ("lossy",))
    assert found(outcome) == ["up"]
    assert 'relation "extra" already exists' in text.render_revision(second(outcome))


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_a_revision_without_a_way_back_is_asked_after_the_upgrade(proven: Callable[..., Outcome], place: str) -> None:
    outcome = proven(
        TABLE, revision(UP, "python:raise NotImplementedError", place), samples={"a2_after.sql": "SELECT 1 AS x"}
    )
    assert found(outcome) == ["up"]
    assert (second(outcome).verdict, second(outcome).also) == ("broken", ("irreversible",))


def test_a_downgrade_that_fails_on_rows_hides_no_assertion(proven: Callable[..., Outcome]) -> None:
    down = (
        "ALTER TABLE t ADD CONSTRAINT one CHECK (net < 7); ALTER TABLE t DROP CONSTRAINT one; ALTER TABLE t DROP total"
    )
    outcome = proven(
        TABLE, revision(UP, down), samples={"a1.sql": SAMPLES, "a2_after.sql": "SELECT FROM t WHERE net = 7"}
    )
    assert found(outcome) == ["up"]
    assert (second(outcome).verdict, second(outcome).also) == ("broken", ("fails on rows",))


@pytest.mark.slow
def test_a_function_that_ends_the_transaction_harms_no_proof(proven: Callable[..., Outcome]) -> None:
    asked = "def after_upgrade(connection):\n    connection.execute('COMMIT')\n    raise ValueError('after it')"
    outcome = proven(TABLE, revision(UP, DOWN), LAST, samples={"a2_after.py": asked})
    assert not second(outcome).transactional
    assert found(outcome) == ["up"]
    assert [each.verdict for each in outcome.revisions] == ["proven", "broken", "proven"]


def test_every_format_has_the_finding(proven: Callable[..., Outcome]) -> None:
    asked = "-- after: up\nSELECT net FROM t\n  WHERE net = 8"
    outcome = proven(TABLE, revision(UP, DOWN), samples={"a1.sql": SAMPLES, "a2_after.sql": asked})
    words = "assertion failed after upgrade, samples/a2_after.sql:2 returns 1 row: net = 8"
    (finding,) = json.loads(json_report.render_roundtrip(outcome))["revisions"][1]["findings"]
    assert (finding["kind"], finding["phase"], finding["detail"]) == ("error", "up", words)
    assert finding["sql"] == "SELECT net FROM t WHERE net = 8"
    assert finding["line"] == second(outcome).findings[0].line
    assert 'broken: a2 "a2"' in text.render_roundtrip(outcome)
    for render in (text.render_roundtrip, junit.render_roundtrip, github.render_roundtrip):
        assert words in render(outcome)


def test_an_accepted_assertion_passes(proven: Callable[..., Outcome], tmp_path: Path) -> None:
    up = "python:op.execute('ALTER TABLE t ADD total int')\n    # dbkit: ok broken, known"
    outcome = proven(TABLE, ("a2", "a1", up, DOWN), samples={"a2_after.sql": "-- after: down\nSELECT FROM t"})
    assert found(outcome) == ["down"]
    assert outcome.passed
