"""`dbkit lint`, `trace` and `explain`: what they print, what is accepted, and with which code they end."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import REPOSITORY
from dbkit.__main__ import main
from dbkit.advice.ids import RULES
from dbkit.server.cluster import Cluster
from test_roundtrip_environments import ONLINE, plain  # noqa: F401  # a fixture
from test_roundtrip_environments import init as init

TABLES = "CREATE TABLE t (id int PRIMARY KEY, note text); CREATE TABLE u (id int PRIMARY KEY)"
REVISIONS = [
    ("aaaa", None, TABLES, "DROP TABLE t; DROP TABLE u"),
    ("bbbb", "aaaa", "CREATE INDEX ix ON t (note)", "DROP INDEX ix"),
    ("cccc", "bbbb", "ALTER TABLE t ADD more int", "ALTER TABLE t DROP more"),
]


@pytest.fixture
def lint(
    server: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Run a verb on a project, on the run's server. Returns its exit code and what it printed."""
    target = server.target("postgres")
    url = f"postgresql://{target.user}@/{target.dbname}?host={target.host}&port={target.port}"

    def run(ini: Path, *options: str, verb: str = "lint") -> tuple[int, str]:
        monkeypatch.chdir(ini.parent)
        code = main([verb, "-c", str(ini), "--server", url, *options])
        return code, capsys.readouterr().out

    return run


@pytest.fixture
def ini(init: Callable[..., Path]) -> Path:
    return init(online=plain(), revisions=REVISIONS)


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
    assert told.splitlines()[-1].startswith("1 danger, 1 warning in 3 migrations")


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


def test_the_round_trip_does_not_blame_what_is_for_lint(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    add_comment(ini, "bbbb", "index-without-concurrently, the table is small")
    code, told = lint(ini, verb="roundtrip")
    assert (code, "accepts nothing" in told) == (0, False)


def test_a_baseline(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    assert "0 dangers" in lint(ini, "--baseline", "bbbb")[1]
    ini.write_text(f"{ini.read_text()}\n[dbkit]\nbaseline = bbbb\n")
    assert "0 dangers" in lint(ini)[1]
    assert "1 danger" in lint(ini, "--baseline", "aaaa")[1]


def test_what_a_commit_has_is_left_out(
    ini: Path, lint: Callable[..., tuple[int, str]], git: Callable[..., str]
) -> None:
    later = revision(ini, "cccc")
    text = later.read_text()
    later.unlink()
    git(ini.parent, "init", "-q")
    git(ini.parent, "add", ".")
    git(ini.parent, "commit", "-qm", "before")
    later.write_text(text)
    told = lint(ini, "--since", "HEAD")[1]
    assert "in 1 migrations" in told
    assert "index-without-concurrently" not in told


def test_what_cannot_be_run_is_not_called_safe(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    path = revision(ini, "cccc")
    path.write_text(path.read_text().replace("ADD more int", "ADD more no_such_type"))
    assert "warning not-traced" in lint(ini)[1]


def test_github_annotates_files_and_lines(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    first = next(line for line in lint(ini, "--format", "github")[1].splitlines() if "index" in line)
    assert first.startswith("::error file=migrations/versions/bbbb.py,line=")
    assert "title=index-without-concurrently::t: ix is built" in first


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


def test_the_round_trip_traces_when_it_is_asked_to(ini: Path, lint: Callable[..., tuple[int, str]]) -> None:
    code, told = lint(ini, "--trace", verb="roundtrip")
    assert (code, "SHARE (writes wait)" in told) == (0, True)
    assert "writes wait" not in lint(ini, verb="roundtrip")[1]


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(RULES)
    assert main(["explain", "not-null-by-scan"]) == 0
    assert capsys.readouterr().out.startswith("# not-null-by-scan")
    assert main(["explain", "not-null-by-scans"]) == 2
    assert "Did you mean not-null-by-scan" in capsys.readouterr().err


@pytest.mark.shop
def test_the_example_has_nothing_that_nobody_accepted() -> None:
    command = [sys.executable, "-m", "dbkit", "lint"]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert result.returncode == 0, result.stdout
    assert result.stdout.startswith("0 dangers, 0 warnings in 26 migrations")
