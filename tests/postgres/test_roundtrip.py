"""The round trip: each planted fault is found in its own revision, and no other revision is blamed for it."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dbkit.catalog import Difference, Fact
from dbkit.errors import InputError
from dbkit.findings.verdict import Verdict
from dbkit.postgres.cluster import Cluster
from dbkit.proof_cache.codec import decode, encode
from dbkit.reports import github, junit, text
from dbkit.reports import json as json_report
from dbkit.roundtrip.outcome import Failure, Finding, Outcome, RevisionOutcome
from dbkit.roundtrip.prove import Request, prove
from dbkit.roundtrip.selection import Scope
from dbkit.settings import Settings
from support.battery import BATTERY, HABITS, NOTHING, Planted, alone, make_project, revision_file
from support.kit import REPOSITORY
from support.once import make_once

CONTROLS = [case for case in BATTERY if case.verdict == "proven"]


@pytest.fixture(scope="session")
def battery_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chain in which nearly every revision has a fault."""
    return make_project(tmp_path_factory.mktemp("battery") / "project", BATTERY)


@pytest.fixture(scope="session")
def battery(local_settings: Settings, battery_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One walk over that chain, with empty tables: it is about schemas."""
    request = Request(jobs=1, rows=0)
    return make_once(tmp_path_factory, "battery", lambda: prove(local_settings, battery_project, request))


@pytest.fixture(scope="session")
def habits_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The second chain."""
    return make_project(tmp_path_factory.mktemp("habits") / "project", HABITS)


@pytest.fixture(scope="session")
def habits(local_settings: Settings, habits_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One walk over the second chain."""
    request = Request(jobs=1, rows=0)
    return make_once(tmp_path_factory, "habits", lambda: prove(local_settings, habits_project, request))


@pytest.fixture
def proven(local_settings: Settings, server: Cluster) -> Callable[..., Outcome]:
    """Prove a project in databases of the run's server, which is quicker than a server of its own. Tables are empty."""

    def run(ini: Path, **request: object) -> Outcome:
        asked = {"rows": 0, "server": server.target("postgres"), **request}
        return prove(local_settings, ini, Request(**asked))  # type: ignore[arg-type]

    return run


@pytest.mark.slow
def test_rows_hide_no_fault_of_a_schema(local_settings: Settings, battery_project: Path) -> None:
    with_rows = prove(local_settings, battery_project, Request(jobs=1))
    for case, found in zip(BATTERY, with_rows.revisions, strict=True):
        assert case.verdict in ("proven", found.verdict, *found.also), (case.name, found)


def test_each_outcome_is_the_same_after_it_was_written_and_read(battery: Outcome) -> None:
    written = json.dumps(encode(battery))
    assert decode(Outcome, json.loads(written)) == battery
    assert json.dumps(encode(decode(Outcome, json.loads(written)))) == written


def test_the_battery_is_what_it_is_said_to_be() -> None:
    assert len(BATTERY) - len(CONTROLS) >= 40
    assert len(CONTROLS) >= 10


@pytest.mark.parametrize(("number", "case"), list(enumerate(BATTERY)), ids=[case.name for case in BATTERY])
def test_each_fault_is_found_where_it_is(battery: Outcome, number: int, case: Planted) -> None:
    check(battery.revisions[number], case)


@pytest.mark.parametrize(("number", "case"), list(enumerate(HABITS)), ids=[case.name for case in HABITS])
def test_no_habit_is_blamed_and_no_fault_among_them_missed(habits: Outcome, number: int, case: Planted) -> None:
    check(habits.revisions[number], case)


def check(found: RevisionOutcome, case: Planted) -> None:
    said = "\n".join(finding.words for finding in (*found.findings, *found.notes))
    assert (found.verdict, case.words in said) == (case.verdict, True), said
    if case.verdict == "proven":
        assert not found.findings


@pytest.mark.slow
@pytest.mark.parametrize("chain", ["habits", pytest.param("battery", marks=pytest.mark.slow)])
def test_two_processes_find_what_one_finds(
    request: pytest.FixtureRequest, local_settings: Settings, chain: str
) -> None:
    def told(outcome: Outcome) -> list[tuple[str, Verdict, list[str], list[str]]]:
        return [
            (each.revision, each.verdict, [f.words for f in each.findings], [f.words for f in each.notes])
            for each in outcome.revisions
        ]

    project: Path = request.getfixturevalue(f"{chain}_project")
    assert told(prove(local_settings, project, Request(jobs=2, rows=0))) == told(request.getfixturevalue(chain))


def test_what_leaves_its_transaction_is_said_to(battery: Outcome) -> None:
    transactional = {each.message: each.transactional for each in battery.revisions}
    assert not transactional["concurrent index"]
    assert not transactional["commits in a statement"]
    assert transactional["tables"]
    assert transactional["index left"]


def test_what_is_said_names_the_revision_the_place_to_mend_and_the_sql(battery: Outcome) -> None:
    said = text.render_roundtrip(battery)
    left = next(each for each in battery.revisions if each.message == "index left")
    line = left.path.read_text().splitlines().index("def downgrade():") + 1
    assert f"dirty: {left.name}\n  after downgrade, index ix_left on a is still there\n" in said
    assert re.search(rf"^  at \S*{left.path.name}:{line}$", said, re.MULTILINE)
    assert 'table "not_there" does not exist\n  SQL: DROP TABLE not_there\n' in said
    assert f"{len(BATTERY)} migrations on PostgreSQL " in said
    assert not battery.passed


def test_a_chain_that_cannot_go_to_base_says_how_far_it_went(battery: Outcome) -> None:
    stopped = next(each for each in battery.revisions if each.message == "breaks half-way, outside")
    assert battery.chain == f"the chain above {stopped.revision}"


def test_the_server_is_named_with_its_version(proven: Callable[..., Outcome], tmp_path: Path) -> None:
    assert re.fullmatch(
        r"PostgreSQL \d+\.\d+( \(.+\))? at .+", proven(make_project(tmp_path / "p", BATTERY[:1])).server
    )


def test_no_revisions_is_nothing_proven(proven: Callable[..., Outcome], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing was proven"):
        proven(make_project(tmp_path / "project", []))


# The walk


def add(project: Path, revision: str, parents: object, up: str, down: str, depends_on: object = None) -> None:
    text = revision_file(revision, parents, revision, up, down, depends_on)
    (project / f"backend/alembic/versions/{revision}.py").write_text(text)


def verdicts(outcome: Outcome) -> dict[str, str]:
    return {each.revision: each.verdict.value for each in outcome.revisions}


def test_branches_and_their_merge(proven: Callable[..., Outcome], tmp_path: Path) -> None:
    """Two branches from one base, one with a fault, and the merge: each by itself."""
    ini = make_project(tmp_path / "project", BATTERY[:1])
    add(ini.parent, "left1", "case00", "CREATE TABLE l (x int)", "DROP TABLE l")
    add(ini.parent, "right", "case00", "CREATE TABLE IF NOT EXISTS r (x int)", NOTHING)
    add(ini.parent, "merge", ("left1", "right"), "CREATE VIEW v AS SELECT * FROM l, r AS r (y)", "DROP VIEW v")
    outcome = proven(ini)
    assert verdicts(outcome) == {"case00": "proven", "left1": "proven", "right": "dirty", "merge": "proven"}
    assert outcome.chain == "the whole chain"


def test_two_bases_of_which_one_depends_on_the_other(proven: Callable[..., Outcome], tmp_path: Path) -> None:
    ini = make_project(tmp_path / "project", BATTERY[:1])
    add(ini.parent, "other", None, "CREATE TABLE o (x int)", "DROP TABLE o")
    add(ini.parent, "after", "other", "CREATE VIEW v AS SELECT id FROM a", "DROP VIEW v", depends_on="case00")
    assert verdicts(proven(ini)) == {"case00": "proven", "other": "proven", "after": "proven"}


def test_a_fault_shows_only_in_the_chain(proven: Callable[..., Outcome], tmp_path: Path) -> None:
    """By itself it is undone; after the one that follows it, it is not."""
    ini = make_project(tmp_path / "project", BATTERY[:1])
    add(
        ini.parent,
        "drops_what_is_empty",
        "case00",
        "CREATE TABLE kept (x int)",
        "python:if not op.get_bind().exec_driver_sql('SELECT 1 FROM b').all():\n        op.execute('DROP TABLE kept')",
    )
    add(ini.parent, "fills", "drops_what_is_empty", "INSERT INTO b VALUES (1) ON CONFLICT DO NOTHING", NOTHING)
    outcome = proven(ini)
    assert verdicts(outcome) == {"case00": "proven", "drops_what_is_empty": "broken", "fills": "proven"}
    assert [(finding.phase, finding.words) for finding in outcome.revisions[1].findings] == [
        ("chain", 'relation "kept" already exists')
    ]


def test_who_is_in_the_way_of_others_is_told_and_they_are_not(proven: Callable[..., Outcome], tmp_path: Path) -> None:
    """What a dirty revision leaves behind stops the chain at an earlier one, which is blameless."""
    ini = make_project(tmp_path / "project", BATTERY[:1])
    add(ini.parent, "leaves", "case00", "CREATE OR REPLACE VIEW in_the_way AS SELECT id FROM a", NOTHING)
    outcome = proven(ini)
    assert verdicts(outcome) == {"case00": "proven", "leaves": "dirty"}
    assert outcome.chain == "the chain above case00"


@pytest.mark.spread(2)
@pytest.mark.parametrize(("outside", "verdict"), [(False, "proven"), (True, "unproven")], ids=["inside", "by clones"])
def test_a_role_that_a_copy_needs(local_settings: Settings, tmp_path: Path, outside: bool, verdict: str) -> None:
    """A role is the server's: it cannot be dropped while the copy beside the proof has grants to it."""
    ini = make_project(tmp_path / "project", BATTERY[:1])
    up = "CREATE ROLE reader; GRANT SELECT ON a TO reader"
    down = "REVOKE ALL ON a FROM reader; DROP ROLE reader"
    add(ini.parent, "role", "case00", alone(*up.split("; ")) if outside else up, down)
    outcome = prove(local_settings, ini, Request(jobs=1))
    assert verdicts(outcome) == {"case00": "proven", "role": verdict}


@pytest.mark.slow
def test_two_processes_and_a_role(local_settings: Settings, tmp_path: Path) -> None:
    """It can be made only once; the chain is then walked by one process."""
    ini = make_project(tmp_path / "project", BATTERY[:1])
    add(
        ini.parent,
        "role",
        "case00",
        "CREATE ROLE reader; GRANT SELECT ON a TO reader",
        "REVOKE ALL ON a FROM reader; DROP ROLE reader",
    )
    add(ini.parent, "next", "role", "CREATE TABLE n (x int)", "DROP TABLE n")
    add(ini.parent, "last", "next", "CREATE TABLE o (x int)", "DROP TABLE o")
    outcome = prove(local_settings, ini, Request(jobs=2))
    assert set(verdicts(outcome).values()) == {"proven"}
    assert outcome.chain == "the whole chain"


SWAPS = {
    "tables": ("CREATE TABLE p (x int); CREATE TABLE q (x int); CREATE VIEW vp AS SELECT x FROM p", "ALTER TABLE p RENAME TO px; ALTER TABLE q RENAME TO p; ALTER TABLE px RENAME TO q"),
    "sequences": ("CREATE SEQUENCE p; CREATE SEQUENCE q; CREATE TABLE t (x int DEFAULT nextval('p'))", "ALTER SEQUENCE p RENAME TO px; ALTER SEQUENCE q RENAME TO p; ALTER SEQUENCE px RENAME TO q"),
    "functions": ("CREATE FUNCTION p() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION q() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TABLE t (x int DEFAULT p())", "ALTER FUNCTION p RENAME TO px; ALTER FUNCTION q RENAME TO p; ALTER FUNCTION px RENAME TO q"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", SWAPS)
def test_two_that_look_the_same_and_swap_their_names(proven: Callable[..., Outcome], tmp_path: Path, kind: str) -> None:
    """What depends on them is another thing then, and is not touched itself."""
    made, swapped = SWAPS[kind]
    cases = [
        Planted("made", made, "DROP SCHEMA public CASCADE; CREATE SCHEMA public", "proven"),
        Planted("swap", swapped, NOTHING, "dirty"),
    ]
    assert verdicts(proven(make_project(tmp_path / "project", cases)))["case01"] == "dirty"


@pytest.mark.slow
@pytest.mark.parametrize(
    "what", ["CREATE TEMP TABLE tmp1 (x int)", "CREATE TEMP TABLE tmp1 ON COMMIT DROP AS SELECT 1 AS x"]
)
def test_what_belongs_to_the_session_is_not_in_the_way(
    proven: Callable[..., Outcome], tmp_path: Path, what: str
) -> None:
    """Alembic's upgrade and downgrade are two sessions."""
    ini = make_project(tmp_path / "project", BATTERY[:1])
    add(ini.parent, "session", "case00", f"{what}; UPDATE a SET x = 'y'", what)
    assert verdicts(proven(ini)) == {"case00": "proven", "session": "proven"}


def test_a_file_without_a_downgrade_is_irreversible(proven: Callable[..., Outcome], tmp_path: Path) -> None:
    ini = make_project(tmp_path / "project", BATTERY[:1])
    add(ini.parent, "lacks", "case00", "CREATE TABLE lacking (x int)", NOTHING)
    path = ini.parent / "backend/alembic/versions/lacks.py"
    path.write_text(path.read_text().partition("def downgrade")[0])
    add(ini.parent, "after", "lacks", "CREATE TABLE n (x int)", "DROP TABLE n")
    outcome = proven(ini)
    assert verdicts(outcome) == {"case00": "proven", "lacks": "irreversible", "after": "proven"}
    assert "the file has no downgrade()" in outcome.revisions[1].findings[0].words


def test_a_file_that_exits_when_it_is_loaded_is_no_success(proven: Callable[..., Outcome], tmp_path: Path) -> None:
    ini = make_project(tmp_path / "project", BATTERY[:1])
    (ini.parent / "backend/alembic/versions/exits.py").write_text("raise SystemExit(0)\n")
    with pytest.raises(InputError, match=r"exits.py, line 1: SystemExit"):
        proven(ini)


def test_an_object_left_at_base_is_told_with_the_revision_that_brought_it(
    proven: Callable[..., Outcome], tmp_path: Path
) -> None:
    ini = make_project(tmp_path / "project", BATTERY[:1])
    add(
        ini.parent,
        "brings",
        "case00",
        "CREATE TABLE IF NOT EXISTS kept (x int)",
        "python:if not op.get_bind().exec_driver_sql('SELECT 1 FROM b').all():\n        op.execute('DROP TABLE kept')",
    )
    add(ini.parent, "fills", "brings", "INSERT INTO b VALUES (1) ON CONFLICT DO NOTHING", NOTHING)
    outcome = proven(ini)
    assert verdicts(outcome)["brings"] == "dirty"
    assert [(finding.phase, finding.words) for finding in outcome.revisions[1].findings] == [
        ("base", "at base, table kept is still there")
    ]


@pytest.mark.slow
def test_a_lock_on_itself_ends(local_settings: Settings, server: Cluster, tmp_path: Path) -> None:
    """A migration that waits, on a second connection, for what it has locked itself."""
    ini = make_project(tmp_path / "project", BATTERY[:1])
    up = "python:op.execute('LOCK TABLE a')\n    with op.get_bind().engine.connect() as other:\n        other.exec_driver_sql('SELECT * FROM a')"
    add(ini.parent, "waits", "case00", up, NOTHING)
    impatient = replace(local_settings, lock_timeout=0.2)
    outcome = prove(impatient, ini, Request(server=server.target("postgres")))
    assert verdicts(outcome) == {"case00": "proven", "waits": "broken"}


# What is proven


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """case00 to case04, of which case02 has a fault."""
    clean = [
        Planted(f"t{number}", f"CREATE TABLE t{number} (x int)", f"DROP TABLE t{number}", "proven")
        for number in range(5)
    ]
    clean[2] = replace(clean[2], up="CREATE TABLE IF NOT EXISTS t2 (x int)", down=NOTHING)
    return make_project(tmp_path / "project", clean)


@pytest.mark.spread(3)
@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (Scope(after="case02"), "case03 case04"),
        (Scope(to="case01"), "case00 case01"),
        (Scope(after="case00", to="case01"), "case01"),
        (Scope(only=("case03", "case01")), "case01 case03"),
        (Scope(only=("case02",)), "case02"),
        (Scope(after="base", to="head"), "case00 case01 case02 case03 case04"),
    ],
)
def test_a_part_of_the_chain(proven: Callable[..., Outcome], chain: Path, scope: Scope, expected: str) -> None:
    outcome = proven(chain, scope=scope)
    assert " ".join(each.revision for each in outcome.revisions) == expected
    assert ("case02" in expected) == (not outcome.passed)


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        (Scope(after="head"), "nothing to prove after head"),
        (Scope(only=("nope",)), "nope"),
        (Scope(to="base"), "nothing to prove up to base"),
        (Scope(since="HEAD"), "--since HEAD"),
    ],
)
def test_nothing_to_prove_is_an_error(proven: Callable[..., Outcome], chain: Path, scope: Scope, message: str) -> None:
    with pytest.raises(InputError, match=message):
        proven(chain, scope=scope)


@pytest.mark.slow
def test_since_a_commit(proven: Callable[..., Outcome], chain: Path, git: Callable[..., str]) -> None:
    """Committed since, staged and not yet known to git; a file that was only edited is not new."""
    versions = chain.parent / "backend/alembic/versions"
    later = {name: (versions / f"{name}.py").read_bytes() for name in ("case03", "case04")}
    for name in later:
        (versions / f"{name}.py").unlink()
    git(chain.parent, "init", "--quiet")
    git(chain.parent, "add", ".")
    git(chain.parent, "commit", "--quiet", "-m", "before")
    (versions / "case01.py").write_text((versions / "case01.py").read_text() + "\n# edited\n")
    (versions / "case03.py").write_bytes(later["case03"])
    git(chain.parent, "add", ".")
    git(chain.parent, "commit", "--quiet", "-m", "after")
    (versions / "case04.py").write_bytes(later["case04"])
    assert verdicts(proven(chain, scope=Scope(since="HEAD~1"))) == {"case03": "proven", "case04": "proven"}
    assert verdicts(proven(chain, scope=Scope(since="HEAD"))) == {"case04": "proven"}
    git(chain.parent, "add", ".")
    git(chain.parent, "commit", "--quiet", "-m", "all")
    nothing = proven(chain, scope=Scope(since="HEAD"))
    assert (nothing.passed, nothing.revisions, text.render_roundtrip(nothing)) == (
        True,
        (),
        "No migration is new, so nothing was proven.",
    )
    with pytest.raises(InputError, match="there is no commit 'nowhere'"):
        proven(chain, scope=Scope(since="nowhere"))
    with pytest.raises(InputError, match="--since"):
        proven(chain, scope=Scope(since="--output=/tmp/x"))


# What is accepted


def comment(chain: Path, revision: str, text: str) -> None:
    path = chain.parent / f"backend/alembic/versions/{revision}.py"
    path.write_text(f"{path.read_text()}\n{text}\n")


@pytest.mark.slow
def test_a_comment_with_a_reason_accepts(proven: Callable[..., Outcome], chain: Path) -> None:
    comment(chain, "case02", "# dbkit: ok dirty, the table is wanted")
    outcome = proven(chain)
    assert outcome.passed
    assert outcome.revisions[2].accepted == "the table is wanted"
    assert (
        'accepted dirty: case02 "t2": the table is wanted\n  after downgrade, table t2 is still there'
        in text.render_roundtrip(outcome)
    )


@pytest.mark.spread(3)
@pytest.mark.parametrize(
    ("revision", "text", "words"),
    [
        ("case01", "# dbkit: ok dirty, once it was", "it accepts dirty, and the verdict is proven"),
        ("case02", "# dbkit: ok broken, wrong", "it accepts broken, and the verdict is dirty"),
        ("case02", "# dbkit: ok dirty", "a verdict and a reason are needed"),
        ("case02", "# dbkit: ok dirty, ", "a verdict and a reason are needed"),
        ("case02", "# dbkit: ok", "a verdict and a reason are needed"),
        ("case02", "# dbkit: ok dirt, x", "'dirt' is none of"),
    ],
)
def test_a_comment_that_accepts_nothing_is_a_finding(
    proven: Callable[..., Outcome], chain: Path, revision: str, text: str, words: str
) -> None:
    comment(chain, revision, text)
    outcome = proven(chain, scope=Scope(only=(revision,)))
    assert not outcome.passed
    assert words in outcome.revisions[0].findings[-1].words


def test_a_string_is_no_comment(proven: Callable[..., Outcome], chain: Path) -> None:
    comment(chain, "case02", "TEXT = '# dbkit: ok dirty, not this'")
    assert not proven(chain, scope=Scope(only=("case02",))).passed


@pytest.mark.slow
def test_a_baseline_accepts_what_is_old(proven: Callable[..., Outcome], chain: Path) -> None:
    outcome = proven(chain, baseline="case03")
    assert outcome.passed
    assert outcome.revisions[2].accepted == "baseline case03"
    assert "1 of them accepted" in text.render_roundtrip(outcome)
    assert not proven(chain, baseline="case01", scope=Scope(only=("case02",))).passed


def test_a_baseline_in_the_settings_file(proven: Callable[..., Outcome], chain: Path) -> None:
    chain.write_text(f"{chain.read_text()}\n[dbkit]\nbaseline = case02\n")
    assert proven(chain).passed


def test_a_baseline_that_accepts_nothing_is_a_finding(proven: Callable[..., Outcome], chain: Path) -> None:
    outcome = proven(chain, baseline="case01", scope=Scope())
    assert [each.revision for each in outcome.failed] == ["case01", "case02"]
    assert "the baseline case01 accepts nothing" in outcome.revisions[1].findings[0].words


def test_a_baseline_that_is_not_there(proven: Callable[..., Outcome], chain: Path) -> None:
    with pytest.raises(InputError, match="nope"):
        proven(chain, baseline="nope")


# Reports


@pytest.fixture
def outcome() -> Outcome:
    """One revision of each kind, with hostile names."""
    difference = Difference(Fact("column", "a.b\x01, c: %"), "integer", "bigint")
    revisions = (
        RevisionOutcome("aaaa", (), "fine", REPOSITORY / "a.py", Verdict.PROVEN, 0.5),
        RevisionOutcome("bbbb", ("aaaa",), "<&>", REPOSITORY / "b, c:d%.py", Verdict.DIRTY, 0.25, True, (Finding("down", difference, line=7),)),
        RevisionOutcome("cccc", ("aaaa", "bbbb"), "c", REPOSITORY / "c.py", Verdict.BROKEN, 0.1, False, (Finding("reup", failure=Failure("two\nlines", 3, "DROP TABLE x"), line=3),), accepted="old"),
    )  # fmt: skip
    return Outcome("alembic.ini", "PostgreSQL 18.6", 1.5, revisions, "the whole chain")


def test_json_has_everything(outcome: Outcome) -> None:
    document = json.loads(json_report.render_roundtrip(outcome))
    assert document["summary"] == {
        "proven": 1,
        "dirty": 1,
        "lossy": 0,
        "proven, if": 0,
        "fails on rows": 0,
        "broken": 1,
        "irreversible": 0,
        "unproven": 0,
    }
    assert (document["project"], document["server"], document["seconds"]) == ("alembic.ini", "PostgreSQL 18.6", 1.5)
    dirty, broken = document["revisions"][1:]
    assert dirty["findings"] == [
        {
            "kind": "column", "object": "a.b\x01, c: %", "before": "integer", "after": "bigint", "phase": "down",
            "detail": "after downgrade, column a.b\x01, c: %: was integer, is bigint", "line": 7, "sql": None,
        }
    ]  # fmt: skip
    assert (dirty["verdict"], dirty["accepted"], dirty["transactional"]) == ("dirty", None, True)
    assert (broken["accepted"], broken["down_revisions"], broken["transactional"]) == ("old", ["aaaa", "bbbb"], False)
    assert broken["findings"][0]["sql"] == "DROP TABLE x"


def test_junit_has_a_test_for_each_revision(outcome: Outcome) -> None:
    suite = ElementTree.fromstring(junit.render_roundtrip(outcome))  # noqa: S314  # our own
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ['bbbb "<&>"']


def test_github_gets_an_annotation_for_each_finding(outcome: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    lines = github.render_roundtrip(outcome).splitlines()
    assert lines[0].startswith("::error file=b%2C c%3Ad%25.py,line=7,title=dirty%3A bbbb::after downgrade, column")
    assert lines[1] == "::notice file=c.py,line=3,title=broken%3A cccc::two%0Alines"
    assert lines[2].startswith("3 migrations on PostgreSQL 18.6: 1 proven, 1 dirty, 1 broken; 1 of them accepted")
