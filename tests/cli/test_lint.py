"""`dbkit lint`, `trace` and `explain`: what they print, what is accepted, and with which code they end."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dbkit.__main__ import main
from dbkit.findings.rule_ids import read_rule_ids
from support.alembic_templates import plain
from support.kit import REPOSITORY
from support.lint_runs import REVISIONS, TABLES, findings


@pytest.fixture
def ini(init: Callable[..., Path]) -> Path:
    return init(online=plain(), revisions=REVISIONS)


def on(told: str) -> str:
    """The server that a summary names."""
    return told.splitlines()[-1].partition(" on ")[2].partition(";")[0]


def revision(ini: Path, name: str) -> Path:
    return ini.parent / f"migrations/versions/{name}.py"


def add_comment(ini: Path, name: str, words: str) -> None:
    path = revision(ini, name)
    path.write_text(f"{path.read_text()}\n# dbkit: ok {words}\n")


def test_a_danger_is_told_with_its_place_and_what_to_write(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    code, told = lint(ini)
    assert code == 1
    assert re.search(r"danger index-without-concurrently( \(squawk/require-concurrent-index-creation\))?:13", told)
    assert "t: ix is built while writes wait" in told
    assert 'op.create_index("ix", "t", ["note"], postgresql_concurrently=True)' in told
    assert "warning no-lock-timeout" in told
    assert told.splitlines()[-1].startswith("1 danger, 1 warning in 1 of 3 migrations on")


def test_behind_the_gate_there_is_a_lock_timeout(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    env = ini.parent / "migrations/env.py"
    env.write_text(f"from alembic import context\nfrom dbkit import gate\ngate.install(context)\n{env.read_text()}")
    assert "no-lock-timeout" not in lint(ini)[1]


@pytest.mark.slow
def test_notes_are_counted_and_shown_when_asked_for(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    assert "drop-breaks-code" not in lint(ini)[1]
    assert "note drop-breaks-code:" in lint(ini, "--level", "note")[1]


def test_accepted_in_the_file(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    add_comment(ini, "bbbb", "index-without-concurrently, the table is small")
    code, told = lint(ini, "--to", "bbbb", "--format", "json")
    accepted = [each for each in json.loads(told)["findings"] if each["accepted"]]
    assert [(each["id"], each["accepted"]) for each in accepted] == [
        ("index-without-concurrently", "the table is small")
    ]
    assert code == 1, "nobody has accepted that there is no lock_timeout"


def test_a_comment_that_accepts_nothing(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    add_comment(ini, "cccc", "type-change-rewrites, at night")
    assert "warning unused-comment:" in lint(ini)[1]


def test_a_comment_with_an_unknown_word(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    add_comment(ini, "cccc", "no-such-thing, at night")
    assert "no-such-thing' is none of" in lint(ini, verb="roundtrip")[1]


@pytest.mark.slow
@pytest.mark.parametrize("words", ["no-such-thing, at night", "index-without-concurrently", "dirty"])
def test_lint_blames_a_comment_that_nobody_can_read(
    ini: Path, lint: Callable[..., tuple[int, str]], words: str
) -> None:
    add_comment(ini, "bbbb", words)
    found = findings(lint(ini, "--format", "json")[1], "unused-comment")
    assert [each["revision"] for each in found] == ["bbbb"]


def test_lint_does_not_blame_what_is_for_the_round_trip(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    add_comment(ini, "bbbb", "dirty, the index stays")
    assert "unused-comment" not in lint(ini)[1]


@pytest.mark.slow
def test_a_comment_is_not_blamed_where_nothing_could_be_found(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    add_comment(ini, "cccc", "type-change-rewrites, at night")
    path = revision(ini, "cccc")
    path.write_text(path.read_text().replace("ADD more int", "ADD more no_such_type"))
    assert "unused-comment" not in lint(ini)[1]


@pytest.mark.slow
def test_a_comment_for_squawk_is_not_blamed_where_it_was_not_asked(
    ini: Path, lint: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_comment(ini, "cccc", "squawk/ban-truncate-cascade, at night")
    assert "unused-comment" in lint(ini)[1]
    monkeypatch.setattr("dbkit.lint.squawk.find_program", lambda: None)
    assert "unused-comment" not in lint(ini)[1]


@pytest.mark.slow
def test_what_is_about_env_py_is_accepted_there(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    env = ini.parent / "migrations/env.py"
    env.write_text(f"{env.read_text()}\n# dbkit: ok no-lock-timeout, nobody else is connected\n")
    add_comment(ini, "bbbb", "index-without-concurrently, the table is small")
    code, told = lint(ini)
    assert (code, told.splitlines()[-1].partition(";")[0]) == (
        0,
        "0 dangers, 0 warnings in 3 migrations on " + on(told),
    )
    assert "2 accepted" in told
    env.write_text(env.read_text().replace("no-lock-timeout", "type-change-rewrites"))
    assert "warning unused-comment:" in lint(ini)[1]
    assert "unused-comment" not in lint(ini, "--only", "cccc")[1], "it may be about another revision"


@pytest.mark.parametrize("options", [(), ("--only", "bbbb")])
def test_tables_without_rows_are_not_called_safe(
    ini: Path, lint: Callable[..., tuple[int, str]], options: tuple[str, ...]
) -> None:
    path = revision(ini, "bbbb")
    data = "ALTER TABLE t ADD more int; UPDATE t SET note = upper(note)"
    path.write_text(path.read_text().replace("CREATE INDEX ix ON t (note)", data))
    add_comment(ini, "bbbb", "lock-kept-during-data-change, at night")
    told = lint(ini, "--rows", "0", *options)[1]
    assert "the tables were empty, so changes of data were not seen" in told
    assert "unused-comment" not in told


@pytest.mark.slow
def test_a_table_that_could_not_be_filled_is_named(
    init: Callable[..., Path], lint: Callable[..., tuple[int, str]]
) -> None:
    tables = "CREATE TABLE t (id int PRIMARY KEY CHECK (false), note text)"
    ini = init(
        online=plain(),
        revisions=[("aaaa", None, tables, "DROP TABLE t"), ("bbbb", "aaaa", "ALTER TABLE t ALTER note SET NOT NULL", "ALTER TABLE t ALTER note DROP NOT NULL")],
    )  # fmt: skip
    add_comment(ini, "bbbb", "not-null-by-scan, at night")
    told = lint(ini)[1]
    assert "no rows in t: " in told
    assert "unused-comment" not in told
    assert list(json.loads(lint(ini, "--format", "json")[1])["rows"]["unfilled"]) == ["t"]


def test_the_round_trip_does_not_blame_what_is_for_lint(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    add_comment(ini, "bbbb", "index-without-concurrently, the table is small")
    code, told = lint(ini, verb="roundtrip")
    assert (code, "accepts nothing" in told) == (0, False)


def test_a_baseline(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    assert "0 dangers" in lint(ini, "--baseline", "bbbb")[1]
    ini.write_text(f"{ini.read_text()}\n[dbkit]\nbaseline = bbbb\n")
    assert "0 dangers" in lint(ini)[1]
    assert "1 danger" in lint(ini, "--baseline", "aaaa")[1]


@pytest.mark.slow
def test_a_baseline_that_accepts_nothing(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    assert "the baseline aaaa accepts nothing" in lint(ini, "--baseline", "aaaa")[1]
    assert "the baseline" not in lint(ini, "--baseline", "bbbb")[1]
    assert "the baseline" not in lint(ini, "--baseline", "aaaa", "--to", "bbbb")[1], "of some, nothing can be said"


@pytest.mark.slow
def test_a_baseline_at_the_head_is_for_the_revisions_to_come(init: Callable[..., Path]) -> None:
    """`dbkit adopt` writes it; of a project that has no findings, too."""
    ini = init(revisions=[("aaaa", None, "CREATE TABLE t (id bigint PRIMARY KEY)", "DROP TABLE t")])
    ini.write_text(f"{ini.read_text()}\n[dbkit]\nbaseline = aaaa\n")
    command = [sys.executable, "-m", "dbkit", "lint", "-c", str(ini)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "accepts nothing" in done.stdout) == (0, False), done.stdout + done.stderr


@pytest.mark.slow
def test_a_baseline_of_the_settings_file_serves_both(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    ini.write_text(f"{ini.read_text()}\n[dbkit]\nbaseline = bbbb\n")
    assert lint(ini, verb="roundtrip")[0] == 0, "lint needs it"
    ini.write_text(ini.read_text().replace("= bbbb", "= aaaa"))
    assert "the baseline aaaa accepts nothing" in lint(ini)[1], "neither needs it"
    path = revision(ini, "aaaa")
    path.write_text(path.read_text().replace("op.execute('DROP TABLE u')", "pass"))
    assert "the baseline" not in lint(ini)[1], "the round trip needs it"


def test_what_a_commit_has_is_left_out(
    ini: Path, lint: Callable[..., tuple[int, str]], git: Callable[..., str]
) -> None:
    later = revision(ini, "cccc")
    text = later.read_text()
    later.unlink()
    git(ini.parent, "init", "-q")
    git(ini.parent, "add", ".")
    git(ini.parent, "commit", "-qm", "before")
    for report in ("text", "github"):
        assert lint(ini, "--since", "HEAD", "--format", report) == (0, "No migration is new, so nothing was run.\n")
    assert json.loads(lint(ini, "--since", "HEAD", "--format", "sarif")[1])["runs"][0]["results"] == []
    later.write_text(text)
    told = lint(ini, "--since", "HEAD")[1]
    assert "0 dangers, 1 warning in 1 migration on" in told
    assert "index-without-concurrently" not in told


@pytest.mark.slow
def test_what_cannot_be_run_is_not_called_safe(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    path = revision(ini, "bbbb")
    path.write_text(path.read_text().replace("ON t (note)", "ON t (no_such_column)"))
    told = lint(ini)[1]
    assert told.count("warning not-traced") == 1
    assert "its effect is unknown, as is that of 1 later revision: column" in told
    assert "warning not-traced" in lint(ini, "--only", "cccc")[1]


def test_github_annotates_files_and_lines(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    first = next(line for line in lint(ini, "--format", "github")[1].splitlines() if "index" in line)
    assert first.startswith("::error file=migrations/versions/bbbb.py,line=")
    assert "title=index-without-concurrently::t: ix is built" in first


@pytest.mark.slow
def test_a_level_is_for_github_and_sarif_too(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    def annotated(level: str) -> set[str]:
        return set(re.findall(r"^::(\w+)", lint(ini, "--format", "github", "--level", level)[1], re.MULTILINE))

    def results(level: str) -> set[str]:
        (run,) = json.loads(lint(ini, "--format", "sarif", "--level", level)[1])["runs"]
        return {each["level"] for each in run["results"]}

    assert (annotated("danger"), annotated("warning")) == ({"error"}, {"error", "warning"})
    assert annotated("note") == {"error", "warning", "notice"}
    assert (results("danger"), results("note")) == ({"error"}, {"error", "warning", "note"})


def test_sarif_explains_each_rule(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    """GitHub requires id, shortDescription, fullDescription and help of a rule."""
    (run,) = json.loads(lint(ini, "--format", "sarif", "--level", "note")[1])["runs"]
    for rule in run["tool"]["driver"]["rules"]:
        assert all(rule[each]["text"] for each in ("shortDescription", "fullDescription", "help")), rule["id"]
        assert rule["defaultConfiguration"]["level"] in ("error", "warning", "note")
    ours = next(each for each in run["tool"]["driver"]["rules"] if each["id"] == "index-without-concurrently")
    assert "## Instead" in ours["help"]["markdown"]
    assert ours["defaultConfiguration"]["level"] == "error"


def test_sarif_has_an_address_for_each_file(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    path = revision(ini, "bbbb")
    path.rename(path.with_name("bbbb in größe.py"))
    (run,) = json.loads(lint(ini, "--format", "sarif")[1])["runs"]
    places = {each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in run["results"]}
    assert places == {"migrations/versions/bbbb%20in%20gr%C3%B6%C3%9Fe.py", "migrations/env.py"}


@pytest.mark.slow
def test_sarif_says_by_what_it_was_accepted(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    def suppressions() -> list[tuple[str, str]]:
        (run,) = json.loads(lint(ini, "--format", "sarif", "--baseline", "bbbb")[1])["runs"]
        return [
            (each["kind"], each["justification"])
            for result in run["results"]
            for each in result.get("suppressions", ())
        ]

    assert suppressions() == [("external", "baseline bbbb")]
    add_comment(ini, "bbbb", "index-without-concurrently, the table is small")
    assert suppressions() == [("inSource", "the table is small")]


def test_sarif_has_what_code_scanning_needs(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    add_comment(ini, "bbbb", "index-without-concurrently, the table is small")
    document = json.loads(lint(ini, "--format", "sarif")[1])
    (run,) = document["runs"]
    assert document["version"] == "2.1.0"
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
        place = result["locations"][0]["physicalLocation"]
        assert not place["artifactLocation"]["uri"].startswith("/")
        assert place["region"]["startLine"] >= 1
    accepted = [each for each in run["results"] if "suppressions" in each]
    assert [each["suppressions"][0]["justification"] for each in accepted] == ["the table is small"]


@pytest.mark.slow
def test_a_fingerprint_stays_when_lines_move(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    def prints() -> set[str]:
        (run,) = json.loads(lint(ini, "--format", "sarif")[1])["runs"]
        return {each["partialFingerprints"]["dbkit/v1"] for each in run["results"]}

    before = prints()
    path = revision(ini, "bbbb")
    path.write_text(f"# one more line\n{path.read_text()}")
    assert prints() == before


def test_trace_shows_locks(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    code, told = lint(ini, "bbbb", verb="trace")
    assert code == 0
    assert "t: SHARE (writes wait), 5 rows scanned" in told
    assert "t: ACCESS EXCLUSIVE (reads and writes wait)" in told, "the way down"
    statements = json.loads(lint(ini, "bbbb", "--format", "json", verb="trace")[1])["revisions"][0]["traces"][0][
        "statements"
    ]
    assert [
        (each["relation"], each["lock"], each["scanned"]) for each in statements[0]["touched"] if each["existed"]
    ] == [("t", "SHARE", 5)]


@pytest.mark.slow
def test_the_round_trip_traces_when_it_is_asked_to(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    code, told = lint(ini, "--trace", verb="roundtrip")
    assert (code, "SHARE (writes wait)" in told) == (0, True)
    assert "writes wait" not in lint(ini, verb="roundtrip")[1]


@pytest.mark.slow
def test_a_revision_that_cannot_be_run_is_told_why_where_that_is_known(
    init: Callable[..., Path], lint: Callable[..., tuple[int, str]]
) -> None:
    ini = init(online=plain(), revisions=[("aaaa", None, "CREATE TABLE t (id int)", "DROP TABLE t")])
    path = revision(ini, "aaaa")
    text = path.read_text()
    made = "op.execute('CREATE TABLE t (id int)')"
    for lines, expected in (
        ("op.execute('see :note')", "unbound-parameter"),
        ("sql = 'see :' + 'note'; op.execute(sql)", "unbound-parameter"),
        (f"{made}; op.add_column('t', sa.Column('e', sa.Enum('a', name='e')))", "enum-without-type"),
        ("op.execute('CREATE TABLE t (e no_such_type)')", "not-traced"),
    ):
        path.write_text(text.replace(made, lines))
        code, told = lint(ini, "--format", "json")
        found = json.loads(told)["findings"]
        assert (code, [each["id"] for each in found if each["level"] != "note"]) == (1, [expected]), lines


@pytest.mark.slow
def test_a_revision_that_fails_on_rows_is_watched_on_empty_tables(
    init: Callable[..., Path], lint: Callable[..., tuple[int, str]]
) -> None:
    fails = (
        "DO $$ BEGIN IF EXISTS (SELECT FROM t) THEN RAISE division_by_zero; END IF; END $$; "
        "ALTER TABLE t ADD more text; ALTER TABLE t ALTER note SET NOT NULL"
    )
    ini = init(
        online=plain(),
        revisions=[
            ("aaaa", None, TABLES, "DROP TABLE t; DROP TABLE u"),
            ("bbbb", "aaaa", fails, "ALTER TABLE t DROP more"),
        ],
    )
    told = lint(ini, "--level", "note")[1]
    assert "note not-traced:" in told, "the round trip says that it fails on rows"
    assert "danger not-null-by-scan " in told
    assert "it fails on rows, and was traced on empty tables, where changes of data are not seen: division" in " ".join(
        told.split()
    )


@pytest.mark.slow
def test_each_table_is_told_with_what_waits_for_it(
    init: Callable[..., Path], lint: Callable[..., tuple[int, str]]
) -> None:
    key = "ALTER TABLE t ADD u_id int; ALTER TABLE t ADD CONSTRAINT fk FOREIGN KEY (u_id) REFERENCES u"
    ini = init(
        online=plain(),
        revisions=[
            ("aaaa", None, TABLES, "DROP TABLE t; DROP TABLE u"),
            ("bbbb", "aaaa", f"{key}; UPDATE t SET note = upper(note)", "ALTER TABLE t DROP u_id"),
        ],
    )
    told = lint(ini, "--format", "json")[1]
    (foreign_key,) = findings(told, "foreign-key-in-one-step")
    assert foreign_key["message"].endswith("for fk while reads and writes to t, and writes to u wait")
    (kept,) = findings(told, "lock-kept-during-data-change")
    assert kept["message"].startswith("reads and writes to t, and writes to u wait while the rows of t are worked on")


@pytest.mark.slow
def test_what_a_run_and_the_text_both_show_is_told_once(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    path = revision(ini, "bbbb")
    path.write_text(
        path.read_text().replace("op.execute('CREATE INDEX", "op.execute('COMMIT'); op.execute('CREATE INDEX")
    )
    assert len(findings(lint(ini, "--format", "json")[1], "commit-by-hand")) == 1


@pytest.mark.spread(3)
@pytest.mark.parametrize(
    ("lines", "line"),
    [
        ("commit(op.get_bind())", 4),
        ("op.get_bind().commit()", 16),
        ("from sqlalchemy.orm import Session; session = Session(op.get_bind()); session.commit()", None),
        ("with op.get_context().autocommit_block(): pass", None),
        ("with op.get_bind().begin_nested(): pass", None),
        ("with op.get_bind().engine.begin() as other: other.exec_driver_sql('SELECT 1')", None),
    ],
)
def test_what_ends_the_transaction_is_seen(
    init: Callable[..., Path], lint: Callable[..., tuple[int, str]], lines: str, line: int | None
) -> None:
    ini = init(online=plain(), revisions=[("aaaa", None, "CREATE TABLE t (id int)", "DROP TABLE t")])
    path = revision(ini, "aaaa")
    text = path.read_text().replace("import sqlalchemy as sa", "def commit(connection):\n    connection.commit()\n", 1)
    path.write_text(text.replace("id int)')", f"id int)')\n    {lines}"))
    found = findings(lint(ini, "--format", "json")[1], "commit-by-hand")
    assert [each["line"] for each in found] == ([line] if line else [])


@pytest.mark.spread(2)
@pytest.mark.parametrize("first", ["", "op.execute('SELECT 1'); "])
def test_what_is_run_past_sqlalchemy_is_seen_at_the_end(
    ini: Path, lint: Callable[..., tuple[int, str]], first: str
) -> None:
    path = revision(ini, "bbbb")
    text = path.read_text()
    assert "op.execute('CREATE INDEX ix ON t (note)')" in text
    raw = f"{first}op.get_bind().connection.cursor().execute('CREATE INDEX ix ON t (note)')"
    path.write_text(text.replace("op.execute('CREATE INDEX ix ON t (note)')", raw))
    assert "danger index-without-concurrently\n    t: ix is built while writes wait" in lint(ini)[1]
    assert (
        "-- run past SQLAlchemy\n        t: SHARE (writes wait), 5 rows scanned" in lint(ini, "bbbb", verb="trace")[1]
    )


@pytest.mark.slow
def test_an_empty_downgrade_that_the_round_trip_has_run_is_a_note(
    init: Callable[..., Path], lint: Callable[..., tuple[int, str]]
) -> None:
    check = "ALTER TABLE t ADD CONSTRAINT ck CHECK (note IS NULL OR true) NOT VALID"
    ini = init(
        online=plain(),
        revisions=[
            ("aaaa", None, TABLES, "DROP TABLE t; DROP TABLE u"),
            ("bbbb", "aaaa", check, "ALTER TABLE t DROP CONSTRAINT ck"),
            ("cccc", "bbbb", "ALTER TABLE t VALIDATE CONSTRAINT ck", "SELECT 1"),
        ],
    )
    path = revision(ini, "cccc")
    path.write_text(path.read_text().replace("op.execute('SELECT 1')", "pass"))
    (found,) = findings(lint(ini, "--format", "json")[1], "empty-downgrade")
    assert found["level"] == "note"


@pytest.mark.slow
def test_what_an_unreleased_revision_has_created_is_as_new_as_the_next_one(
    init: Callable[..., Path], lint: Callable[..., tuple[int, str]]
) -> None:
    ini = init(
        online=plain(),
        revisions=[
            ("aaaa", None, TABLES, "DROP TABLE t; DROP TABLE u"),
            ("bbbb", "aaaa", "CREATE TABLE fresh (id int PRIMARY KEY, a text)", "DROP TABLE fresh"),
            ("cccc", "bbbb", "CREATE INDEX ix_fresh ON fresh (a)", "DROP INDEX ix_fresh"),
        ],
    )
    assert findings(lint(ini, "--format", "json")[1], "index-without-concurrently")
    assert not findings(lint(ini, "--from", "aaaa", "--format", "json")[1], "index-without-concurrently")
    assert findings(lint(ini, "--from", "bbbb", "--format", "json")[1], "index-without-concurrently")


@pytest.mark.slow
def test_the_error_that_has_aborted_a_transaction_is_named(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    path = revision(ini, "cccc")
    line = "op.execute('ALTER TABLE t ADD more int')"
    text = path.read_text()
    assert line in text
    path.write_text(text.replace(line, "\n    try: op.execute('SELECT 1 / 0')\n    except sa.exc.DataError: pass"))
    told = " ".join(lint(ini)[1].split())
    assert "warning not-traced:14 it fails after its last statement: division by zero (the migration caught it" in told


@pytest.mark.slow
def test_a_revision_is_not_blamed_for_what_an_earlier_one_did(
    init: Callable[..., Path], lint: Callable[..., tuple[int, str]]
) -> None:
    """One whose downgrade fails on rows is applied a second time, to go on: what it has made has new OIDs."""
    ini = init(
        online=plain(),
        revisions=[
            ("aaaa", None, TABLES, "DROP TABLE t; DROP TABLE u"),
            ("bbbb", "aaaa", "ALTER TABLE t ADD CONSTRAINT uq UNIQUE (note)", "ALTER TABLE u ADD x int NOT NULL"),
            ("cccc", "bbbb", "ALTER TABLE t ADD more text", "ALTER TABLE t DROP more"),
        ],
    )
    found = findings(lint(ini, "--format", "json")[1], "constraint-builds-index")
    assert [each["revision"] for each in found] == ["bbbb"]


def test_a_stray_file_is_told_at_its_place(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    copy = revision(ini, "bbbb").with_suffix(".py.orig")
    copy.write_text("A = 1\n")
    told = lint(ini, "--only", "aaaa")[1]
    assert told.startswith("migrations/versions/bbbb.py.orig\n  warning stray-file")


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    listed = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert [identifier for identifier, _ in listed] == list(read_rule_ids())
    assert dict(listed)["not-null-by-scan"] == "danger"
    assert {level for _, level in listed} == {"danger", "warning", "note"}
    assert main(["explain", "squawk/prefer-text-field"]) == 0
    assert "https://squawkhq.com/docs/prefer-text-field" in capsys.readouterr().out
    assert main(["explain", "not-null-by-scan"]) == 0
    assert capsys.readouterr().out.startswith("# not-null-by-scan")
    assert main(["explain", "not-null-by-scans"]) == 2
    assert "Did you mean not-null-by-scan" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.shop
def test_the_example_has_nothing_that_nobody_accepted() -> None:
    command = [sys.executable, "-m", "dbkit", "lint"]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert result.returncode == 0, result.stdout
    assert result.stdout.startswith("0 dangers, 0 warnings in 26 migrations")
